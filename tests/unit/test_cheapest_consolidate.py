"""Small jobs move together so that a gang lands, or nobody moves."""

import numpy as np
import pytest

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.running import Running
from gpuyard.scheduling.preemption.cheapest.consolidate import (
    Consolidation,
    ConsolidationRules,
    NoConsolidation,
    consolidate,
    free_device_milli,
)
from gpuyard.scheduling.preemption.cheapest.cost import Gang, Limits, VictimRules
from tests.small_fleet import bound, node, placer_of, snapshot_of, template, where

S = 10**9
NOW_NS = 10_000 * S
RULES = VictimRules(eviction_price_device_ms=0)


def runs(snapshot, key, lost_s, *places, of=None, **facts):
    """Start a workload with a pod on each of `places`; its eviction loses `lost_s` seconds."""
    pods = tuple(f"{key}-{index}" for index in range(len(places)))
    for pod, place in zip(pods, places, strict=True):
        snapshot.apply(bound(pod, place, of or template(100, 1)))
    return Running(key=key, pods=pods, started_ns=NOW_NS - lost_s * S, **facts)


def scattered(**facts):
    """Return three nodes of two GPUs, one of each taken, and who took them."""
    snapshot = snapshot_of(*(node(name, gpus="AA", rank=i) for i, name in enumerate("abc")))
    running = [
        runs(snapshot, f"on-{name}", lost_s, name, **facts)
        for name, lost_s in (("a", 300), ("b", 100), ("c", 200))
    ]
    return snapshot, running


def gang_of(count, gpus, **facts):
    pods = tuple((f"g{index}", template(100, gpus)) for index in range(count))
    return Gang(key="gang", pods=pods, **facts)


def ask(snapshot, gang, running, limits=None, **consolidation):
    """Return the answer, after a look that the question left no trace."""
    left, bookings = snapshot.fleet.device_free.copy(), set(snapshot.bookings)
    answer = consolidate(
        placer_of(snapshot),
        gang,
        running,
        consolidation=ConsolidationRules(**consolidation),
        rules=RULES,
        limits=limits or Limits(),
        now_ns=NOW_NS,
    )
    assert np.array_equal(snapshot.fleet.device_free, left)
    assert set(snapshot.bookings) == bookings
    return answer


def test_the_cheapest_mover_makes_way():
    snapshot, running = scattered()
    answer = ask(snapshot, gang_of(1, 2), running)
    assert isinstance(answer, Consolidation)
    assert where(answer.landing) == {"b": 1}
    (move,) = answer.moves
    assert move.workload == "on-b"
    assert set(where(move.assignments)) <= {"a", "c"}
    assert answer.cost_device_ms == 100_000
    assert answer.gain_device_ms == 2 * 3600 * 1000


def test_the_plan_can_be_carried_out():
    snapshot, running = scattered()
    answer = ask(snapshot, gang_of(1, 2), running)
    for move in answer.moves:
        for assignment in move.assignments:
            snapshot.apply(PodGone(assignment.pod))
    for assignment in (
        *answer.landing,
        *(one for move in answer.moves for one in move.assignments),
    ):
        snapshot.apply(PodBound(assignment))
    assert (snapshot.fleet.device_free >= 0).all()
    assert len(snapshot.bookings) == 4


def test_priority_does_not_matter_for_who_keeps_running():
    snapshot, running = scattered(priority=100)
    assert isinstance(ask(snapshot, gang_of(1, 2, priority=0), running), Consolidation)


@pytest.mark.parametrize(
    ("gang", "facts", "knobs", "limits", "code"),
    [
        pytest.param(gang_of(3, 1), {}, {}, {}, "FitsAlready", id="nothing needs to move"),
        pytest.param(gang_of(2, 2), {}, {}, {}, "TooLittleFree", id="three free, four asked for"),
        pytest.param(gang_of(1, 3), {}, {}, {}, "NoMovers", id="no node is large enough"),
        pytest.param(gang_of(1, 2), {"movable": False}, {}, {}, "NoMovers", id="not movable"),
        pytest.param(
            gang_of(1, 2), {"preemptible": False}, {}, {}, "NoMovers", id="not preemptible"
        ),
        pytest.param(
            gang_of(1, 2), {}, {"mover_device_milli_max": 999}, {}, "NoMovers", id="not small"
        ),
        pytest.param(
            gang_of(1, 2),
            {},
            {},
            {"recently_evicted": frozenset(["on-a", "on-b", "on-c"])},
            "NoMovers",
            id="each was disturbed a moment ago",
        ),
        pytest.param(gang_of(1, 2), {}, {}, {"device_milli_left": 0}, "NoMovers", id="the brake"),
        pytest.param(gang_of(1, 2), {}, {"movers_max": 0}, {}, "TooManyMovers", id="too many"),
    ],
)
def test_why_nobody_moves(gang, facts, knobs, limits, code):
    snapshot, running = scattered(**facts)
    assert ask(snapshot, gang, running, Limits(**limits), **knobs) == NoConsolidation(code=code)


@pytest.mark.parametrize(
    ("horizon_s", "pct", "is_worth_it"),
    [
        pytest.param(100, 200, True, id="twice the cost: 200 device-seconds against 100"),
        pytest.param(99, 200, False, id="a little less than twice"),
        pytest.param(50, 100, True, id="as much as the cost"),
        pytest.param(1, 0, True, id="whatever it costs"),
    ],
)
def test_worth_its_cost(horizon_s, pct, is_worth_it):
    snapshot, running = scattered()
    answer = ask(snapshot, gang_of(1, 2), running, gain_horizon_ns=horizon_s * S, gain_pct_min=pct)
    if is_worth_it:
        assert isinstance(answer, Consolidation)
    else:
        assert answer == NoConsolidation(
            code="NotWorthIt", cost_device_ms=100_000, gain_device_ms=2000 * horizon_s
        )


def movers_of_two():
    """Return a cheap mover that finds no place elsewhere, and a dear one that does."""
    snapshot = snapshot_of(node("a", gpus="AAA"), node("b", gpus="AAA"), node("c", gpus="A"))
    return snapshot, [
        runs(snapshot, "wide", 1, "a", of=template(100, 2)),
        runs(snapshot, "narrow", 9, "b"),
        runs(snapshot, "fixed", 1, "b", movable=False),
    ]


def test_who_finds_no_place_stays_and_somebody_else_is_asked():
    snapshot, running = movers_of_two()
    # Without wide, node a takes the two pods of one and a half; wide itself would fit nowhere then.
    gang = Gang(key="gang", pods=(("g0", template(100, 2)), ("g1", template(100, 1))))
    answer = ask(snapshot, gang, running)
    assert isinstance(answer, Consolidation)
    assert [move.workload for move in answer.moves] == ["narrow"]
    assert ask(snapshot, gang, running, attempts_max=1).code == "MoversDoNotLand"
    assert ask(snapshot, gang, running[:1]).code == "MoversDoNotLand"


def test_all_of_a_mover_moves():
    snapshot = snapshot_of(*(node(name, gpus="AA", rank=i) for i, name in enumerate("abcd")))
    pair = runs(snapshot, "pair", 5, "a", "b")
    for name in "cd":
        snapshot.apply(bound(f"other-{name}", name, template(0, 1)))
    answer = ask(snapshot, gang_of(2, 2), [pair])
    assert where(answer.landing) == {"a": 1, "b": 1}
    assert where(answer.moves[0].assignments) == {"c": 1, "d": 1}


def test_only_nodes_that_take_pods_are_free():
    snapshot = snapshot_of(
        node("a", gpus="AA"),
        node("cordoned", gpus="AAAA", unschedulable=True),
        node("bad", gpus="a"),
    )
    snapshot.apply(bound("p", "a", template(0, 1, milli=300)))
    assert free_device_milli(snapshot) == 1700
