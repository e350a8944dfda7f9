"""Jobs in the order of their queues: the next one is popped, until none is left.

At each level of the tree the queue whose turn it is (`deserved.order`) is entered; in a leaf the
job that ranks first is taken. What a queue is about to do counts in the comparison, so each queue
is compared with the job that it would bring.

Backwards it is the order of victims: the queue that would be served last, in it the job that ranks
last. There a queue is compared without the victims that it has given already, and the next one.

Semantics: KAI Scheduler v0.17, actions/utils/job_order_by_queue.go.
"""

from collections.abc import Iterable
from functools import cmp_to_key

from gpuyard.scheduling.deserved.order import Contender, compare
from gpuyard.scheduling.deserved.shares import Amounts, Share
from gpuyard.scheduling.passes.jobs import View, total
from gpuyard.scheduling.passes.session import Session


class Turns:
    """Views of jobs, popped in the order of their queues, or `backwards`."""

    def __init__(
        self,
        session: Session,
        views: Iterable[View],
        *,
        backwards: bool = False,
        per_queue_max: int = -1,
    ) -> None:
        """Sort `views` into their queues; those without a queue are left out.

        With `per_queue_max` only so many of each queue, the first by rank, are taken (-1: all).
        """
        self._session = session
        self._backwards = backwards
        self._waiting: dict[str, list[View]] = {}
        self._given: dict[str, list[Amounts]] = {}
        for view in views:
            self.push(view)
        if per_queue_max >= 0:
            for queue, waiting in self._waiting.items():
                self._waiting[queue] = sorted(waiting, key=View.rank)[:per_queue_max]

    def push(self, view: View) -> None:
        """Let a job wait for its turn."""
        if self._session.queue_of(view.job) is not None:
            self._waiting.setdefault(view.job.queue, []).append(view)

    def pop(self) -> View | None:
        """Return the next job and forget it; `None` where there is none."""
        leaf = self._next_leaf(self._session.tree.roots)
        if leaf is None:
            return None
        view = self._first(leaf)
        self._waiting[leaf.name].remove(view)
        if self._backwards:
            self._given.setdefault(leaf.name, []).append(view.held())
        return view

    def _next_leaf(self, shares: list[Share]) -> Share | None:
        """Return the leaf below `shares` whose turn it is."""
        bests = [(share, leaf) for share in shares if (leaf := self._best_leaf(share))]
        if not bests:
            return None
        if len(bests) == 1:
            return bests[0][1]
        contenders = [(self._contender(share, leaf), leaf) for share, leaf in bests]
        sign = -1 if self._backwards else 1

        def in_turn(left: tuple[Contender, Share], right: tuple[Contender, Share]) -> int:
            return sign * compare(left[0], right[0], self._session.measure)

        return min(contenders, key=cmp_to_key(in_turn))[1]

    def _best_leaf(self, share: Share) -> Share | None:
        """Return the leaf at or below `share` that speaks for it."""
        if share.children:
            return self._next_leaf(share.children)
        return share if self._waiting.get(share.name) else None

    def _contender(self, share: Share, leaf: Share) -> Contender:
        view = self._first(leaf)
        if self._backwards:
            given = self._given.get(leaf.name, [])
            return Contender(share, victims=(*given, view.held()))
        return Contender(share, job=total(view.to_start(really=False)))

    def _first(self, leaf: Share) -> View:
        waiting = self._waiting[leaf.name]
        return max(waiting, key=View.rank) if self._backwards else min(waiting, key=View.rank)
