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

import sys
from collections.abc import Callable, Sequence, Set as AbstractSet
from functools import cached_property, partial
from typing import Generic, Protocol, TypeVar

from gpuyard.scheduling.ordering.turns import priority
from gpuyard.scheduling.preemption.queues import classical, fair
from gpuyard.scheduling.preemption.queues.candidates import NOBODY_USED, Candidate, LocalUsage
from gpuyard.scheduling.preemption.queues.classical import Claimed, Offers
from gpuyard.scheduling.preemption.queues.legal import illegal
from gpuyard.scheduling.preemption.queues.minimal import Known, PlacesFit, Trial, anywhere
from gpuyard.scheduling.preemption.queues.rules import (
    ORDERS,
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
    known: Offers | None = None,
) -> tuple[Target, ...]:
    """Return who has to go, in the order in which they were found.

    `places_fit` is asked whether the demand finds its places in topologies, with the victims' free.
    `known` are the candidates of demands before this one, as long as nobody's loss changes.
    """
    orders = ORDERS[rules.victims]
    searches = _searches(
        queues, demand, rules, orders, known, places_fit=places_fit, local_usage=local_usage
    )
    if rules.victims == "newest":
        return searches[0].victims()
    return _LeastLost(queues, rules, searches).found()


def any_targets(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    *,
    local_usage: LocalUsage = NOBODY_USED,
    known: Offers | None = None,
) -> tuple[Target, ...]:
    """Return some victims that make room, though others may lose less."""
    orders = ORDERS[rules.victims][:1]
    return _searches(queues, demand, rules, orders, known, local_usage=local_usage)[0].victims()


class _Collected(Protocol):
    """A candidate as a search knows it."""

    @property
    def key(self) -> str: ...

    @property
    def priority(self) -> int: ...


Each = TypeVar("Each", bound=_Collected)


class _Search(Generic[Each]):
    """A demand and those who could go for it, in one order, collected once."""

    def __init__(
        self,
        start: Callable[..., Trial],
        rules: QueuePreemptionRules,
        collected: Sequence[Each],
        search: Callable[[Trial, QueuePreemptionRules, Sequence[Each]], list[Target]],
        places_fit: PlacesFit,
        known: Known,
    ) -> None:
        self.start = start
        self.rules = rules
        self.collected = collected
        self.search = search
        self.places_fit = places_fit
        self.known = known

    @cached_property
    def lowest(self) -> int:
        """The lowest priority of all candidates."""
        return min((each.priority for each in self.collected), default=sys.maxsize)

    def victims(
        self, below: int | None = None, spared: AbstractSet[str] = frozenset()
    ) -> tuple[Target, ...]:
        """Return legal victims with a priority smaller than `below`, none of them `spared`."""
        for _ in range(ROUNDS_MAX):
            offered = self.collected
            if below is not None and below <= self.lowest:
                return ()
            if spared or below is not None:
                offered = [
                    each
                    for each in offered
                    if each.key not in spared and (below is None or each.priority < below)
                ]
            if not offered:
                return ()
            with self.start(self.places_fit, self.known) as trial:
                victims = self.search(trial, self.rules, offered)
            if not victims or not (self.rules.revalidate or self.rules.stable):
                return tuple(victims)
            with self.start() as trial:
                wrong = illegal(trial, victims, self.rules)
            if not wrong:
                return tuple(victims)
            spared = spared | wrong
        return ()


def _searches(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    orders: Sequence[VictimOrder],
    offers: Offers | None,
    *,
    places_fit: PlacesFit = anywhere,
    local_usage: LocalUsage = NOBODY_USED,
) -> Sequence[_Search[Candidate]] | Sequence[_Search[Claimed]]:
    """Return a search in each of `orders`."""
    start = partial(Trial, queues, demand)
    known: Known = {}  # by all searches, whatever their order
    if rules.fair_sharing:
        fairly = partial(fair.search, local_usage=local_usage)
        return [
            _Search(
                start,
                rules,
                fair.collect(queues, demand, rules, order),
                fairly,
                places_fit,
                known,
            )
            for order in orders
        ]
    by_claim = partial(classical.search, local_usage=local_usage)
    return [
        _Search(start, rules, claimed, by_claim, places_fit, known)
        for claimed in classical.in_turn(queues, demand, rules, orders, offers)
    ]


class _LeastLost:
    """Looks for the victims that lose least together, among the least important that suffice."""

    def __init__(
        self,
        queues: Queues,
        rules: QueuePreemptionRules,
        searches: Sequence[_Search[Candidate]] | Sequence[_Search[Claimed]],
    ) -> None:
        self.queues = queues
        self.rules = rules
        self.searches = searches
        self._losses: dict[str, int] = {}

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
            if not left or not self._lost(best)[0]:
                break
            most = max(left, key=lambda key: (self._loss(key), key))
            asked.add(most)
            if (self._least(below, spared | {most}), 1) >= self._lost(best):
                continue
            other = self._victims(below, spared | {most})
            if other and self._lost(other) < self._lost(best):
                best, spared = other, spared | {most}
        return best

    def _priority(self, key: str) -> int:
        return priority(self.queues.admitted[key].workload, self.rules.turns)

    def _least(self, below: int | None, spared: AbstractSet[str]) -> int:
        """Return what anybody loses at least: no set of victims is cheaper."""
        losses = (
            self._loss(each.key)
            for each in self.searches[0].collected
            if each.key not in spared and (below is None or each.priority < below)
        )
        return min(losses, default=sys.maxsize)

    def _victims(
        self, below: int | None, spared: AbstractSet[str] = frozenset()
    ) -> tuple[Target, ...]:
        """Return the victims of the order in which they lose least."""
        found = (search.victims(below, spared) for search in self.searches)
        return min(filter(None, found), key=self._lost, default=())

    def _lost(self, victims: tuple[Target, ...]) -> tuple[int, int]:
        """Return what `victims` lose together, and how many they are."""
        return sum(self._loss(victim.workload) for victim in victims), len(victims)

    def _loss(self, key: str) -> int:
        loss = self._losses.get(key)
        if loss is None:
            loss = self._losses[key] = self.queues.losses.get(key, NOTHING_LOST).device_ns
        return loss
