"""No policy ever gives what is not there, and the same facts give the same plan.

Whatever the fleet and the arrivals: nothing that was asked for goes below zero, no device is given
twice, gangs start whole or not at all. And the order in which facts were told, the slots that nodes
got by it and the seed of Python's hashes leave no trace in a plan.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gpuyard.model.constraints import (
    UNCONSTRAINED,
    Constraints,
    HostPort,
    LabelSelector,
    PodTerm,
    Requirement,
    SpreadConstraint,
)
from gpuyard.model.deltas import MixEntry, MixObserved, NodeObserved, NodeRemoved, PodGone
from gpuyard.model.reasons import Silent
from gpuyard.scheduling import cycle
from gpuyard.scheduling.cycle import Pending
from gpuyard.scheduling.mix import typical_mix
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin import timed
from gpuyard.twin.fill import fill
from tests.small_fleet import arrival, node, placer_of, request, template, workload

APP_X = LabelSelector((Requirement("app", "In", ("x",)),))
NEAR_X = PodTerm("zone", APP_X, ("default",))
CONSTRAINTS = [
    UNCONSTRAINED,
    UNCONSTRAINED,
    UNCONSTRAINED,
    Constraints(forbidden_pods=(NEAR_X,)),
    Constraints(required_pods=(NEAR_X,)),
    Constraints(spread=(SpreadConstraint(1, "zone", "DoNotSchedule", APP_X),)),
    Constraints(spread=(SpreadConstraint(1, "zone", "ScheduleAnyway", APP_X),)),
    Constraints(host_ports=(HostPort(80),)),
]

fleets = st.lists(
    st.builds(
        lambda cpu, gpus, memory, zone, pods: (cpu, gpus, memory, zone, pods),
        st.sampled_from([1000, 4000, 9000]),
        st.text("AABa", max_size=4),
        st.sampled_from([10, 100]),
        st.sampled_from("yz"),
        st.sampled_from([{}, {}, {"pods": 2}, {"nic": 1}]),
    ),
    min_size=1,
    max_size=5,
).map(
    lambda drawn: [
        node(
            f"n{index}",
            cpu,
            gpus,
            memory=memory,
            amounts=amounts,
            rank=7 * index % 5,
            labels=(("disk", "ssd"), ("zone", zone)),
        )
        for index, (cpu, gpus, memory, zone, amounts) in enumerate(drawn)
    ]
)
templates = st.builds(
    template,
    st.sampled_from([0, 300, 1000, 2500]),
    st.sampled_from([0, 1, 1, 2]),
    milli=st.sampled_from([150, 300, 500, 700, 1000]),
    models=st.sampled_from(["", "", "A", "BA"]),
    memory=st.sampled_from([0, 3, 40]),
    amounts=st.sampled_from([{}, {}, {"nic": 1}]),
    constraints=st.sampled_from(CONSTRAINTS),
    labels=st.sampled_from([(), (("app", "x"),)]),
)
workloads = st.lists(
    st.lists(st.tuples(st.integers(1, 3), templates), min_size=1, max_size=2),
    min_size=1,
    max_size=12,
).map(
    lambda drawn: [
        workload(f"w{index}", *pod_sets, at=index % 3) for index, pod_sets in enumerate(drawn)
    ]
)
FEW = settings(max_examples=settings.default.max_examples // 4)


def snapshot_with(nodes, arrivals):
    snapshot = Snapshot()
    for one in nodes:
        snapshot.apply(NodeObserved(one))
    asked = [one.template.request for each in arrivals for one in each.pod_sets]
    snapshot.apply(MixObserved(typical_mix(asked)))
    return snapshot


def plan_for(snapshot, arrivals, policy, seed=0):
    pending = [Pending.whole(one) for one in arrivals]
    return cycle.run(placer_of(snapshot, policy, seed), pending, Silent())


def assert_nothing_is_over_allocated(snapshot):
    """Count by hand what runs where, from the assignments alone."""
    used = {name: {} for name in snapshot.slot_of}
    given_milli = {name: {} for name in snapshot.slot_of}
    for booking in snapshot.bookings.values():
        one = booking.assignment
        asked = one.template.request
        amounts = {**asked.resources.as_dict(), "pods": 1}
        for name, amount in amounts.items():
            used[one.node][name] = used[one.node].get(name, 0) + amount
        if asked.devices:
            assert len(set(one.devices)) == asked.devices.count
            for index in one.devices:
                device = snapshot.nodes[booking.slot].devices[index]
                assert device.healthy
                assert not asked.devices.models or device.model in asked.devices.models
                taken = given_milli[one.node].get(index, 0) + asked.devices.milli
                given_milli[one.node][index] = taken
                assert taken <= 1000
    for slot, of in snapshot.nodes.items():
        has = of.allocatable.as_dict()
        for name, amount in used[of.name].items():
            assert amount <= has.get(name, 0 if name != "pods" else amount)
        assert (snapshot.fleet.free[slot] >= 0).all()
        assert (snapshot.fleet.device_free[slot] >= 0).all()


@pytest.mark.parametrize("policy", sorted(PLACEMENTS))
@FEW
@given(nodes=fleets, arrivals=workloads, seed=st.integers(0, 9))
def test_nothing_is_over_allocated_and_gangs_start_whole(policy, nodes, arrivals, seed):
    snapshot = snapshot_with(nodes, arrivals)
    plan = plan_for(snapshot, arrivals, policy, seed)
    assert_nothing_is_over_allocated(snapshot)
    sizes = {one.key: one.pod_count for one in arrivals}
    started = {start.workload: start for start in plan.starts}
    waiting = {wait.workload for wait in plan.waits}
    assert set(started) | waiting == set(sizes)
    for key, start in started.items():
        assert start.complete == (len(start.assignments) == sizes[key]) == (key not in waiting)
        if PLACEMENTS[policy].gangs == "all-or-nothing":
            assert start.complete
    assert set(snapshot.bookings) == {one.pod for start in plan.starts for one in start.assignments}


@pytest.mark.parametrize("policy", sorted(PLACEMENTS))
@FEW
@given(nodes=fleets, arrivals=workloads, data=st.data())
def test_the_order_in_which_facts_were_told_leaves_no_trace(policy, nodes, arrivals, data):
    straight = snapshot_with(nodes, arrivals)
    told = data.draw(st.permutations(nodes))
    winding = snapshot_with(told, data.draw(st.permutations(arrivals)))
    for one in data.draw(st.lists(st.sampled_from(nodes), unique_by=lambda one: one.name)):
        winding.apply(NodeRemoved(one.name))
        winding.apply(NodeObserved(node("passing", gpus="ABC", amounts={"x": 1})))
        winding.apply(NodeObserved(one))
        winding.apply(NodeRemoved("passing"))
    plans = [
        plan_for(straight, arrivals, policy, 3),
        plan_for(winding, data.draw(st.permutations(arrivals)), policy, 3),
    ]
    assert plans[0] == plans[1]


@FEW
@given(nodes=fleets, arrivals=workloads, policy=st.sampled_from(sorted(PLACEMENTS)))
def test_a_trial_leaves_no_trace(nodes, arrivals, policy):
    half = len(arrivals) // 2
    straight, tried = (snapshot_with(nodes, arrivals) for _ in range(2))
    placer = placer_of(tried, policy)
    with tried.trial():
        cycle.run(placer, [Pending.whole(one) for one in arrivals[half:]], Silent())
    assert tried.bookings == {}
    placer.rng = np.random.default_rng(0)
    after = cycle.run(placer, [Pending.whole(one) for one in arrivals], Silent())
    assert after == plan_for(straight, arrivals, policy)


@FEW
@given(nodes=fleets, arrivals=workloads, policy=st.sampled_from(sorted(PLACEMENTS)))
def test_everything_given_back_leaves_everything_free(nodes, arrivals, policy):
    snapshot = snapshot_with(nodes, arrivals)
    plan_for(snapshot, arrivals, policy)
    for pod in list(snapshot.bookings):
        snapshot.apply(PodGone(pod))
    empty = snapshot_with(nodes, arrivals)
    for slot, of in snapshot.nodes.items():
        at = empty.slot_of[of.name]
        for name, column in empty.fleet.resources.items():
            mine = snapshot.fleet.free[slot, snapshot.fleet.resources[name]]
            assert mine == empty.fleet.free[at, column]
        assert snapshot.fleet.device_free[slot].tolist() == empty.fleet.device_free[at].tolist()
    assert not snapshot.fleet.device_pods.any()
    assert not snapshot.fleet.scored.any()
    assert snapshot.terms.held == {}


# --- Other processes ----------------------------------------------------------------------------


def told():
    """Return what a small fill and a small timed run tell under every preset, without seconds."""
    rng = np.random.default_rng(11)
    models = ["AAAA", "BB", "AB", "CCCC", "A"]
    nodes = tuple(
        node(f"node-{name}", 6000, gpus, rank=rank, labels=(("disk", "ssd"), ("zone", gpus[:1])))
        for rank, (name, gpus) in enumerate(zip("vwxyz", models, strict=True))
    )
    kinds = [
        template(
            int(rng.integers(100, 1500)),
            int(rng.integers(0, 3)),
            milli=int(rng.choice([300, 500, 1000])),
            models=str(rng.choice(["", "A", "BA"])),
            constraints=CONSTRAINTS[index],
            labels=(("app", "x"), ("team", "t")) if index % 2 else (),
        )
        for index in range(len(CONSTRAINTS))
    ]
    arrivals = tuple(
        arrival(
            f"w{index}",
            *(
                (int(rng.integers(1, 3)), kinds[rng.integers(len(kinds))])
                for _ in range(1 + index % 2)
            ),
            at=int(rng.integers(0, 30)),
            runs=int(rng.integers(1, 12)),
        )
        for index in range(40)
    )
    mix = (*typical_mix(one.request for one in kinds), MixEntry(request(10, 1), 0.1))
    setting = timed.Setting(nodes=nodes, arrivals=arrivals, mix=mix, until_ns=60)
    lines = []
    for policy in PLACEMENTS.values():
        filled = fill(nodes, [one.workload for one in arrivals], mix, policy, seed=5)
        lived = timed.run(setting, Policy(placement=policy), seed=5)
        lines.append([plainly(filled), plainly(lived)])
    return msgspec.json.encode(lines)


def plainly(value):
    """Return arrays as lists, structs as dictionaries, without what depends on the machine."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, msgspec.Struct):
        fields = {name: plainly(getattr(value, name)) for name in value.__struct_fields__}
        fields.pop("seconds", None)
        return fields
    return value


def test_the_seed_of_hashes_leaves_no_trace():
    root = Path(__file__).parents[2]
    script = "from tests.property.test_placement import told; print(told().decode(), end='')"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 10_000
    assert runs[0] == told()
