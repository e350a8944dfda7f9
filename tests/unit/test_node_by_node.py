"""Gangs node by node: whole nodes first, all or nothing, and only where the filters allow."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.constraints import Constraints, LabelSelector, PodTerm, Requirement
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import Assignment, DeviceRequest, PodTemplate, Request
from gpuyard.scheduling import node_by_node
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.rounds import TIRESIAS
from gpuyard.scheduling.snapshot import Snapshot

POD = PodTemplate(request=Request(devices=DeviceRequest(count=1)))
PAIR = PodTemplate(request=Request(devices=DeviceRequest(count=2)))


def node(rank, devices=4, **facts):
    listed = (Device(model="T4"),) * devices
    return Node(name=f"n{rank}", devices=listed, rank=rank, **facts)


def placer_over(nodes, used=()):
    """Return a placer; `used` are devices in use on the nodes, in their order."""
    snapshot = Snapshot()
    for one in nodes:
        snapshot.apply(NodeObserved(one))
    for one, count in zip(nodes, used, strict=False):
        for index in range(count):
            held = Assignment(pod=f"{one.name}-{index}", template=POD, node=one.name)
            snapshot.apply(PodBound(held))
    return Placer(snapshot, TIRESIAS.placement, np.random.default_rng(0))


def gang(count, template=POD):
    return [(f"pod-{index}", template) for index in range(count)]


def nodes_of(placed):
    return None if placed is None else [assignment.node for assignment in placed]


@pytest.mark.parametrize(
    ("used", "count", "expected"),
    [
        pytest.param((0, 0, 0), 3, ["n0"] * 3, id="one node is enough: of equals the first"),
        pytest.param((1, 0, 0), 3, ["n1"] * 3, id="the emptiest node first"),
        pytest.param((0, 0, 0), 6, ["n0"] * 4 + ["n1"] * 2, id="the next when the first is full"),
        pytest.param((3, 2, 3), 4, ["n1"] * 2 + ["n0", "n2"], id="what is left, largest first"),
        pytest.param((2, 3, 1), 3, ["n2"] * 3, id="the emptiest though it is the last"),
        pytest.param((0, 0, 0), 12, ["n0"] * 4 + ["n1"] * 4 + ["n2"] * 4, id="all there is"),
        pytest.param((0, 0, 1), 12, None, id="one too many: nobody is placed"),
    ],
)
def test_place(used, count, expected):
    placer = placer_over([node(0), node(1), node(2)], used)
    before = placer.snapshot.fleet.device_free.copy()
    placed = node_by_node.place(placer, gang(count))
    assert nodes_of(placed) == expected
    taken_milli = int((before - placer.snapshot.fleet.device_free).sum())
    assert taken_milli == 1000 * len(expected or ())


def test_each_pod_has_a_device_of_its_own():
    placer = placer_over([node(0)], (1,))
    node_by_node.place(placer, gang(3))
    held = [device for one in placer.snapshot.bookings.values() for device in one.devices]
    assert sorted(held) == [0, 1, 2, 3]


def test_pods_that_ask_for_pairs_fit_side_by_side():
    placer = placer_over([node(0, devices=5), node(1)])
    assert nodes_of(node_by_node.place(placer, gang(4, PAIR))) == ["n0", "n0", "n1", "n1"]


def test_cpu_limits_how_many_fit_onto_a_node():
    hungry = PodTemplate(
        request=Request(resources=Resources.of({"cpu": 3000}), devices=DeviceRequest(count=1))
    )
    nodes = [node(rank, allocatable=Resources.of({"cpu": 8000})) for rank in range(2)]
    placed = node_by_node.place(placer_over(nodes), gang(4, hungry))
    assert nodes_of(placed) == ["n0", "n0", "n1", "n1"]


def test_a_node_that_the_filters_turn_down_is_left_out():
    nodes = [node(0, unschedulable=True), node(1)]
    assert nodes_of(node_by_node.place(placer_over(nodes), gang(4))) == ["n1"] * 4
    assert node_by_node.place(placer_over(nodes), gang(5)) is None


def test_members_that_differ_are_placed_in_their_order():
    placer = placer_over([node(0), node(1)])
    pods = [("leader", PAIR), ("a", POD), ("b", POD), ("c", POD)]
    placed = node_by_node.place(placer, pods)
    assert [assignment.pod for assignment in placed] == ["leader", "a", "b", "c"]
    assert nodes_of(placed) == ["n0", "n1", "n1", "n1"]


def test_members_that_repel_each_other_are_placed_one_for_one():
    """There room for several on a node says nothing."""
    selector = LabelSelector((Requirement(key="job", operator="In", values=("a",)),))
    away = PodTerm(topology_key="host", selector=selector, namespaces=("default",))
    template = msgspec.structs.replace(
        POD, labels=(("job", "a"),), constraints=Constraints(forbidden_pods=(away,))
    )
    nodes = [node(rank, labels=(("host", f"n{rank}"),)) for rank in range(2)]
    assert nodes_of(node_by_node.place(placer_over(nodes), gang(2, template))) == ["n0", "n1"]
    assert node_by_node.place(placer_over(nodes), gang(3, template)) is None


def test_nobody_asks_for_nothing():
    assert node_by_node.place(placer_over([node(0)]), []) == ()
