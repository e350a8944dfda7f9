"""Pieces of a file: what lies between two document separators, or one object of a JSON text.

A piece remembers its text and where that begins in the file. The places inside it are worked out
when the first of them is asked for: most documents are never asked.

A line that begins with ``---`` ends a YAML document whatever comes before it, so that a file is
cut there before it is parsed: one broken document leaves the others readable. Kubernetes does the
same (k8s.io/apimachinery, pkg/util/yaml/decoder.go).
"""

import re
from collections.abc import Iterator
from functools import cached_property

from gpuyard.dialects.documents.json_places import scan
from gpuyard.dialects.documents.model import Limits, Position
from gpuyard.dialects.documents.places import Lines, Node
from gpuyard.dialects.documents.yaml_reader import read_piece

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVES = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n|%[^\n]*\n)*", re.MULTILINE)


class YamlPiece:
    """A piece of YAML text that begins at a line of its file."""

    def __init__(self, text: str, line: int, limits: Limits) -> None:
        self.text = text
        self.line = line
        self._limits = limits

    @cached_property
    def lines(self) -> Lines:
        """Its marks as places in the file."""
        return Lines(self.text, self.line)

    @cached_property
    def nodes(self) -> list[Node]:
        """The places in each of its documents."""
        return [node for _, node in read_piece(self.text, self._limits).documents]

    def position(self, mark: int) -> Position:
        """Return the place of a mark."""
        return self.lines.position(mark)


class JsonPiece:
    """One JSON value inside the bytes of a file."""

    def __init__(self, data: bytes, start: int, end: int, at: Position) -> None:
        self._data = data
        self._start = start
        self._end = end
        self._at = at

    @cached_property
    def lines(self) -> Lines:
        """Its marks, which count from its own beginning, as places in the file."""
        return Lines(self._data[self._start : self._end], self._at.line, self._at.column)

    @cached_property
    def nodes(self) -> list[Node]:
        """The places in its only document."""
        return [scan(self._data[self._start : self._end])[0]]

    def position(self, mark: int) -> Position:
        """Return the place of a mark."""
        return self.lines.position(mark)


def yaml_pieces(text: str, limits: Limits) -> Iterator[YamlPiece]:
    """Cut `text` before each line that begins with ``---``."""
    start = counted = 0
    line = 1
    for found in _SEPARATOR.finditer(text):
        before = text[start : found.start()]
        if "%" in before and _DIRECTIVES.fullmatch(before):
            continue  # directives belong to the document that follows
        if before:
            yield YamlPiece(before, line, limits)
        start = found.start()
        line += text.count("\n", counted, start)
        counted = start
    yield YamlPiece(text[start:], line, limits)
