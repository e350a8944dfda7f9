"""Whose turn it is between queues: each offers one workload, and they are taken one by one.

Two rules. `by_borrowing`: who has quota already and needs only a place, then who borrows from the
nearest (0: from nobody), then priority and age. `by_share`: a tournament in each tree. At each
cohort the child with the smallest dominant share wins, counted as if its own candidate had started
already, and the winner is its parent's candidate, up to the root. Before the share it counts
whether the child would borrow any of what its candidate asks for; after it, priority and age.

What was taken changes the shares of its queue and of the cohorts above, and of nobody else. So
each cohort keeps its children in a heap, and a step costs as much as the tree is deep, whatever its
width. Trees do not compete with each other: among their winners priority and age decide.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (classicalIterator) and
pkg/scheduler/fair_sharing_iterator.go. Kueue takes the trees in no order.
"""

import heapq
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

import msgspec

from gpuyard.model.queues import Usage
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import fair_share, quota
from gpuyard.scheduling.fair_share import Share
from gpuyard.scheduling.ordering.turns import TurnRules, priority, queued_ns
from gpuyard.scheduling.quota import QuotaNode, QuotaTree


class BetweenRules(msgspec.Struct, frozen=True, kw_only=True):
    """What decides between queues, with Kueue's defaults.

    `by_share`: a tournament of shares (fair sharing) instead of the order by borrowing.
    `preemptors_first`: who waits for its victims to go comes first (PrioritizePreemptorWorkloads).
    `priority_first`: priority before age (PrioritySortingWithinCohort).
    `non_borrowing_first`: see above (FairSharingPrioritizeNonBorrowing).
    """

    by_share: bool = False
    preemptors_first: bool = False
    priority_first: bool = True
    non_borrowing_first: bool = True


class Contender(Protocol):
    """A workload that its queue offers.

    `usage` is what it would take more than it has; `borrowing` the height of the cohort that it
    borrows from; `has_quota` where it only seeks a place.
    """

    @property
    def workload(self) -> Workload:
        """The workload."""

    @property
    def queue(self) -> str:
        """Its ClusterQueue."""

    @property
    def usage(self) -> Usage:
        """What starting it would add."""

    @property
    def borrowing(self) -> int:
        """0 where its own queue has the quota."""

    @property
    def has_quota(self) -> bool:
        """Whether quota is reserved for it."""

    @property
    def is_preemptor(self) -> bool:
        """Whether room is being made for it."""


C = TypeVar("C", bound=Contender)
Late = tuple[int, int, str, str]
Seat = tuple[bool, bool, bool, Fraction, Late]


def in_turn(
    contenders: Iterable[C], tree: QuotaTree, rules: BetweenRules, turns: TurnRules
) -> Iterator[C]:
    """Yield `contenders` one by one; what is counted in `tree` meanwhile counts for the next."""
    if rules.by_share:
        yield from _Tournament(contenders, tree, rules, turns)
    else:
        yield from sorted(contenders, key=lambda each: _by_borrowing(each, rules, turns))


def _by_borrowing(
    each: Contender, rules: BetweenRules, turns: TurnRules
) -> tuple[bool, bool, int, Late]:
    is_behind = rules.preemptors_first and not each.is_preemptor
    return not each.has_quota, is_behind, each.borrowing, _late(each, rules, turns)


def _late(each: Contender, rules: BetweenRules, turns: TurnRules) -> Late:
    """Return what decides last: priority, age, and something that is never equal."""
    counts = priority(each.workload, turns) if rules.priority_first else 0
    return -counts, queued_ns(each.workload, turns), each.workload.uid, each.workload.key


class _Tournament(Generic[C]):
    """Who wins next, in all trees."""

    def __init__(
        self, contenders: Iterable[C], tree: QuotaTree, rules: BetweenRules, turns: TurnRules
    ) -> None:
        self.rules = rules
        self.turns = turns
        self.offers: dict[QuotaNode, list[C]] = {}  # by leaf, who goes first comes last
        for each in contenders:
            self.offers.setdefault(tree.cluster_queues[each.queue], []).append(each)
        for offers in self.offers.values():
            offers.sort(key=lambda each: (not each.has_quota, _late(each, rules, turns)))
            offers.reverse()
        nodes = {node: None for leaf in self.offers for node in leaf.to_root()}
        self.heaps: dict[QuotaNode | None, list[tuple[Seat, int, QuotaNode]]] = {None: []}
        self.heaps |= {node: [] for node in nodes}
        self.seats: dict[QuotaNode, Seat] = {}  # where a node sits in its parent's heap
        self.from_leaf: dict[QuotaNode, QuotaNode] = {}  # whose offer a node makes its own
        self.pushes = 0
        for node in sorted(nodes, key=lambda node: node.height):
            self._sit_down(node)

    def __iter__(self) -> Iterator[C]:
        while (root := self._first(None)) is not None:
            leaf = self.from_leaf[root]
            yield self.offers[leaf].pop()
            for node in leaf.to_root():  # what is used there may have changed
                self._sit_down(node)

    def _first(self, cohort: QuotaNode | None) -> QuotaNode | None:
        """Return the winner among the children of `cohort`, or among the roots."""
        heap = self.heaps[cohort]
        while heap and self.seats.get(heap[0][2]) is not heap[0][0]:
            heapq.heappop(heap)
        return heap[0][2] if heap else None

    def _sit_down(self, node: QuotaNode) -> None:
        """Let `node` offer its best to its parent, or leave where it has nothing to offer."""
        self.seats.pop(node, None)
        winner = self._first(node) if node.is_cohort else node
        leaf = None if winner is None else self.from_leaf.get(winner, winner)
        if leaf is None or not self.offers[leaf]:
            return
        self.from_leaf[node] = leaf
        place = self.seats[node] = self._seat(node, leaf)
        self.pushes += 1
        heapq.heappush(self.heaps[node.parent], (place, self.pushes, node))

    def _seat(self, node: QuotaNode, leaf: QuotaNode) -> Seat:
        candidate = self.offers[leaf][-1]
        requests = dict(candidate.usage.quota)
        quota.use(leaf, requests)
        share = fair_share.dominant_share(node)
        quota.release(leaf, requests)
        return seat(candidate, share, self.rules, self.turns)


def seat(candidate: Contender, share: Share, rules: BetweenRules, turns: TurnRules) -> Seat:
    """Return the sort key of a node with this `share` among its siblings; the smallest wins.

    The share of a root is nothing: it borrows from nobody.
    """
    is_behind = rules.preemptors_first and not candidate.is_preemptor
    borrows = rules.non_borrowing_first and share.is_borrowing_on(dict(candidate.usage.quota))
    return is_behind, borrows, *fair_share.order(share), _late(candidate, rules, turns)
