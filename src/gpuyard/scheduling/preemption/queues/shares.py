"""Whose turn it is to give: the tournament of shares that picks a queue to take from.

From the root downwards the child with the largest dominant resource share is entered, until it is a
queue; of equal ones a cohort before a queue, and of queues the one whose first candidate goes
first. Only queues with candidates take part, and only what borrows: but the preemptor's own queue
always, and its cohorts, inside which there may be an imbalance.

Shares are kept and worked out again only for the nodes on the way from a changed queue to the root.
Of equal cohorts Kueue takes a random one; here it is the first by name.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/fairsharing/ordering.go and
least_common_ancestor.go.
"""

from collections import deque
from collections.abc import Iterable
from fractions import Fraction

from gpuyard.scheduling.fair_share import Share, dominant_share, order
from gpuyard.scheduling.preemption.queues.candidates import Candidate
from gpuyard.scheduling.quota import QuotaNode

# As `fair_share.order`, the smaller is served first; the float is the fraction, rounded, and spares
# most comparisons of fractions: rounding keeps the order.
ShareKey = tuple[bool, float, Fraction]
LEAST: ShareKey = (False, 0.0, Fraction(0))


class Tournament:
    """The queues with candidates, and the shares of everybody above them.

    Whoever is told a queue by `next_queue` must `pop` a candidate of it or `drop` it, and tell when
    the usage of a queue `changed`.
    """

    def __init__(self, own: QuotaNode, candidates: Iterable[Candidate]) -> None:
        """Start with `candidates` as they are to be taken; `own` is the preemptor's queue."""
        self._own = own
        self._ancestors = [node for node in own.to_root() if node is not own]
        self._waiting: dict[str, deque[Candidate]] = {}
        self._out: set[QuotaNode] = set()
        self._shares: dict[QuotaNode, tuple[bool, ShareKey]] = {}
        for candidate in candidates:
            self._waiting.setdefault(candidate.queue, deque()).append(candidate)

    def next_queue(self) -> QuotaNode | None:
        """Return the queue to take from, `None` when no more will come."""
        root = self._ancestors[-1] if self._ancestors else self._own
        if not root.is_cohort:
            return None if self._is_out(root) else root
        while root not in self._out:
            node: QuotaNode | None = root
            while node is not None and node.is_cohort:
                entered, node = node, self._largest(node)
                if node is None:
                    self._out.add(entered)
            if node is not None:
                return node
        return None

    def has_candidates(self, queue: QuotaNode) -> bool:
        """Tell whether `queue` has any left."""
        return bool(self._waiting.get(queue.name))

    def first(self, queue: QuotaNode) -> Candidate:
        """Return the next candidate of `queue`."""
        return self._waiting[queue.name][0]

    def pop(self, queue: QuotaNode) -> Candidate:
        """Return the next candidate of `queue`, which is then none."""
        return self._waiting[queue.name].popleft()

    def drop(self, queue: QuotaNode) -> None:
        """Take nothing more from `queue`."""
        self._out.add(queue)

    def changed(self, queue: QuotaNode) -> None:
        """Forget the shares that the usage of `queue` decides."""
        for node in queue.to_root():
            self._shares.pop(node, None)

    def share(self, node: QuotaNode) -> ShareKey:
        """Return the share of `node` as it is now."""
        return self._share(node)[1]

    def below_shared(self, queue: QuotaNode) -> tuple[QuotaNode, QuotaNode]:
        """Return the nodes that are compared: the preemptor's and `queue`'s, below what they share.

        Both are children of the lowest cohort in which both queues are.
        """
        theirs = queue
        for node in queue.to_root():
            if node in self._ancestors:
                index = self._ancestors.index(node)
                return (self._own, *self._ancestors)[index], theirs
            theirs = node
        raise AssertionError(f"{queue!r} is not in the tree of {self._own!r}")

    def _share(self, node: QuotaNode) -> tuple[bool, ShareKey]:
        known = self._shares.get(node)
        if known is None:
            share = dominant_share(node)
            known = self._shares[node] = share.is_borrowing, key_of(share)
        return known

    def _is_out(self, queue: QuotaNode) -> bool:
        return queue in self._out or not self._waiting.get(queue.name)

    def _largest(self, cohort: QuotaNode) -> QuotaNode | None:
        """Return the child with the largest share of those that take part."""
        best: QuotaNode | None = None
        largest = LEAST
        for child in cohort.children:  # cohorts first
            if child in self._out:
                continue
            if not self._takes_part(child):
                self._out.add(child)
                continue
            share = self.share(child)
            if best is None or share > largest or (share == largest and self._ties(child, best)):
                best, largest = child, share
        return best

    def _takes_part(self, node: QuotaNode) -> bool:
        if node.is_cohort:
            return self._share(node)[0] or node in self._ancestors
        return not self._is_out(node) and (node is self._own or self._share(node)[0])

    def _ties(self, child: QuotaNode, best: QuotaNode) -> bool:
        """Tell whether of two with equal shares `child` is taken before `best`."""
        is_between_queues = not (child.is_cohort or best.is_cohort)
        return is_between_queues and self.first(child).rank < self.first(best).rank


def key_of(share: Share) -> ShareKey:
    """Return what orders shares."""
    is_infinite, weighted = order(share)
    return is_infinite, float(weighted), weighted
