"""What the victim and the preemptor are told, in Kueue's words.

Tools and people search events and conditions for these texts, so they are Kueue's to the letter; a
part that nobody knows is ``UNKNOWN``. A *path* names a queue with its cohorts from the root:
``/org/team/queue``.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/preemption.go (preemptionMessage, buildCQPath,
priorityInfo).
"""

from typing import NamedTuple

from gpuyard.model.workloads import Workload
from gpuyard.scheduling.ordering.turns import TurnRules, priority
from gpuyard.scheduling.preemption.queues.rules import PreemptionReason
from gpuyard.scheduling.quota import QuotaNode

UNKNOWN = "UNKNOWN"

BECAUSE_OF: dict[PreemptionReason, str] = {
    "InClusterQueue": "prioritization in the ClusterQueue",
    "InCohortReclamation": "reclamation within the cohort",
    "InCohortFairSharing": "Fair Sharing within the cohort",
    "InCohortReclaimWhileBorrowing": "reclamation within the cohort while borrowing",
}


class PriorityParts(NamedTuple):
    """The priority that counts, and what it is made of."""

    effective: int
    base: int
    boost: int


def preempted(
    reason: PreemptionReason | None,
    *,
    uid: str = "",
    job_uid: str = "",
    preemptor_path: str = "",
    victim_path: str = "",
) -> str:
    """Return what a victim is told; `uid` and `job_uid` are the preemptor's."""
    because_of = BECAUSE_OF[reason] if reason else UNKNOWN
    return (
        f"Preempted to accommodate a workload (UID: {uid or UNKNOWN}, "
        f"JobUID: {job_uid or UNKNOWN}) due to {because_of}; "
        f"preemptor path: {preemptor_path or UNKNOWN}; preemptee path: {victim_path or UNKNOWN}"
    )


def path(queue: QuotaNode) -> str:
    """Return the names from the root down to `queue`."""
    return "".join(f"/{name}" for name in reversed([node.name for node in queue.to_root()]))


def priority_parts(workload: Workload, rules: TurnRules) -> PriorityParts:
    """Return the priority of `workload` and its parts."""
    effective = priority(workload, rules)
    return PriorityParts(effective, workload.priority, effective - workload.priority)
