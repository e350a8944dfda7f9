"""Modes, what is left alone, and that a refusal is only about what the write itself makes wrong."""

import msgspec
import pytest

from gpuyard.lint import Settings
from gpuyard.lint.rule import Hit
from gpuyard.web.admission.judge import judge
from gpuyard.web.admission.reviews import read_review
from tests.admission_reviews import MESSAGE, REMEDY, RULE, deployment, review, without_shm

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "llm-1", "controller": True}
IGNORED = {f"ignore.gpuyard.io/{RULE}": "one process, no NCCL"}
NO_REASON = {f"ignore.gpuyard.io/{RULE}": ""}
FUTURE = {"ignore.gpuyard.io/GPU-OF-TOMORROW": "known elsewhere"}


def judged(value, mode="warn", settings=None, **request):
    asked = read_review(msgspec.json.encode(review(value, **request)))
    return judge(asked, mode, settings or Settings())


def shown(answer):
    return [line.partition(":")[0] for line in answer.warnings]


def test_warn_shows_and_allows():
    answer = judged(without_shm())
    assert (answer.outcome, answer.is_allowed) == ("found", True)
    assert answer.warnings[0] == f"{RULE}: {MESSAGE}"
    assert f"{RULE}=error" in answer.notes["findings"]


def test_audit_says_it_to_the_log_only():
    answer = judged(without_shm(), "audit")
    assert (answer.outcome, answer.is_allowed, answer.warnings) == ("found", True, ())
    assert f"{RULE}=error" in answer.notes["findings"]


def test_enforce_refuses_with_rule_and_remedy():
    answer = judged(without_shm(), "enforce")
    assert (answer.outcome, answer.is_allowed) == ("refused", False)
    assert answer.refusal.startswith(
        f"Deployment team/llm has 1 error. {RULE}: {MESSAGE}; {REMEDY}. "
    )


def test_enforce_lets_warnings_pass():
    settings = Settings(severities={RULE: "warning"})
    answer = judged(without_shm(), "enforce", settings)
    assert (answer.outcome, answer.is_allowed) == ("found", True)
    assert RULE in shown(answer)


@pytest.mark.parametrize("mode", ["warn", "audit", "enforce"])
def test_what_is_right_gives_no_error(mode):
    answer = judged(deployment(), mode)
    assert answer.is_allowed
    assert RULE not in shown(answer)


@pytest.mark.parametrize(
    ("value", "request_"),
    [
        pytest.param(None, {"operation": "DELETE", "old": without_shm()}, id="a deletion"),
        pytest.param(without_shm(), {"operation": "CONNECT"}, id="a connection"),
        pytest.param(without_shm(), {"subResource": "scale"}, id="a subresource"),
        pytest.param(None, {}, id="no object"),
        pytest.param(without_shm(ownerReferences=[OWNER]), {}, id="made by a controller"),
        pytest.param(
            without_shm(deletionTimestamp="2026-12-01T00:00:00Z"),
            {"operation": "UPDATE", "old": without_shm()},
            id="being deleted",
        ),
    ],
)
def test_what_is_left_alone(value, request_):
    answer = judged(value, "enforce", **request_)
    assert (answer.outcome, answer.warnings, dict(answer.notes)) == ("passed", (), {})


@pytest.mark.parametrize(
    ("metadata", "is_allowed", "rules"),
    [
        pytest.param({"annotations": IGNORED}, True, set(), id="accepted with a reason"),
        pytest.param(
            {"annotations": NO_REASON}, False, {RULE, "LINT-REASON"}, id="without a reason"
        ),
        pytest.param(
            {"annotations": IGNORED | FUTURE},
            True,
            {"LINT-UNKNOWN-RULE"},
            id="a rule that this version does not know refuses nothing",
        ),
    ],
)
def test_suppressions(metadata, is_allowed, rules):
    answer = judged(without_shm(**metadata), "enforce")
    assert answer.is_allowed is is_allowed
    assert set(shown(answer)) & {RULE, "LINT-REASON", "LINT-UNKNOWN-RULE"} == rules
    if is_allowed:
        assert answer.notes["accepted"] == "1"


@pytest.mark.parametrize(
    ("old", "is_allowed"),
    [
        pytest.param(without_shm(labels={"app": "old"}), True, id="it was wrong before"),
        pytest.param(deployment(), False, id="it was right before"),
        pytest.param(None, False, id="nobody knows what it was"),
    ],
)
def test_an_update_is_refused_for_what_it_makes_wrong(old, is_allowed):
    answer = judged(without_shm(), "enforce", operation="UPDATE", old=old)
    assert answer.is_allowed is is_allowed
    assert RULE in shown(answer)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("text", id="a text"),
        pytest.param([1, 2], id="a list"),
        pytest.param({"kind": "Deployment", "spec": "text"}, id="no version"),
        pytest.param(
            {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": [3]}}},
            id="wrong types",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "Pod", "metadata": [], "spec": {"containers": "x"}},
            id="more wrong types",
        ),
    ],
)
def test_nonsense_is_allowed(value):
    for mode in ("warn", "audit", "enforce"):
        assert judged(value, mode).is_allowed


def test_a_tower_is_allowed_and_said():
    depth = 400
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    whole = msgspec.json.encode(review({"apiVersion": "v1", "kind": "Pod", "spec": "DEEP"}))
    asked = read_review(whole.replace(b'"DEEP"', deep))
    answer = judge(asked, "enforce", Settings())
    assert (answer.outcome, answer.is_allowed) == ("failed", True)
    assert answer.warnings[0].startswith("gpuyard checked nothing here: ")


def test_a_rule_that_stops_refuses_nothing(monkeypatch):
    from gpuyard.lint import catalogue, run

    def broken(pod, world):
        raise ZeroDivisionError
        yield Hit(())

    rules = tuple(
        msgspec.structs.replace(one, check=broken) if one.id == RULE else one
        for one in catalogue.rules(for_cluster=False)
    )
    monkeypatch.setattr(run.catalogue, "rules", lambda **_: rules)
    answer = judged(without_shm(), "enforce")
    assert answer.is_allowed
    assert "LINT-RULE-FAILED" in shown(answer)
