"""Where one pod goes, where several go at once, how much room there is, and what it costs."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.constraints import Constraints, HostPort, Taint
from gpuyard.model.deltas import NodeObserved, NodeRemoved, PodGone
from gpuyard.model.nodes import Pool
from gpuyard.model.policy import PlacementPolicy, WeightedScore
from gpuyard.scheduling.presets import PLACEMENTS
from tests.small_fleet import bound, node, placer_of, request, snapshot_of, template, where

ANY = PlacementPolicy(scores=())  # no score: only filters and ties


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        pytest.param({"a": 1, "b": 0, "c": 2}, "b", id="the smallest rank"),
        pytest.param({"c": 0, "b": 0}, "b", id="equal ranks: the name"),
    ],
)
def test_ties_go_by_rank(ranks, expected):
    nodes = [node(name, rank=rank) for name, rank in ranks.items()]
    for policy in (ANY, "best-fit", "fgd", "packing"):
        assert placer_of(snapshot_of(*nodes), policy).place("p", template()).node == expected


def test_random_ties_are_fair_and_do_not_depend_on_history():
    policy = msgspec.structs.replace(ANY, tie_break="random")
    nodes = [node(name) for name in "abcd"]
    straight = snapshot_of(*nodes)
    winding = snapshot_of(node("x"), node("d"), node("c"))
    winding.apply(NodeRemoved("x"))
    for one in reversed(nodes):
        winding.apply(NodeObserved(one))
    counts = dict.fromkeys("abcd", 0)
    for seed in range(400):
        chosen = [
            snapshot.nodes[
                placer_of(snapshot, policy, seed).choose(snapshot.shape(template())).slot
            ].name
            for snapshot in (straight, winding)
        ]
        assert chosen[0] == chosen[1]
        counts[chosen[0]] += 1
    assert all(70 < times < 130 for times in counts.values())


def test_weights_decide_between_scores():
    nodes = [node("big", 128_000, "A" * 8), node("small", 8000, "A")]

    def choice(spread_weight):
        scores = (
            WeightedScore(name="best-fit"),
            WeightedScore(name="least-allocated", weight=spread_weight),
        )
        return placer_of(snapshot_of(*nodes), PlacementPolicy(scores=scores)).place(
            "p", template(4000)
        )

    assert choice(1).node == "small"  # 100 + 75 or so against 0 + 98
    assert choice(10).node == "big"


def test_nowhere_to_go():
    snapshot = snapshot_of(node("n", 1000), pods=[("n", template(500))])
    placer = placer_of(snapshot)
    assert placer.place("p", template(501)) is None
    assert "p" not in snapshot.bookings
    assert placer_of(snapshot_of()).place("p", template()) is None


@pytest.mark.parametrize("policy", sorted(PLACEMENTS))
def test_one_node_needs_no_score(policy):
    placer = placer_of(snapshot_of(node("n", gpus="A"), node("full", 0)), policy)
    assert placer.place("p", template(1000, 1)).node == "n"
    assert placer.counted.nodes_scored == 0


# --- Devices ------------------------------------------------------------------------------------

SHARE = template(0, 1, milli=300)


@pytest.mark.parametrize(
    ("policy", "chooser", "expected"),
    [
        pytest.param("best-fit", None, {(1,)}, id="best-fit: the fullest"),
        pytest.param(msgspec.structs.replace(ANY, devices="first"), None, {(0,)}, id="first"),
        pytest.param("random", None, {(0,), (1,), (2,)}, id="random: any"),
        pytest.param("best-fit", "agent", {(1,)}, id="our plugin does what we predict"),
        pytest.param("best-fit", "kubelet", {(0,)}, id="the stock plugin spreads"),
        pytest.param("fgd", "kubelet", {(0,)}, id="whatever the policy would like"),
        pytest.param("best-fit", "scheduler", {(1,)}, id="DRA: the scheduler's word"),
    ],
)
def test_who_picks_the_device(policy, chooser, expected):
    pools = {"pool": Pool(name="pool", chooser=chooser)} if chooser else {}
    used = [("n", template(0, 1, milli=500), (1,)), ("n", template(0, 1, milli=300), (2,))]
    chosen = set()
    for seed in range(20):
        snapshot = snapshot_of(node("n", gpus="AAA", pool="pool"), pods=used)
        chosen.add(placer_of(snapshot, policy, seed, pools).place("p", SHARE).devices)
    assert chosen == expected


def test_a_device_of_another_model_is_never_taken():
    for policy in PLACEMENTS:
        placer = placer_of(snapshot_of(node("n", gpus="ABAB")), policy)
        assert placer.place("p", template(0, 2, models="B")).devices == (1, 3)
        assert placer.place("q", template(0, 1, models="B")) is None


def test_no_devices_asked_none_told():
    assert placer_of(snapshot_of(node("n", gpus="A"))).place("p", template()).devices is None


# --- Several at once ----------------------------------------------------------------------------


def test_all_or_none():
    snapshot = snapshot_of(node("a", gpus="AA"), node("b", gpus="A"))
    placer = placer_of(snapshot)
    gang = [(f"p{index}", template(0, 1)) for index in range(4)]
    position = snapshot.use_changes.position
    assert placer.place_all(gang) is None
    assert snapshot.bookings == {}
    assert snapshot.fleet.device_free.tolist() == [[1000, 1000], [1000, 0]]
    assert snapshot.use_changes.position > position  # undone through the log, so rows stay true
    assert where(placer.place_all(gang[:3])) == {"a": 2, "b": 1}
    assert set(snapshot.bookings) == {"p0", "p1", "p2"}
    assert placer.place_all([]) == ()


# --- Room ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "asked", "expected"),
    [
        pytest.param(node("n", 3500), template(1000), 3, id="CPU"),
        pytest.param(node("n", memory=25), template(0, memory=10), 2, id="memory"),
        pytest.param(node("n", amounts={"pods": 4}), template(0), 4, id="places for pods"),
        pytest.param(node("n", amounts={"nic": 3}), template(0, amounts={"nic": 2}), 1, id="other"),
        pytest.param(node("n", gpus="AAAAA"), template(0, 2), 2, id="whole devices"),
        pytest.param(node("n", gpus="AA"), template(0, 1, milli=300), 6, id="shares"),
        pytest.param(node("n", gpus="AA"), template(0, 2, milli=500), 2, id="shares of several"),
        pytest.param(node("n", gpus="ABA"), template(0, 1, models="A"), 2, id="of a model"),
        pytest.param(node("n", 1500, "AAA"), template(1000, 1), 1, id="the scarcest"),
        pytest.param(node("n", gpus="A"), template(0, 2), 0, id="none"),
        pytest.param(
            node("n"),
            template(1000, constraints=Constraints(host_ports=(HostPort(80),))),
            1,
            id="a port is there once",
        ),
        pytest.param(node("n", unschedulable=True), template(0), 0, id="cordoned"),
    ],
)
def test_room(where, asked, expected):
    snapshot = snapshot_of(where, node("other", 0, memory=0, amounts={"pods": 0}))
    placer = placer_of(snapshot)
    assert placer.room(snapshot.shape(asked))[0] == expected
    placed = 0
    while placed < expected and placer.place(f"p{placed}", asked):
        placed += 1
    assert placed == expected
    assert placer.room(snapshot.shape(asked))[0] == 0


def test_allowed_by_labels_looks_at_the_node_alone():
    tainted = node("tainted", taints=(Taint("gpu", "", "NoSchedule"),))
    nodes = [node("full", 1000, "A"), node("cordoned", gpus="A", unschedulable=True), tainted]
    snapshot = snapshot_of(*nodes, pods=[("full", template(1000))])
    placer = placer_of(snapshot)
    shape = snapshot.shape(template(500))
    assert placer.allowed_by_labels(shape).tolist() == [True, False, False]
    assert placer.room(shape).tolist() == [0, 0, 0]
    assert not placer.depends_on_pods(shape)


# --- Work ---------------------------------------------------------------------------------------


def test_a_known_shape_costs_the_nodes_that_changed():
    snapshot = snapshot_of(*(node(f"n{index}", gpus="AA") for index in range(50)))
    placer = placer_of(snapshot, "fgd")
    counted = placer.counted
    placer.place("p0", template(100, 1))
    assert (counted.placements, counted.rows_built) == (1, 1)
    assert (counted.nodes_refreshed, counted.nodes_scored) == (50, 50)
    for index in range(1, 10):
        placer.place(f"p{index}", template(100, 1))
    assert (counted.placements, counted.rows_built) == (10, 1)
    # Each placement changed one node; after every second one it was full: nothing to score.
    assert (counted.nodes_refreshed, counted.nodes_scored) == (50 + 9, 50 + 5)
    snapshot.apply(PodGone("p3"))
    snapshot.apply(bound("q", "n7", template(100)))
    placer.choose(snapshot.shape(template(100, 1)))
    assert counted.nodes_refreshed == 59 + 3


def test_rows_are_dropped_beyond_the_limit_the_oldest_first():
    policy = msgspec.structs.replace(PLACEMENTS["best-fit"], rows_kept_max=2)
    snapshot = snapshot_of(node("a"), node("b"))
    placer = placer_of(snapshot, policy)
    for cpu in (1, 2, 1, 3):
        placer.choose(snapshot.shape(template(cpu)))
    assert [shape.request for shape in placer._rows] == [request(1), request(3)]
    assert placer.counted.rows_built == 3
    placer.choose(snapshot.shape(template(2)))
    assert placer.counted.rows_built == 4


@pytest.mark.parametrize("policy", ["fgd", "best-fit", "clustering", "kube-most-allocated"])
def test_a_row_grows_with_the_fleet(policy):
    """Scores of before are not taken for those of the longer row, which begins with zeros."""
    share = template(0, 1, milli=500)
    nodes = [node(f"n{index}", gpus="AA", rank=index) for index in range(30)]
    snapshot = snapshot_of(*nodes, pods=[("n7", share)], mix=[(request(0, 1), 1.0)])
    placer = placer_of(snapshot, policy)
    shape = snapshot.shape(share)
    assert snapshot.nodes[placer.choose(shape).slot].name == "n7"
    snapshot.apply(NodeObserved(node("new", gpus="AA", rank=99)))
    assert snapshot.nodes[placer.choose(shape).slot].name == "n7"


def test_choosing_changes_nothing():
    snapshot = snapshot_of(node("a", gpus="A"), node("b", gpus="A"))
    free = snapshot.fleet.free.copy()
    position = snapshot.use_changes.position
    placer_of(snapshot, "fgd").choose(snapshot.shape(template(10, 1)))
    assert np.array_equal(snapshot.fleet.free, free)
    assert snapshot.use_changes.position == position
    assert snapshot.bookings == {}
