"""Whose turn it is inside one queue: priority, then age.

A workload keeps its age while it waits. What can change it is having been sent back: by a readiness
limit (where the rules say that this counts), by a check that did not agree, or, where priorities do
not count across a cohort, by a borrower whom it would otherwise overtake again.

Semantics: Kueue v0.19.2, pkg/workload/workload.go (GetQueueOrderTimestamp) and
pkg/cache/queue/cluster_queue.go (baseCompareFunc).
"""

import msgspec

from gpuyard.model.workloads import Workload

BEHIND_ITS_BORROWER_NS = 1_000_000  # so that it comes after who preempted it, not level with it

Turn = tuple[int, int, str, str]


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """What decides a turn. `readiness_counts`: who was not ready in time goes to the end."""

    readiness_counts: bool = True
    priority_across_cohort: bool = True


def turn(workload: Workload, rules: TurnRules) -> Turn:
    """Return a sort key: who goes first has the smallest."""
    return (
        -workload.effective_priority,
        queued_ns(workload, rules),
        workload.uid,
        workload.key,
    )


def queued_ns(workload: Workload, rules: TurnRules) -> int:
    """Return the instant since which `workload` counts as waiting."""
    at = {back.by: back.at_ns for back in workload.sent_back}
    if rules.readiness_counts and "readiness" in at:
        return at["readiness"]
    if "check" in at:
        return at["check"]
    if not rules.priority_across_cohort and "borrower" in at:
        return at["borrower"] + BEHIND_ITS_BORROWER_NS
    return workload.created_ns
