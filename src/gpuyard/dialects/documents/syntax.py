"""Say what is wrong with broken YAML, in words that help, and at a place that helps.

libyaml names what its grammar was waiting for; a person wants to know what to change. Where a
bracket or a quote is never closed, libyaml points to the end of the text; the place to look is
where it was opened.
"""

import yaml

_SENTENCES = {
    "did not find expected <document start>": (
        "this does not continue what stands above it; check the indentation"
    ),
    "mapping values are not allowed in this context": (
        "a second key in one value; check the indentation, or quote a text that holds ': '"
    ),
    "could not find expected ':'": "a key without a colon; write key: value",
    "did not find expected key": (
        "this is no key of the mapping above; check the indentation, or quote the text before it"
    ),
    "did not find expected '-' indicator": (
        "this is no entry of the list above; check the indentation"
    ),
    "did not find expected ',' or '}'": "a comma or a closing brace is missing before this",
    "did not find expected ',' or ']'": "a comma or a closing bracket is missing before this",
    "did not find expected node content": "a value is missing here, or a bracket is not closed",
    "found unexpected end of stream": "this quote is never closed",
    "found unexpected document indicator": "this quote is never closed",
    "block sequence entries are not allowed in this context": (
        "a list cannot begin here; put it on a line of its own, below its key"
    ),
}
_NO_COMMA = "did not find expected ','"
_NO_START = "found character that cannot start any token"


def explained(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return where in `text` the error is to be looked for, and what to say about it."""
    mark = _mark(error, text)
    problem = error.problem or error.context or ""
    if problem.startswith(_NO_COMMA) and error.problem_mark and error.problem_mark.index != mark:
        return mark, "this bracket is never closed"
    if problem == _NO_START:
        return mark, _no_start(text[mark : mark + 1])
    if "tab" in problem:
        return mark, "a tab cannot indent YAML; use blanks"
    said = _SENTENCES.get(problem)
    if said is None:
        said = ": ".join(part for part in (error.context, error.problem) if part) or "no YAML"
    return mark, said


def _no_start(character: str) -> str:
    if character == "\t":
        return "a tab cannot indent YAML; use blanks"
    return f"a text cannot begin with {character!r}; quote it"


def _mark(error: yaml.MarkedYAMLError, text: str) -> int:
    """Return the error's own place, or where something began that the text never ends."""
    end = len(text.rstrip())
    marks = [mark.index for mark in (error.problem_mark, error.context_mark) if mark is not None]
    inside = [mark for mark in marks if mark < end]
    return inside[0] if inside else max(0, end - 1)
