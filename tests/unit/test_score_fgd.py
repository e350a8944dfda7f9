"""FGD's score and device choice against the formula, and against an example by hand."""

import math

import numpy as np
from hypothesis import given, strategies as st

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.scores import fgd
from tests.small_fleet import bound, node, placer_of, request, snapshot_of, template

FGD = WeightedScore(name="fgd")
RNG = np.random.default_rng(0)

HALF = request(1000, 1, milli=500)
WHOLE = request(1000, 1)


def scores(snapshot, asked, names):
    slots = np.array([snapshot.slot_of[name] for name in names])
    return fgd.raw(snapshot, snapshot.shape(asked), FGD, slots, RNG).tolist()


def used_nodes(*, gpus="AA", cpu=8000, **used):
    """Return nodes by name, each with what is used of its devices, and two classes of pods."""
    pods = [
        (name, template(0, 1, milli=milli), (index,))
        for name, by_device in used.items()
        for index, milli in by_device.items()
    ]
    nodes = [node(name, cpu, gpus, rank=rank) for rank, name in enumerate(used)]
    return snapshot_of(*nodes, pods=pods, mix=[(HALF, 0.5), (WHOLE, 0.5)])


def test_score_by_hand():
    """Half of a device on an empty node of two: WHOLE loses the half that is left.

    Before: nothing is lost. After: 500 to WHOLE, half of the pods: 250. The fragment grows by 0.25,
    sigmoid(-0.25) = 0.4378. On the node with half a device in use: before 250, after 0;
    sigmoid(0.25) = 0.5622.
    """
    snapshot = used_nodes(empty={}, half={0: 500})
    share = template(0, 1, milli=500)
    assert scores(snapshot, share, ["empty", "half"]) == [43, 56]
    assert scores(snapshot, share, ["half", "empty"]) == [56, 43]
    placed = placer_of(snapshot, "fgd").place("p", share)
    assert (placed.node, placed.devices) == ("half", (0,))


def test_nothing_changes_nothing_gained():
    snapshot = used_nodes(a={}, b={0: 500})
    assert scores(snapshot, template(0), ["a", "b"]) == [50, 50]
    assert scores(snapshot, template(0), []) == []


def test_cpu_that_runs_out_makes_a_fragment_of_everything():
    snapshot = used_nodes(a={}, b={}, cpu=1500)
    assert scores(snapshot, template(1000), ["a"]) == [int(100 / (1 + math.exp(2.0)))]


def test_whole_devices_are_taken_in_their_order():
    snapshot = used_nodes(n={0: 500}, gpus="AAAA")
    placed = placer_of(snapshot, "fgd").place("p", template(0, 2))
    assert placed.devices == (1, 2)


def test_among_equal_devices_the_first():
    snapshot = used_nodes(n={1: 500, 2: 500}, gpus="AAAA")
    shape = snapshot.shape(template(0, 1, milli=500))
    assert fgd.choose_devices(snapshot, shape, 0) == (1,)


def test_a_share_looks_at_every_model_of_a_mixed_node():
    """Only B is wanted whole, so the share goes to A, whichever comes first."""
    mix = [(request(0, 1, models="B"), 1.0)]
    for gpus, device in (("AB", 0), ("BA", 1), ("BBA", 2)):
        snapshot = snapshot_of(node("n", gpus=gpus), mix=mix)
        shape = snapshot.shape(template(0, 1, milli=100))
        assert fgd.choose_devices(snapshot, shape, 0) == (device,)


def test_an_idle_device_of_a_wrong_model_is_no_choice():
    snapshot = snapshot_of(node("n", gpus="AB"), mix=[(HALF, 1.0)])
    only_b = template(0, 1, milli=300, models="B")
    assert placer_of(snapshot, "fgd").place("p", only_b).devices == (1,)


# --- Against the formula, device by device -------------------------------------------------------


def fragment(mix, cpu, devices):
    """Return the fragment of a node; `devices` are (model, left)."""
    total = 0.0
    for asked, frequency in mix:
        wanted = asked.devices
        could = [
            wanted and left >= wanted.milli and (not wanted.models or model in wanted.models)
            for model, left in devices
        ]
        fits = wanted and cpu >= asked.resources.get("cpu") and sum(could) >= wanted.count
        total += frequency * sum(
            left
            for is_of_use, (_, left) in zip(could, devices, strict=True)
            if not (fits and is_of_use)
        )
    return total


def score_by_trying(mix, cpu, devices, asked):
    """Return the best score over the devices and where it is first reached."""
    wanted = asked.request.devices
    cpu_after = cpu - asked.request.resources.get("cpu")
    before = fragment(mix, cpu, devices)
    could = [
        index
        for index, (model, left) in enumerate(devices)
        if wanted and left >= wanted.milli and (not wanted.models or model in wanted.models)
    ]
    if wanted is None:
        tries = [()]
    elif fgd.shares_a_device(wanted):
        tries = [(index,) for index in could]
    else:
        tries = [tuple(could[: wanted.count])]
    gains = []
    for chosen in tries:
        after = [
            (model, left - wanted.milli * (index in chosen) if wanted else left)
            for index, (model, left) in enumerate(devices)
        ]
        gains.append(before - fragment(mix, cpu_after, after))
    best = [100 / (1 + math.exp(-gain / 1000)) for gain in gains]
    return max(best), tries, best


devices = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from([0, 100, 300, 550, 1000, 1000])),
    min_size=1,
    max_size=4,
)
classes = st.builds(
    request,
    st.sampled_from([0, 1000, 3000]),
    st.integers(0, 2),
    milli=st.sampled_from([250, 500, 1000]),
    models=st.sampled_from(["", "", "B"]),
)
mixes = st.lists(st.tuples(classes, st.sampled_from([0.5, 0.3, 0.2])), min_size=1, max_size=4)
pods = st.builds(
    template,
    st.sampled_from([0, 1000]),
    st.integers(0, 2),
    milli=st.sampled_from([100, 300, 1000]),
    models=st.sampled_from(["", "", "A", "B"]),
)


@given(nodes=st.lists(devices, min_size=1, max_size=3), mix=mixes, asked=pods)
def test_score_equals_the_formula(nodes, mix, asked):
    fleet = [node(f"n{slot}", 3500, "".join(m for m, _ in has)) for slot, has in enumerate(nodes)]
    snapshot = snapshot_of(*fleet, mix=mix)
    for slot, has in enumerate(nodes):
        for index, (_, left) in enumerate(has):
            if left < 1000:
                used = template(0, 1, milli=1000 - left)
                snapshot.apply(bound(f"{slot}-{index}", f"n{slot}", used, (index,)))
    placer = placer_of(snapshot, "fgd")
    shape = snapshot.shape(asked)
    feasible = np.flatnonzero(placer.room(shape))
    for slot, score in zip(
        feasible.tolist(), fgd.raw(snapshot, shape, FGD, feasible, RNG).tolist(), strict=True
    ):
        expected, tries, by_try = score_by_trying(mix, 3500, nodes[slot], asked)
        assert score in {int(expected + 1e-9), int(expected - 1e-9)}  # truncated: a hair decides
        if fgd.shares_a_device(asked.request.devices):
            chosen = tries.index(fgd.choose_devices(snapshot, shape, slot))
            assert int(by_try[chosen] + 1e-9) == int(expected + 1e-9)
            assert all(int(other - 1e-9) < int(expected + 1e-9) for other in by_try[:chosen])
