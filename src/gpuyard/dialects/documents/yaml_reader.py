"""One piece of YAML as plain values, with the place of each.

Built from libyaml's events instead of its node tree: events come one after the other, so that
depth, aliases and keys are judged before anything grows, and no stack of C overflows (libyaml
0.2.5 ends the process at some tens of thousands of nested brackets when PyYAML composes nodes). It
is also five times as fast.

Values are what Kubernetes sees (`scalars`). Aliases share one value with their anchor: whoever
walks through a document must not change it. Merge keys act where they stand, as in the Go library:
they override what is written above them, and what is written below overrides them.

A mapping key that is a boolean or a number becomes a text, and the last of two equal keys counts;
both are read as Kubernetes does and named as problems. Null, lists and mappings as keys end the
document.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from gpuyard.dialects.documents import scalars
from gpuyard.dialects.documents.model import Code, Limits, shown
from gpuyard.dialects.documents.places import Node
from gpuyard.dialects.documents.syntax import explained

PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it

# what YAML 1.1 calls printable, and not a byte order mark inside the text
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_ESCAPED_BYTES = range(0xDC80, 0xDD00)  # bytes that are no UTF-8, decoded with surrogateescape

_NO_KEY = object()
_MERGE = object()
_STR_TAG = "tag:yaml.org,2002:str"


class Flaw(NamedTuple):
    """A problem inside a piece of text, by its mark."""

    code: Code
    mark: int
    message: str
    is_read: bool = False
    first: int | None = None
    """The mark of what it repeats."""


def twice(key: str, mark: int, first: int) -> Flaw:
    """Return the flaw of a key at `mark` that stands at `first` already."""
    message = f"{shown(key)!r} stands twice in one mapping, and the last counts"
    return Flaw("duplicate-key", mark, message, is_read=True, first=first)


class Piece(NamedTuple):
    """What came out of one piece of YAML: documents with their places, and flaws."""

    documents: list[tuple[object, Node]]
    flaws: list[Flaw]
    values: int
    """Keys and values that were read."""


class _UnreadableError(Exception):
    """The rest of this piece cannot be read."""

    def __init__(self, code: Code, mark: int, message: str) -> None:
        super().__init__(message)
        self.flaw = Flaw(code, mark, message)


def read_piece(text: str, limits: Limits) -> Piece:
    """Return the documents in `text`, which has no document separator but at its beginning."""
    builder = _Builder(limits)
    try:
        builder.read(text)
        builder.complete = len(builder.documents)
    except _UnreadableError as error:
        builder.flaws.append(error.flaw)
    except yaml.MarkedYAMLError as error:
        builder.flaws.append(Flaw("syntax", *explained(error, text)))
    except (yaml.reader.ReaderError, UnicodeEncodeError):
        builder.flaws.append(_forbidden(text))
    except RecursionError:  # PyYAML without libyaml, as are the next
        builder.flaws.append(_too_deep(limits, 0).flaw)
    except (ValueError, OverflowError):
        builder.flaws.append(Flaw("syntax", 0, "an escape in it stands for no character"))
    # What looked like a document before an error is a part of one, unless ``...`` ended it.
    return Piece(builder.documents[: builder.complete], builder.flaws, builder.values)


def _forbidden(text: str) -> Flaw:
    """Return the flaw that names the first character that YAML does not allow."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return Flaw("encoding", 0, "there is a character that YAML does not allow")
    code = ord(found[0])
    if code in _ESCAPED_BYTES:
        return Flaw("encoding", found.start(), f"the byte 0x{code & 0xFF:02x} is no UTF-8")
    return Flaw("encoding", found.start(), f"YAML does not allow the character U+{code:04X}")


def _too_deep(limits: Limits, mark: int) -> _UnreadableError:
    return _UnreadableError(
        "too-deep", mark, f"more than {limits.depth_max} levels of mappings and lists"
    )


class _Open:
    """A mapping or list whose end has not come yet."""

    __slots__ = ("anchor", "below", "height", "inner", "key", "key_mark", "mark", "merged", "value")

    def __init__(
        self, value: dict[str, object] | list[object], mark: int, anchor: str | None
    ) -> None:
        self.value = value
        self.mark = mark
        self.anchor = anchor
        self.below: dict[str, Node] | list[Node] = {} if isinstance(value, dict) else []
        self.key: object = _NO_KEY
        self.key_mark = mark
        self.merged: set[str] = set()  # keys that only a merge has set
        self.inner = 0  # values inside the mappings and lists that it holds
        self.height = 1


class _Anchored(NamedTuple):
    value: object
    node: Node
    size: int
    height: int


class _Builder:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.documents: list[tuple[object, Node]] = []
        self.flaws: list[Flaw] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, _Anchored | _Open] = {}
        self.complete = 0  # documents whose end is marked
        self.aliased = 0
        self.values = 0

    def read(self, text: str) -> None:
        for event in events(text):
            if isinstance(event, yaml.ScalarEvent):
                self.scalar(event)
            elif isinstance(event, yaml.MappingStartEvent):
                self.open({}, event)
            elif isinstance(event, yaml.SequenceStartEvent):
                self.open([], event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.close()
            elif isinstance(event, yaml.AliasEvent):
                self.alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
            elif isinstance(event, yaml.DocumentEndEvent) and event.explicit:
                self.complete = len(self.documents)

    def scalar(self, event: yaml.ScalarEvent) -> None:
        mark = _mark(event)
        text = event.value
        value: object = text
        if event.implicit[0] and event.tag is None:
            value = self.plain_key(text, mark) if self.awaits_key() else scalars.plain(text)
        elif event.tag is not None and event.tag != _STR_TAG:
            try:
                value = scalars.tagged(event.tag, text)
            except scalars.TagError as error:
                raise _UnreadableError("tag", mark, str(error)) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise _UnreadableError("number", mark, f"{shown(text)} is no number that JSON can say")
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, Node(mark, mark), 1, 0)
        self.put(value, mark, None)

    def plain_key(self, text: str, mark: int) -> object:
        """Return what an unquoted key means; a number or a boolean is read and blamed."""
        if text == "<<":
            return _MERGE
        key, is_text = scalars.plain_key(text)
        if key is None:
            raise _UnreadableError(
                "key", mark, f"a key must be a text, not {shown(text) or 'null'}"
            )
        if not is_text:
            message = f'the key {shown(text)} is no text; it is read as "{shown(key)}"'
            self.flaws.append(Flaw("key", mark, message, is_read=True))
        return key

    def open(self, value: dict[str, object] | list[object], event: yaml.NodeEvent) -> None:
        mark = _mark(event)
        if self.awaits_key():
            raise _UnreadableError("key", mark, "a key must be a text, not a mapping or list")
        if len(self.stack) >= self.limits.depth_max:
            raise _too_deep(self.limits, mark)
        opened = _Open(value, mark, event.anchor)
        if event.anchor is not None:
            self.anchors[event.anchor] = opened
        self.stack.append(opened)

    def close(self) -> None:
        done = self.stack.pop()
        size = 1 + len(done.value) + done.inner
        node = Node(done.mark, done.mark, done.below)
        if done.anchor is not None and self.anchors[done.anchor] is done:
            self.anchors[done.anchor] = _Anchored(done.value, node, size, done.height)
        self.grow(size, done.height)
        self.put(done.value, done.mark, done.below)

    def alias(self, event: yaml.AliasEvent) -> None:
        name, mark = event.anchor or "", _mark(event)
        found = self.anchors.get(name)
        if not isinstance(found, _Anchored):
            what = "has no anchor" if found is None else "stands inside its own anchor"
            raise _UnreadableError("alias", mark, f"the alias *{shown(name)} {what}")
        self.aliased += found.size
        if self.aliased > self.limits.alias_nodes_max:
            raise _UnreadableError(
                "alias", mark, f"aliases add more than {self.limits.alias_nodes_max} values"
            )
        if len(self.stack) + found.height > self.limits.depth_max:
            raise _too_deep(self.limits, mark)
        if self.awaits_key() and isinstance(found.value, dict | list):
            raise _UnreadableError("key", mark, "a key must be a text, not a mapping or list")
        self.grow(found.size, found.height)
        self.put(found.value, found.node.mark, found.node.below)

    def awaits_key(self) -> bool:
        """Tell whether the next value is the key of a mapping."""
        if not self.stack:
            return False
        top = self.stack[-1]
        return top.key is _NO_KEY and isinstance(top.value, dict)

    def grow(self, size: int, height: int) -> None:
        """Count a mapping or list towards the one that holds it."""
        if self.stack:
            top = self.stack[-1]
            top.inner += size
            top.height = max(top.height, height + 1)

    def put(self, value: object, mark: int, below: dict[str, Node] | list[Node] | None) -> None:
        """Place a finished value where it belongs."""
        self.values += 1
        if self.values > self.limits.yaml_values_max:
            message = f"more than {self.limits.yaml_values_max} values; split the text"
            raise _UnreadableError("too-large", mark, message)
        if not self.stack:
            self.documents.append((value, Node(mark, mark, below)))
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            assert isinstance(top.below, list)
            top.below.append(Node(mark, mark, below))
        elif top.key is _NO_KEY:
            self.put_key(top, value, mark)
        elif top.key is _MERGE:
            self.merge(top, value, Node(mark, mark, below))
            top.key = _NO_KEY
        else:
            assert isinstance(top.key, str)
            assert isinstance(top.below, dict)
            top.value[top.key] = value
            top.below[top.key] = Node(top.key_mark, mark, below)
            top.key = _NO_KEY

    def put_key(self, top: _Open, value: object, mark: int) -> None:
        if not isinstance(value, str) and value is not _MERGE:  # with a tag, or by an alias
            raise _UnreadableError("key", mark, "a key must be a text")
        top.key = value
        top.key_mark = mark
        assert isinstance(top.below, dict)
        if isinstance(value, str) and value in top.below:
            if value in top.merged:
                top.merged.discard(value)
            else:
                self.flaws.append(twice(value, mark, top.below[value].key))

    def merge(self, top: _Open, value: object, node: Node) -> None:
        if isinstance(value, dict) and isinstance(node.below, dict):
            assert isinstance(top.value, dict)
            assert isinstance(top.below, dict)
            top.merged.update(key for key in value if key not in top.value)
            top.value.update(value)
            top.below.update(node.below)
        elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
            assert isinstance(node.below, list)
            for each, place in zip(reversed(value), reversed(node.below), strict=True):
                self.merge(top, each, place)  # the first of them takes precedence
        else:
            raise _UnreadableError(
                "key", node.mark, "what is merged with << must be a mapping or a list of mappings"
            )


def _mark(event: yaml.Event) -> int:
    mark = event.start_mark
    assert mark is not None  # of an event that was parsed
    return mark.index


def events(text: str) -> Iterator[yaml.Event]:
    """Return what libyaml sees in `text`, one event after the other."""
    parser = PARSER(text)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    finally:
        parser.dispose()
