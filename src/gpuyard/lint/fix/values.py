"""What an edit means: the object afterwards, as a value.

This is the plain reading of `Set`, `Append` and `Remove`, without any text. The text is edited by
`gpuyard.lint.fix.places` in quite another way; that both come to the same makes an edit safe.
"""

from collections.abc import Iterable
from typing import Any

from gpuyard.dialects.plain import Path
from gpuyard.lint.rule import Append, Edit, Remove, Set


class CannotEditError(ValueError):
    """An edit has no meaning here, or the text is written in a way that it cannot follow."""


def edited(value: dict[str, object], edits: Iterable[Edit]) -> dict[str, object]:
    """Return a copy of `value` after `edits`; `value` itself stays as it is.

    Raises CannotEditError where a path leads through something that is no mapping or list.
    """
    result: Any = _copy(value)
    for edit in edits:
        path = edit.path
        parent = _made(result, path[:-1])
        place = _index(parent, path) if isinstance(parent, list) else path[-1]
        if isinstance(edit, Set):
            parent[place] = _copy(edit.value)
        elif isinstance(edit, Remove):
            if isinstance(parent, dict) and place not in parent:
                raise CannotEditError(f"{_shown(path)} is not there")
            del parent[place]
        else:
            _append(parent, place, edit)
    assert isinstance(result, dict)
    return result


def _append(parent: Any, place: str | int, edit: Append) -> None:  # noqa: ANN401 — plain JSON
    is_there = isinstance(parent, list) or parent.get(place) is not None
    if not is_there:
        parent[place] = []
    items = parent[place]
    if not isinstance(items, list):
        raise CannotEditError(f"{_shown(edit.path)} is no list")
    items.append(_copy(edit.value))


def _made(value: Any, path: Path) -> Any:  # noqa: ANN401 — plain JSON
    """Return what lies at `path`; mappings that are missing on the way are made."""
    for depth, key in enumerate(path, 1):
        if isinstance(value, dict):
            if value.get(key) is None:
                value[key] = {}
            value = value[key]
        elif isinstance(value, list):
            value = value[_index(value, path[:depth])]
        else:
            raise CannotEditError(f"{_shown(path[: depth - 1])} is no mapping")
    if not isinstance(value, dict | list):
        raise CannotEditError(f"{_shown(path)} is no mapping")
    return value


def _index(items: list[object], path: Path) -> int:
    last = path[-1]
    if not isinstance(last, int) or not 0 <= last < len(items):
        raise CannotEditError(f"{_shown(path)} is not there")
    return last


def _copy(value: Any) -> Any:  # noqa: ANN401 — plain JSON
    """Copy mappings and lists; what an alias shares is no longer shared afterwards."""
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copy(one) for one in value]
    return value


def _shown(path: Path) -> str:
    return ".".join(map(str, path)) or "the object"
