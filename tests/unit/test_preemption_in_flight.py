"""Evictions on their way: who goes when, and who waits for it."""

import pytest

from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.scheduling.preemption.nodes import in_flight
from gpuyard.scheduling.preemption.nodes.in_flight import Step
from tests.small_pods import running, waiting

A, B, C = (running(name, "n") for name in "abc")
GONE = running("gone", "n", terminating=True)


def sent(victims, **answers):
    """Return who is sent away, step by step, and the last step."""
    steps, step = [], in_flight.begin(victims)
    while step.in_flight is not None:
        steps.append(step.evict)
        memory = step.in_flight
        for victim in step.evict:
            step = in_flight.answered(memory, victim, answers.get(victim, "accepted"))
            memory = step.in_flight or memory
    return steps, step


@pytest.mark.parametrize(
    ("victims", "answers", "steps", "retry"),
    [
        pytest.param([], {}, [], False, id="nobody"),
        pytest.param([GONE], {}, [], False, id="all leave already"),
        pytest.param([A], {}, [("a",)], False, id="one is the last one"),
        pytest.param([A, B, C], {}, [("a", "b"), ("c",)], False, id="the last one by itself"),
        pytest.param([A, B, GONE], {}, [("a",), ("b",)], False, id="who leaves is not the last"),
        pytest.param([A, B], {"a": "gone"}, [("a",), ("b",)], False, id="gone is as good"),
        pytest.param(
            [A, B, C], {"a": "failed"}, [("a", "b")], True, id="a refusal spares the last"
        ),
        pytest.param([A, B], {"b": "failed"}, [("a",), ("b",)], True, id="the last refused"),
        pytest.param([A], {"a": "failed"}, [("a",)], True, id="the only one refused"),
    ],
)
def test_who_is_sent_away_when(victims, answers, steps, retry):
    asked, last = sent(victims, **answers)
    assert asked == steps
    assert last == Step(retry=retry)


def test_the_preemptor_waits_until_the_last_one_is_seen_to_leave():
    assert not in_flight.holds_still(None, last_is_leaving=False)
    first = in_flight.begin([A, B])
    assert in_flight.holds_still(first.in_flight, last_is_leaving=True)
    second = in_flight.answered(first.in_flight, "a", "accepted")
    assert in_flight.holds_still(second.in_flight, last_is_leaving=False)
    assert not in_flight.holds_still(second.in_flight, last_is_leaving=True)


def test_answers_may_come_in_any_order():
    first = in_flight.begin([A, B, C])
    one = in_flight.answered(first.in_flight, "b", "failed")
    assert one.evict == ()
    assert in_flight.answered(one.in_flight, "a", "accepted") == Step(retry=True)


@pytest.mark.parametrize(
    ("pod", "preempt", "expected"),
    [
        pytest.param(waiting("p"), "as-group", "p", id="of no group"),
        pytest.param(waiting("p", group="g"), "as-group", "g", id="its group"),
        pytest.param(waiting("p", group="g"), "pod-by-pod", "p", id="each for itself"),
        pytest.param(waiting("p", group="new"), "as-group", None, id="its group is not known"),
    ],
)
def test_under_which_key_a_preemption_runs(pod, preempt, expected):
    groups, rules = {"g": PodGroup(key="g")}, PodGroupRules(preempt=preempt)
    assert in_flight.preemptor(pod, groups, rules) == expected
