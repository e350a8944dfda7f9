"""Who is woken by what: only those whom a changed node could help, and never one too few."""

import pytest

from gpuyard.model.constraints import Constraints, LabelSelector, PodTerm, Requirement
from gpuyard.model.deltas import NodeObserved, NodeRemoved, PodGone
from gpuyard.scheduling.parking import Parking
from tests.small_fleet import bound, node, placer_of, snapshot_of, template

ONE_GPU, SHARE, CPU_ONLY = template(100, 1), template(100, 1, milli=500), template(3000)
NEAR_X = Constraints(
    required_pods=(PodTerm("zone", LabelSelector((Requirement("app", "Exists"),)), ("default",)),)
)


@pytest.fixture
def yard():
    """Two full nodes of two devices each, and a parking that saw them full."""
    pods = [(name, template(1000, 1)) for name in ("a", "a", "b", "b")]
    nodes = [node("a", 4000, "AA"), node("b", 4000, "BB", labels=(("zone", "z"),))]
    snapshot = snapshot_of(*nodes, pods=pods)
    return snapshot, Parking(placer_of(snapshot))


def park(parking, key, *templates, at=0, priority=0):
    shapes = [parking._placer.snapshot.shape(one) for one in templates]
    parking.park(key, (-priority, at, key), shapes)


@pytest.mark.parametrize(
    ("missing", "gone", "expected"),
    [
        pytest.param([ONE_GPU], "pod-0", True, id="a device became free"),
        pytest.param([template(100, 1, models="B")], "pod-0", False, id="of another model"),
        pytest.param([template(100, 1, models="B")], "pod-2", True, id="of the right one"),
        pytest.param([template(100, 2)], "pod-0", False, id="one device, two on a node needed"),
        pytest.param([CPU_ONLY], "pod-0", True, id="CPU became free"),
        pytest.param([template(3001)], "pod-0", False, id="too little of it"),
        pytest.param([template(0, 1, memory=2000)], "pod-0", False, id="memory never suffices"),
        pytest.param([ONE_GPU] * 4, "pod-0", True, id="one of four may still help"),
        pytest.param(
            [template(100, 1, constraints=Constraints(node_selector=(("zone", "z"),)))],
            "pod-0",
            False,
            id="on a node that it may not use",
        ),
    ],
)
def test_a_pod_that_goes_wakes_whom_it_could_help(yard, missing, gone, expected):
    snapshot, parking = yard
    park(parking, "w", *missing)
    assert parking.woken() == []
    snapshot.apply(PodGone(gone))
    assert parking.woken() == (["w"] if expected else [])
    assert parking.woken() == []  # until something changes again


def test_no_more_are_woken_than_pods_could_be_held(yard):
    snapshot, parking = yard
    for index in range(5):
        park(parking, f"w{index}", ONE_GPU, at=9 - index)
    park(parking, "high", ONE_GPU, at=99, priority=1)
    snapshot.apply(PodGone("pod-0"))
    assert parking.woken() == ["high"]
    snapshot.apply(PodGone("pod-1"))
    snapshot.apply(PodGone("pod-2"))
    assert parking.woken() == ["high", "w4", "w3"]  # a holds two now, b one


def test_shares_count_as_often_as_they_fit(yard):
    snapshot, parking = yard
    for index in range(5):
        park(parking, f"w{index}", SHARE)
    snapshot.apply(PodGone("pod-0"))
    assert parking.woken() == ["w0", "w1"]


def test_whoever_misses_something_else_too_takes_no_place(yard):
    snapshot, parking = yard
    park(parking, "mixed", ONE_GPU, CPU_ONLY, template(0, 8), at=0)
    park(parking, "plain", ONE_GPU, at=1)
    park(parking, "later", ONE_GPU, at=2)
    snapshot.apply(PodGone("pod-0"))
    assert parking.woken() == ["mixed", "plain"]


def test_a_pod_that_comes_wakes_nobody_whom_it_leaves_no_room(yard):
    snapshot, parking = yard
    park(parking, "w", ONE_GPU)
    snapshot.apply(bound("p", "a", template(100)))
    assert parking.woken() == []


def test_an_over_full_device_hides_no_room_on_the_others():
    """Two pods run on device 0; when the one on device 1 goes, a whole device is free."""
    pods = [("a", template(0, 1), (0,)), ("a", template(0, 1), (0,)), ("a", template(0, 1), (1,))]
    snapshot = snapshot_of(node("a", gpus="AA"), pods=pods)
    parking = Parking(placer_of(snapshot))
    park(parking, "w", ONE_GPU)
    snapshot.apply(PodGone("pod-2"))
    assert parking.woken() == ["w"]


@pytest.mark.parametrize(
    "news",
    [
        pytest.param(NodeObserved(node("c", 1)), id="a node came"),
        pytest.param(NodeObserved(node("a", 1, labels=(("x", "y"),))), id="its labels changed"),
        pytest.param(NodeRemoved("empty"), id="a node went"),
    ],
)
def test_everybody_wakes_when_nodes_change(yard, news):
    snapshot, parking = yard
    snapshot.apply(NodeObserved(node("empty", 0)))
    park(parking, "w", ONE_GPU)
    park(parking, "v", template(10**6))
    parking.woken()
    snapshot.apply(news)
    assert sorted(parking.woken()) == ["v", "w"]


def test_a_new_node_is_known_from_then_on(yard):
    snapshot, parking = yard
    park(parking, "w", ONE_GPU)
    nodes = [node(f"n{index}", 50, "A", amounts={f"r{index}": 1}) for index in range(40)]
    for one in nodes:
        snapshot.apply(NodeObserved(one))
    assert parking.woken() == ["w"]
    snapshot.apply(bound("p", "n39", template(0, 1)))
    snapshot.apply(PodGone("p"))
    assert parking.woken() == []  # a device but not the CPU
    snapshot.apply(NodeObserved(node("n39", 100, "A")))
    assert parking.woken() == ["w"]
    snapshot.apply(bound("p", "n39", template(0)))
    assert parking.woken() == ["w"]


def test_many_shapes_have_rows_of_their_own(yard):
    snapshot, parking = yard
    for index in range(60):
        park(parking, f"w{index}", template(index * 100, 1))
    snapshot.apply(PodGone("pod-0"))
    woken = set(parking.woken())
    assert woken == {f"w{index}" for index in range(31)}  # 3000m CPU are free on a


def test_any_change_wakes_whoever_depends_on_pods_elsewhere(yard):
    snapshot, parking = yard
    park(parking, "near", template(10**6, constraints=NEAR_X))
    park(parking, "w", ONE_GPU)
    assert parking.dependents() == ["near"]
    snapshot.apply(bound("p", "a", template(1)))
    assert parking.woken() == ["near"]
    parking.leave("near")
    assert parking.dependents() == []


def test_may_fit_follows_what_started_since(yard):
    snapshot, parking = yard
    park(parking, "first", ONE_GPU)
    park(parking, "other", CPU_ONLY)
    snapshot.apply(PodGone("pod-0"))
    assert parking.woken() == ["first", "other"]
    assert parking.may_fit("first")
    assert parking.may_fit("other")
    assert parking.may_fit("nobody knows it")
    snapshot.apply(bound("p", "a", template(100, 1)))
    assert not parking.may_fit("first")
    assert not parking.may_fit("other")
    snapshot.apply(PodGone("p"))
    assert parking.may_fit("first")
    assert parking.may_fit("other")


def test_leaving_and_parking_again(yard):
    snapshot, parking = yard
    park(parking, "w", ONE_GPU, ONE_GPU)
    park(parking, "w", ONE_GPU)  # one of its pods started: fewer are missing
    park(parking, "v", ONE_GPU)
    parking.leave("v")
    parking.leave("v")
    park(parking, "u", SHARE)  # takes the row that came free
    snapshot.apply(PodGone("pod-0"))
    assert parking.woken() == ["w", "u"]
    parking.leave("w")
    snapshot.apply(PodGone("pod-1"))
    assert parking.woken() == ["u"]


def test_a_row_that_was_taken_over_is_counted_anew(yard):
    snapshot, parking = yard
    park(parking, "large", template(10**6))
    snapshot.apply(PodGone("pod-0"))
    assert parking.woken() == []
    parking.leave("large")
    park(parking, "w", ONE_GPU)
    assert parking.may_fit("w")


def test_a_row_that_was_taken_over_forgets_what_it_needed(yard):
    snapshot, parking = yard
    park(parking, "w", template(100, 2, models="A", memory=5))
    parking.leave("w")
    park(parking, "v", template(3000))
    snapshot.apply(PodGone("pod-2"))
    assert parking.woken() == ["v"]
