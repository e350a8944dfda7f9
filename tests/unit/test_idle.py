"""Why each idle device is idle: one state for each reason, and what takes precedence."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.constraints import (
    Constraints,
    HostPort,
    LabelSelector,
    PodTerm,
    Requirement,
    Taint,
)
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.ledger import Reservation
from gpuyard.model.nodes import Device
from gpuyard.model.reasons import Constraint
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.topology import HOSTNAME, Topology, TopologyRequest
from gpuyard.scheduling.idle import REASONS, Step
from gpuyard.scheduling.topology import survey
from tests.idle_yard import GPU, MODEL, NOW, Yard, by_reason, flavor, node, pods, queue

BUSY = pods(1, 4)


def a_node(**facts):
    return Yard([node("a", **facts)])


def nobody_waits():
    return a_node()


def blind_node():
    yard = Yard([node("a", ready=False)])
    yard.submit("t/w", pods(1))
    return yard


def overdrawn_node():
    yard = a_node()
    yard.run_on("a", pods(2, 1), devices=(0,))
    return yard


def cordoned():
    yard = Yard([node("a", unschedulable=True)])
    yard.submit("t/w", pods(1))
    return yard


def reserved():
    yard = a_node()
    yard.submit("t/w", pods(1))
    yard.keep(pods(4), kind=Reservation, node="a")
    return yard


def held():
    yard = a_node()
    yard.submit("t/w", pods(1))
    yard.keep(pods(1, 4), node="a")
    return yard


def wrong_taint():
    yard = Yard([node("a", taints=(Taint("spot", "", "NoSchedule"),))])
    yard.submit("t/w", pods(1))
    return yard


def larger_than_any_node():
    yard = a_node()
    yard.submit("t/w", pods(1, 8))
    return yard


def asks_only_for_cpu():
    yard = a_node()
    yard.submit("t/w", pods(1, 0))
    return yard


def backs_off():
    yard = a_node()
    yard.submit("t/w", pods(1), not_before_ns=NOW + 1)
    return yard


def in_a_stopped_queue():
    yard = Yard([node("a")], [queue(stop_policy="Hold")])
    yard.submit("t/w", pods(1))
    return yard


def not_let_in():
    yard = a_node()
    yard.waiting.may_enter = lambda *_: False
    yard.submit("t/w", pods(1))
    return yard


def who_has_a_hold_asks_for_no_more():
    yard = Yard([node("a"), node("b")])
    yard.run_on("b", pods(1, 4))
    yard.submit("t/w", pods(1))
    yard.keep(pods(1), workload="t/w", node="b")
    return yard


def too_few_on_the_node():
    yard = Yard([node("a", 5)])
    yard.run_on("a", pods(1, 1))
    yard.submit("t/w", pods(1, 5))
    return yard


def too_small_a_rest():
    yard = a_node()
    yard.run_on("a", pods(4, 1, milli=600))
    yard.submit("t/w", pods(1, milli=500))
    return yard


def lacks_cpu():
    yard = Yard([node("a", cpu=4000)])
    yard.run_on("a", pods(1, 0, 3500))
    yard.submit("t/w", pods(1, 1, 1000))
    return yard


def lacks_a_port():
    port = Constraints(host_ports=(HostPort(80),))
    yard = a_node()
    yard.run_on("a", pods(1, 0, constraints=port))
    yard.submit("t/w", pods(1, constraints=port))
    return yard


def lacks_members():
    yard = a_node()
    yard.submit("t/w", pods(5))
    return yard


def two_shapes_do_not_land_together():
    yard = a_node()
    yard.submit("t/w", pods(1, 3, name="a"), pods(1, 2, name="b"))
    return yard


def lacks_quota():
    yard = Yard([node("a")], [queue(cpu=500)])
    yard.submit("t/w", pods(1))
    return yard


def no_flavor_there():
    yard = Yard([node("a", flavor="a100")], [queue(flavors=("h100",))])
    yard.submit("t/w", pods(1))
    return yard


def behind_a_head():
    yard = Yard([node("a")], [queue(queueing_strategy="StrictFIFO")])
    yard.submit("t/head", pods(9), created_ns=0)
    yard.submit("t/w", pods(1), created_ns=1)
    return yard


def not_tried():
    yard = a_node()
    yard.submit("t/w", pods(1))
    return yard


@pytest.mark.parametrize(
    ("state", "reason", "milli"),
    [
        pytest.param(nobody_waits, "NoDemand", 4000),
        pytest.param(blind_node, "BlindSource", 4000),
        pytest.param(overdrawn_node, "BlindSource", 3000),
        pytest.param(cordoned, "Cordoned", 4000),
        pytest.param(reserved, "Reservation", 4000),
        pytest.param(held, "Hold", 4000),
        pytest.param(wrong_taint, "NoDemand", 4000),
        pytest.param(larger_than_any_node, "NoDemand", 4000),
        pytest.param(asks_only_for_cpu, "NoDemand", 4000),
        pytest.param(backs_off, "NoDemand", 4000),
        pytest.param(in_a_stopped_queue, "NoDemand", 4000),
        pytest.param(not_let_in, "NoDemand", 4000),
        pytest.param(who_has_a_hold_asks_for_no_more, "NoDemand", 4000),
        pytest.param(too_few_on_the_node, "Fragmentation", 4000),
        pytest.param(too_small_a_rest, "Fragmentation", 1600),
        pytest.param(lacks_cpu, "Unreachable", 4000),
        pytest.param(lacks_a_port, "Unreachable", 4000),
        pytest.param(lacks_members, "Fragmentation", 4000),
        pytest.param(two_shapes_do_not_land_together, "Fragmentation", 4000),
        pytest.param(lacks_quota, "Quota", 4000),
        pytest.param(no_flavor_there, "Quota", 4000),
        pytest.param(behind_a_head, "StrictFIFOHead", 4000),
        pytest.param(not_tried, "PendingEvaluation", 4000),
    ],
)
def test_reason(state, reason, milli):
    assert by_reason(state().idle()) == {reason: milli}


def test_every_step_has_a_reason():
    assert set(REASONS) == set(Step)


# -- who speaks, and with what numbers


def only_row(yard, **rules):
    (row,) = yard.idle(**rules).rows
    return row


def test_quota_tells_its_numbers():
    row = only_row(lacks_quota())
    assert (row.pool, row.flavor, row.devices, row.nodes, row.workload) == ("", MODEL, 4, 1, "t/w")
    assert row.binding == Constraint(
        name=CPU, needed=1000, have=500, where="ClusterQueue main, flavor h100: all quota"
    )


def test_what_the_node_lacks_has_its_name():
    row = only_row(lacks_cpu())
    assert row.sentence == "a pod of t/w finds devices, and not enough cpu"
    assert row.binding == Constraint(name=CPU, needed=1000, have=500, where="1 nodes")


def test_a_gang_tells_how_many_of_it_would_start():
    row = only_row(lacks_members())
    assert row.sentence == "4 of 5 pods of t/w find a node"
    assert (row.binding.needed, row.binding.have) == (5, 4)


def test_a_head_is_named():
    assert only_row(behind_a_head()).sentence == (
        "t/w could start, and stands behind t/head in ClusterQueue main"
    )


def test_a_promise_names_for_whom():
    assert only_row(held()).workload == "held"


def test_how_many_ask_for_other_things_is_said():
    yard = larger_than_any_node()
    yard.submit("t/v", pods(1, 8))
    assert only_row(yard).sentence == "none of 2 waiting workloads asks for it"


def test_pools_and_flavors_have_rows_of_their_own():
    nodes = [node("a", pool="p"), node("b", 2, pool="q"), node("c", 1, pool="q", flavor="a100")]
    yard = Yard(nodes, [queue(flavors=("a100", "h100"))])
    found = [(row.pool, row.flavor, row.milli, row.nodes) for row in yard.idle().rows]
    assert found == [("p", "h100", 4000, 1), ("q", "a100", 1000, 1), ("q", "h100", 2000, 1)]


# -- precedence


def test_who_is_nearest_speaks():
    """One lacks quota, another CPU, a third would start: it is the third's turn."""
    yard = Yard([node("a", cpu=4000)], [queue(), queue("poor", cpu=0)])
    yard.submit("t/large", pods(1, 1, 8000))
    assert by_reason(yard.idle()) == {"NoDemand": 4000}
    yard.submit("t/many", pods(9))
    assert by_reason(yard.idle()) == {"Fragmentation": 4000}
    yard.submit("t/poor", pods(1), to="poor")
    assert by_reason(yard.idle()) == {"Quota": 4000}
    yard.submit("t/ready", pods(1))
    assert by_reason(yard.idle()) == {"PendingEvaluation": 4000}


def test_nodes_come_before_quota():
    yard = Yard([node("a")], [queue(cpu=0)])
    yard.submit("t/w", pods(9))
    assert by_reason(yard.idle()) == {"Fragmentation": 4000}


def test_who_may_not_be_taken_comes_first():
    yard = held()
    yard.keep(pods(1, 3), kind=Reservation, workload="other", node="a")
    assert by_reason(yard.idle()) == {"Reservation": 3000, "Hold": 1000}
    yard.snapshot.apply(NodeObserved(node("a", unschedulable=True), NOW))
    assert by_reason(yard.idle()) == {"Cordoned": 4000}
    yard.snapshot.apply(NodeObserved(node("a", unschedulable=True, ready=False), NOW))
    assert by_reason(yard.idle()) == {"BlindSource": 4000}


def test_what_is_kept_is_no_room_for_a_gang():
    yard = Yard([node("a"), node("b")])
    yard.submit("t/w", pods(5))
    assert by_reason(yard.idle()) == {"PendingEvaluation": 8000}
    yard.keep(pods(4), node="b")
    assert by_reason(yard.idle()) == {"Hold": 4000, "Fragmentation": 4000}


def test_the_cpu_beside_kept_devices_is_kept_too():
    yard = Yard([node("a", cpu=4000)])
    yard.submit("t/w", pods(1, 1, 2000))
    yard.keep(pods(1, 2, 3000), node="a")
    assert by_reason(yard.idle()) == {"Hold": 2000, "Unreachable": 2000}


# -- promises


def test_a_promise_that_ended_keeps_nothing():
    yard = a_node()
    yard.keep(pods(4), node="a", until_ns=NOW)
    assert by_reason(yard.idle()) == {"NoDemand": 4000}


def test_what_the_victims_have_not_given_up_is_not_idle():
    yard = a_node()
    yard.run_on("a", pods(1, 3))
    yard.keep(pods(1, 4), node="a")
    assert by_reason(yard.idle()) == {"Hold": 1000}


def test_two_promises_of_one_device_are_counted_once():
    yard = a_node()
    yard.keep(pods(1, 3), node="a", workload="one")
    yard.keep(pods(1, 3), node="a", workload="two")
    assert {row.workload: row.milli for row in yard.idle().rows} == {"one": 4000}
    parts = {part.said.workload: int(part.milli.sum()) for part in yard.idle().parts}
    assert parts == {"one": 3000, "two": 1000}


def test_a_share_of_a_device_is_kept():
    yard = Yard([node("a", 1)])
    yard.keep(pods(1, milli=300), node="a")
    assert by_reason(yard.idle()) == {"Hold": 300, "NoDemand": 700}


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        pytest.param({}, 3000, id="anywhere"),
        pytest.param({"domain": ("r2",)}, 2000, id="a rack, as far as it goes"),
        pytest.param({"domain": ("r1", "a")}, 2000, id="a host in its rack"),
        pytest.param({"domain": ("r9",)}, 0, id="a domain that is gone"),
        pytest.param({"node": "z"}, 0, id="a node that is gone"),
    ],
)
def test_where_a_promise_keeps(where, kept):
    yard = racked()
    yard.keep(pods(3), **where)
    assert by_reason(yard.idle()).get("Hold", 0) == kept


def racked(mode=None, **more):
    """Return two racks of one host with two devices each, in a flavor with a topology."""
    nodes = [
        node(name, 2, labels=(("rack", rack), (HOSTNAME, name)), **more)
        for name, rack in (("a", "r1"), ("b", "r2"))
    ]
    racks = Topology(name="racks", levels=("rack", HOSTNAME))

    def places(snapshot):
        given = msgspec.structs.replace(flavor(MODEL), topology="racks")
        return {MODEL: survey(snapshot, given, racks)}

    return Yard(nodes, places=places)


def test_a_gang_that_must_stand_in_one_rack():
    yard = racked(counts=True)
    wish = TopologyRequest(mode="required", level="rack")
    yard.submit("t/w", pods(3, counts=True, topology=wish))
    row = only_row(yard)
    assert (row.reason, row.milli, row.binding.needed, row.binding.have) == (
        "Fragmentation",
        4000,
        3,
        2,
    )
    assert "allows to fit only 2 out of 3 pod(s)" in row.sentence


# -- nodes that count their devices


def test_pieces_are_counted_where_nodes_say_how_many():
    yard = Yard([node("a", counts=True)])
    yard.run_on("a", pods(1, 3, counts=True))
    yard.submit("t/w", pods(1, 2, counts=True))
    assert by_reason(yard.idle()) == {"Fragmentation": 1000}
    yard.submit("t/v", pods(1, 1, counts=True))
    assert by_reason(yard.idle()) == {"PendingEvaluation": 1000}


def test_pieces_are_kept_too():
    yard = Yard([node("a", counts=True), node("b", counts=True)])
    yard.submit("t/w", pods(1, 4, counts=True))
    yard.keep(pods(3, 2, counts=True))
    assert by_reason(yard.idle()) == {"Hold": 6000, "Fragmentation": 2000}


def test_a_node_that_tells_both_is_not_counted_twice():
    both = msgspec.structs.replace(node("a", counts=True), devices=(Device(model=MODEL),) * 4)
    yard = Yard([both])
    assert by_reason(yard.idle()) == {"NoDemand": 4000}
    yard.run_on("a", pods(1, 1, milli=500))
    assert by_reason(yard.idle()) == {"NoDemand": 3500}
    yard.keep(pods(1, 2, counts=True), node="a")
    yard.submit("t/w", pods(1, 2))
    assert by_reason(yard.idle()) == {"Hold": 2000, "Fragmentation": 1500}


def test_other_device_resources_are_a_knob():
    yard = Yard([node("a", counts=True)])
    assert yard.idle(device_resources=()).rows == ()


# -- facts of a certain age


@pytest.mark.parametrize(
    ("stale_after_ns", "at_ns", "reason"),
    [
        pytest.param(None, 0, "NoDemand", id="time has no meaning"),
        pytest.param(NOW, 1, "NoDemand", id="young enough"),
        pytest.param(NOW - 2, 1, "BlindSource", id="one source is too old"),
    ],
)
def test_old_facts_are_blind(stale_after_ns, at_ns, reason):
    yard = a_node()
    yard.snapshot.observed_ns["pods"] = at_ns
    assert by_reason(yard.idle(stale_after_ns=stale_after_ns)) == {reason: 4000}


def test_facts_that_were_never_observed_are_blind():
    assert by_reason(a_node().idle(stale_after_ns=10**9)) == {"BlindSource": 4000}


# -- who asks


def test_the_first_of_like_workloads_speaks():
    yard = Yard([node("a")], [queue(cpu=0)])
    for key, at_ns in (("t/c", 3), ("t/a", 1), ("t/b", 2)):
        yard.submit(key, pods(1), created_ns=at_ns)
    assert only_row(yard).workload == "t/a"


def test_a_gang_asks_with_as_few_pods_as_it_may_have():
    yard = a_node()
    yard.submit("t/w", pods(9, min_count=4))
    assert by_reason(yard.idle()) == {"PendingEvaluation": 4000}


def test_only_so_many_are_asked():
    yard = a_node()
    yard.submit("t/first", pods(1, 8), created_ns=0)
    yard.submit("t/second", pods(1), created_ns=1)
    assert by_reason(yard.idle(asks_max=1)) == {"NoDemand": 4000}


def test_pods_that_others_keep_away_ask_for_nothing():
    term = PodTerm(
        topology_key=HOSTNAME,
        selector=LabelSelector((Requirement("app", "Exists"),)),
        namespaces=("default",),
    )
    yard = Yard([node("a", labels=((HOSTNAME, "a"),))])
    there = pods(1, 0)
    template = msgspec.structs.replace(there.template, labels=(("app", "x"),))
    yard.run_on("a", msgspec.structs.replace(there, template=template))
    yard.submit("t/w", pods(1, constraints=Constraints(forbidden_pods=(term,))))
    assert by_reason(yard.idle()) == {"NoDemand": 4000}


def test_a_queue_that_nobody_finds():
    yard = a_node()
    yard.submit("t/w", pods(1), to="nowhere")
    assert by_reason(yard.idle()) == {"NoDemand": 4000}


def test_devices_without_quota_for_them_need_none():
    """A request in devices only has nothing that is counted; it may stand anywhere."""
    yard = Yard([node("a", flavor="other")])
    bare = pods(1)
    request = msgspec.structs.replace(bare.template.request, resources=Resources())
    template = msgspec.structs.replace(bare.template, request=request)
    yard.submit("t/w", msgspec.structs.replace(bare, template=template))
    assert by_reason(yard.idle()) == {"PendingEvaluation": 4000}


def test_where_the_first_flavor_has_no_room_the_next_was_not_tried_yet():
    """Quota is there in both flavors, and the nodes of the first are full."""
    yard = Yard([node("a", flavor="a100"), node("h")], [queue(flavors=("a100", "h100"))])
    yard.run_on("a", pods(1, 3))
    yard.submit("t/w", pods(1, 4))
    found = {(row.flavor, row.reason): row.milli for row in yard.idle().rows}
    assert found == {("a100", "Fragmentation"): 1000, ("h100", "PendingEvaluation"): 4000}
    assert yard.cycle() == ["t/w"]


# -- nothing is changed


def test_the_state_is_the_same_afterwards():
    yard = Yard([node("a"), node("b", ready=False)], policy="kube")
    yard.keep(pods(1, 2), node="a")
    yard.submit("t/w", pods(1, 1, name="x"), pods(1, 1, 2000, name="y"))
    fleet, rng = yard.snapshot.fleet, yard.placer.rng.bit_generator
    before = fleet.free.copy(), fleet.device_free.copy(), rng.state
    yard.idle()
    assert np.array_equal(fleet.free[:, : before[0].shape[1]], before[0])
    assert np.array_equal(fleet.device_free, before[1])
    assert rng.state == before[2]
    assert yard.snapshot.bookings == {}
    assert GPU not in fleet.resources or not fleet.free[:, fleet.resources[GPU]].any()
