"""Would preemption make room in this flavor? What flavor assignment asks before it decides.

One flavor and resource at a time: as if the workload asked for nothing else. The answer says
whether victims were found, whether all of them are in other queues (then it is a *reclaim*), and
how high the queue would have to borrow once they are gone.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/preemption_oracle.go.
"""

from gpuyard.model.queues import FlavorResource, Usage
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import quota
from gpuyard.scheduling.preemption.queues.candidates import NOBODY_USED, LocalUsage
from gpuyard.scheduling.preemption.queues.classical import Offers
from gpuyard.scheduling.preemption.queues.rules import (
    Demand,
    Possibility,
    QueuePreemptionRules,
    Simulation,
)
from gpuyard.scheduling.preemption.queues.targets import any_targets
from gpuyard.scheduling.queues import Queues


def simulate(  # noqa: PLR0913 — a question of five parts, the rules, and what is known
    queues: Queues,
    queue: str,
    workload: Workload,
    key: FlavorResource,
    amount: int,
    rules: QueuePreemptionRules,
    *,
    local_usage: LocalUsage = NOBODY_USED,
    known: Offers | None = None,
) -> Simulation:
    """Return whether preemption lets `workload` have `amount` of `key` in `queue`."""
    demand = Demand(
        workload=workload,
        queue=queue,
        usage=Usage(((key, amount),)),
        contested=frozenset((key,)),
    )
    victims = any_targets(queues, demand, rules, local_usage=local_usage, known=known)
    keys = [victim.workload for victim in victims]
    with queues.without_usage(keys):
        height = quota.borrowing_height(queues.node(queue), key, amount)
    return Simulation(possibility=_possibility(queues, queue, keys), borrowing_levels=height.levels)


def _possibility(queues: Queues, queue: str, victims: list[str]) -> Possibility:
    if not victims:
        return "NoCandidates"
    is_own = any(victim in queues.holders[queue] for victim in victims)
    return "Preempt" if is_own else "Reclaim"
