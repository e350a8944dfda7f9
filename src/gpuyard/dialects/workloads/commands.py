"""Options on a command line, also inside a shell script given as one argument.

``sh -c "exec vllm serve x --tensor-parallel-size 8"`` is one argument to Kubernetes and a command
line to whoever reads it. Its words are found as a shell would split them; where the quotes of a
script do not match, it is split at blanks. Each word keeps the place of the argument that it
stands in.
"""

import re
import shlex
from collections.abc import Iterable

import msgspec

from gpuyard.dialects.plain import Path

Words = tuple[tuple[str, Path], ...]

SCRIPT_CHARS_MAX = 16_384
"""Longer arguments are split at blanks: the shell's rules take about a microsecond a character."""

_BLANKS = " \t\n"
_NUMBER = re.compile(r"-[0-9.]+")


class Flag(msgspec.Struct, frozen=True):
    """An option as given: ``--name value``."""

    name: str
    value: str
    """"" where it has none, or where another option follows at once."""
    path: Path
    """The argument that holds the option."""


def script_words(line: Words) -> Words:
    """Return `line` with each argument that holds blanks taken apart."""
    words: list[tuple[str, Path]] = []
    for argument, path in line:
        if any(blank in argument for blank in _BLANKS):
            words.extend((word, path) for word in _split(argument))
        else:
            words.append((argument, path))
    return tuple(words)


def _split(script: str) -> list[str]:
    joined = script.replace("\\\n", " ")
    if len(joined) > SCRIPT_CHARS_MAX:
        return joined.split()
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quote without its partner
        return joined.split()


def find_flag(words: Words, names: Iterable[str]) -> Flag | None:
    """Return the last option in `words` called one of `names`; ``_`` and ``-`` are one."""
    wanted = {_normal(name) for name in names}
    found = None
    for index, (word, path) in enumerate(words):
        name, equals, value = word.partition("=")
        if not name.startswith("-") or _normal(name) not in wanted:
            continue
        if not equals and index + 1 < len(words):
            following = words[index + 1][0]
            is_option = following.startswith("-") and not _NUMBER.fullmatch(following)
            value = "" if is_option else following
        found = Flag(name, value, path)
    return found


def _normal(name: str) -> str:
    return "--" + name[2:].replace("_", "-") if name.startswith("--") else name
