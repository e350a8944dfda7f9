"""Who has to go so that a pending workload gets its quota: the door of preemption between queues.

A demand and the state of the queues go in, victims with reasons come out; nobody where preemption
cannot make room. The state is the same afterwards. Two searches exist, `classical` and `fair`; the
rules say which. Which victims are possible at all is the policy of the demand's queue.

Where the rules look at victims again (`legal`), those that must not go are no candidates in a new
search, a limited number of times; then the answer is nobody.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/preemption.go (GetTargets).
"""

import msgspec

from gpuyard.scheduling.preemption.queues import classical, fair
from gpuyard.scheduling.preemption.queues.candidates import NOBODY_USED, LocalUsage
from gpuyard.scheduling.preemption.queues.legal import illegal
from gpuyard.scheduling.preemption.queues.minimal import PlacesFit, Trial, anywhere
from gpuyard.scheduling.preemption.queues.rules import Demand, QueuePreemptionRules, Target
from gpuyard.scheduling.queues import NOTHING_LOST, Queues

ROUNDS_MAX = 16  # searches for one demand; in random worlds more than 4 were not seen


def targets(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    *,
    places_fit: PlacesFit = anywhere,
    local_usage: LocalUsage = NOBODY_USED,
) -> tuple[Target, ...]:
    """Return who has to go, in the order in which they were found.

    `places_fit` is asked whether the demand finds its places in topologies, with the victims' free.
    """
    found = [
        _in_one_order(
            queues,
            demand,
            msgspec.structs.replace(rules, orders=(order,)),
            places_fit=places_fit,
            local_usage=local_usage,
        )
        for order in rules.orders
    ]
    return min(filter(None, found), key=lambda victims: _lost(queues, victims), default=())


def _lost(queues: Queues, victims: tuple[Target, ...]) -> tuple[int, int]:
    """Return what `victims` lose together, and how many they are."""
    losses = (queues.losses.get(victim.workload, NOTHING_LOST) for victim in victims)
    return sum(loss.device_ns for loss in losses), len(victims)


def _in_one_order(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    *,
    places_fit: PlacesFit,
    local_usage: LocalUsage,
) -> tuple[Target, ...]:
    search = fair.search if rules.fair_sharing else classical.search
    spared: set[str] = set()
    for _ in range(ROUNDS_MAX):
        with Trial(queues, demand, places_fit) as trial:
            victims = search(trial, rules, spared=spared, local_usage=local_usage)
        if not (rules.revalidate or rules.stable):
            return tuple(victims)
        with Trial(queues, demand) as trial:
            wrong = illegal(trial, victims, rules)
        if not wrong:
            return tuple(victims)
        spared |= wrong
    return ()
