"""Which victims break a disruption budget, pod by pod and unit by unit."""

import pytest

from gpuyard.model.constraints import LabelSelector, Requirement
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.scheduling.preemption.nodes import disruption
from tests.small_pods import running


def selector(key="app", value="x"):
    return LabelSelector((Requirement(key, "In", (value,)),))


def budget(allowed=0, *, of=None, namespace="default", disrupted=(), name="b"):
    return DisruptionBudget(
        namespace=namespace,
        name=name,
        selector=selector() if of is None else of,
        allowed=allowed,
        disrupted=frozenset(disrupted),
    )


def pod(name, *labels):
    return running(name, "n", labels=tuple(sorted(labels or (("app", "x"),))))


@pytest.mark.parametrize(
    ("budgets", "expected"),
    [
        pytest.param([], [False, False, False], id="no budget"),
        pytest.param([budget(0)], [True, True, True], id="nothing allowed"),
        pytest.param([budget(2)], [False, False, True], id="the third is one too many"),
        pytest.param([budget(-1)], [True, True, True], id="over the limit already"),
        pytest.param(
            [budget(3), budget(1, name="c")], [False, True, True], id="the tighter of two"
        ),
        pytest.param([budget(0, namespace="other")], [False] * 3, id="of another namespace"),
        pytest.param([budget(0, of=LabelSelector())], [False] * 3, id="an empty selector"),
        pytest.param([budget(0, of=selector("app", "y"))], [False] * 3, id="selects others"),
        pytest.param(
            [budget(1, disrupted=["a"])], [False, False, True], id="one is counted already"
        ),
    ],
)
def test_pods_in_turn(budgets, expected):
    pods = [pod("a"), pod("b"), pod("c")]
    assert disruption.breaking_pods(pods, budgets) == expected
    assert disruption.breaking_units([[each] for each in pods], budgets) == expected


def test_no_selector_and_no_labels_protect_nobody():
    nobody = DisruptionBudget(namespace="default", name="b", selector=None, allowed=0)
    absent = budget(0, of=LabelSelector((Requirement("app", "DoesNotExist"),)))
    assert disruption.breaking_pods([pod("a")], [nobody]) == [False]
    assert disruption.breaking_pods([running("a", "n")], [absent]) == [False]
    assert disruption.breaking_pods([pod("a", ("tier", "t"))], [absent]) == [True]


def test_a_unit_breaks_a_budget_with_any_of_its_pods():
    units = [[pod("a"), pod("b")], [pod("c", ("app", "y"))], [pod("d")]]
    assert disruption.breaking_units(units, [budget(2)]) == [False, False, True]
    assert disruption.breaking_units(units, [budget(1)]) == [True, False, True]


def test_after_a_broken_budget_a_unit_is_counted_no_further():
    both, tier = pod("a", ("app", "x"), ("tier", "t")), pod("b", ("tier", "t"))
    budgets = [budget(0), budget(1, of=selector("tier", "t"), name="tier")]
    assert disruption.breaking_pods([both, tier], budgets) == [True, True]
    assert disruption.breaking_units([[both], [tier]], budgets) == [True, False]
    assert disruption.breaking_units([[both, tier], [tier]], budgets) == [True, False]
