"""Which of several nodes to make room on: where it hurts least.

One question after the other, each asked only of those that are equal so far: who breaks fewest
disruption budgets; whose most important victim has the lowest priority; whose victims' priorities
have the smallest sum; who has fewest victims; whose most important victims started last (of those
that share the highest priority the one that runs longest speaks). Ties go to the first.

A sum counts every priority from the smallest possible one up, so that one more victim never makes
it smaller, however low its priority.

Semantics: k8s.io/kubernetes v1.36.3, framework/preemption/preemption.go (pickOneNodeForPreemption).
"""

from collections.abc import Sequence

from gpuyard.scheduling.preemption.nodes import importance
from gpuyard.scheduling.preemption.nodes.per_node import Candidate

PRIORITIES_BELOW_ZERO = 2**31  # a priority is an int32


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the candidate that hurts least, `None` of none."""
    return min(candidates, key=harm, default=None)


def harm(candidate: Candidate) -> tuple[int, ...]:
    """Return what is compared, in this order; smaller is better."""
    victims = candidate.victims
    highest = max(victim.priority for victim in victims)
    started_ns = min(
        importance.started_ns(victim) for victim in victims if victim.priority == highest
    )
    return (
        candidate.pdb_violations,
        highest,
        sum(victim.priority + PRIORITIES_BELOW_ZERO for victim in victims),
        len(victims),
        -started_ns,
    )
