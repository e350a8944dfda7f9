"""What fits into a warning, a refusal and an audit annotation."""

import msgspec
import pytest

from gpuyard.lint import Finding
from gpuyard.web.admission.answers import (
    PASSED,
    WARNING_CHARS_MAX,
    WARNINGS_MAX,
    Answer,
    encode,
    failure,
    notes_of,
    refusal_of,
    warnings_of,
)

TOTAL_CHARS_MAX = 4096  # beyond that an API server cuts


def finding(rule="GPU-X", severity="warning", message="it is so", remedy="do it"):
    return Finding(
        rule=rule,
        severity=severity,
        file="",
        line=0,
        column=0,
        object="Deployment team/llm",
        message=message,
        remedy=remedy,
    )


@pytest.mark.parametrize(
    ("message", "remedy", "expected"),
    [
        pytest.param("a b", "c d", "GPU-X: a b; c d", id="with its remedy where there is room"),
        pytest.param("a", "c" * 111, "GPU-X: a", id="or without it"),
        pytest.param("m" * 200, "c", f"GPU-X: {'m' * 112}…", id="and never longer than is read"),
    ],
)
def test_a_warning(message, remedy, expected):
    assert warnings_of([finding(message=message, remedy=remedy)]) == [expected]
    assert len(expected) <= WARNING_CHARS_MAX


def test_errors_come_first_and_the_rest_is_counted():
    many = [finding(rule=f"GPU-W{number}", message="m" * 300) for number in range(30)]
    lines = warnings_of([*many, finding(rule="GPU-E", severity="error")])
    assert lines[0] == "GPU-E: it is so; do it"
    assert len(lines) == WARNINGS_MAX + 1
    assert lines[-1] == "gpuyard: 21 more findings; gpuyard lint shows all of them"
    assert sum(map(len, lines)) < TOTAL_CHARS_MAX


def test_a_refusal_names_rules_remedies_and_the_way_out():
    said = refusal_of([finding(severity="error"), finding(rule="GPU-Y", severity="error")])
    assert said == (
        "Deployment team/llm has 2 errors. GPU-X: it is so; do it. GPU-Y: it is so; do it. "
        'To insist, accept a finding with the annotation ignore.gpuyard.io/RULE: "the reason"'
    )


def test_a_refusal_stays_readable():
    errors = [finding(message="m" * 500, remedy="r" * 500)] * 40
    said = refusal_of(errors)
    assert "35 more errors" in said
    assert len(said) < 2_500


def test_notes_hold_rules_and_no_texts():
    notes = notes_of([finding(), finding(), finding(rule="GPU-E", severity="error")], 2)
    assert notes == {"findings": "GPU-E=error,GPU-X=warning", "accepted": "2"}
    assert notes_of([], 0) == {}
    many = notes_of([finding(rule=f"GPU-{number}") for number in range(500)], 0)
    assert len(many["findings"]) < 1_000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(PASSED, {"allowed": True}, id="nothing to say"),
        pytest.param(
            Answer(outcome="found", warnings=["a"], notes={"findings": "X=error"}),
            {"allowed": True, "warnings": ["a"], "auditAnnotations": {"findings": "X=error"}},
            id="found",
        ),
        pytest.param(
            Answer(outcome="refused", refusal="no"),
            {
                "allowed": False,
                "status": {"code": 403, "reason": "Forbidden", "message": "no"},
            },
            id="refused",
        ),
        pytest.param(
            failure("it broke"),
            {
                "allowed": True,
                "warnings": ["gpuyard checked nothing here: it broke"],
                "auditAnnotations": {"failed": "true"},
            },
            id="our own failure",
        ),
    ],
)
def test_an_answer_on_the_wire(answer, expected):
    sent = msgspec.json.decode(encode("u", answer))
    assert sent == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u", **expected},
    }
