"""Where each value of a document is written: a tree of marks beside the tree of values.

A mark is an index into the text (of characters in YAML, of bytes in JSON). Lines and columns are
made of it only for the few places that somebody asks for.
"""

from bisect import bisect_right
from typing import NamedTuple

from gpuyard.dialects.documents.model import Position
from gpuyard.dialects.plain import Path


class Node(NamedTuple):
    """One value: where its key is, where it is itself, and the same of what it holds."""

    key: int
    """The mark of its key in a mapping; of a list element or the whole document, its own."""
    mark: int
    below: "dict[str, Node] | list[Node] | None" = None


def find(node: Node, path: Path) -> Node:
    """Return the node of the deepest prefix of `path` that exists."""
    for key in path:
        child = _child(node.below, key)
        if child is None:
            break
        node = child
    return node


def _child(below: dict[str, Node] | list[Node] | None, key: str | int) -> Node | None:
    child: Node | None = None
    if isinstance(below, dict) and isinstance(key, str):
        child = below.get(key)
    elif isinstance(below, list) and isinstance(key, int) and 0 <= key < len(below):
        child = below[key]
    return child


class Lines:
    """Marks of one piece of text as lines and columns of the whole file.

    `line` and `column` are where the piece begins.
    """

    def __init__(self, text: str | bytes, line: int = 1, column: int = 1) -> None:
        self._text = text
        self._line = line
        self._column = column
        self._starts: list[int] | None = None

    def position(self, mark: int) -> Position:
        """Return the place of `mark`."""
        if self._starts is None:
            self._starts = _line_starts(self._text)
        index = bisect_right(self._starts, mark) - 1
        start = self._starts[index]
        before = self._text[start:mark]
        length = len(before.decode("utf-8", "replace") if isinstance(before, bytes) else before)
        return Position(self._line + index, length + (self._column if index == 0 else 1))


class Advance:
    """Marks of a long text as places, asked for in about the order in which they stand there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._mark = 0
        self._at = Position(1, 1)

    def position(self, mark: int) -> Position:
        """Return the place of `mark`; going back means to count from the beginning."""
        if mark < self._mark:
            self._mark, self._at = 0, Position(1, 1)
        passed = self._data[self._mark : mark]
        lines = passed.count(b"\n")
        length = len(passed[passed.rfind(b"\n") + 1 :].decode("utf-8", "replace"))
        self._at = Position(self._at.line + lines, length + (1 if lines else self._at.column))
        self._mark = mark
        return self._at


def _line_starts(text: str | bytes) -> list[int]:
    starts = [0]
    at = -1
    while True:
        at = text.find("\n", at + 1) if isinstance(text, str) else text.find(b"\n", at + 1)
        if at < 0:
            return starts
        starts.append(at + 1)
