"""Whom a queue's policy lets go first: by priority, and among equals by age.

A policy is asked about two workloads at a time. ``LowerPriority`` is strict; among equals,
``LowerOrNewerEqualPriority`` also lets go who came later, by more than `newer_by_ns`. Priority
and age are those that decide the turn in a queue (`ordering.turns`).

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/common/preemption_policy.go.
"""

from typing import Literal

from gpuyard.model.queues import QueuePreemption
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.ordering.turns import priority, queued_ns
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules

PreemptionPolicy = Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority", "Any"]


def may_preempt(
    policy: PreemptionPolicy, preemptor: Workload, victim: Workload, rules: QueuePreemptionRules
) -> bool:
    """Tell whether `policy` lets `victim` go for `preemptor`."""
    if policy in ("Never", "Any"):
        return policy == "Any"
    mine, other = priority(preemptor, rules.turns), priority(victim, rules.turns)
    if mine != other or policy == "LowerPriority":
        return mine > other
    later_by_ns = queued_ns(victim, rules.turns) - queued_ns(preemptor, rules.turns)
    return later_by_ns > rules.newer_by_ns


def may_borrow_over(
    allowed: QueuePreemption, preemptor: Workload, victim: Workload, rules: QueuePreemptionRules
) -> bool:
    """Tell whether `preemptor` may evict `victim` in another queue and borrow itself."""
    borrow = allowed.borrow_within_cohort
    if borrow.policy == "Never":
        return False
    highest = borrow.max_priority_threshold
    other = priority(victim, rules.turns)
    return other < priority(preemptor, rules.turns) and (highest is None or other <= highest)


def can_always_reclaim(allowed: QueuePreemption) -> bool:
    """Tell whether a queue gets back what others borrow from it, whoever they are."""
    return allowed.reclaim_within_cohort == "Any"
