"""One request in, one answer out: what lint says of an object, in one of three modes.

=========  =====================================================================================
mode       what happens
=========  =====================================================================================
warn       findings from "warning" up are shown to whoever writes the object
audit      nothing is shown; rules go to the audit log
enforce    as warn, and an object with errors is refused
=========  =====================================================================================

Refused is only what this very write makes wrong: an object that had the error before may still be
scaled, labelled and stripped of its finalizers. Mistakes in suppressions never refuse: manifests
may know rules that this version does not. What a controller made, and what is being deleted, is let
through; the match conditions in `manifests` keep most of it from coming here at all.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from gpuyard.dialects import plain
from gpuyard.dialects.documents import Document, read
from gpuyard.lint import Finding, Settings, catalogue, examine
from gpuyard.lint.rule import is_at_least
from gpuyard.lint.run import FAILED
from gpuyard.web.admission.answers import (
    PASSED,
    Answer,
    failure,
    notes_of,
    refusal_of,
    warnings_of,
)
from gpuyard.web.admission.reviews import NOTHING, Asked

Mode = Literal["warn", "audit", "enforce"]

WRITES = ("CREATE", "UPDATE")
SOURCE = "review"


def judge(asked: Asked, mode: Mode, settings: Settings) -> Answer:
    """Return the answer to a request."""
    if asked.operation not in WRITES or asked.sub_resource or bytes(asked.object) == NOTHING:
        return PASSED
    documents, problems = read(bytes(asked.object), SOURCE)
    if problems:
        return failure(problems[0].message)
    if not any(map(_is_written_by_somebody, documents)):
        return PASSED
    outcome = examine(documents, settings=settings, origin="cluster", with_places=False)
    shown = [one for one in outcome.findings if is_at_least(one.severity, "warning")]
    errors = [one for one in shown if one.severity == "error" and _is_about_objects(one)]
    if mode == "enforce" and errors and asked.operation == "UPDATE":
        errors = _beyond(errors, _rules_in(bytes(asked.old_object), settings))
    is_refused = mode == "enforce" and bool(errors)
    return Answer(
        outcome="refused" if is_refused else "found" if shown else "clean",
        refusal=refusal_of(errors) if is_refused else "",
        warnings=() if mode == "audit" else warnings_of(shown),
        notes=notes_of(outcome.findings, outcome.suppressed),
        rules=[one.rule for one in outcome.findings],
    )


def _is_written_by_somebody(document: Document) -> bool:
    metadata = plain.mapping(document.value, "metadata")
    owners = plain.mappings(metadata, "ownerReferences")
    is_made = any(plain.is_true(one, "controller") for _, one in owners)
    return not is_made and "deletionTimestamp" not in metadata


def _is_about_objects(finding: Finding) -> bool:
    """Tell a finding in the object from one about a suppression, or about a rule that failed."""
    return finding.rule != FAILED and catalogue.rule(finding.rule).scope != "text"


def _rules_in(old: bytes, settings: Settings) -> Counter[str]:
    """Return how often each rule finds something in the object as it was."""
    documents, _ = read(old, SOURCE)
    outcome = examine(documents, settings=settings, origin="cluster", with_places=False)
    return Counter(one.rule for one in outcome.findings)


def _beyond(errors: Sequence[Finding], before: Counter[str]) -> list[Finding]:
    """Return the errors of rules that found less before."""
    now = Counter(one.rule for one in errors)
    return [one for one in errors if now[one.rule] > before[one.rule]]
