"""What can be chosen about a round: plain data, with the defaults of Kueue v0.19.2."""

import msgspec

from gpuyard.model.topology import TopologyRules
from gpuyard.model.workloads import WorkloadClass
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.ordering.between import BetweenRules
from gpuyard.scheduling.ordering.turns import TurnRules
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules


class AdmissionRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a round goes.

    `look_again_for_places`: whose places were taken by somebody before it in the round gets a
    second look (TASRecomputeAssignmentWithinSchedulingCycle). `look_again_on_overlap`: so does who
    wants a victim that somebody else takes (RecomputeAssignmentUponPreemptionTargetsOverlap).
    `fail_fast`: whose failed node cannot be replaced at once is evicted instead of waiting on
    (TASFailedNodeReplacementFailFast).
    `starts_as_it_preempted`: ours. Who had others evicted for fewer than all of its pods starts
    with no more than these. Otherwise two who can do with fewer may evict each other for ever: each
    asks for little, so that its share allows it, and takes all once the other has gone.
    `preempt_after_ns`: ours. Who has waited less long than this evicts nobody: most work ends soon
    anyway, and to wait for that costs less than what an eviction throws away.
    `preempt_when_waited_pct`: ours. Before that it may evict who loses little: together, over all
    their devices, at most so many percent of the device time that it has waited for. So victims
    go soon after they saved their work. 0: nobody loses little enough.
    `preempt_not_before_ns`: ours. But not before it has waited so long, for to go and to come back
    costs something even where nothing is lost.
    `preempt_at_once`: ours. Classes of workload to which none of that applies: people wait for
    them.
    """

    turns: TurnRules = TurnRules()
    between: BetweenRules = BetweenRules()
    flavors: FlavorRules = FlavorRules()
    preemption: QueuePreemptionRules = QueuePreemptionRules()
    topology: TopologyRules = TopologyRules()
    look_again_for_places: bool = True
    look_again_on_overlap: bool = False
    fail_fast: bool = True
    starts_as_it_preempted: bool = False
    preempt_after_ns: int = 0
    preempt_when_waited_pct: int = 0
    preempt_not_before_ns: int = 0
    preempt_at_once: tuple[WorkloadClass, ...] = ()
