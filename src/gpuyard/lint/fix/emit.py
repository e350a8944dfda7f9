"""Values as YAML text, in blocks or in brackets.

Written by hand, because a serialiser decides about more than is wanted: where lines break, which
style a text gets, in which order keys come. A text is left bare where Kubernetes reads it back as
the same text, and is otherwise quoted as in JSON, which YAML reads alike.
"""

import json
import re

from gpuyard.dialects.documents import scalars

_BARE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*(?::[A-Za-z0-9_./+-]+)*")
STEP = 2  # blanks per level


def block(value: object, indent: int) -> list[str]:
    """Return the lines of `value`, the first without its indentation.

    A mapping or list that is empty, and a scalar, is one line.
    """
    blanks = " " * indent
    lines: list[str] = []
    if isinstance(value, dict) and value:
        for key, one in value.items():
            lines += _entry(f"{scalar(key)}:", one, indent)
    elif isinstance(value, list) and value:
        for one in value:
            first, *rest = block(one, indent + STEP)
            lines += [f"- {first}", *rest]
    else:
        return [flow(value)]
    return [lines[0], *(line if line.startswith(" ") else blanks + line for line in lines[1:])]


def _entry(key: str, value: object, indent: int) -> list[str]:
    if isinstance(value, dict | list) and value:
        first, *rest = block(value, indent + STEP)
        return [key, " " * (indent + STEP) + first, *rest]
    return [f"{key} {flow(value)}"]


def flow(value: object, *, as_json: bool = False) -> str:
    """Return `value` on one line, in brackets where it is a mapping or list."""
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{scalar(key)}: {flow(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value)


def scalar(value: object) -> str:
    """Return a text, number, truth value or null."""
    if isinstance(value, str) and _BARE.fullmatch(value) and scalars.plain(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
