"""Plain JSON values, read without trusting their types.

A manifest may hold a text where the API wants a mapping, or nothing at all. Who only looks should
not stumble: here whatever is not of the asked kind reads as empty, as `None`, or as the default.
That the type is wrong is a finding of its own and not the business of each reader.

A *path* names a place inside a value: ``("spec", "containers", 0, "image")``.
"""

from collections.abc import Mapping
from typing import TypeVar

Path = tuple[str | int, ...]
Default = TypeVar("Default")

_NOTHING: dict[str, object] = {}


def get(value: object, *path: str | int) -> object:
    """Return what lies at `path` below `value`, `None` where there is nothing."""
    for key in path:
        if isinstance(key, str):
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        elif isinstance(value, list) and 0 <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def mapping(value: object, *path: str | int) -> Mapping[str, object]:
    """Return the mapping at `path`, an empty one where there is none."""
    found = get(value, *path)
    return found if isinstance(found, Mapping) else _NOTHING


def mappings(value: object, *path: str | int) -> list[tuple[int, Mapping[str, object]]]:
    """Return the mappings in the list at `path`, each with its index; others are left out."""
    found = get(value, *path)
    if not isinstance(found, list):
        return []
    return [(index, each) for index, each in enumerate(found) if isinstance(each, Mapping)]


def texts(value: object, *path: str | int) -> dict[str, str]:
    """Return the texts in the mapping at `path` by key (labels, for instance)."""
    return {
        key: each
        for key, each in mapping(value, *path).items()
        if isinstance(each, str) and isinstance(key, str)
    }


def words(value: object, *path: str | int) -> list[tuple[int, str]]:
    """Return the texts in the list at `path` (a command), each with its index."""
    found = get(value, *path)
    if not isinstance(found, list):
        return []
    return [(index, each) for index, each in enumerate(found) if isinstance(each, str)]


def text(value: object, *path: str | int) -> str:
    """Return the text at `path`, an empty one where there is none."""
    found = get(value, *path)
    return found if isinstance(found, str) else ""


def whole(value: object, *path: str | int) -> int | None:
    """Return the whole number at `path`, `None` where there is none (``2.0`` counts as 2)."""
    found = get(value, *path)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def is_true(value: object, *path: str | int) -> bool:
    """Tell whether there is a literal ``true`` at `path`."""
    return get(value, *path) is True
