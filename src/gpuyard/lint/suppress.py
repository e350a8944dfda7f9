"""Findings that somebody has looked at and accepted, with the reason.

Two ways, and both need a reason, because the next reader wants to know whether it still holds::

    metadata:
      annotations:
        ignore.gpuyard.io/GPU-SHM: "one process per pod, no NCCL"   # this object or pod template

    resources:  # gpuyard:ignore GPU-LIMITS: the webhook adds the limit
      requests: …

An annotation accepts what a rule finds in its object, or in the pod template that carries it. A
comment accepts what is found on its line, or on the next one if it has a line to itself. Without a
reason, or for a rule that does not exist, nothing is accepted and that is a finding of its own.
"""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from gpuyard.dialects.documents import Document, Position
from gpuyard.dialects.plain import Path, mapping
from gpuyard.lint import catalogue
from gpuyard.lint.rule import Hit
from gpuyard.lint.world import Entry

ANNOTATION = "ignore.gpuyard.io/"
REASON = "LINT-REASON"
UNKNOWN = "LINT-UNKNOWN-RULE"


class Accepted(msgspec.Struct, frozen=True):
    """What one annotation accepts: the findings of a rule at or below a path."""

    rule: str
    below: Path


def annotated(entry: Entry) -> tuple[list[Accepted], list[tuple[str, Hit]]]:
    """Return what the annotations of an object accept, and (rule, hit) where they are wrong."""
    accepted: list[Accepted] = []
    wrong: list[tuple[str, Hit]] = []
    for below, place in _annotations(entry):
        for key, reason in mapping(entry.value, *place).items():
            if not key.startswith(ANNOTATION):
                continue
            path = (*place, key)
            problem = faulty(key.removeprefix(ANNOTATION), reason)
            if problem is None:
                accepted.append(Accepted(key.removeprefix(ANNOTATION).upper(), below))
            else:
                rule, sentence = problem
                wrong.append((rule, Hit(path, sentence)))
    return accepted, wrong


class Comments:
    """What the comments of one file accept, by line."""

    def __init__(self, document: Document) -> None:
        self.wrong: list[tuple[str, Position, str]] = []  # (rule, place, sentence)
        self._rules: dict[int, set[str]] = defaultdict(set)
        self._alone: set[int] = set()
        for line, comment in document.suppressions.items():
            if comment.is_alone:
                self._alone.add(line)
            for rule in comment.rules or ("",):
                problem = faulty(rule, comment.reason)
                if problem is None:
                    self._rules[line].add(rule.upper())
                else:
                    self.wrong.append((problem[0], comment.position, problem[1]))

    def accept(self, rule: str, line: int) -> bool:
        """Say whether a comment on `line`, or alone on the lines right above, is about `rule`."""
        if rule in self._rules.get(line, ()):
            return True
        above = line - 1
        while above in self._alone:
            if rule in self._rules.get(above, ()):
                return True
            above -= 1
        return False


def faulty(rule: str, reason: object) -> tuple[str, str] | None:
    """Return (rule, sentence) where a suppression lacks a reason or names no rule, else `None`."""
    if not rule:
        return UNKNOWN, "nothing is ignored here: no rule is named"
    try:
        catalogue.rule(rule)
    except catalogue.UnknownRuleError as error:
        return UNKNOWN, f"nothing is ignored here: {error}"
    if not isinstance(reason, str) or not reason.strip():
        return REASON, f"{rule} is not ignored, because no reason is given"
    return None


def accepts(accepted: list[Accepted], rule: str, path: Path) -> bool:
    """Say whether one of `accepted` is about this finding."""
    return any(one.rule == rule and path[: len(one.below)] == one.below for one in accepted)


def _annotations(entry: Entry) -> Iterator[tuple[Path, Path]]:
    """Return (what they stand for, where they lie) of an object's and its pods' annotations."""
    yield (), ("metadata", "annotations")
    if entry.workload is not None:
        for pod in entry.workload.pods:
            if pod.metadata_path != ("metadata",):
                yield pod.path, (*pod.metadata_path, "annotations")
