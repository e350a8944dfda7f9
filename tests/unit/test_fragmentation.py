"""FGD's measure against the paper's definition, class by class, and against numbers by hand."""

import pytest
from hypothesis import given, strategies as st

from gpuyard.model.deltas import MixEntry, MixObserved, NodeObserved
from gpuyard.scheduling import fragmentation
from tests.small_fleet import bound, node, request, snapshot_of, template


def fragment_by_definition(mix, cpu_free, devices):
    """Return the mean over the classes of what a node's idle devices are of no use for.

    `devices` are (model, milli left) pairs. Weng et al., USENIX ATC'23, section 4.
    """
    total = 0.0
    idle = sum(left for _, left in devices)
    for asked, frequency in mix:
        wanted = asked.devices
        if wanted is None or cpu_free < asked.resources.get("cpu"):
            total += frequency * idle
            continue
        of_use = [
            left >= wanted.milli and (not wanted.models or model in wanted.models)
            for model, left in devices
        ]
        if sum(of_use) < wanted.count:
            total += frequency * idle
        else:
            lost = sum(
                left for is_of_use, (_, left) in zip(of_use, devices, strict=True) if not is_of_use
            )
            total += frequency * lost
    return total


HALF = request(1000, 1, milli=500)
WHOLE = request(2000, 1)
PAIR = request(4000, 2)
NO_DEVICE = request(1000)
ONLY_B = request(1000, 1, models="B")


@pytest.mark.parametrize(
    ("gpus", "cpu", "used", "mix", "expected"),
    [
        pytest.param("AA", 8000, {}, [(HALF, 1.0)], 0, id="every bit is of use"),
        pytest.param("AA", 8000, {0: 600}, [(HALF, 1.0)], 400, id="one device is too small"),
        pytest.param("AA", 8000, {0: 600}, [(WHOLE, 1.0)], 400, id="what is whole is of use"),
        pytest.param("A", 8000, {0: 600}, [(HALF, 1.0)], 400, id="nothing fits: all is lost"),
        pytest.param("AA", 999, {}, [(HALF, 1.0)], 2000, id="too little CPU: all is lost"),
        pytest.param("AA", 1000, {}, [(HALF, 1.0)], 0, id="just enough CPU"),
        pytest.param("AA", 8000, {}, [(NO_DEVICE, 1.0)], 2000, id="the class asks for no device"),
        pytest.param("AA", 0, {}, [(NO_DEVICE, 1.0)], 2000, id="nor is there CPU"),
        pytest.param("A", 8000, {}, [(PAIR, 1.0)], 1000, id="too few devices"),
        pytest.param("AA", 8000, {}, [(ONLY_B, 1.0)], 2000, id="no allowed model on the node"),
        pytest.param("BB", 8000, {}, [(ONLY_B, 1.0)], 0, id="allowed models only"),
        pytest.param("AA", 8000, {0: 600}, [(HALF, 0.5), (PAIR, 0.5)], 900, id="the mean of both"),
        pytest.param("AA", 8000, {0: 1000, 1: 1000}, [(WHOLE, 1.0)], 0, id="nothing is idle"),
        pytest.param("", 8000, {}, [(WHOLE, 1.0)], 0, id="there is nothing"),
        pytest.param("aA", 8000, {}, [(PAIR, 1.0)], 1000, id="a broken device is none"),
        pytest.param("AA", 8000, {}, [], 0, id="no typical pods"),
    ],
)
def test_fragment_by_hand(gpus, cpu, used, mix, expected):
    pods = [("n", template(0, 1, milli=milli), (index,)) for index, milli in used.items()]
    snapshot = snapshot_of(node("n", cpu, gpus), pods=pods, mix=mix)
    assert snapshot.fragments.milli.tolist() == [expected]
    left = snapshot.fleet.device_free[0].tolist()
    listed = [(model, amount) for model, amount in zip(gpus, left, strict=True) if model.isupper()]
    assert fragment_by_definition(mix, cpu, listed) == expected


classes = st.builds(
    request,
    st.sampled_from([0, 1000, 4000]),
    st.integers(0, 3),
    milli=st.sampled_from([200, 500, 1000]),
    models=st.sampled_from(["", "", "A", "AB"]),
)
mixes = st.lists(st.tuples(classes, st.sampled_from([0.5, 0.25, 0.1, 1 / 3])), max_size=6)
states = st.tuples(
    st.integers(0, 5000),
    st.lists(
        st.tuples(st.sampled_from("AB"), st.sampled_from([0, 199, 200, 700, 1000])), max_size=4
    ),
)


@given(mix=mixes, nodes=st.lists(states, min_size=1, max_size=4))
def test_fragment_equals_the_definition(mix, nodes):
    fleet = [
        node(f"n{index}", cpu, "".join(model for model, _ in devices))
        for index, (cpu, devices) in enumerate(nodes)
    ]
    snapshot = snapshot_of(*fleet, mix=mix)
    for index, (_, devices) in enumerate(nodes):
        for place, (_, left) in enumerate(devices):
            if left < 1000:
                used = template(0, 1, milli=1000 - left)
                snapshot.apply(bound(f"{index}-{place}", f"n{index}", used, (place,)))
    expected = [fragment_by_definition(mix, cpu, devices) for cpu, devices in nodes]
    assert snapshot.fragments.milli.tolist() == pytest.approx(expected, abs=1e-9)


def test_news_of_mix_models_and_nodes_are_taken_in():
    snapshot = snapshot_of(node("n", gpus="A"), mix=[(ONLY_B, 1.0)])
    assert snapshot.fragments.milli.tolist() == [1000]
    snapshot.apply(NodeObserved(node("m", gpus="B")))
    assert snapshot.fragments.milli.tolist() == [1000, 0]
    snapshot.apply(MixObserved((MixEntry(HALF, 1.0),)))
    assert snapshot.fragments.milli.tolist() == [0, 0]
    snapshot.apply(bound("p", "n", template(0, 1, milli=700)))
    assert snapshot.fragments.milli.tolist() == [300, 0]


def test_what_is_remembered_is_bounded_and_never_wrong(monkeypatch):
    monkeypatch.setattr(fragmentation, "STATES_KEPT_MAX", 3)
    mix = [(HALF, 0.7), (WHOLE, 0.3)]
    snapshot = snapshot_of(*(node(f"n{index}", gpus="AA") for index in range(4)), mix=mix)
    for step in range(12):
        used = template(500, 1, milli=90)
        snapshot.apply(bound(f"p{step}", f"n{step % 4}", used, (step % 2,)))
        states = [
            (8000 - 500 * len(snapshot.pods_on[slot]), snapshot.fleet.device_free[slot].tolist())
            for slot in range(4)
        ]
        expected = [
            fragment_by_definition(mix, cpu, [("A", left) for left in devices])
            for cpu, devices in states
        ]
        assert snapshot.fragments.milli.tolist() == pytest.approx(expected, abs=1e-9)
        assert len(snapshot.fragments._known) <= 4  # the nodes asked about at once


def test_states_that_differ_only_in_cpu_are_told_apart():
    nodes = [node(f"n{cpu}", cpu, "AA") for cpu in (999, 1000, 1001, 3999, 4000)]
    snapshot = snapshot_of(*nodes, mix=[(HALF, 0.5), (PAIR, 0.5)])
    assert snapshot.fragments.milli.tolist() == [2000, 1000, 1000, 1000, 0]


def test_an_empty_cluster_has_no_fragments():
    assert snapshot_of(mix=[(HALF, 1.0)]).fragments.milli.tolist() == []


def test_amounts_are_added_cause_by_cause():
    """The published order: here any other gives the next float, and a score may lose a point."""
    mix = [
        (request(9000, 1), 0.3),  # lacks CPU
        (request(1000, 1, milli=400), 0.3),  # fits; 300 are on the smaller device
        (request(9000, 3), 1 / 3),  # lacks both
        (request(9000, 1, milli=300), 1 / 7),  # lacks CPU
    ]
    pods = [("n", template(0, 1, milli=700), (0,))]
    snapshot = snapshot_of(node("n", 8000, "AA"), pods=pods, mix=mix)
    lacks_cpu, lacks_device, lacks_both = 0.3 * 1300 + 1 / 7 * 1300, 0.3 * 300, 1 / 3 * 1300
    assert snapshot.fragments.milli.tolist() == [(lacks_both + lacks_device) + lacks_cpu]
    assert (lacks_both + lacks_device) + lacks_cpu == 1099.0476190476188
    assert (lacks_cpu + lacks_device) + lacks_both == 1099.047619047619


def test_what_no_class_may_use_is_added_last():
    mix = [
        (request(1000, 1, models="B"), 0.1),  # no access to its model
        (request(9000, 1), 0.2),  # lacks CPU
        (request(1000, 1, milli=400), 1 / 7),  # fits; 300 are on the smaller device
    ]
    pods = [("n", template(0, 1, milli=700), (0,))]
    snapshot = snapshot_of(node("n", 8000, "AA"), pods=pods, mix=mix)
    no_access, lacks_cpu, lacks_device = 0.1 * 1300, 0.2 * 1300, 1 / 7 * 300
    assert snapshot.fragments.milli.tolist() == [(lacks_device + lacks_cpu) + no_access]
    assert (lacks_device + lacks_cpu) + no_access == 432.85714285714283
    assert (lacks_device + no_access) + lacks_cpu == 432.8571428571429
