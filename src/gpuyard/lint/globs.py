"""File patterns as in .gitignore, over paths with forward slashes.

A pattern without a slash names a file or folder anywhere; one with a slash starts at the folder of
the configuration. ``*`` and ``?`` stay within a name, ``**`` crosses folders, and a matching folder
takes all that is in it along. Semantics: gitignore(5), without negation and character classes.
"""

import re
from collections.abc import Iterable
from functools import cache

_TOKENS = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|[^*?]+")
_MEANINGS = {"**/": r"(?:[^/]+/)*", "/**": r"/.+", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Say whether `path`, relative and with forward slashes, is meant by one of `patterns`."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    trimmed = pattern.removeprefix("./").rstrip("/")
    is_anchored = "/" in trimmed
    body = "".join(
        _MEANINGS.get(token) or re.escape(token) for token in _TOKENS.findall(trimmed.lstrip("/"))
    )
    return re.compile(rf"{'' if is_anchored else '(?:.*/)?'}{body}(?:/.*)?", re.DOTALL)
