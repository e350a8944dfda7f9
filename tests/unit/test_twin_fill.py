"""The fill protocol: arrivals come one by one, and the curves are their means per percent."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.deltas import MixEntry
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.twin import measures
from gpuyard.twin.fill import fill, samples
from tests.small_fleet import node, request, template, workload

WHOLE = request(0, 1)
HALF = request(0, 1, milli=500)


def run(nodes, *pods, mix=((WHOLE, 1.0),), policy="best-fit", **arguments):
    arrivals = [workload(f"w{index}", (1, of), at=index) for index, of in enumerate(pods)]
    typical = tuple(MixEntry(asked, share) for asked, share in mix)
    known = PLACEMENTS[policy] if isinstance(policy, str) else policy
    return fill(nodes, arrivals, typical, known, **arguments)


def test_what_is_noted_after_each_arrival():
    """One node of two devices: half, half beside it, half, then a whole one that fits nowhere."""
    half, whole = template(0, 1, milli=500), template(0, 1)
    filled = run([node("n", gpus="AA")], half, half, half, whole, half)
    assert (filled.nodes, filled.devices) == (1, 2)
    assert filled.placed.tolist() == [True, True, True, False, True]
    assert filled.arrived_milli.tolist() == [500, 1000, 1500, 2500, 3000]
    assert filled.allocated_milli.tolist() == [500, 1000, 1500, 1500, 2000]
    assert filled.fragment_milli.tolist() == [500, 0, 500, 500, 0]


def test_curves_by_hand():
    half, whole = template(0, 1, milli=500), template(0, 1)
    curve = samples(run([node("n", gpus="AA")], half, half, half, whole, half))
    assert [
        (at.arrived_pct, at.allocated_pct, at.frag_pct_of_cluster, at.frag_pct_of_idle)
        for at in curve
    ] == [
        (25, 25.0, 25.0, 33.33),  # 500 of 1500 idle
        (50, 50.0, 0.0, 0.0),
        (75, 75.0, 25.0, 100.0),
        (125, 75.0, 25.0, 100.0),
        (150, 100.0, 0.0, 0.0),  # nothing is idle
    ]


def test_values_are_rounded_first_and_averaged_then():
    """1000 and 1002 of 3000 are 33.333 and 33.4 %; the mean of both is 33.367, of 33.33 not."""
    pods = [template(0, 1), template(0, 1, milli=2)]
    (at,) = samples(run([node("n", gpus="AAA")], *pods))
    assert at.arrived_pct == 33
    assert at.allocated_pct == pytest.approx((33.33 + 33.4) / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("milli", "percent"),
    [
        pytest.param(15, 0, id="half a percent, to the even one"),
        pytest.param(16, 1, id="a little more"),
        pytest.param(45, 2, id="one and a half, to the even one"),
    ],
)
def test_the_percentage_of_an_arrival(milli, percent):
    (at,) = samples(run([node("n", gpus="AAA")], template(0, 1, milli=milli)))
    assert at.arrived_pct == percent


def test_pods_without_devices_arrive_too():
    filled = run([node("n", 1000, "A")], template(1000), template(0, 1), template(1))
    assert filled.placed.tolist() == [True, True, False]
    assert filled.arrived_milli.tolist() == [0, 1000, 1000]
    assert [at.arrived_pct for at in samples(filled)] == [0, 100]


def test_pod_by_pod_an_incomplete_gang_counts_what_it_holds():
    gang = workload("gang", (3, template(0, 1)))
    for gangs, given in (("pod-by-pod", [2000]), ("all-or-nothing", [0])):
        policy = msgspec.structs.replace(PLACEMENTS["best-fit"], gangs=gangs)
        filled = fill([node("n", gpus="AA")], [gang], (), policy)
        assert filled.placed.tolist() == [False]
        assert filled.arrived_milli.tolist() == [3000]
        assert filled.allocated_milli.tolist() == given


@pytest.mark.parametrize(
    ("nodes", "pods"),
    [
        pytest.param([node("n", gpus="A")], [], id="nobody arrives"),
        pytest.param([node("n")], [template(1)], id="no devices"),
        pytest.param([], [template(1)], id="no nodes"),
    ],
)
def test_nothing_to_draw(nodes, pods):
    filled = run(nodes, *pods)
    assert samples(filled) == ()
    assert len(filled.placed) == len(filled.fragment_milli) == len(pods)


def test_the_seed_decides_what_is_left_to_chance_and_nothing_else():
    nodes = [node(f"n{index}", gpus="AAAA") for index in range(6)]
    pods = [template(0, 1, milli=300), template(0, 1), template(0, 2)] * 8
    mix = [(HALF, 0.5), (WHOLE, 0.5)]

    def told(policy, seed):
        filled = run(nodes, *pods, mix=mix, policy=policy, seed=seed)
        return filled.placed.tolist(), filled.fragment_milli.tolist()

    assert told("random", 1) == told("random", 1)
    assert told("random", 1) != told("random", 2)
    assert told("fgd", 1) == told("fgd", 2)


def test_the_fragment_is_that_of_the_arrays_at_each_arrival(monkeypatch):
    direct = []
    note = measures.NodeStates.note

    def note_and_look(states):
        note(states)
        direct.append(float(states._snapshot.fragments.milli.sum()))

    monkeypatch.setattr(measures.NodeStates, "note", note_and_look)
    monkeypatch.setattr(measures, "BLOCK", 3)
    rng = np.random.default_rng(5)
    nodes = [node(f"n{index}", 4000, "AAB"[: index % 4]) for index in range(7)]
    pods = [
        template(int(rng.integers(0, 1500)), int(rng.integers(0, 3)), milli=int(milli))
        for milli in rng.choice([300, 500, 1000], 60)
    ]
    filled = run(nodes, *pods, mix=[(HALF, 0.4), (WHOLE, 0.4), (request(1000, 2), 0.2)])
    assert filled.fragment_milli.tolist() == pytest.approx(direct, abs=1e-6)
    assert len(set(direct)) > 10
