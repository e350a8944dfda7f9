"""Who has to go so that a pending workload gets its quota: the door of preemption between queues.

A demand and the state of the queues go in, victims with reasons come out; nobody where preemption
cannot make room. The state is the same afterwards. Two searches exist, `classical` and `fair`; the
rules say which. Which victims are possible at all is the policy of the demand's queue.

Where the rules look at victims again (`legal`), those that must not go are no candidates in a new
search, a limited number of times; then the answer is nobody.

Where the rules go by what is lost, a search is only a proposal. As long as less important workloads
suffice, the more important are spared; then each victim in turn, and the cheaper set is kept. That
finds the optimum in 99 questions of 100 (tests/unit/test_least_lost.py).

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/preemption.go (GetTargets).
"""

from collections.abc import Callable, Set as AbstractSet

import msgspec

from gpuyard.scheduling.ordering.turns import priority
from gpuyard.scheduling.preemption.queues import classical, fair
from gpuyard.scheduling.preemption.queues.candidates import NOBODY_USED, LocalUsage
from gpuyard.scheduling.preemption.queues.legal import illegal
from gpuyard.scheduling.preemption.queues.minimal import PlacesFit, Trial, anywhere
from gpuyard.scheduling.preemption.queues.rules import (
    Demand,
    QueuePreemptionRules,
    Target,
    VictimOrder,
)
from gpuyard.scheduling.queues import NOTHING_LOST, Queues

ROUNDS_MAX = 16  # searches for one demand; in random worlds more than 4 were not seen
CHEAPER_MAX = 12  # searches for a cheaper set, each in every order


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

    def search(
        order: VictimOrder, below: int | None, spared: AbstractSet[str]
    ) -> tuple[Target, ...]:
        return _legal(
            queues,
            msgspec.structs.replace(demand, below=below),
            msgspec.structs.replace(rules, orders=(order,)),
            spared,
            places_fit=places_fit,
            local_usage=local_usage,
        )

    if rules.orders == ("newest",):
        return search("newest", demand.below, frozenset())
    return _LeastLost(queues, rules, search).found()


def any_targets(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    *,
    local_usage: LocalUsage = NOBODY_USED,
) -> tuple[Target, ...]:
    """Return some victims that make room, though others may lose less."""
    first = msgspec.structs.replace(rules, orders=rules.orders[:1])
    return _legal(queues, demand, first, frozenset(), places_fit=anywhere, local_usage=local_usage)


class _LeastLost:
    """Looks for the victims that lose least together, among the least important that suffice."""

    def __init__(
        self,
        queues: Queues,
        rules: QueuePreemptionRules,
        search: Callable[[VictimOrder, int | None, AbstractSet[str]], tuple[Target, ...]],
    ) -> None:
        self.queues = queues
        self.rules = rules
        self.search = search

    def found(self) -> tuple[Target, ...]:
        best = less_important = self._victims(None)
        below = None
        while less_important:
            best = less_important
            highest = max(self._priority(victim.workload) for victim in best)
            below = highest + 1
            less_important = self._victims(highest)
        return self._cheaper(best, below)

    def _cheaper(self, best: tuple[Target, ...], below: int | None) -> tuple[Target, ...]:
        """Spare one victim after the other, who loses most first, as long as that is cheaper."""
        asked: set[str] = set()
        spared: frozenset[str] = frozenset()
        while len(asked) < CHEAPER_MAX:
            left = [victim.workload for victim in best if victim.workload not in asked]
            if not left:
                break
            most = max(left, key=lambda key: (self._loss(key), key))
            asked.add(most)
            other = self._victims(below, spared | {most})
            if other and self._lost(other) < self._lost(best):
                best, spared = other, spared | {most}
        return best

    def _victims(
        self, below: int | None, spared: AbstractSet[str] = frozenset()
    ) -> tuple[Target, ...]:
        """Return the victims of the order in which they lose least."""
        found = (self.search(order, below, spared) for order in self.rules.orders)
        return min(filter(None, found), key=self._lost, default=())

    def _lost(self, victims: tuple[Target, ...]) -> tuple[int, int]:
        """Return what `victims` lose together, and how many they are."""
        return sum(self._loss(victim.workload) for victim in victims), len(victims)

    def _loss(self, key: str) -> int:
        return self.queues.losses.get(key, NOTHING_LOST).device_ns

    def _priority(self, key: str) -> int:
        return priority(self.queues.admitted[key].workload, self.rules.turns)


def _legal(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    spared: AbstractSet[str],
    *,
    places_fit: PlacesFit,
    local_usage: LocalUsage,
) -> tuple[Target, ...]:
    """Return victims in the first of the orders, none of them spared or to be spared."""
    search = fair.search if rules.fair_sharing else classical.search
    for _ in range(ROUNDS_MAX):
        with Trial(queues, demand, places_fit) as trial:
            victims = search(trial, rules, spared=spared, local_usage=local_usage)
        if not (rules.revalidate or rules.stable):
            return tuple(victims)
        with Trial(queues, demand) as trial:
            wrong = illegal(trial, victims, rules)
        if not wrong:
            return tuple(victims)
        spared = spared | wrong
    return ()
