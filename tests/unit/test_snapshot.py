"""The one way in: what news writes, what contradicts it, and what a trial leaves behind."""

import msgspec
import pytest

from gpuyard.model.constraints import Constraints, PodTerm
from gpuyard.model.deltas import (
    MixObserved,
    NamespaceObserved,
    NodeObserved,
    NodeRemoved,
    PodGone,
)
from gpuyard.model.nodes import Device
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodTemplate, Request
from gpuyard.scheduling import snapshot as snapshot_module
from gpuyard.scheduling.snapshot import SnapshotError
from tests.small_fleet import bound, node, request, snapshot_of, template


def free(snapshot, name, resource="cpu"):
    slot = snapshot.slot_of[name]
    return int(snapshot.fleet.free[slot, snapshot.fleet.resources[resource]])


def left(snapshot, name):
    return snapshot.fleet.device_free[snapshot.slot_of[name]].tolist()  # as wide as ever needed


def test_a_pod_takes_what_it_asks_and_gives_it_back():
    snapshot = snapshot_of(node("n", 8000, "AA", amounts={"pods": 3}))
    snapshot.apply(bound("p", "n", template(3000, 1, milli=400, memory=10)))
    assert (free(snapshot, "n"), free(snapshot, "n", "memory"), free(snapshot, "n", "pods")) == (
        5000,
        990,
        2,
    )
    assert left(snapshot, "n") == [600, 1000]
    assert snapshot.fleet.device_pods[0].sum() == 1
    snapshot.apply(PodGone("p"))
    assert (free(snapshot, "n"), free(snapshot, "n", "memory"), free(snapshot, "n", "pods")) == (
        8000,
        1000,
        3,
    )
    assert left(snapshot, "n") == [1000, 1000]
    assert not snapshot.fleet.device_pods.any()
    assert snapshot.bookings == {}
    assert snapshot.pods_on == {0: {}}


def test_scores_count_their_own_amounts():
    asked = Request(resources=Resources.of({"cpu": 0}), scored=Resources.of({"cpu": 100}))
    snapshot = snapshot_of(node("n"), pods=[("n", PodTemplate(request=asked))])
    assert free(snapshot, "n") == 8000
    assert snapshot.fleet.scored[0].tolist() == [100, 0, 1]


@pytest.mark.parametrize(
    ("gpus", "running", "asked", "expected"),
    [
        pytest.param("AAA", [], (1, 400), (0,), id="nobody told: the first of equals"),
        pytest.param("AAA", [(1, 500)], (1, 400), (0,), id="a share joins a shared device"),
        pytest.param("AAA", [(1, 700)], (1, 400), (1,), id="unless too little is left there"),
        pytest.param("AAA", [(1, 500)], (2, 1000), (1, 2), id="whole ones that are free"),
        pytest.param("aAA", [], (1, 400), (1,), id="not a broken one"),
        pytest.param("AA", [(2, 1000)], (1, 400), (0,), id="over-full: the first of the emptiest"),
        pytest.param("AA", [(1, 900), (1, 500)], (1, 800), (1,), id="over-full: the emptiest"),
        pytest.param("A", [], (2, 1000), (0,), id="fewer devices than asked: all of them"),
        pytest.param("", [], (1, 1000), (), id="no device at all: none"),
    ],
)
def test_devices_are_predicted_where_nobody_told(gpus, running, asked, expected):
    pods = [("n", template(0, count, milli=milli)) for count, milli in running]
    snapshot = snapshot_of(node("n", gpus=gpus), node("other", gpus="A" * 8), pods=pods)
    count, milli = asked
    snapshot.apply(bound("p", "n", template(0, count, milli=milli)))
    assert snapshot.bookings["p"].devices == expected


def test_an_over_full_device_goes_below_zero_and_only_on_devices_that_exist():
    whole = template(0, 1)
    pods = [("n", whole), ("n", whole), ("n", whole)]
    snapshot = snapshot_of(node("n", gpus="AA"), node("other", gpus="AAAA"), pods=pods)
    assert left(snapshot, "n") == [-1000, 0, 0, 0]
    snapshot.apply(bound("p", "n", whole))
    assert left(snapshot, "n") == [-1000, -1000, 0, 0]


def test_a_predicted_device_is_of_a_model_that_was_asked_for():
    snapshot = snapshot_of(node("n", gpus="AB"))
    snapshot.apply(bound("p", "n", template(0, 1, models="B")))
    assert snapshot.bookings["p"].devices == (1,)


def test_observed_devices_are_believed():
    snapshot = snapshot_of(node("n", gpus="AA"))
    snapshot.apply(bound("p", "n", template(0, 1, milli=300), (1,)))
    snapshot.apply(bound("q", "n", template(0, 1), (3,)))  # beyond what the node has shown
    assert left(snapshot, "n") == [1000, 700, 0, -1000]


def test_a_node_that_changes_keeps_its_pods():
    snapshot = snapshot_of(node("n", 8000, "AA"), pods=[("n", template(3000, 1, milli=400))])
    snapshot.apply(NodeObserved(node("n", 4000, "aAA", unschedulable=True)))
    assert free(snapshot, "n") == 1000
    assert left(snapshot, "n") == [-400, 1000, 1000]
    snapshot.apply(NodeObserved(node("n", 8000, "AA")))
    assert left(snapshot, "n") == [600, 1000, 0]


@pytest.mark.parametrize(
    ("delta", "sentence"),
    [
        pytest.param(
            bound("q", "x", template()), "pod q is bound to node x, which is not known", id="node"
        ),
        pytest.param(bound("p", "n", template()), "pod p is bound already", id="twice"),
        pytest.param(PodGone("q"), "pod q is gone, but it was not known to be bound", id="gone"),
        pytest.param(NodeRemoved("x"), "node x is removed, but it was not known", id="removed"),
        pytest.param(NodeRemoved("n"), "node n is removed while pod p is bound to it", id="in use"),
    ],
)
def test_contradictions_change_nothing(delta, sentence):
    snapshot = snapshot_of(node("n", gpus="A"))
    snapshot.apply(bound("p", "n", template(1000, 1)))
    before = free(snapshot, "n"), left(snapshot, "n"), set(snapshot.bookings), dict(snapshot.nodes)
    positions = snapshot.use_changes.position, snapshot.node_changes.position
    late = msgspec.structs.replace(delta, observed_ns=99)
    with pytest.raises(SnapshotError, match=sentence):
        snapshot.apply(late)
    after = free(snapshot, "n"), left(snapshot, "n"), set(snapshot.bookings), dict(snapshot.nodes)
    assert after == before
    assert (snapshot.use_changes.position, snapshot.node_changes.position) == positions
    assert snapshot.observed_ns == {}


@pytest.mark.parametrize(
    ("delta", "used", "described"),
    [
        pytest.param(bound("q", "n", template()), True, False, id="a pod comes"),
        pytest.param(PodGone("p"), True, False, id="a pod goes"),
        pytest.param(NodeObserved(node("empty")), True, True, id="a node is looked at again"),
        pytest.param(NodeObserved(node("m")), True, True, id="a node comes"),
        pytest.param(NamespaceObserved("x", ()), False, False, id="a namespace"),
        pytest.param(MixObserved(()), False, False, id="the mix"),
    ],
)
def test_which_log_hears_of_it(delta, used, described):
    snapshot = snapshot_of(node("n"), node("empty"))
    snapshot.apply(bound("p", "n", template()))
    before = snapshot.use_changes.position, snapshot.node_changes.position
    snapshot.apply(delta)
    assert snapshot.use_changes.position - before[0] == used
    assert snapshot.node_changes.position - before[1] == described


def test_each_source_remembers_its_newest_fact():
    snapshot = snapshot_of(node("n"))
    assert snapshot.observed_ns == {}
    for at_ns in (5, 3):
        snapshot.apply(msgspec.structs.replace(NodeObserved(node("n")), observed_ns=at_ns))
    snapshot.apply(NamespaceObserved("default", (), 4))
    assert snapshot.observed_ns == {"nodes": 5, "namespaces": 4}


# --- Trials -------------------------------------------------------------------------------------


def picture(snapshot):
    return (
        {
            name: (free(snapshot, name), [amount for amount in left(snapshot, name) if amount])
            for name in sorted(snapshot.slot_of)
        },
        sorted(snapshot.bookings),
        dict(snapshot.namespaces),
        snapshot.mix,
        dict(snapshot.observed_ns),
        sorted(map(repr, snapshot.terms.held)),
    )


def change_everything(snapshot, name="new"):
    apart = Constraints(forbidden_pods=(PodTerm("zone", None),))
    snapshot.apply(NodeObserved(node(name, gpus="AAAA"), 7))
    snapshot.apply(bound(f"on-{name}", name, template(500, 2, constraints=apart)))
    snapshot.apply(PodGone("pod-0", 8))
    snapshot.apply(NodeObserved(node("n", 2000, "a")))
    snapshot.apply(NamespaceObserved("default", (("a", "b"),), 9))
    snapshot.apply(MixObserved((), 9))
    snapshot.apply(NodeRemoved("empty"))


@pytest.fixture
def living():
    mix = [(request(1000, 1), 1.0)]
    return snapshot_of(node("n", gpus="A"), node("empty"), pods=[("n", template(1, 1))], mix=mix)


def test_a_trial_that_is_not_kept_leaves_no_trace(living):
    before = picture(living)
    with living.trial():
        change_everything(living)
        assert picture(living) != before
    assert picture(living) == before


def test_a_kept_trial_stays(living):
    with living.trial() as trial:
        change_everything(living)
        inside = picture(living)
        trial.keep()
    assert picture(living) == inside


def test_what_an_inner_trial_keeps_goes_with_the_outer_one(living):
    before = picture(living)
    with living.trial():
        living.apply(PodGone("pod-0"))
        with living.trial() as inner:
            living.apply(NodeRemoved("n"))
            living.apply(NodeRemoved("empty"))
            inner.keep()
        living.apply(NodeObserved(node("z")))
        assert set(living.slot_of) == {"z"}
    assert picture(living) == before


def test_an_inner_trial_undoes_only_its_own(living):
    with living.trial() as outer:
        living.apply(PodGone("pod-0"))
        between = picture(living)
        with living.trial():
            change_back = bound("pod-0", "n", template(1, 1))
            living.apply(change_back)
            living.apply(NodeRemoved("empty"))
        assert picture(living) == between
        outer.keep()
    assert picture(living) == between


def free_twice_on_trial(snapshot):
    with snapshot.trial():
        snapshot.apply(PodGone("pod-0"))
        snapshot.apply(PodGone("pod-0"))


def test_an_error_undoes_the_trial_and_goes_on(living):
    before = picture(living)
    with pytest.raises(SnapshotError):
        free_twice_on_trial(living)
    assert picture(living) == before
    living.apply(PodGone("pod-0"))  # outside any trial: nothing is noted for undoing
    assert living._journal is None


def test_undoing_gives_a_predicted_device_back_to_whom_it_was_booked():
    """A second prediction would take device 0, which was too full at the time of the first."""
    pods = [("n", template(0, 1, milli=700)), ("n", template(0, 1, milli=400))]
    snapshot = snapshot_of(node("n", gpus="AA"), pods=pods)
    snapshot.apply(PodGone("pod-0"))
    assert left(snapshot, "n") == [1000, 600]
    with snapshot.trial():
        snapshot.apply(PodGone("pod-1"))
    assert snapshot.bookings["pod-1"].devices == (1,)
    assert left(snapshot, "n") == [1000, 600]


def test_undoing_a_removal_gives_the_same_slot_back():
    snapshot = snapshot_of(node("a"), node("b"), node("c"))
    slots = dict(snapshot.slot_of)
    with snapshot.trial():
        for name in "bca":
            snapshot.apply(NodeRemoved(name))
        snapshot.apply(NodeObserved(node("d")))
    assert snapshot.slot_of == slots


def test_a_change_and_its_undoing_are_both_heard(living):
    position = living.use_changes.position
    with living.trial():
        living.apply(PodGone("pod-0"))
    assert living.use_changes.position == position + 2


def test_forgotten_vectors_are_looked_up_anew(monkeypatch):
    monkeypatch.setattr(snapshot_module, "VECTORS_KEPT_MAX", 2)
    snapshot = snapshot_of(node("n", amounts={"nic": 9}))
    for cpu in range(1, 6):
        snapshot.apply(bound(f"p{cpu}", "n", template(cpu, amounts={"nic": 1})))
        assert len(snapshot._vectors) <= 2
    assert (free(snapshot, "n"), free(snapshot, "n", "nic")) == (8000 - 15, 4)
    for cpu in range(1, 6):
        snapshot.apply(PodGone(f"p{cpu}"))
    assert (free(snapshot, "n"), free(snapshot, "n", "nic")) == (8000, 9)


def test_an_unhealthy_device_is_no_device():
    sick = msgspec.structs.replace(node("n"), devices=(Device(model="A", healthy=False),))
    snapshot = snapshot_of(sick)
    assert left(snapshot, "n") == [0]
    assert snapshot.fleet.device_model.tolist() == [[-1]]
