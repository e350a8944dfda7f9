"""Moving small jobs together, so that a gang lands on capacity that is free but scattered.

Sixteen nodes with one free GPU each are enough for two pods of eight, and no help to them. Some of
those who run may be moved: stopped here and started there, which costs them what an eviction costs.
Nobody loses capacity by that, so priority does not matter; the gang lands, and every mover lands as
well, all in one trial, or nothing happens at all.

Movers are the cheapest set that makes room (`cheapest`), of those that are small enough, movable,
and not spared for any other reason. Then the gang is placed, and after it the movers, the largest
first. Who finds no place is not moved in the next attempt; attempts are counted. The move must be
worth it: the device time that the gang gains within the horizon, against `gain_pct_min` percent of
what the moves cost. The cheapest set is asked first, so where that one is not worth it none is.

Whether a set of movers lands is asked of a function: `consolidate` asks the nodes alone;
`scheduling.moves` asks the queues as well, where quota in another flavor may have to be found.

KAI-Scheduler v0.17 does likewise (pkg/scheduler/actions/consolidation: every victim re-placed, 16
of them by default), without asking what it costs. It goes by nodes of a scenario, not by cost.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

from gpuyard.model.deltas import PodBound
from gpuyard.model.running import Running
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.cost import (
    NS_PER_S,
    Candidate,
    Gang,
    Limits,
    VictimRules,
)
from gpuyard.scheduling.preemption.cheapest.victims import (
    NoVictims,
    Victims,
    cheapest,
    depart,
    land,
)
from gpuyard.scheduling.snapshot import Snapshot

HOUR_NS = 3600 * NS_PER_S
Landed = TypeVar("Landed")


class ConsolidationRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may be moved, and when that is worth it.

    A mover holds at most `mover_device_milli_max`, and there are at most `movers_max`. What the
    gang gains is its devices times `gain_horizon_ns`: how much sooner it starts. That must reach
    `gain_pct_min` percent of the cost. `attempts_max` bounds how often somebody is left out. A
    cycle looks for movers when a gang has waited `after_ns`, and again each time that it has waited
    twice as long, for at most `looks_per_cycle_max` gangs; the others come next time.
    """

    mover_device_milli_max: int = 4000
    movers_max: int = 16
    gain_horizon_ns: int = HOUR_NS
    gain_pct_min: int = 200
    attempts_max: int = 3
    after_ns: int = 300 * NS_PER_S
    looks_per_cycle_max: int = 2


class Move(msgspec.Struct, frozen=True):
    """A workload, and where all its pods stand afterwards."""

    workload: str
    assignments: tuple[Assignment, ...]


class Consolidation(msgspec.Struct, frozen=True, kw_only=True):
    """Who moves where, where the gang lands, and what both are worth."""

    moves: tuple[Move, ...]
    landing: tuple[Assignment, ...]
    cost_device_ms: int
    gain_device_ms: int


class NoConsolidation(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody moves, and why; cost and gain where they decided."""

    code: Literal[
        "FitsAlready",  # nothing needs to move
        "TooLittleFree",  # fewer devices are free in all than the gang asks for
        "NoMovers",  # no set of movers makes room
        "TooManyMovers",  # the cheapest set has more than the rules allow
        "MoversDoNotLand",  # those that would have to move find no place elsewhere
        "NotWorthIt",  # the gain is too small for the cost
    ]
    cost_device_ms: int = 0
    gain_device_ms: int = 0


class Stuck(msgspec.Struct, frozen=True):
    """A set of movers does not do: `workload` finds no place; "": the gang itself finds none."""

    workload: str = ""


def consolidate(
    placer: Placer,
    gang: Gang,
    running: Iterable[Running],
    *,
    consolidation: ConsolidationRules,
    rules: VictimRules,
    limits: Limits,
    now_ns: int,
) -> Consolidation | NoConsolidation:
    """Return who moves where so that `gang` lands; the placer's snapshot is as before.

    Of `rules` everything counts but `whom`: a mover gets its place back.
    """
    anybody = msgspec.structs.replace(rules, whom="offered")

    def choose(offered: Iterable[Running]) -> Victims | NoVictims:
        return cheapest(placer, gang, offered, rules=anybody, limits=limits, now_ns=now_ns)

    def land_all(found: Victims) -> Consolidation | Stuck:
        return _on_nodes(placer, gang, found, consolidation, rules.exact_limit_s)

    if free_device_milli(placer.snapshot) < gang.device_milli:
        return NoConsolidation(code="TooLittleFree")
    small = [one for one in running if is_small(placer.snapshot, one, consolidation)]
    return movers(gang, small, consolidation, choose, land_all)


def movers(
    gang: Gang,
    running: Iterable[Running],
    consolidation: ConsolidationRules,
    choose: Callable[[Iterable[Running]], Victims | NoVictims],
    land_all: Callable[[Victims], Landed | Stuck],
) -> Landed | NoConsolidation:
    """Return what `land_all` makes of the cheapest movers that are worth it and all land.

    `choose` names the cheapest of those who are offered.
    """
    gain_device_ms = gain_of(gang, consolidation)
    offered = list(running)
    has_left_out = False
    for _ in range(consolidation.attempts_max):
        found = choose(offered)
        if not isinstance(found, Victims):
            return NoConsolidation(code="MoversDoNotLand" if has_left_out else "NoMovers")
        refused = _refused(found, gain_device_ms, consolidation)
        if refused is not None:
            return refused
        landed = land_all(found)
        if not isinstance(landed, Stuck):
            return landed
        if not landed.workload:
            break
        offered = [one for one in offered if one.key != landed.workload]
        has_left_out = True
    return NoConsolidation(code="MoversDoNotLand")


def gain_of(gang: Gang, consolidation: ConsolidationRules) -> int:
    """Return the device time that `gang` gains, in thousandths of a second."""
    return gang.device_milli * consolidation.gain_horizon_ns // NS_PER_S


def free_device_milli(snapshot: Snapshot) -> int:
    """Return how many thousandths of devices are free in all, on nodes that take pods."""
    fleet = snapshot.fleet
    takes_pods = [slot for slot, node in snapshot.nodes.items() if not node.unschedulable]
    return int(fleet.device_free[takes_pods].clip(min=0).sum())


def is_small(snapshot: Snapshot, one: Running, consolidation: ConsolidationRules) -> bool:
    """Tell whether a workload may be moved at all."""
    held = [
        snapshot.bookings[pod].assignment.device_milli
        for pod in one.pods
        if pod in snapshot.bookings
    ]
    return one.movable and sum(held) <= consolidation.mover_device_milli_max


def _refused(
    found: Victims, gain_device_ms: int, consolidation: ConsolidationRules
) -> NoConsolidation | None:
    """Return why `found` do not move, wherever they could land; `None` where they may."""
    if not found.candidates:
        return NoConsolidation(code="FitsAlready")
    cost_device_ms = found.cost_device_ms
    if 100 * gain_device_ms < consolidation.gain_pct_min * cost_device_ms:
        return NoConsolidation(
            code="NotWorthIt", cost_device_ms=cost_device_ms, gain_device_ms=gain_device_ms
        )
    if len(found.candidates) > consolidation.movers_max:
        return NoConsolidation(code="TooManyMovers")
    return None


def _on_nodes(
    placer: Placer,
    gang: Gang,
    found: Victims,
    consolidation: ConsolidationRules,
    exact_limit_s: float,
) -> Consolidation | Stuck:
    """Place the gang and then every mover, on trial."""
    snapshot = placer.snapshot
    moves = []
    with snapshot.trial():
        held = depart(snapshot, found.candidates)
        for assignment in found.landing:
            snapshot.apply(PodBound(assignment))
        for mover in largest_first(found.candidates):
            pods = [
                (booking.assignment.pod, booking.assignment.template)
                for booking in held[mover.running.key]
            ]
            assignments = land(placer, pods, exact_limit_s)
            if assignments is None:
                return Stuck(mover.running.key)
            moves.append(Move(mover.running.key, assignments))
    return Consolidation(
        moves=tuple(sorted(moves, key=lambda move: move.workload)),
        landing=found.landing,
        cost_device_ms=found.cost_device_ms,
        gain_device_ms=gain_of(gang, consolidation),
    )


def largest_first(movers: Sequence[Candidate]) -> list[Candidate]:
    """Return `movers` in the order in which they look for places."""
    return sorted(movers, key=lambda mover: (-mover.device_milli, mover.running.key))
