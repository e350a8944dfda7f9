"""Who may be evicted for whom between queues: the question, the answer and the knobs.

A *demand* is a pending workload with the quota that it would take in one queue; *contested* are the
flavors and resources of which there is not enough. A *target* is a workload that has to go so that
the demand fits, with Kueue's reason for it.

`QueuePreemptionRules` is plain data; its defaults are those of Kueue v0.19.2 without configuration.
What a single queue allows is not here but in its own `queues.QueuePreemption`.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from gpuyard.model.queues import FlavorResource, Usage
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.ordering.turns import TurnRules

PreemptionReason = Literal[
    "InClusterQueue",  # it is less important, or younger, in the same queue
    "InCohortReclamation",  # it borrows what the demand's queue or cohort owns
    "InCohortReclaimWhileBorrowing",  # it is less important and borrows, though the demand does too
    "InCohortFairSharing",  # its queue or cohort has the larger share
]
FairStrategy = Literal["LessThanOrEqualToFinalShare", "LessThanInitialShare"]
Possibility = Literal["NoCandidates", "Preempt", "Reclaim"]
VictimChoice = Literal["newest", "least-lost"]
VictimOrder = Literal["newest", "lost-time", "lost-work"]

ORDERS: Mapping[VictimChoice, tuple[VictimOrder, ...]] = {
    "newest": ("newest",),
    "least-lost": ("lost-time", "lost-work"),
}

BOTH_STRATEGIES: tuple[FairStrategy, ...] = ("LessThanOrEqualToFinalShare", "LessThanInitialShare")
STRATEGIES: tuple[tuple[FairStrategy, ...], ...] = (
    BOTH_STRATEGIES,
    ("LessThanOrEqualToFinalShare",),
    ("LessThanInitialShare",),
)
TIMESTAMP_BUFFER_NS = 300 * 10**9  # Kueue's `newer_by_ns` where its gate is on


class QueuePreemptionRules(msgspec.Struct, frozen=True, kw_only=True):
    """How victims are chosen between queues, whatever each queue allows.

    `strategies`: what has to be true of the shares; the second is tried on whom the first spared.
    `reclaim_within_nominal`: with fair sharing too, who stays within nominal quota in what is
    contested takes it back without a look at shares (gate FairSharingPreemptWithinNominal).
    `newer_by_ns`: an equal in the same queue goes only if it came later by more than this (Kueue:
    5 minutes with gate SchedulerTimestampPreemptionBuffer).
    `turns`: whether a boost counts as priority, and what decides who of two equals came later.
    `victims`: of several that would do, ``newest`` takes who got its quota last, as Kueue does.
    Ours is ``least-lost``: of no higher priority than need be, those that lose least together, by
    the time since their work was last saved, over all their devices.
    `by_local_usage`: in a queue with admission fair sharing, workloads of the LocalQueue that has
    used most go first.
    `revalidate`: ours. When all victims are known, each in another queue must still be a legal one.
    `stable`: ours. Nobody goes for a demand that would stand on less safe quota than he did; with
    both, no cycle of preemptions is known (`preemption.queues.legal` says what each costs).
    """

    fair_sharing: bool = False
    strategies: tuple[FairStrategy, ...] = BOTH_STRATEGIES
    reclaim_within_nominal: bool = True
    newer_by_ns: int = 0
    turns: TurnRules = TurnRules()
    by_local_usage: bool = False
    victims: VictimChoice = "newest"
    revalidate: bool = False
    stable: bool = False

    def __post_init__(self) -> None:
        """Refuse strategies in an order that Kueue's API does not have."""
        if self.strategies not in STRATEGIES:
            allowed = " or ".join(", ".join(one) for one in STRATEGIES)
            raise ValueError(f"strategies: {', '.join(self.strategies) or 'none'}; give {allowed}")


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A pending workload, and what it would take in `queue`; `contested` is what is missing."""

    workload: Workload
    queue: str
    usage: Usage
    contested: frozenset[FlavorResource]


class Target(msgspec.Struct, frozen=True):
    """A workload that has to go, by key, and why."""

    workload: str
    reason: PreemptionReason


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether preemption would make room, and how high the queue would have to borrow then.

    ``Reclaim``: every victim is in another queue.
    """

    possibility: Possibility
    borrowing_levels: int
