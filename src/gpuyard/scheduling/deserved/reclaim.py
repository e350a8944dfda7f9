"""Whether a queue may take from other queues what is its own: reclaim.

Three questions, from cheap to exact, of one *reclaimer* (a pending job: its queue, what it asks
for, whether it could be preempted itself):

- `may_reclaim`: would its queue stay within its fair share? What cannot be preempted must stay
  within what is deserved.
- `may_lose`: can a queue be a victim at all?
- `is_legal`: given exactly what would be taken from whom, is it right? Queues are compared where
  their paths part (just below the lowest common ancestor). Before every single piece is taken, its
  queue must hold more than it may (*maintain fair share*), or the reclaimer must stay within what
  it deserves while the victim's queue exceeds what that one deserves (*guarantee deserved quota*).
  Afterwards no queue of the reclaimer's path may be as far above its fair share as any sibling
  that gave something: else the next cycle would undo this one. The reclaimer's side of that
  comparison is multiplied (``multiplier_nano``, at least one), to want a clearer difference.

Semantics: KAI Scheduler v0.17, plugins/proportion/reclaimable and its strategies.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from gpuyard.scheduling.deserved.division import NANO
from gpuyard.scheduling.deserved.shares import UNLIMITED, Amounts, Share, ShareTree, plus


class Reclaimer(NamedTuple):
    """Who wants something back."""

    queue: str
    asked: Amounts
    preemptible: bool


Losses = Mapping[str, Sequence[Amounts]]  # by leaf queue: the pieces taken, in this order


def may_reclaim(tree: ShareTree, reclaimer: Reclaimer) -> bool:
    """Tell whether the reclaimer's own queue lets it take from others."""
    share = tree[reclaimer.queue]
    then = plus(share.allocated, reclaimer.asked)
    if any(amount > share.fair[name] for name, amount in then.items()):
        return False
    return reclaimer.preemptible or _fixed_within_deserved(share, reclaimer.asked)


def may_lose(tree: ShareTree, reclaimer: Reclaimer, victim_queue: str) -> bool:
    """Tell whether any piece of `victim_queue` could be legal to take."""
    taker, loser = parting(tree, reclaimer.queue, victim_queue)
    if not _within_deserved(taker, reclaimer.asked):
        return _exceeds_allocatable(loser, loser.allocated)
    has_less = False
    for name, amount in reclaimer.asked.items():
        deserved, held = loser.quotas[name].deserved, loser.allocated[name]
        if amount <= 0 or deserved == UNLIMITED:
            continue
        if held > deserved:
            return True
        has_less |= held < deserved
    return not has_less


def is_legal(
    tree: ShareTree, reclaimer: Reclaimer, losses: Losses, multiplier_nano: int = NANO
) -> bool:
    """Tell whether the reclaimer may take exactly `losses`."""
    left: dict[str, dict[str, int]] = {}
    involved: dict[str, set[str]] = {}
    for queue, pieces in losses.items():
        taker, loser = parting(tree, reclaimer.queue, queue)
        kinds = {name for piece in pieces for name, amount in piece.items() if amount > 0}
        left.setdefault(loser.name, dict(loser.allocated))
        for piece in pieces:
            held = left[loser.name]
            if not _exceeds_allocatable(loser, held) and not (
                _within_deserved(taker, reclaimer.asked) and _exceeds_deserved(loser, held)
            ):
                return False
            for step in tree[queue].to_root():
                left[step.name] = plus(left.get(step.name, step.allocated), piece, -1)
                involved.setdefault(step.name, set()).update(kinds)
    return _stays_below_siblings(tree, reclaimer, left, involved, Fraction(multiplier_nano, NANO))


def parting(tree: ShareTree, left: str, right: str) -> tuple[Share, Share]:
    """Return the ancestors (or selves) of both queues just below their lowest common ancestor.

    Where one queue is an ancestor of the other, the common part ends with the shorter path.
    """
    mine, other = list(tree[left].to_root())[::-1], list(tree[right].to_root())[::-1]
    pairs = list(zip(mine, other, strict=False))
    return next((pair for pair in pairs if pair[0] is not pair[1]), pairs[-1])


def _stays_below_siblings(
    tree: ShareTree,
    reclaimer: Reclaimer,
    left: dict[str, dict[str, int]],
    involved: dict[str, set[str]],
    multiplier: Fraction,
) -> bool:
    asked_kinds = {name for name, amount in reclaimer.asked.items() if amount > 0}
    for taker in tree[reclaimer.queue].to_root():
        then = plus(left.get(taker.name, taker.allocated), reclaimer.asked)
        for name, held in left.items():
            sibling = tree[name]
            if sibling is taker or sibling.parent is not taker.parent:
                continue
            for resource in involved.get(name, set()) | asked_kinds:
                mine = _saturation(then[resource], taker.fair[resource])
                other = _saturation(held[resource], sibling.fair[resource])
                if sibling.fair[resource] > 0 and _is_unfair(mine, other, multiplier):
                    return False
        if not reclaimer.preemptible and not _fixed_within_deserved(taker, reclaimer.asked):
            return False
    return True


def _saturation(held: int, fair: int) -> Fraction | None:
    """Return how often the fair share is held; `None` is infinitely often."""
    if fair == 0:
        return None if held > 0 else Fraction(0)
    return Fraction(held, fair)


def _is_unfair(mine: Fraction | None, other: Fraction | None, multiplier: Fraction) -> bool:
    if mine is None:
        return True
    return mine > 1 and other is not None and mine * multiplier >= other


def _within_deserved(share: Share, asked: Amounts) -> bool:
    then = plus(share.allocated, asked)
    return all(amount <= share.quotas[name].deserved for name, amount in then.items())


def _fixed_within_deserved(share: Share, asked: Amounts) -> bool:
    then = plus(share.fixed, asked)
    return all(amount <= share.quotas[name].deserved for name, amount in then.items())


def _exceeds_deserved(share: Share, held: Amounts) -> bool:
    return any(amount > share.quotas[name].deserved for name, amount in held.items())


def _exceeds_allocatable(share: Share, held: Amounts) -> bool:
    return any(amount > share.allocatable(name) for name, amount in held.items())
