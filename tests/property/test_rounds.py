"""Rounds under any load: skipping changes nothing, nobody is given what is not there."""

import msgspec
import numpy as np
from hypothesis import given, settings, strategies as st

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.reasons import Silent
from gpuyard.model.rounds import LeastAttained, Standing
from gpuyard.scheduling import node_by_node, rounds as deciding
from gpuyard.scheduling.cycle import members
from gpuyard.scheduling.ordering.attained_service import moves_down_after_ns, standing
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.rounds import TIRESIAS, Contender
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin.rounds import RoundWorld, run
from gpuyard.twin.step_time import Rectangle, StepTime, StepTimes
from tests.constant_pace import SECOND_NS, fleet, job

ROUND_S = 60

jobs = st.lists(
    st.tuples(
        st.integers(1, 9),  # pods; the fleet has eight devices
        st.integers(0, 900),  # created
        st.integers(1, 2000),  # work
        st.integers(0, 2),  # slowdown
    ),
    max_size=8,
).map(lambda listed: [job(f"job-{at}", *one) for at, one in enumerate(listed)])
orders = st.lists(st.integers(1, 4000), max_size=3, unique=True).map(
    lambda listed: LeastAttained(
        thresholds_device_ns=tuple(device_s * SECOND_NS for device_s in sorted(listed))
    )
)
worlds = st.integers(0, 100).map(lambda restart_s: RoundWorld(restart_ns=restart_s * SECOND_NS))


def policy(order):
    return msgspec.structs.replace(TIRESIAS, queueing=order)


@settings(deadline=None, max_examples=60)
@given(jobs, orders, worlds)
def test_skipped_rounds_would_have_changed_nothing(arrivals, order, world):
    few = run(fleet(), arrivals, policy(order), world)
    every = run(fleet(), arrivals, policy(order), world, every_round=True)
    assert few.outcomes == every.outcomes
    assert few.decisions <= every.decisions


@settings(deadline=None)
@given(jobs, orders, worlds)
def test_outcomes_hold_together(arrivals, order, world):
    finished = run(fleet(), arrivals, policy(order), world)
    work_s = {one.workload.key: one.runtime.work_s for one in arrivals}
    pods = {one.workload.key: one.workload.pod_count for one in arrivals}
    assert {one.workload for one in finished.outcomes} == set(work_s)
    for one in finished.outcomes:
        key = one.workload
        if pods[key] > 8:
            assert (one.started_ns, one.completed_ns, one.attained_device_ns) == (None, None, 0)
            continue
        assert one.started_ns is not None
        assert one.completed_ns is not None
        assert one.started_ns % (ROUND_S * SECOND_NS) == 0
        assert one.started_ns >= max(one.created_ns, ROUND_S * SECOND_NS)
        worked_ns = one.completed_ns - one.started_ns - world.restart_ns
        assert worked_ns >= work_s[key] * SECOND_NS - 1000  # the pace is a float
        assert one.attained_device_ns >= pods[key] * work_s[key] * SECOND_NS - 1000


@settings(deadline=None)
@given(jobs, orders)
def test_a_decision_gives_no_more_than_there_is_and_is_final(arrivals, order):
    snapshot = Snapshot()
    for node in fleet():
        snapshot.apply(NodeObserved(node))
    placer = Placer(snapshot, TIRESIAS.placement, np.random.default_rng(0))
    bound = {}
    for now_ns in range(4):
        contenders = [
            Contender(
                one.workload,
                standing(order, Standing(entered_ns=0), now_ns * one.runtime.work_s, now_ns),
                bound.get(one.workload.key, ()),
            )
            for one in arrivals
        ]
        plan = deciding.decide(placer, contenders, Silent())
        for key in (each.victim for each in plan.evicts):
            del bound[key]
        for start in plan.starts:
            bound[start.workload] = start.assignments
        assert (snapshot.fleet.device_free >= 0).all()
        asked = {one.workload.key: one.workload.pod_count for one in arrivals}
        assert all(len(held) == asked[key] for key, held in bound.items())  # whole gangs
        waiting = {wait.workload for wait in plan.waits}
        assert waiting == asked.keys() - bound.keys()
        free = 8 - sum(asked[key] for key in bound)
        assert all(asked[key] > free for key in waiting)  # nothing fits beside
        again = deciding.decide(
            placer,
            [
                Contender(one.workload, one.standing, bound.get(one.workload.key, ()))
                for one in contenders
            ],
            Silent(),
        )
        assert (again.evicts, again.starts) == ((), ())


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_node_by_node_leaves_at_most_one_chosen_node_with_room(sizes):
    snapshot = Snapshot()
    for node in fleet(nodes=3):
        snapshot.apply(NodeObserved(node))
    placer = Placer(snapshot, TIRESIAS.placement, np.random.default_rng(0))
    for at, pods in enumerate(sizes):
        before = snapshot.fleet.device_free.sum(axis=1)
        placed = node_by_node.place(placer, members(job(f"job-{at}", pods, 0, 1).workload))
        after = snapshot.fleet.device_free.sum(axis=1)
        if placed is None:
            assert before.sum() < pods * 1000
            assert (before == after).all()
            continue
        touched = before != after
        assert (after[touched] > 0).sum() <= 1
        assert before[touched].min() >= before[~touched].max(initial=0)


@given(orders, st.integers(0, 10**13), st.integers(1, 9000))
def test_the_instant_of_moving_down_is_exact(order, attained, device_milli):
    now = standing(order, Standing(entered_ns=0), attained, 1)
    held_ns = moves_down_after_ns(order, now, attained, device_milli)
    if held_ns is None:
        assert now.queue == len(order.thresholds_device_ns)
        return
    for ns, queue in ((held_ns, now.queue + 1), (held_ns - 1, now.queue)):
        later = standing(order, now, attained + ns * device_milli // 1000, 2)
        assert later.queue >= queue if ns == held_ns else later.queue == queue


@given(st.integers(4, 8), st.integers(10, 20), st.lists(st.floats(0.1, 9), min_size=4, max_size=4))
def test_step_times_lie_between_the_measured_ones(nodes, batch, corners):
    times = [StepTime(step_s, step_s / 2) for step_s in corners]
    columns = {(4, 9): {10: times[0], 20: times[1]}, (8, 9): {10: times[2], 20: times[3]}}
    spread = (9 - nodes + 1,) + (1,) * (nodes - 1)
    for cuts in (None, {Rectangle(4, 8, 9, 10, 20): "rising"}):
        found = StepTimes({}, columns, cuts).at(spread, batch)
        assert min(corners) - 1e-9 <= found.step_s <= max(corners) + 1e-9
