"""Where an edit happens in a text, and what is written there.

An edit becomes the replacement of a few characters; everything else stays as it was typed:
comments, quotes, order and line ends. New keys go behind the last one of their mapping, in blocks
or in brackets, whichever the mapping is written in. What cannot be done in this way is refused.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from gpuyard.dialects.plain import Path
from gpuyard.lint.fix import emit
from gpuyard.lint.fix.tree import Span, content_end, ends_in_block_text
from gpuyard.lint.fix.values import CannotEditError
from gpuyard.lint.rule import Append, Edit, Remove

_LINE_END = re.compile(r"\r?\n|\Z")


class Replacement(NamedTuple):
    """Characters to take out and to put in; at one place the deeper indented comes first."""

    start: int
    end: int
    new: str
    indent: int = 0


class _Found(NamedTuple):
    """The deepest part of a path that is there, and what is missing below it."""

    span: Span
    missing: Path
    holder: Span | None = None  # what holds `span`
    key: Span | None = None  # the key of `span`, where its holder is a mapping


def apply(text: str, root: Span, edits: Iterable[Edit]) -> str:
    """Return `text` after `edits` of the document at `root`.

    Raises CannotEditError where that cannot be done in place.
    """
    places = _Places(text)
    wanted = sorted(
        (one for edit in edits for one in places.of(root, edit)),
        key=lambda one: (one.start, -one.indent),
    )
    parts = []
    at = 0
    for one in wanted:
        if one.start < at:
            raise CannotEditError("two changes meet in one place")
        parts += [text[at : one.start], one.new]
        at = one.end
    return "".join([*parts, text[at:]])


class _Places:
    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def of(self, root: Span, edit: Edit) -> list[Replacement]:
        """Return what `edit` replaces."""
        found = _find(root, edit.path)
        if isinstance(edit, Remove):
            return [self.removed(found)]
        if isinstance(edit, Append) and not found.missing and found.span.kind == "list":
            return [self.appended(found.span, edit.value)]
        value = [edit.value] if isinstance(edit, Append) else edit.value
        for key in reversed(found.missing[1:]):
            value = {key: value}
        if not found.missing:
            return [self.replaced(found, value)]
        if found.span.kind == "mapping":
            return [self.inserted(found.span, found.missing[0], value)]
        if _is_null(found.span):
            return [self.replaced(found, {found.missing[0]: value})]
        raise CannotEditError(f"{edit.path[-1]} cannot be put below a {found.span.kind}")

    def inserted(self, mapping: Span, key: object, value: object) -> Replacement:
        """Put a new key behind the last one of `mapping`."""
        if not mapping.fields:
            new = emit.flow({key: value})
            return Replacement(mapping.start, mapping.end, new)
        first = mapping.fields[0][0]
        if mapping.is_flow:
            as_json = self.text.startswith('"', first.start)
            pair = emit.flow({key: value}, as_json=as_json)[1:-1]
            return self._into_brackets(first, mapping.fields[-1][1], pair)
        indent = self._column(first.start)
        if self.text[: first.start].rstrip(" ").endswith("?"):
            raise CannotEditError("the mapping has a key behind a question mark")
        lines = emit.block({key: value}, indent)
        return self._below(mapping, [" " * indent + lines[0], *lines[1:]], indent)

    def appended(self, items: Span, value: object) -> Replacement:
        """Put a new item behind the last one of a list."""
        if not items.items:
            return Replacement(items.start, items.end, emit.flow([value]))
        if items.is_flow:
            as_json = '"' in self.text[items.start : items.end]
            new = emit.flow(value, as_json=as_json)
            return self._into_brackets(items.items[0], items.items[-1], new)
        if not self.text.startswith("-", items.start):
            raise CannotEditError("the list has an anchor or a tag")
        indent = self._column(items.start)
        first, *rest = emit.block([value], indent)
        return self._below(items, [" " * indent + first, *rest], indent)

    def replaced(self, found: _Found, value: object) -> Replacement:
        """Write another value in the place of one that is there."""
        span = found.span
        if (
            span.kind == "alias"
            or span.is_block_text
            or (span.kind in {"mapping", "list"} and not span.is_flow)
        ):
            raise CannotEditError("what is there is written over several lines or as an alias")
        is_in_brackets = found.holder is not None and found.holder.is_flow
        if not isinstance(value, dict | list) or not value or is_in_brackets:
            new = emit.flow(value, as_json=is_in_brackets and self.text[span.start] == '"')
            return Replacement(span.start, span.end, new if span.end > span.start else f" {new}")
        if found.key is None:
            raise CannotEditError("what is there is no value of a key")
        indent = self._column(found.key.start) + emit.STEP
        lines = emit.block(value, indent)
        new = self.newline + self.newline.join([" " * indent + lines[0], *lines[1:]])
        rest = self.text[span.end : self._line_end(span.end)]
        if span.end > span.start and rest.strip():
            raise CannotEditError("a comment stands where the new lines belong")
        start = span.start if span.end > span.start else self._line_end(span.end)
        return Replacement(start, max(span.end, start), new, indent)

    def removed(self, found: _Found) -> Replacement:
        """Take a key out of a mapping that is written in blocks, with the lines of its value."""
        if found.missing or found.key is None or found.holder is None:
            raise CannotEditError("what is to be removed is not there")
        if found.holder.is_flow or len(found.holder.fields) == 1:
            raise CannotEditError("what is to be removed stands in brackets or alone")
        start = self.text.rfind("\n", 0, found.key.start) + 1
        if self.text[start : found.key.start].strip():
            raise CannotEditError("what is to be removed does not begin its line")
        end = content_end(found.span)
        if not ends_in_block_text(found.span):
            end = _after_newline(self.text, self._line_end(end))
        return Replacement(start, end, "")

    def _below(self, span: Span, lines: list[str], indent: int) -> Replacement:
        """Put whole lines behind the last one of `span`."""
        end = content_end(span)
        if ends_in_block_text(span) and self.text[:end].endswith("\n"):
            return Replacement(end, end, "".join(line + self.newline for line in lines), indent)
        end = self._line_end(end)
        return Replacement(end, end, "".join(self.newline + line for line in lines), indent)

    def _into_brackets(self, first: Span, last: Span, new: str) -> Replacement:
        """Put something behind the last thing in brackets, on a line of its own as the first is."""
        start = self.text.rfind("\n", 0, first.start) + 1
        before = self.text[start : first.start]
        own_line = self.newline + before if start and not before.strip() else " "
        return Replacement(last.end, last.end, f",{own_line}{new}")

    def _column(self, mark: int) -> int:
        return mark - (self.text.rfind("\n", 0, mark) + 1)

    def _line_end(self, mark: int) -> int:
        found = _LINE_END.search(self.text, mark)
        assert found is not None
        return found.start()


def _find(root: Span, path: Path) -> _Found:
    found = _Found(root, path)
    while found.missing:
        key, rest = found.missing[0], found.missing[1:]
        span = found.span
        if span.kind == "alias":
            raise CannotEditError("it stands behind an alias and would change elsewhere too")
        if span.kind == "list" and isinstance(key, int) and key < len(span.items):
            found = _Found(span.items[key], rest, span)
            continue
        fields = [one for one in span.fields if one[0].text == str(key)]
        if span.kind != "mapping" or not fields:
            break
        found = _Found(fields[-1][1], rest, span, fields[-1][0])
    return found


def _is_null(span: Span) -> bool:
    return span.kind == "scalar" and span.text in {"", "~", "null", "Null", "NULL"}


def _after_newline(text: str, end: int) -> int:
    found = _LINE_END.match(text, end)
    return found.end() if found else end
