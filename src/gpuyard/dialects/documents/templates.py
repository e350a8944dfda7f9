"""Tell a template from broken YAML.

A chart's template is no YAML until Helm has filled it in; read as it is, it gives one strange
error after the other. A text that cannot be read and holds a template's brackets is one. A text
that can be read is none, whatever stands in its strings: alerts and workflows are full of brackets
of their own.
"""

import re

_OPENING = re.compile(r"^(?![ \t]*#)(?P<before>.*?)(?:\{\{|\{%)", re.MULTILINE)
_WIDTH = 40


def template_mark(text: str) -> tuple[int, str] | None:
    """Return where the first template bracket stands outside of comments, and how it reads."""
    found = _OPENING.search(text)
    if found is None:
        return None
    start = found.end("before")
    line = text[start : start + _WIDTH].split("\n", 1)[0]
    for closing in ("}}", "%}"):
        inside, mark, _ = line.partition(closing)
        if mark:
            return start, inside + mark
    return start, line.rstrip() + "…"
