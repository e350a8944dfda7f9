"""Whose turn is next: the order of two queues with a common parent.

The queue comes first that, in this order of the rules,

1. has not more than its fair share of every resource (over it is who exceeds it in all of them);
2. stays within what it deserves with the job that is next in it;
3. has the higher priority;
4. does not, with that job, hold what it has no share of at all;
5. has the smaller dominant share with that job (and without what is to be evicted from it): the
   largest, over all resources, of held / allocatable;
6. has the smaller dominant share as it is;
7. may hold less: not more of any resource, and less of one;
8. is older; then by name.

Semantics: KAI Scheduler v0.17, plugins/proportion/queue_order. A share of a resource of which the
queue may hold nothing counts a thousandfold of what it holds, in KAI's unit: `order` is told what
one unit is.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from gpuyard.scheduling.deserved.shares import NOTHING, UNLIMITED, Amounts, Share, plus

ZERO_SHARE_PENALTY = 1000


class Contender(msgspec.Struct, frozen=True):
    """A queue and what its turn would be about: a job to start, or jobs to evict."""

    share: Share
    job: Amounts = NOTHING
    victims: tuple[Amounts, ...] = ()


class Measure(msgspec.Struct, frozen=True):
    """What the cluster has of each resource, and in which units (1 where not mentioned)."""

    total: Amounts
    units: Mapping[str, int]

    def dominant(self, share: Share, held: Amounts) -> Fraction:
        """Return the largest share that `held` is of what the queue may hold."""
        return max((self._of(share, name, held[name]) for name in held), default=Fraction(0))

    def _of(self, share: Share, resource: str, held: int) -> Fraction:
        may = share.allocatable(resource)
        if may == UNLIMITED:
            may = self.total.get(resource, 0)
        if may == 0:
            return Fraction(held * ZERO_SHARE_PENALTY, self.units.get(resource, 1))
        return Fraction(held, may)


def compare(left: Contender, right: Contender, measure: Measure) -> int:
    """Return -1 where the turn is `left`'s, 1 where it is `right`'s; 0 only for the same queue."""
    mine, other = _early(left), _early(right)
    if mine != other:
        return -1 if mine < other else 1
    mine_late, other_late = _shares(left, measure), _shares(right, measure)
    if mine_late != other_late:
        return -1 if mine_late < other_late else 1
    return _smaller(left.share, right.share) or _older(left.share, right.share)


def _early(contender: Contender) -> tuple[bool, bool, int, bool]:
    """Rules 1 to 4 as a sort key."""
    share = contender.share
    with_job = plus(share.allocated, contender.job)
    return (
        all(share.fair[name] < share.allocated[name] for name in share.allocated),
        any(amount > share.quotas[name].deserved for name, amount in with_job.items()),
        -share.queue.priority,
        any(amount > 0 == share.allocatable(name) for name, amount in with_job.items()),
    )


def _shares(contender: Contender, measure: Measure) -> tuple[Fraction, Fraction]:
    """Rules 5 and 6 as a sort key."""
    share = contender.share
    then: Amounts = plus(share.allocated, contender.job)
    for victim in contender.victims:
        then = plus(then, victim, -1)
    return measure.dominant(share, then), measure.dominant(share, share.allocated)


def _smaller(left: Share, right: Share) -> int:
    """Rule 7."""
    mine = [left.allocatable(name) for name in left.quotas]
    other = [right.allocatable(name) for name in left.quotas]
    pairs: Sequence[tuple[int, int]] = list(zip(mine, other, strict=True))
    if mine != other and all(a <= b for a, b in pairs):
        return -1
    return 1 if mine != other and all(a >= b for a, b in pairs) else 0


def _older(left: Share, right: Share) -> int:
    """Rule 8."""
    mine, other = (left.queue.created_ns, left.name), (right.queue.created_ns, right.name)
    return (mine > other) - (mine < other)
