"""The places of all values in one piece of JSON, found when somebody asks for one.

The text has been decoded before, so that nothing is checked here: what is neither bracket nor
string is a number or a word, and in an object strings are keys and values in turn.
"""

import re

import msgspec

from gpuyard.dialects.documents.places import Node
from gpuyard.dialects.documents.yaml_reader import Flaw, twice

_TOKEN = re.compile(rb'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s\[\]{},:"]+', re.DOTALL)


def scan(data: bytes) -> tuple[Node, list[Flaw]]:
    """Return the places in `data`, one valid JSON value, and its keys that stand twice."""
    scanner = _Scanner()
    for token in _TOKEN.finditer(data):
        scanner.take(token[0], token.start())
    return scanner.root, scanner.flaws


class _Open:
    """An object or array whose end has not come yet."""

    __slots__ = ("below", "key", "key_mark", "mark")

    def __init__(self, mark: int, below: dict[str, Node] | list[Node]) -> None:
        self.mark = mark
        self.below = below
        self.key: str | None = None
        self.key_mark = mark


class _Scanner:
    def __init__(self) -> None:
        self.root = Node(0, 0)
        self.flaws: list[Flaw] = []
        self.stack: list[_Open] = []

    def take(self, token: bytes, mark: int) -> None:
        first = token[:1]
        if first == b"{":
            self.stack.append(_Open(mark, {}))
        elif first == b"[":
            self.stack.append(_Open(mark, []))
        elif first in {b"}", b"]"}:
            done = self.stack.pop()
            self.put(done.mark, done.below)
        elif first == b'"' and self.awaits_key():
            self.put_key(msgspec.json.decode(token, type=str), mark)
        else:
            self.put(mark, None)

    def awaits_key(self) -> bool:
        """Tell whether the next string is a key."""
        top = self.stack[-1] if self.stack else None
        return top is not None and top.key is None and isinstance(top.below, dict)

    def put_key(self, key: str, mark: int) -> None:
        top = self.stack[-1]
        top.key, top.key_mark = key, mark
        if isinstance(top.below, dict) and key in top.below:
            self.flaws.append(twice(key, mark, top.below[key].key))

    def put(self, mark: int, below: dict[str, Node] | list[Node] | None) -> None:
        if not self.stack:
            self.root = Node(mark, mark, below)
            return
        top = self.stack[-1]
        if isinstance(top.below, list):
            top.below.append(Node(mark, mark, below))
        else:
            top.below[top.key or ""] = Node(top.key_mark, mark, below)
            top.key = None
