"""Every set of candidates that is cheaper than a known one, in the order of cost.

Of `n` candidates there are 2**n sets, so this is for few: those that cost no more than the whole
set to beat (nobody else can be part of a cheaper one), at most `VictimRules.exhaustive_max`. Sets
that cannot do are passed over without a trial: those beyond a limit, those that free too little of
some single thing (`Freed.bounds`), those that make no room for all pods of one shape even by
themselves (`Freed.room`). Whoever asks places the gang on trial for each set that is left; the
first that lands is the cheapest there is.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.preemption.cheapest.cost import Candidate, VictimRules
from gpuyard.scheduling.preemption.cheapest.freed import Freed

FloatArray = NDArray[np.float64]

BLOCK_ROWS = 1 << 13  # sets times places whose room is worked out at once


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What every set has to do: room for each shape, and devices for all of them together."""

    shapes: tuple[Freed, ...]
    device_milli_missing: int


class ExhaustedError(Exception):
    """There is more to look at than the rules allow."""


def cheaper_sets(
    demand: Demand,
    candidates: Sequence[Candidate],
    left: IntArray,
    rules: VictimRules,
    bound: tuple[int, int] | None,
) -> Iterator[tuple[int, ...]]:
    """Yield sets of positions that are better than `bound`, a (cost, number of victims).

    Raises
    ------
    ExhaustedError
        where the rules' limits end the search before every set was looked at.

    """
    cost: IntArray = np.array([one.cost_device_ms for one in candidates], dtype=np.int64)
    matters: BoolArray = np.zeros(len(candidates), dtype=np.bool_)
    for freed in demand.shapes:
        matters[freed.who] = True
    if bound is not None:
        matters[cost > bound[0]] = False
    who = np.flatnonzero(matters)
    if len(who) > rules.exhaustive_max:
        raise ExhaustedError
    sets = _subsets(len(who))
    paid, size = sets @ cost[who], sets.sum(axis=1)
    worth_it: BoolArray = _is_possible(
        sets, [candidates[one] for one in who.tolist()], left, demand
    )
    if bound is not None:
        worth_it &= (paid < bound[0]) | ((paid == bound[0]) & (size < bound[1]))
    for freed in demand.shapes:
        worth_it &= _could_do(freed, sets, who)
    order = np.flatnonzero(worth_it)
    order = order[np.lexsort((order, size[order], paid[order]))]
    for members in _with_room(demand.shapes, sets[order].astype(np.float64), who, rules.rows_max):
        yield tuple(who[members].tolist())


def _is_possible(
    sets: IntArray, candidates: list[Candidate], left: IntArray, demand: Demand
) -> BoolArray:
    """Tell for each set whether it stays within the limits and frees devices enough in all."""
    takes = np.array([one.takes for one in candidates], dtype=np.int64)
    held = np.array([one.device_milli for one in candidates], dtype=np.int64)
    taken = sets @ takes.reshape(len(candidates), len(left))
    possible: BoolArray = (taken <= left).all(axis=1) & (sets @ held >= demand.device_milli_missing)
    return possible


def _could_do(freed: Freed, sets: IntArray, who: IntArray) -> BoolArray:
    """Tell for each set whether it frees enough of each single thing that a pod needs."""
    enough = np.ones(len(sets), dtype=np.bool_)
    for base, more in freed.bounds():
        opened = np.zeros(freed.size, dtype=np.int64)
        np.add.at(opened, freed.who, more)
        enough &= freed.elsewhere + base + sets @ opened[who] >= freed.count
    return enough


def _with_room(
    shapes: Sequence[Freed], sets: FloatArray, who: IntArray, rows_max: int
) -> Iterator[BoolArray]:
    """Yield, of `sets` in their order, those with room for each shape, as masks over `who`."""
    places = max(1, *(len(freed.slots) for freed in shapes))
    block = max(1, BLOCK_ROWS // places)
    by_shape = [(freed, *_by_candidate(freed, who)) for freed in shapes]
    for start in range(0, len(sets), block):
        if start * places > rows_max:
            raise ExhaustedError
        some = sets[start : start + block]
        enough = np.ones(len(some), dtype=np.bool_)
        for freed, free_by, left_by in by_shape:
            enough &= _total(freed, some, free_by, left_by) >= freed.count
        yield from some[enough].astype(np.bool_)


def _by_candidate(freed: Freed, who: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return what each of `who` frees at every place: [candidate, place, column] and devices.

    Floats, for the sake of a fast product; amounts below 2**53 are exact.
    """
    position = np.full(freed.size, -1)
    position[who] = np.arange(len(who))
    entries = np.flatnonzero(position[freed.who] >= 0)
    row, place = position[freed.who[entries]], freed.place[entries]
    free_by = np.zeros((len(who), *freed.free.shape))
    left_by = np.zeros((len(who), *freed.left.shape))
    free_by[row, place] = freed.freed[entries]
    left_by[row, place] = freed.freed_left[entries]
    return free_by, left_by


def _total(freed: Freed, sets: FloatArray, free_by: FloatArray, left_by: FloatArray) -> IntArray:
    """Return for each set how many pods fit in all once it has left."""
    free = freed.free + np.tensordot(sets, free_by, axes=1).astype(np.int64)
    left = freed.left + np.tensordot(sets, left_by, axes=1).astype(np.int64)
    rows = len(sets) * len(freed.slots)
    room = freed.room(free.reshape(rows, free.shape[2]), left.reshape(rows, left.shape[2]))
    total: IntArray = freed.elsewhere + room.reshape(len(sets), len(freed.slots)).sum(axis=1)
    return total


def _subsets(size: int) -> IntArray:
    """Return every subset of `size` things: [subset, thing], 0 or 1."""
    return (np.arange(1 << size, dtype=np.int64)[:, None] >> np.arange(size)) & 1
