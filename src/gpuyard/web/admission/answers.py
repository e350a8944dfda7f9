"""What an API server hears: findings as warnings, a refusal, or a note for its audit log.

Kubernetes asks for warnings of at most 120 characters and cuts what is longer than 256, or more
than 4,096 in all; a warning here ends before that, with the rule's id first, so that its end can be
looked up (``gpuyard explain``). A refusal is the one place with room for remedies.

Limits: k8s.io/apiserver 1.36, pkg/endpoints/filters/warning.go; admission/v1 AdmissionResponse.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gpuyard.lint import Finding
from gpuyard.lint.rule import SEVERITIES
from gpuyard.lint.suppress import ANNOTATION
from gpuyard.lint.wording import count
from gpuyard.web.admission.reviews import API_VERSION, KIND

Outcome = Literal["passed", "clean", "found", "refused", "failed"]

WARNING_CHARS_MAX = 120
WARNINGS_MAX = 10  # with the last line they stay far below 4,096 characters
REFUSED_MAX = 5
REFUSAL_CHARS_MAX = 400  # of one finding
NOTED_MAX = 50
FORBIDDEN = 403


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to one review; `outcome` is what it is counted as."""

    outcome: Outcome
    refusal: str = ""
    warnings: Sequence[str] = ()
    notes: Mapping[str, str] = {}
    rules: Sequence[str] = ()
    """The ids of what was found, for counting."""

    @property
    def is_allowed(self) -> bool:
        """Tell whether the object may be written."""
        return not self.refusal


PASSED = Answer(outcome="passed")


def failure(sentence: str) -> Answer:
    """Return the answer where nothing could be checked: allowed, and it says so."""
    said = cut(f"gpuyard checked nothing here: {sentence}", WARNING_CHARS_MAX)
    return Answer(outcome="failed", warnings=(said,), notes={"failed": "true"})


def warnings_of(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding, the worst first, up to `WARNINGS_MAX`."""
    told = sorted(findings, key=lambda one: SEVERITIES.index(one.severity))
    lines = [_warning(one) for one in told[:WARNINGS_MAX]]
    if len(told) > WARNINGS_MAX:
        more = count(len(told) - WARNINGS_MAX, "more finding")
        lines.append(f"gpuyard: {more}; gpuyard lint shows all of them")
    return lines


def _warning(finding: Finding) -> str:
    short = f"{finding.rule}: {finding.message}"
    whole = f"{short}; {finding.remedy}"
    return whole if len(whole) <= WARNING_CHARS_MAX else cut(short, WARNING_CHARS_MAX)


def refusal_of(errors: Sequence[Finding]) -> str:
    """Return why an object is refused, what to do, and how to insist."""
    told = [
        cut(f"{one.rule}: {one.message}; {one.remedy}", REFUSAL_CHARS_MAX)
        for one in errors[:REFUSED_MAX]
    ]
    if len(errors) > REFUSED_MAX:
        told.append(count(len(errors) - REFUSED_MAX, "more error"))
    insist = f'accept a finding with the annotation {ANNOTATION}RULE: "the reason"'
    about = errors[0].object or "this object"
    return f"{about} has {count(len(errors), 'error')}. {'. '.join(told)}. To insist, {insist}"


def notes_of(findings: Iterable[Finding], suppressed: int) -> dict[str, str]:
    """Return what goes into the audit log: ids and severities, no text of the object's."""
    notes = {}
    ids = sorted({f"{one.rule}={one.severity}" for one in findings})
    if ids:
        notes["findings"] = ",".join(ids[:NOTED_MAX])
    if suppressed:
        notes["accepted"] = str(suppressed)
    return notes


def cut(text: str, chars_max: int) -> str:
    """Return `text` in at most so many characters."""
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def encode(uid: str, answer: Answer) -> bytes:
    """Return the review that carries an answer."""
    response: dict[str, object] = {"uid": uid, "allowed": answer.is_allowed}
    if answer.refusal:
        response["status"] = {"code": FORBIDDEN, "reason": "Forbidden", "message": answer.refusal}
    if answer.warnings:
        response["warnings"] = answer.warnings
    if answer.notes:
        response["auditAnnotations"] = answer.notes
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})
