"""Where everything of a YAML text begins and ends, as a tree of spans.

`gpuyard.dialects.documents` knows where values begin; to edit a text one has to know where they
end, how they are written (in blocks or in brackets), and what is only an alias of something else.
This tree says that, made from the parser's events, with marks that are indices of characters.

Only texts that `gpuyard.dialects.documents` has read without complaint come here: their depth is
bounded.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Protocol

import yaml
from yaml import events

from gpuyard.dialects.documents import yaml_reader


class _Mark(Protocol):
    index: int


class Span(NamedTuple):
    """One value: from `start` to `end`, and what is in it."""

    kind: str  # "mapping", "list", "scalar" or "alias"
    start: int
    end: int
    is_flow: bool = False  # in brackets
    is_block_text: bool = False  # a literal or folded scalar
    fields: "tuple[tuple[Span, Span], ...]" = ()  # keys and values of a mapping
    items: "tuple[Span, ...]" = ()
    text: str = ""  # of a scalar


def trees(text: str) -> list[Span]:
    """Return the root of each document in `text`; those behind an error are left out."""
    found: list[Span] = []
    stream = yaml_reader.events(text)
    with suppress(yaml.YAMLError):
        found.extend(
            _node(stream, next(stream))
            for event in stream
            if isinstance(event, events.DocumentStartEvent)
        )
    return found


def _node(stream: Iterator[yaml.Event], event: yaml.Event) -> Span:
    start, end = _index(event.start_mark), _index(event.end_mark)
    if isinstance(event, events.ScalarEvent):
        style = event.style in {"|", ">"}
        return Span("scalar", start, end, is_block_text=style, text=event.value)
    if isinstance(event, events.AliasEvent):
        return Span("alias", start, end)
    children = []
    while not isinstance(last := next(stream), events.CollectionEndEvent):
        children.append(_node(stream, last))
    end = _index(last.end_mark)
    is_flow = bool(getattr(event, "flow_style", False))
    if isinstance(event, events.MappingStartEvent):
        pairs = tuple(zip(children[::2], children[1::2], strict=True))
        return Span("mapping", start, end, is_flow, fields=pairs)
    return Span("list", start, end, is_flow, items=tuple(children))


def _index(mark: _Mark | None) -> int:
    assert mark is not None  # the parser marks each event
    return mark.index


def content_end(span: Span) -> int:
    """Return where the last thing that is written in `span` ends.

    The parser ends a block where the next token begins, behind comments and blank lines; what is
    written ends with its last scalar or bracket.
    """
    if span.kind == "mapping" and not span.is_flow and span.fields:
        return content_end(span.fields[-1][1])
    if span.kind == "list" and not span.is_flow and span.items:
        return content_end(span.items[-1])
    return span.end


def ends_in_block_text(span: Span) -> bool:
    """Say whether the last thing in `span` is a literal or folded scalar, which takes its line."""
    if span.kind == "mapping" and not span.is_flow and span.fields:
        return ends_in_block_text(span.fields[-1][1])
    if span.kind == "list" and not span.is_flow and span.items:
        return ends_in_block_text(span.items[-1])
    return span.is_block_text
