"""Gpuyard's own way of making room: the legal victims that cost the least device time.

In go a gang that does not fit, everybody who runs, the rules and what the limits leave. Out comes a
set of whole workloads, what their eviction costs, and where the gang lands on the room they leave:
that landing is what a hold keeps free until the gang is there. Or why there is no such set.

How: who is not legal stays out of it from the start (`cost.spared`). Arithmetic over arrays finds a
cheap set (`cover`), shape by shape where the gang has several. Then it is made true: the victims
leave on trial, and the gang is placed by the placer with all its filters. Where that fails, because
pods elsewhere or host ports matter, the set grows until the gang lands. Whoever is not needed is
given back, the most expensive first. Where few candidates could be part of something cheaper, every
cheaper set is tried (`exhaustive`). At the end each victim is looked at again: still legal, and all
together within the limits; Kueue's fair sharing loops for want of that look (kueue#14543).

Other schedulers minimise something else: kube-scheduler the priority of the victims, node by node;
Kueue evicts by order and gives back, so no victim is superfluous but the set may be any number of
times as expensive as another (kueue v0.19.2, pkg/scheduler/preemption). Here nobody is evicted for
a gang that would not land anyway, and a gang that fits needs no victims.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.running import Running
from gpuyard.model.workloads import Assignment, PodTemplate
from gpuyard.scheduling import exact
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.cost import (
    Candidate,
    Gang,
    Limits,
    Spared,
    VictimRules,
    candidate,
    left,
    spared,
    stays_within,
)
from gpuyard.scheduling.preemption.cheapest.cover import cover
from gpuyard.scheduling.preemption.cheapest.exhaustive import Demand, ExhaustedError, cheaper_sets
from gpuyard.scheduling.preemption.cheapest.freed import Freed
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Booking, Snapshot

Landing = tuple[Assignment, ...]


class Victims(msgspec.Struct, frozen=True, kw_only=True):
    """Who has to go, sorted by key, and where the gang lands then.

    `is_cheapest` says that every cheaper set was looked at and none makes room.
    """

    candidates: tuple[Candidate, ...] = ()
    landing: Landing
    is_cheapest: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The workloads that have to go."""
        return tuple(one.running.key for one in self.candidates)

    @property
    def cost_device_ms(self) -> int:
        """What it costs to evict them all."""
        return sum(one.cost_device_ms for one in self.candidates)

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that they hold: what the brake counts."""
        return sum(one.device_milli for one in self.candidates)

    @property
    def grace_ns(self) -> int:
        """How long it may take until all their room is free."""
        return max((one.running.grace_ns for one in self.candidates), default=0)


class NoVictims(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is evicted, and why; `spared` counts who may not be, by reason."""

    code: Literal[
        "NobodyLegal",  # nobody may be evicted for the gang
        "NotEvenWithoutThem",  # it would not fit if all of them left
        "LimitsBind",  # it would, but no set within brake and budgets was found
    ]
    spared: tuple[tuple[Spared, int], ...] = ()


def cheapest(
    placer: Placer,
    gang: Gang,
    running: Iterable[Running],
    *,
    rules: VictimRules,
    limits: Limits,
    now_ns: int,
) -> Victims | NoVictims:
    """Return whom to evict so that `gang` lands; the placer's snapshot is as before.

    `running` may hold anybody, and in any order: who is not legal is left out.
    """
    legal: list[Candidate] = []
    not_legal: Counter[Spared] = Counter()
    for one in sorted(running, key=lambda one: one.key):
        known = candidate(placer.snapshot, one, rules, limits, now_ns)
        reason = spared(gang, known, rules, limits)
        if reason is None:
            legal.append(known)
        else:
            not_legal[reason] += 1
    answer = cheapest_of(placer, gang, legal, rules=rules, limits=limits)
    if isinstance(answer, NoVictims):
        by_reason = tuple(sorted(not_legal.items()))
        return msgspec.structs.replace(answer, spared=by_reason)
    return answer


def cheapest_of(
    placer: Placer,
    gang: Gang,
    legal: Iterable[Candidate],
    *,
    rules: VictimRules,
    limits: Limits,
) -> Victims | NoVictims:
    """Return whom of those that are `legal` to evict so that `gang` lands."""
    in_order = sorted(legal, key=lambda known: known.order)
    answer = _Question(placer, gang, in_order, rules, limits).answer()
    if isinstance(answer, Victims):
        again = [spared(gang, victim, rules, limits) for victim in answer.candidates]
        assert not any(again), f"victims that must be spared: {again}"
        assert stays_within(answer.candidates, limits), "victims beyond the limits"
    return answer


class _Question:
    """One gang and its legal victims, the cheapest first."""

    def __init__(
        self,
        placer: Placer,
        gang: Gang,
        legal: Sequence[Candidate],
        rules: VictimRules,
        limits: Limits,
    ) -> None:
        self.placer, self.gang, self.legal, self.rules = placer, gang, legal, rules
        self.limits, self.left = limits, left(limits)
        self.shapes = by_shape(placer.snapshot, gang.pods)
        self.landings_left = rules.landings_max
        self._freed: dict[Shape, Freed] = {}

    def answer(self) -> Victims | NoVictims:
        if self._may_fit():
            landing = self.landing(())
            if landing is not None:
                return Victims(landing=landing, is_cheapest=True)
        if not self.legal:
            return NoVictims(code="NobodyLegal")
        if not self._may_fit_without_them():
            return NoVictims(code="NotEvenWithoutThem")
        found = self._some()
        if found is None and self.landing(self.legal) is None:
            return NoVictims(code="NotEvenWithoutThem")
        if found is not None and not self._is_simple():
            found = self._given_back(found)
        return self._cheaper(found)

    def _may_fit(self) -> bool:
        """Tell whether each shape by itself has room as things are."""
        return all(
            int(np.minimum(self.placer.room(shape), len(members)).sum()) >= len(members)
            for shape, members in self.shapes.items()
        )

    def _may_fit_without_them(self) -> bool:
        """Tell whether each shape by itself would have room if everybody legal left.

        Room is an upper bound: where it is too small no landing has to be tried.
        """
        everybody = np.ones(len(self.legal), dtype=np.bool_)
        return all(
            self._by_all(shape).total(everybody) >= len(members)
            for shape, members in self.shapes.items()
        )

    def landing(self, victims: Sequence[Candidate]) -> Landing | None:
        """Return where the gang lands once `victims` have left; the snapshot is as before."""
        self.landings_left -= 1
        with self.placer.snapshot.trial():
            depart(self.placer.snapshot, victims)
            return land(self.placer, self.gang.pods, self.rules.exact_limit_s)

    def _found(self, victims: Sequence[Candidate]) -> Victims | None:
        """Return `victims` as an answer, if the gang lands once they have left."""
        landing = self.landing(victims)
        if landing is None:
            return None
        in_order = tuple(sorted(victims, key=lambda one: one.running.key))
        return Victims(candidates=in_order, landing=landing, is_cheapest=False)

    def _is_simple(self) -> bool:
        """Tell whether arithmetic has the last word: one shape, and nothing but room matters."""
        shape = next(iter(self.shapes))
        is_alone = len(self.shapes) == 1 and not shape.constraints.host_ports
        return is_alone and not self.placer.depends_on_pods(shape)

    def _some(self) -> Victims | None:
        """Return victims that let the gang land, not yet the fewest."""
        victims = self._by_shape()
        found = None if victims is None else self._found(victims)
        return found or self._growing(victims or [])

    def _by_shape(self) -> list[Candidate] | None:
        """Make room for one shape after the other, each on what the ones before it left."""
        snapshot = self.placer.snapshot
        victims: list[Candidate] = []
        with snapshot.trial():
            for shape, members in self.shapes.items():
                gone = {victim.running.key for victim in victims}
                rest = [one for one in self.legal if one.running.key not in gone]
                if len(self.shapes) == 1:
                    freed = self._by_all(shape)
                else:  # the shapes before it have taken their places
                    freed = Freed(self.placer, shape, len(members), rest)
                found = cover(freed, rest, self._left_after(victims), self.rules)
                if found is None:
                    return None
                more = [rest[position] for position in found]
                depart(snapshot, more)
                victims += more
                if len(self.shapes) > 1 and self.placer.place_all(members) is None:
                    return None
        return victims

    def _by_all(self, shape: Shape) -> Freed:
        """Return what all legal victims would free for `shape`, as long as none has left."""
        if shape not in self._freed:
            count = len(self.shapes[shape])
            self._freed[shape] = Freed(self.placer, shape, count, self.legal)
        return self._freed[shape]

    def _left_after(self, victims: Sequence[Candidate]) -> IntArray:
        taken = np.array([victim.takes for victim in victims], dtype=np.int64)
        remaining: IntArray = self.left - taken.reshape(len(victims), len(self.left)).sum(axis=0)
        return remaining

    def _growing(self, victims: list[Candidate]) -> Victims | None:
        """Add to `victims` the cheapest per device, in steps that double, until the gang lands."""
        grown, step = list(victims), 1
        chosen = {victim.running.key for victim in victims}
        rest = [one for one in self.legal if one.running.key not in chosen]
        rest.sort(key=lambda one: (one.cost_device_ms / (1 + one.device_milli), one.running.key))
        for tried, one in enumerate(rest, start=1):
            if stays_within([*grown, one], self.limits):
                grown.append(one)
            if tried == step or tried == len(rest):
                step *= 2
                found = self._found(grown)
                if found is not None:
                    return found
        return None

    def _given_back(self, found: Victims) -> Victims:
        """Return `found` without those whose room the gang does not need."""
        snapshot = self.placer.snapshot
        kept = sorted(found.candidates, key=lambda one: one.order)
        landing = found.landing
        with snapshot.trial():
            bookings = depart(snapshot, kept)
            for one in reversed(list(kept)):
                if self.landings_left <= 0:
                    break
                with snapshot.trial() as trial:
                    come_back(snapshot, bookings[one.running.key])
                    landed = self.landing(())
                    if landed is not None:
                        kept.remove(one)
                        landing = landed
                        trial.keep()
        in_order = tuple(sorted(kept, key=lambda one: one.running.key))
        return Victims(candidates=in_order, landing=landing, is_cheapest=False)

    def _cheaper(self, found: Victims | None) -> Victims | NoVictims:
        """Return the first cheaper set with which the gang lands, else `found`."""
        bound = None if found is None else (found.cost_device_ms, len(found.candidates))
        freed = tuple(self._by_all(shape) for shape in self.shapes)
        spare = int(np.maximum(0, self.placer.snapshot.fleet.device_free).sum())
        demand = Demand(shapes=freed, device_milli_missing=self.gang.device_milli - spare)
        is_complete = True
        try:
            for positions in cheaper_sets(demand, self.legal, self.left, self.rules, bound):
                cheaper = self._found([self.legal[position] for position in positions])
                if cheaper is not None:
                    found = cheaper
                    break
                if self.landings_left <= 0:
                    is_complete = False
                    break
        except ExhaustedError:
            is_complete = False
        if found is None:
            return NoVictims(code="LimitsBind")
        # With several shapes, or where pods elsewhere matter, "does not land" may be the placer's.
        proven = is_complete and self._is_simple()
        return msgspec.structs.replace(found, is_cheapest=proven)


def by_shape(
    snapshot: Snapshot, pods: Iterable[tuple[str, PodTemplate]]
) -> dict[Shape, list[tuple[str, PodTemplate]]]:
    """Return the pods of each shape, the shape that is hardest to place first."""
    groups: dict[Shape, list[tuple[str, PodTemplate]]] = {}
    for pod, template in pods:
        groups.setdefault(snapshot.shape(template), []).append((pod, template))
    return dict(sorted(groups.items(), key=lambda item: exact.size_order(item[0])))


def land(
    placer: Placer, pods: Sequence[tuple[str, PodTemplate]], exact_limit_s: float
) -> Landing | None:
    """Bind all of `pods`: in their order, else the largest first, else by the exact search."""
    landing = placer.place_all(pods)
    shapes = by_shape(placer.snapshot, pods)
    if landing is not None or len(shapes) == 1:
        return landing
    landing = placer.place_all([member for members in shapes.values() for member in members])
    if landing is not None or not exact_limit_s:
        return landing
    found = exact.place(placer, pods, exact_limit_s)
    return found.assignments if found.code == "Placed" else None


def depart(snapshot: Snapshot, victims: Iterable[Candidate]) -> dict[str, list[Booking]]:
    """Let the pods of `victims` leave; return what each victim held, by its key."""
    held: dict[str, list[Booking]] = {}
    for victim in victims:
        pods = [pod for pod in victim.running.pods if pod in snapshot.bookings]
        held[victim.running.key] = [snapshot.bookings[pod] for pod in pods]
        for pod in pods:
            snapshot.apply(PodGone(pod))
    return held


def come_back(snapshot: Snapshot, bookings: Iterable[Booking]) -> None:
    """Bind pods again where they were, on the same devices."""
    for booking in bookings:
        where = msgspec.structs.replace(booking.assignment, devices=booking.devices)
        snapshot.apply(PodBound(where))
