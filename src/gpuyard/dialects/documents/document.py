"""One document of a file: its value, and where everything in it is written."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, Protocol

from gpuyard.dialects import plain
from gpuyard.dialects.documents.comments import chart, suppressions
from gpuyard.dialects.documents.model import Position, Suppression
from gpuyard.dialects.documents.pieces import YamlPiece
from gpuyard.dialects.documents.places import Node, find
from gpuyard.dialects.plain import Path


class Piece(Protocol):
    """What a document was made of: the marks of its values, and where a mark is."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The places in each of its documents."""

    def position(self, mark: int, /) -> Position:
        """Return the place of a mark."""


class File:
    """What the documents of one text share."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.pieces: list[YamlPiece] = []

    @cached_property
    def suppressions(self) -> Mapping[int, Suppression]:
        """The comments that silence rules, by line; JSON has none."""
        return suppressions(self.pieces)

    @cached_property
    def chart(self) -> tuple[str, str]:
        """The chart that a comment names, and its version."""
        return chart(self.pieces)


class Document:
    """A Kubernetes object, or another mapping: Helm values, a tool's configuration.

    Its value must not be changed: aliases share parts of it.
    """

    __slots__ = ("_file", "_number", "_piece", "_prefix", "value")

    def __init__(
        self,
        file: File,
        value: dict[str, object],
        piece: Piece,
        *,
        number: int = 0,
        prefix: Path = (),
    ) -> None:
        self.value = value
        self._file = file
        self._piece = piece
        self._number = number
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"Document({self.source}, {self.title})"

    @property
    def source(self) -> str:
        """What the caller called the text: a path, or ``-``."""
        return self._file.source

    @property
    def api_version(self) -> str:
        """Its ``apiVersion``, "" without one."""
        return plain.text(self.value, "apiVersion")

    @property
    def kind(self) -> str:
        """Its ``kind``, "" without one."""
        return plain.text(self.value, "kind")

    @property
    def name(self) -> str:
        """Its name, "" without one."""
        return plain.text(self.value, "metadata", "name")

    @property
    def namespace(self) -> str:
        """Its namespace as written, "" without one."""
        return plain.text(self.value, "metadata", "namespace")

    @property
    def is_object(self) -> bool:
        """Tell whether it is a Kubernetes object."""
        return bool(self.api_version and self.kind)

    @property
    def title(self) -> str:
        """What to call it: ``Deployment default/llm``; "" for what is no object."""
        if not self.is_object:
            return ""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}".rstrip()

    @property
    def suppressions(self) -> Mapping[int, Suppression]:
        """The suppressions of the whole file, by line."""
        return self._file.suppressions

    @property
    def chart(self) -> tuple[str, str]:
        """Name and version of the chart that a comment of the file names; empty where none does."""
        return self._file.chart

    def position(self, path: Path = (), *, of: Literal["key", "value"] = "key") -> Position:
        """Return where `path` is written: its key, or its value.

        Where it is not there, the deepest part of it that is. What came through an alias or a merge
        key is where it was written. An item of a List has its place in the file.
        """
        node = find(self._piece.nodes[self._number], (*self._prefix, *path))
        return self._piece.position(node.key if of == "key" else node.mark)
