"""Whose turn it is inside one queue: priority, then age.

A workload keeps its age while it waits. What can change it is having been sent back, by somebody
for whom the rules let it lose its turn: a readiness limit, a check that did not agree, or a
borrower whom it would otherwise overtake again.

Semantics: Kueue v0.19.2, pkg/workload/workload.go (GetQueueOrderTimestamp), pkg/util/priority and
pkg/cache/queue/cluster_queue.go (baseCompareFunc).
"""

import msgspec

from gpuyard.model.workloads import SentBackBy, Workload

BEHIND_ITS_BORROWER_NS = 1_000_000  # so that it comes after who preempted it, not level with it

Turn = tuple[int, int, str, str]


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """What decides a turn: who makes a workload lose it, and whether a priority boost counts.

    Kueue's defaults; there `readiness` is lost with the timestamp ``Eviction``, `borrower` without
    gate PrioritySortingWithinCohort, and boosts count with gate PriorityBoost.
    """

    lost_by: tuple[SentBackBy, ...] = ("readiness", "check")
    priority_boost: bool = False


def turn(workload: Workload, rules: TurnRules) -> Turn:
    """Return a sort key: who goes first has the smallest."""
    return (
        -priority(workload, rules),
        queued_ns(workload, rules),
        workload.uid,
        workload.key,
    )


def priority(workload: Workload, rules: TurnRules) -> int:
    """Return the priority that counts."""
    return workload.effective_priority if rules.priority_boost else workload.priority


def queued_ns(workload: Workload, rules: TurnRules) -> int:
    """Return the instant since which `workload` counts as waiting."""
    at = {back.by: back.at_ns for back in workload.sent_back if back.by in rules.lost_by}
    if "readiness" in at:
        return at["readiness"]
    if "check" in at:
        return at["check"]
    if "borrower" in at:
        return at["borrower"] + BEHIND_ITS_BORROWER_NS
    return workload.created_ns
