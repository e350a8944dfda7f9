"""Comments to us: ``# gpuyard:ignore RULE[,RULE]: reason`` and ``# gpuyard:chart NAME VERSION``.

The first silences rules, the second says what chart the Helm values of a file are for. A rule is
silenced only where YAML sees a comment. The same words inside a text (a script in a ConfigMap, a
block of documentation) are text; libyaml's events tell where texts begin and end.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress

import yaml

from gpuyard.dialects.documents.model import Suppression
from gpuyard.dialects.documents.pieces import YamlPiece
from gpuyard.dialects.documents.yaml_reader import events

_WORD = "gpuyard:ignore"
_COMMENT = re.compile(
    r"(?:^|(?<=[ \t]))#+[ \t]*gpuyard:ignore\b[ \t]*(?P<rules>[^:\r\n]*)(?::(?P<reason>[^\r\n]*))?",
    re.MULTILINE,
)

_CHART_WORD = "gpuyard:chart"
_CHART = re.compile(
    r"^[ \t]*#+[ \t]*gpuyard:chart[ \t]+(?P<name>[^\s]+)(?:[ \t]+(?P<version>[^\s]+))?",
    re.MULTILINE,
)


def chart(pieces: Iterable[YamlPiece]) -> tuple[str, str]:
    """Return name and version of the chart that a file names first; empty texts where it does not.

    A repository in front of the name is left out: ``nvidia/gpu-operator`` is ``gpu-operator``.
    """
    for piece in pieces:
        found = _CHART.search(piece.text) if _CHART_WORD in piece.text else None
        if found:
            return found["name"].rpartition("/")[2], found["version"] or ""
    return "", ""


def suppressions(pieces: Iterable[YamlPiece]) -> dict[int, Suppression]:
    """Return the suppressions of a file by line."""
    found = {}
    for piece in pieces:
        if _WORD in piece.text:
            for each in _in_piece(piece):
                found[each.position.line] = each
    return found


def _in_piece(piece: YamlPiece) -> list[Suppression]:
    starts, ends = _texts(piece.text)

    def is_text(mark: int) -> bool:
        index = bisect_right(starts, mark) - 1
        return index >= 0 and mark < ends[index]

    return [
        Suppression(
            position=piece.position(match.start()),
            rules=tuple(rule for rule in re.split(r"[\s,]+", match["rules"]) if rule),
            reason=(match["reason"] or "").strip(),
            is_alone=not piece.text[
                piece.text.rfind("\n", 0, match.start()) + 1 : match.start()
            ].strip(),
        )
        for match in _COMMENT.finditer(piece.text)
        if not is_text(match.start())
    ]


def _texts(text: str) -> tuple[list[int], list[int]]:
    """Return where the scalars with a number sign begin and end, as far as they can be read."""
    starts, ends = [], []
    # as in `read_piece`; what follows is no document either
    with suppress(yaml.YAMLError, RecursionError, ValueError, OverflowError):
        for event in events(text):
            if isinstance(event, yaml.ScalarEvent) and "#" in event.value:
                start, end = event.start_mark, event.end_mark
                if start is not None and end is not None:
                    starts.append(_content(text, start.index, event.style))
                    ends.append(end.index)
    return starts, ends


def _content(text: str, start: int, style: str | None) -> int:
    """Return where a scalar's own text begins: of a block, below its first line."""
    return text.find("\n", start) if style in {"|", ">"} else start
