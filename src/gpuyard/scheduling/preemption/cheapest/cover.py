"""A cheap set of candidates that together make room for so many pods of one shape.

A covering problem with two twists: a candidate is a whole workload and frees places on many nodes
at once, and a place often opens only when several candidates leave (eight one-GPU jobs for a pod of
eight GPUs). Three sets are worked out and the cheapest is improved:

- *greedy*: take the move with the least cost per place that is still missing. A move is one
  candidate, or a bundle: what would have to leave one node together, cheapest first. A bundle is
  judged by everything that it frees, here and on other nodes. Where limits get in the way it starts
  once more and spends those sparingly. At the end each victim whose room is not needed is given
  back, the most expensive first.
- *everybody goes* and is given back, the most expensive first; and the same, the most expensive per
  device first. Poor where victims do not depend on each other, quick and good where all do.
- *swap*: forbid one victim of the best set and cover the hole again; keep what is cheaper.

The work is bounded by counted rows (`VictimRules.rows_max`: greedy has two thirds, swaps have what
is left), so the answer does not depend on the machine. Whether a cheaper set exists is
`exhaustive`'s question.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.preemption.cheapest.cost import Candidate, VictimRules
from gpuyard.scheduling.preemption.cheapest.freed import Freed

FloatArray = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)

BUNDLES_MAX = 32  # nodes whose bundle is looked at closely in one round
AS_GOOD = 1.5  # moves within so much of the best of a round are taken in the same round
SWAPS_MAX = 64
ROUND_ROWS = 2000  # what a round costs beside its rows, in rows


class Move(msgspec.Struct, frozen=True):
    """Candidates that leave together, what that costs, and how many places it gives."""

    who: tuple[int, ...]
    cost: float
    gain: int


def cover(
    freed: Freed, candidates: Sequence[Candidate], left: IntArray, rules: VictimRules
) -> tuple[int, ...] | None:
    """Return the positions of the victims, `None` where no set was found that stays within `left`.

    `left` is what remains of each limit that candidates take from (`cost.left`).
    """
    search = _Search(freed, candidates, left, rules)
    found = search.first()
    return None if found is None else tuple(np.flatnonzero(search.swapped(found)).tolist())


class _Search:
    """One search: what is fixed, and how much work is left."""

    def __init__(
        self, freed: Freed, candidates: Sequence[Candidate], left: IntArray, rules: VictimRules
    ) -> None:
        self.freed, self.limit, self.rules = freed, left, rules
        self.size = len(candidates)
        self.cost: IntArray = np.array([one.cost_device_ms for one in candidates], dtype=np.int64)
        self.takes: IntArray = np.array([one.takes for one in candidates], dtype=np.int64).reshape(
            self.size, len(left)
        )
        self.nobody: BoolArray = np.zeros(self.size, dtype=np.bool_)
        self.useless: BoolArray = np.ones(self.size, dtype=np.bool_)
        self.useless[freed.who] = False
        self.rows_left = rules.rows_max
        self.places = [freed.place[entries].tolist() for entries in freed.of]
        weight = 1 + freed.freed_left.sum(axis=1)
        total = np.bincount(freed.who, weights=weight, minlength=self.size)
        self.part: FloatArray = weight / total[freed.who]  # of a candidate's whole, entry by entry

    def first(self) -> BoolArray | None:
        """Return the cheapest of the sets that greedy finds or that are left of everybody."""
        freed, everybody = self.freed, ~self.useless
        if freed.total(everybody) < freed.count:
            return None
        self.rows_left = 2 * self.rules.rows_max // 3
        greedy = self._greedy(self.nobody, self.useless, self.cost.astype(np.float64))
        if greedy is None and len(self.limit):
            spent = (self.takes / np.maximum(1, self.limit)).max(axis=1)
            price = spent + self.cost / (1 + self.cost.max())
            greedy = self._greedy(self.nobody, self.useless, price)
        self.rows_left += self.rules.rows_max // 3
        devices = np.bincount(freed.who, weights=freed.freed_left.sum(axis=1), minlength=self.size)
        found = [
            self._given_back(everybody, self.cost),
            self._given_back(everybody, self.cost / (1 + devices)),
            *([] if greedy is None else [self._given_back(greedy, self.cost)]),
        ]
        within = [gone for gone in found if self._is_within(gone, ())]
        return min(within, key=self._worth, default=None)

    def _greedy(self, gone: BoolArray, banned: BoolArray, price: FloatArray) -> BoolArray | None:
        gone = gone.copy()
        while True:
            self.rows_left -= 3 * len(self.freed.who) + ROUND_ROWS
            free, left = self.freed.without(gone)
            room = self.freed.room(free, left)
            missing = self.freed.count - self.freed.elsewhere - int(room.sum())
            if missing <= 0:
                return gone
            if self.rows_left <= 0:
                return None
            moves = self._moves(gone | banned, price, (free, left, room))
            if not self._take(moves, gone, missing):
                return None

    def _take(self, moves: list[Move], gone: BoolArray, missing: int) -> bool:
        """Let the best of `moves` go, and those nearly as good that do not touch its nodes."""
        moves.sort(key=lambda move: (move.cost / min(move.gain, missing), -move.gain, move.who))
        touched: set[int] = set()
        best = 0.0
        for move in moves:
            if not self._is_within(gone, move.who):
                continue
            ratio = move.cost / min(move.gain, missing)
            if touched and (ratio > AS_GOOD * best or move.gain > missing):
                break
            places = set(self.freed.place[self.freed.entries_of(move.who)].tolist())
            if touched & places:
                continue
            best = best if touched else ratio
            touched |= places
            gone[list(move.who)] = True
            missing -= move.gain
            if missing <= 0:
                break
        return bool(touched)

    def _is_within(self, gone: BoolArray, who: Sequence[int]) -> bool:
        taken = self.takes[gone].sum(axis=0) + self.takes[list(who)].sum(axis=0)
        return bool((taken <= self.limit).all())

    def _moves(
        self,
        closed: BoolArray,
        price: FloatArray,
        now: tuple[IntArray, IntArray, IntArray],
    ) -> list[Move]:
        """Return every candidate that helps alone, and the best bundles; none of `closed`."""
        freed, (free, left, room) = self.freed, now
        entries = np.flatnonzero(~closed[freed.who])
        place = freed.place[entries]
        after = freed.room(
            free[place] + freed.freed[entries], left[place] + freed.freed_left[entries]
        )
        gain = np.zeros(self.size, dtype=np.int64)
        np.add.at(gain, freed.who[entries], after - room[place])
        moves = [
            Move((one,), float(price[one]), int(gain[one])) for one in np.flatnonzero(gain).tolist()
        ]
        several = sorted({who for who in self._bundles(entries, price, now) if len(who) > 1})
        for who, gained in zip(several, freed.gains(several, free, left, room), strict=True):
            moves.append(Move(who, float(price[list(who)].sum()), gained))
        return moves

    def _bundles(
        self,
        entries: IntArray,
        price: FloatArray,
        now: tuple[IntArray, IntArray, IntArray],
    ) -> list[tuple[int, ...]]:
        """Return for the most promising nodes who would have to leave them together.

        On each node candidates are lined up twice, by price and by price per device; a bundle is
        the beginning of such a line that opens places at the least price. Who frees other nodes too
        counts with the part of the price that this node is of the whole.
        """
        part = price[self.freed.who[entries]] * self.part[entries]
        size = 1 + self.freed.freed_left[entries].sum(axis=1)
        found: list[tuple[float, int, IntArray]] = []
        for key in (part, part / size):
            order = np.lexsort((entries, key, self.freed.place[entries]))
            found += self._beginnings(entries[order], part[order], now)
        found.sort(key=lambda one: (one[0], one[1], len(one[2])))
        return self._needed([line for _, _, line in found[:BUNDLES_MAX]], price, now)

    def _beginnings(
        self, line: IntArray, part: FloatArray, now: tuple[IntArray, IntArray, IntArray]
    ) -> list[tuple[float, int, IntArray]]:
        """Return (price per place, place, entries) of the best beginning at each place."""
        freed, (free, left, room) = self.freed, now
        if not len(line):
            return []
        place = freed.place[line]
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        lengths = np.diff(starts, append=len(line))
        after = freed.room(
            free[place] + _running_sums(freed.freed[line], starts, lengths),
            left[place] + _running_sums(freed.freed_left[line], starts, lengths),
        )
        gain = after - room[place]
        paid = _running_sums(part[:, None], starts, lengths)[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(gain > 0, paid / gain, np.inf)
        least = np.minimum.reduceat(ratio, starts)
        promising = np.argsort(least, kind="stable")[:BUNDLES_MAX]
        found = []
        for group in promising[np.isfinite(least[promising])].tolist():
            start, length = starts[group], lengths[group]
            end = start + int(ratio[start : start + length].argmin()) + 1
            found.append((float(least[group]), int(place[start]), line[start:end]))
        return found

    def _needed(
        self,
        lines: Sequence[IntArray],
        price: FloatArray,
        now: tuple[IntArray, IntArray, IntArray],
    ) -> list[tuple[int, ...]]:
        """Return the candidates of each beginning without those that its node does not need.

        Of each line one is dropped at a time, the first that is to spare, the largest price first;
        lines do not touch each other, so all of them are worked on at once.
        """
        freed, (free, left, _) = self.freed, now
        if not lines:
            return []
        lengths = np.array([len(line) for line in lines])
        which = np.repeat(np.arange(len(lines)), lengths)
        kept = np.concatenate(lines)
        in_order = np.lexsort((-price[freed.who[kept]], which))
        kept, which = kept[in_order], which[in_order]
        place = freed.place[kept[np.cumsum(lengths) - lengths]]
        free_all, left_all = free[place], left[place]
        np.add.at(free_all, which, freed.freed[kept])
        np.add.at(left_all, which, freed.freed_left[kept])
        room_all = freed.room(free_all, left_all)
        is_kept = np.ones(len(kept), dtype=np.bool_)
        rows = np.flatnonzero(lengths[which] > 1)
        while len(rows):
            entries, of = kept[rows], which[rows]
            without_one = freed.room(
                free_all[of] - freed.freed[entries], left_all[of] - freed.freed_left[entries]
            )
            spare = np.flatnonzero(without_one == room_all[of])
            lines_left, first = np.unique(of[spare], return_index=True)
            gone = rows[spare[first]]
            is_kept[gone] = False
            free_all[lines_left] -= freed.freed[kept[gone]]
            left_all[lines_left] -= freed.freed_left[kept[gone]]
            lengths[lines_left] -= 1
            goes_on = np.zeros(len(lines), dtype=np.bool_)
            goes_on[lines_left] = lengths[lines_left] > 1
            rows = rows[goes_on[of] & is_kept[rows]]
        members: list[list[int]] = [[] for _ in lines]
        for line, who in zip(
            which[is_kept].tolist(), freed.who[kept[is_kept]].tolist(), strict=True
        ):
            members[line].append(who)
        return [tuple(sorted(each)) for each in members]

    def _given_back(self, gone: BoolArray, price: FloatArray | IntArray) -> BoolArray:
        """Return `gone` without those that are not needed, the largest `price` first."""
        freed, gone = self.freed, gone.copy()
        free, left = freed.without(gone)
        room = freed.room(free, left)
        spare = freed.elsewhere + int(room.sum()) - freed.count
        victims = np.flatnonzero(gone)
        for block in self._side_by_side(victims[np.argsort(-price[victims], kind="stable")]):
            entries = freed.entries_of(block)
            places = freed.place[entries]
            free_less = free[places] - freed.freed[entries]
            left_less = left[places] - freed.freed_left[entries]
            room_less = freed.room(free_less, left_less)
            lost = np.zeros(self.size, dtype=np.int64)
            np.add.at(lost, freed.who[entries], room[places] - room_less)
            for one, fewer in zip(block, lost[block].tolist(), strict=True):
                if fewer <= spare:
                    spare -= fewer
                    gone[one] = False
            back = ~gone[freed.who[entries]]
            places = places[back]
            free[places], left[places] = free_less[back], left_less[back]
            room[places] = room_less[back]
        return gone

    def _side_by_side(self, line: IntArray) -> Iterator[list[int]]:
        """Yield `line` in pieces in which no two candidates hold anything at the same place."""
        block: list[int] = []
        touched: set[int] = set()
        for one in line.tolist():
            places = self.places[one]
            if not touched.isdisjoint(places):
                yield block
                block, touched = [], set()
            block.append(one)
            touched.update(places)
        if block:
            yield block

    def swapped(self, best: BoolArray) -> BoolArray:
        """Return the cheapest set found by forbidding one victim after the other."""
        price = self.cost.astype(np.float64)
        tried: set[int] = set()
        for _ in range(SWAPS_MAX):
            worth = [one for one in np.flatnonzero(best).tolist() if one not in tried]
            if not worth or self.rows_left <= 0:
                break
            out = max(worth, key=lambda one: (self.cost[one], -one))
            tried.add(out)
            gone, banned = best.copy(), self.useless.copy()
            gone[out], banned[out] = False, True
            found = self._greedy(gone, banned, price)
            if found is not None:
                found = self._given_back(found, self.cost)
                if self._worth(found) < self._worth(best):
                    best = found
                    tried.clear()
        return best

    def _worth(self, gone: BoolArray) -> tuple[int, int]:
        return int(self.cost[gone].sum()), int(np.count_nonzero(gone))


def _running_sums(amounts: NDArray[Number], starts: IntArray, lengths: IntArray) -> NDArray[Number]:
    """Return running sums of the rows of `amounts` that begin anew at each of `starts`."""
    sums = np.cumsum(amounts, axis=0)
    before = np.concatenate([np.zeros_like(sums[:1]), sums])[starts]
    anew: NDArray[Number] = sums - np.repeat(before, lengths, axis=0)
    return anew
