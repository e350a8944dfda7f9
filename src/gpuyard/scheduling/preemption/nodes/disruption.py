"""Which victims would break a disruption budget.

Victims are counted in the order given, each against every budget of its namespace that selects it;
from the first one on that finds a budget used up, those victims break it. A pod without labels is
protected by nobody, and neither is one whose eviction its budget has counted already. Units of
several pods break a budget as soon as one pod does.

Semantics: k8s.io/kubernetes v1.36.3, plugins/defaultpreemption (filterPodsWithPDBViolation) and
framework/preemption/preemption.go (filterVictimsWithPDBViolation). The two differ in one point:
for units counting stops at the first budget that is broken, so a pod that breaks one budget leaves
the others as they were.
"""

from collections.abc import Iterable, Iterator, Sequence

from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.shapes import matches


def breaking_pods(pods: Iterable[Assignment], budgets: Sequence[DisruptionBudget]) -> list[bool]:
    """Tell for each of `pods`, the most important first, whether it breaks a budget."""
    count = _Count(budgets)
    return [sum(count.broken_by(pod)) > 0 for pod in pods]


def breaking_units(
    units: Iterable[Sequence[Assignment]], budgets: Sequence[DisruptionBudget]
) -> list[bool]:
    """Tell for each of `units` whether it breaks a budget."""
    count = _Count(budgets)
    return [any(broken for pod in unit for broken in count.broken_by(pod)) for unit in units]


def protects(budget: DisruptionBudget, pod: Assignment) -> bool:
    """Tell whether `budget` counts a disruption of `pod`."""
    template = pod.template
    if budget.namespace != template.namespace or not template.labels:
        return False
    if budget.selector is None or not budget.selector.requirements:
        return False
    return pod.pod not in budget.disrupted and matches(budget.selector, dict(template.labels))


class _Count:
    """How many disruptions each budget still allows."""

    def __init__(self, budgets: Sequence[DisruptionBudget]) -> None:
        self._budgets = budgets
        self._left = [budget.allowed for budget in budgets]

    def broken_by(self, pod: Assignment) -> Iterator[bool]:
        """Count `pod` against each budget that protects it; yield whether that is one too many.

        A budget is counted only when its answer is asked for.
        """
        for index, budget in enumerate(self._budgets):
            if protects(budget, pod):
                self._left[index] -= 1
                yield self._left[index] < 0
