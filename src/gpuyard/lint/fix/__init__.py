"""Mend what can be mended safely: edits of rules, written into the text as it stands.

`mend` works in rounds. In each, every object gets the edits of one finding; then everything is
shown to the rules again. A round counts only with two proofs. The text, read again, must hold
exactly the values that the edits mean (`values`), in every document of the file. And the finding
must be gone, with no error that was not there before. A file without both proofs stays as it was,
and it is said why.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import unified_diff
from typing import NamedTuple

from gpuyard.dialects.documents import Document, read
from gpuyard.lint.fix.places import apply
from gpuyard.lint.fix.tree import Span, trees
from gpuyard.lint.fix.values import CannotEditError, edited
from gpuyard.lint.rule import Finding
from gpuyard.lint.run import Located, Outcome, printable

__all__ = ["CannotEditError", "Mended", "Refused", "diff", "mend", "rewritten"]

BYTE_ORDER_MARK = "\ufeff"
ROUNDS_MAX = 20  # findings with edits in one object; more are left for the next call

Contents = Mapping[str, str | bytes]  # by file; what is no UTF-8 stays as bytes
Key = tuple[str, str, str]


class Refused(NamedTuple):
    """A finding that was not mended, and why."""

    finding: Finding
    reason: str


class Mended(NamedTuple):
    """The texts that changed, what is mended in them, and what could not be."""

    texts: dict[str, str | bytes]
    done: list[Finding]
    refused: list[Refused]
    outcome: Outcome
    """What is found in the texts as they are now."""


def mend(contents: Contents, examine: Callable[[Contents], Outcome]) -> Mended:
    """Return `contents` with the edits of all findings that `examine` reports, as far as proven."""
    texts = dict(contents)
    outcome = examine(texts)
    done: list[Finding] = []
    refused: list[Refused] = []
    for _round in range(ROUNDS_MAX):
        asked = _one_per_object(outcome.found, {id_of(one.finding) for one in refused})
        if not asked:
            break
        trial, written, unwritten = _written(texts, asked)
        refused += unwritten
        after = examine(trial)
        failed = {
            file: reason
            for file in {one.finding.file for one in written}
            if (reason := _unproven(file, written, outcome, after))
        }
        refused += [
            Refused(one.finding, failed[one.finding.file])
            for one in written
            if one.finding.file in failed
        ]
        done += [one.finding for one in written if one.finding.file not in failed]
        texts.update({file: text for file, text in trial.items() if file not in failed})
        outcome = examine(texts) if failed else after
    changed = {file: text for file, text in texts.items() if text != contents[file]}
    return Mended(changed, done, refused, outcome)


def diff(file: str, before: str | bytes, after: str | bytes) -> str:
    """Return the unified diff of a text that was mended; control characters are shown, not sent."""
    old, new = (str(one).splitlines(keepends=True) for one in (before, after))
    compared = unified_diff(old, new, fromfile=file, tofile=file)
    return "".join(f"{printable(line.rstrip())}\n" for line in compared)


def rewritten(content: str | bytes, source: str, wanted: Sequence[Located]) -> str:
    """Return `content` after the edits of `wanted`, at most one finding per document.

    Raises CannotEditError where that cannot be done in place, or would change anything else.
    """
    if isinstance(content, bytes):
        raise CannotEditError("the file is no UTF-8")
    text = content.removeprefix(BYTE_ORDER_MARK)
    documents, problems = read(text, source)
    if not all(problem.is_read for problem in problems):
        raise CannotEditError("the file cannot be read as a whole")
    expected = [document.value for document in documents]
    roots = _Roots(text)
    result = text
    # from the last document to the first, so that marks before it stay true
    by_place = {one.entry.document.position(): one for one in wanted if one.entry is not None}
    for number, document in reversed(list(enumerate(documents))):
        one = by_place.get(document.position())
        if one is not None:
            expected[number] = edited(document.value, one.edits)
            result = apply(result, roots.of(document), one.edits)
    again = read(result, source)
    values = [document.value for document in again.documents]
    if values != expected or len(again.problems) > len(problems):
        raise CannotEditError("the text would not say what was meant")
    return content[: len(content) - len(text)] + result


class _Roots:
    """The spans of a text, by where its documents begin."""

    def __init__(self, text: str) -> None:
        self.starts = [0]
        for line in text.split("\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.by_start: dict[int, Span] = {}
        for root in trees(text):
            self._enter(root)

    def of(self, document: Document) -> Span:
        """Return the span of a document's value."""
        position = document.position((), of="value")
        mark = self.starts[position.line - 1] + position.column - 1
        if mark not in self.by_start:
            raise CannotEditError("its place in the file cannot be found")
        return self.by_start[mark]

    def _enter(self, span: Span) -> None:
        """File a root, and the objects in it if it is a List."""
        self.by_start[span.start] = span
        for key, value in span.fields:
            if key.text == "items":
                for item in value.items:
                    self._enter(item)


def id_of(finding: Finding) -> tuple[str, int, int, str]:
    """Return what tells one finding from all others of a run."""
    return (finding.file, finding.line, finding.column, finding.rule)


def _one_per_object(
    found: Sequence[Located], refused: set[tuple[str, int, int, str]]
) -> list[Located]:
    chosen: dict[int, Located] = {}
    for one in found:
        if one.edits and one.entry is not None and id_of(one.finding) not in refused:
            chosen.setdefault(id(one.entry), one)
    return list(chosen.values())


def _written(
    texts: Contents, asked: Sequence[Located]
) -> tuple[dict[str, str | bytes], list[Located], list[Refused]]:
    trial = dict(texts)
    written: list[Located] = []
    refused: list[Refused] = []
    by_file: dict[str, list[Located]] = {}
    for one in asked:
        by_file.setdefault(one.finding.file, []).append(one)
    for file, wanted in by_file.items():
        try:
            trial[file] = rewritten(texts[file], file, wanted)
            written += wanted
        except CannotEditError:
            # One that cannot be written must not keep the others from it: they come round by round.
            for one in wanted:
                try:
                    trial[file] = rewritten(texts[file], file, [one])
                except CannotEditError as error:
                    refused.append(Refused(one.finding, str(error)))
                else:
                    written.append(one)
                    break
    return trial, written, refused


def _unproven(file: str, written: Sequence[Located], before: Outcome, after: Outcome) -> str:
    """Return why the new text of a file cannot be taken, "" if it can."""
    was, now = (Counter(map(_key, outcome.findings)) for outcome in (before, after))
    for one in written:
        key = _key(one.finding)
        if one.finding.file == file and now[key] >= was[key]:
            return "the finding would still be there"
    for finding in after.findings:
        key = _key(finding)
        if finding.file == file and finding.severity == "error" and now[key] > was[key]:
            return f"{finding.rule} would be found instead"
    return ""


def _key(finding: Finding) -> Key:
    return (finding.file, finding.object, finding.rule)
