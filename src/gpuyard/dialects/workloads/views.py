"""What the views of pods and containers share: one mapping inside an object, and where it lies.

A view never copies and never raises. Its `path` leads from the top of the object to its mapping, so
that whatever is found in it can be blamed on a line of the file: ``view.at("image")``.
"""

from collections.abc import Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path


class View:
    """A mapping of an object and its place."""

    def __init__(self, value: Mapping[str, object], path: Path) -> None:
        self.value = value
        self.path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'.'.join(map(str, self.path)) or 'object'})"

    def at(self, *keys: str | int) -> Path:
        """Return the path of something below; it need not be there."""
        return (*self.path, *keys)

    def get(self, *keys: str | int) -> object:
        """Return what lies below, `None` where there is nothing."""
        return plain.get(self.value, *keys)

    def mapping(self, *keys: str | int) -> Mapping[str, object]:
        """Return the mapping below, an empty one where there is none."""
        return plain.mapping(self.value, *keys)

    def mappings(self, *keys: str | int) -> list[tuple[int, Mapping[str, object]]]:
        """Return the mappings in the list below, each with its index."""
        return plain.mappings(self.value, *keys)

    def text(self, *keys: str | int) -> str:
        """Return the text below, "" where there is none."""
        return plain.text(self.value, *keys)

    def whole(self, *keys: str | int) -> int | None:
        """Return the whole number below, `None` where there is none."""
        return plain.whole(self.value, *keys)

    def is_true(self, *keys: str | int) -> bool:
        """Tell whether there is a literal ``true`` below."""
        return plain.is_true(self.value, *keys)
