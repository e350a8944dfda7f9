"""Who could go, in the order in which they are taken.

A *candidate* holds some of what is contested, and the policy of the preemptor's queue lets it go.
Its owner did not forbid that, it did not have to go a moment ago, and the preemptor was not evicted
for it.
Order, the first that tells two apart:

1. who was told to go already;
2. who is in another queue than the preemptor;
3. in a queue with admission fair sharing: whose LocalQueue has used more;
4. who has the lower priority;
5. where the rules say so, who loses least;
6. who got its quota later (nobody knows when: now);
7. the smaller UID, then the smaller key.

What is lost comes after priority, though an inference server that has nothing to save loses less
than any training job: it would come back and evict the less important of its queue, which then lose
what was to be spared.

The third step compares only workloads of one queue. Compared in pairs, as Kueue does it, the order
may run in a circle over three queues, and the answer then hangs on the order of a Go map. Here each
queue offers its workloads in its own order, and of the first ones of all queues the lowest by the
other steps is taken: the same wherever Kueue's order is one.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/common/ordering.go and preemption.go
(findCandidatesForPolicy), classical/candidate_generator.go (WorkloadUsesResources).
"""

from collections.abc import Iterable, Mapping
from heapq import merge
from operator import attrgetter
from typing import NamedTuple

from gpuyard.model.queues import Admission, Admitted, FlavorResource, Usage
from gpuyard.scheduling.ordering.turns import priority
from gpuyard.scheduling.preemption.queues.policies import PreemptionPolicy, may_preempt
from gpuyard.scheduling.preemption.queues.rules import (
    Demand,
    QueuePreemptionRules,
    VictimOrder,
)
from gpuyard.scheduling.queues import NOTHING_LOST, Loss, Queues

Rank = tuple[bool, bool, int, int, bool, int, str, str]
LocalUsage = Mapping[str, float]  # of LocalQueues with admission fair sharing, by key

NOBODY_USED: LocalUsage = {}


class Candidate(NamedTuple):
    """A workload that could go; the smaller `rank` goes first."""

    rank: Rank
    admitted: Admitted

    @property
    def key(self) -> str:
        """Return the key of the workload."""
        return self.admitted.workload.key

    @property
    def priority(self) -> int:
        """Return the priority that counts."""
        return self.rank[2]

    @property
    def queue(self) -> str:
        """Return the ClusterQueue whose quota it holds."""
        return self.admitted.admission.cluster_queue

    @property
    def usage(self) -> Usage:
        """Return what would be free without it."""
        return self.admitted.admission.usage()


rank_of = attrgetter("rank")


def in_queue(
    queues: Queues,
    queue: str,
    demand: Demand,
    rules: QueuePreemptionRules,
    order: VictimOrder,
) -> list[Candidate]:
    """Return the candidates of one queue as they come; `order` goes into their ranks."""
    return [
        candidate(each, demand, rules, order, queues.losses)
        for each in let_go(queues, queue, demand, rules)
    ]


def let_go(
    queues: Queues, queue: str, demand: Demand, rules: QueuePreemptionRules
) -> list[Admitted]:
    """Return the workloads of one queue that could go, as they come."""
    allowed = queues.specs[demand.queue].preemption
    is_own = queue == demand.queue
    policy: PreemptionPolicy = (
        allowed.within_cluster_queue if is_own else allowed.reclaim_within_cohort
    )
    if policy == "Never":
        return []
    spares_nobody = policy == "Any"
    off_limits = queues.not_evicted_by(demand.workload.key)
    return [
        admitted
        for key, admitted in queues.holders[queue].items()
        if admitted.workload.preemptible
        and (spares_nobody or may_preempt(policy, demand.workload, admitted.workload, rules))
        and (admitted.evicted or not (key in queues.spared or key in off_limits))
        and holds(admitted.admission, demand.contested)
    ]


def candidate(
    admitted: Admitted,
    demand: Demand,
    rules: QueuePreemptionRules,
    order: VictimOrder,
    losses: Mapping[str, Loss],
) -> Candidate:
    """Return a workload that could go with its rank in `order`."""
    is_own = admitted.admission.cluster_queue == demand.queue
    lost = _lost(admitted, losses, order)
    return Candidate(_rank(admitted, rules, lost, is_own=is_own), admitted)


def holds(admission: Admission, contested: frozenset[FlavorResource]) -> bool:
    """Tell whether any of `contested` was given to a workload, be it an amount of zero."""
    for pod_set in admission.pod_sets:  # not any(): asked of every holder, for every demand
        for resource, flavor in pod_set.flavors:
            if (flavor, resource) in contested:
                return True
    return False


def rank(admitted: Admitted, own_queue: str, rules: QueuePreemptionRules) -> Rank:
    """Return what tells two candidates apart, but for losses and what their LocalQueues used."""
    return _rank(admitted, rules, 0, is_own=admitted.admission.cluster_queue == own_queue)


def _lost(admitted: Admitted, losses: Mapping[str, Loss], order: VictimOrder) -> int:
    if order == "newest":
        return 0
    loss = losses.get(admitted.workload.key, NOTHING_LOST)
    return loss.time_ns if order == "lost-time" else loss.device_ns


def _rank(admitted: Admitted, rules: QueuePreemptionRules, lost: int, *, is_own: bool) -> Rank:
    workload, reserved_ns = admitted.workload, admitted.reserved_ns
    return (
        not admitted.evicted,
        is_own,
        priority(workload, rules.turns),
        lost,
        reserved_ns is not None,
        -(reserved_ns or 0),
        workload.uid,
        workload.key,
    )


def in_order(
    candidates: Iterable[Candidate],
    rules: QueuePreemptionRules,
    local_usage: LocalUsage = NOBODY_USED,
) -> list[Candidate]:
    """Return `candidates` as they are taken."""
    if not (rules.by_local_usage and local_usage):
        return sorted(candidates, key=rank_of)
    by_queue: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_queue.setdefault(candidate.queue, []).append(candidate)
    for offered in by_queue.values():
        offered.sort(key=lambda each: _after_usage(each, local_usage))
    return list(merge(*(by_queue[name] for name in sorted(by_queue)), key=rank_of))


def _after_usage(candidate: Candidate, local_usage: LocalUsage) -> tuple[bool, float, Rank]:
    used = local_usage.get(candidate.admitted.workload.queue, 0.0)
    return not candidate.admitted.evicted, -used, candidate.rank
