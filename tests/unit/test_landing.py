"""Where admitted pods stand: within flavors and domains, all or none, devices included."""

from collections import Counter

import numpy as np
import pytest

from gpuyard.model.constraints import Taint, Toleration
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Device, Node
from gpuyard.model.policy import PlacementPolicy, ResourceWeight, WeightedScore
from gpuyard.model.queues import Admission, PodSetAssignment, ResourceFlavor
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME, DomainCount, TopologyAssignment, TopologyRequest
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request
from gpuyard.scheduling import presets
from gpuyard.scheduling.landing import land
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.snapshot import Snapshot
from tests.small_queues import GPU, group, pods, queue, queues_of, workload

ANYWHERE = TopologyRequest(mode="unconstrained")


TIGHTEST = PlacementPolicy(
    scores=(WeightedScore(name="most-allocated", resources=(ResourceWeight(GPU),)),)
)


def a_placer(*nodes):
    """Return a placer over nodes (name, GPUs, labels)."""
    snapshot = Snapshot()
    for rank, (name, gpus, labels) in enumerate(nodes):
        node = Node(
            name=name,
            rank=rank,
            allocatable=Resources.of({GPU: gpus}),
            labels=tuple(sorted({HOSTNAME: name, **labels}.items())),
        )
        snapshot.apply(NodeObserved(node))
    return Placer(snapshot, TIGHTEST, np.random.default_rng(0))


def admitted(*pod_sets, flavor="h100", domains=None, levels=(HOSTNAME,)):
    """Return the admission of pod sets to one flavor; `domains` are counts by label values."""
    places = None
    if domains is not None:
        counts = tuple(DomainCount(values, count) for values, count in domains.items())
        places = TopologyAssignment(levels, counts)
    return Admission(
        "main",
        tuple(
            PodSetAssignment(
                name=each.name, count=each.count, flavors=((GPU, flavor),), topology=places
            )
            for each in pod_sets
        ),
    )


def nodes_of(landed):
    return Counter(assignment.node for assignment in landed.assignments)


QUEUES = queues_of(queue(group(h100=64)))


def test_without_domains_the_scores_choose():
    placer = a_placer(("a", 8, {}), ("b", 4, {}))
    asked = pods(4)
    landed = land(placer, QUEUES, workload(asked), admitted(asked))
    assert nodes_of(landed) == {"b": 4}
    assert [one.pod for one in landed.assignments] == [f"team/job/main-{i}" for i in range(4)]
    assert {one.group for one in landed.assignments} == {"team/job"}


def test_domains_of_the_admission_are_kept():
    placer = a_placer(("a", 8, {}), ("b", 4, {}))
    asked = pods(4)
    given = admitted(asked, domains={("a",): 3, ("b",): 1})
    landed = land(placer, QUEUES, workload(asked), given)
    assert nodes_of(landed) == {"a": 3, "b": 1}
    assert landed.admission == given


def test_domains_nobody_asked_for_may_be_left_and_are_told():
    placer = a_placer(("a", 8, {}), ("b", 4, {}))
    asked = pods(4)
    given = admitted(asked, domains={("a",): 4})
    landed = land(placer, QUEUES, workload(asked), given, keeps_domains=False)
    assert nodes_of(landed) == {"b": 4}
    (standing,) = landed.admission.pod_sets
    assert standing.topology.domains == (DomainCount(("b",), 4),)


def test_domains_that_were_asked_for_bind_whatever_the_scores_say():
    placer = a_placer(("a", 8, {}), ("b", 4, {}))
    asked = pods(4, topology=ANYWHERE)
    landed = land(
        placer, QUEUES, workload(asked), admitted(asked, domains={("a",): 4}), keeps_domains=False
    )
    assert nodes_of(landed) == {"a": 4}


def test_inside_a_rack_the_scores_choose_the_host():
    placer = a_placer(("a", 8, {"rack": "r1"}), ("b", 2, {"rack": "r1"}), ("c", 2, {"rack": "r2"}))
    asked = pods(2, topology=TopologyRequest(mode="required", level="rack"))
    given = admitted(asked, domains={("r1",): 2}, levels=("rack",))
    landed = land(placer, QUEUES, workload(asked), given)
    assert nodes_of(landed) == {"b": 2}
    assert landed.admission == given


def test_a_flavor_is_a_node_mask_and_brings_its_tolerations():
    spot = ResourceFlavor(
        name="spot",
        node_labels=(("kind", "spot"),),
        tolerations=(Toleration(key="spot", operator="Exists"),),
    )
    queues = queues_of(queue(group(spot=64)), flavors=[spot])
    placer = a_placer(("plain", 2, {}), ("cheap", 8, {"kind": "spot"}))
    tainted = Node(
        name="tainted",
        rank=9,
        allocatable=Resources.of({GPU: 4}),
        labels=((HOSTNAME, "tainted"), ("kind", "spot")),
        taints=(Taint("spot", "", "NoSchedule"),),
    )
    placer.snapshot.apply(NodeObserved(tainted))
    asked = pods(2)
    landed = land(placer, queues, workload(asked), admitted(asked, flavor="spot"))
    assert nodes_of(landed) == {"tainted": 2}


def test_all_or_nothing_leaves_no_trace():
    placer = a_placer(("a", 2, {}), ("b", 2, {}))
    first, second = pods(2, name="leader"), pods(4, name="workers")
    job = workload(first, second)
    assert land(placer, QUEUES, job, admitted(first, second)) is None
    assert placer.snapshot.bookings == {}
    assert land(placer, QUEUES, workload(first), admitted(first)) is not None


def test_fewer_pods_than_asked_for():
    """A partly admitted pod set stands with the admitted count."""
    placer = a_placer(("a", 8, {}))
    given = admitted(pods(3))
    landed = land(placer, QUEUES, workload(pods(5, min_count=2)), given)
    assert len(landed.assignments) == 3


@pytest.mark.parametrize(("milli", "expected"), [(500, 1), (1000, 2)])
def test_devices_are_chosen_with_the_nodes(milli, expected):
    snapshot = Snapshot()
    devices = (Device(model="h100"), Device(model="h100"))
    snapshot.apply(NodeObserved(Node(name="a", devices=devices, labels=((HOSTNAME, "a"),))))
    placer = Placer(snapshot, presets.placement("best-fit"), np.random.default_rng(0))
    request = Request(devices=DeviceRequest(count=1, milli=milli))
    asked = PodSet(name="main", count=2, template=PodTemplate(request=request))
    landed = land(placer, QUEUES, workload(asked), admitted(asked))
    used = {device for one in landed.assignments for device in one.devices}
    assert len(used) == expected


SPREADING = PlacementPolicy(
    scores=(WeightedScore(name="least-allocated", resources=(ResourceWeight(GPU),)),)
)


def a_gang_of_two_shapes():
    """Return a placer that puts the small pod where only the large one fits, and the gang."""
    snapshot = a_placer(("a", 4, {}), ("b", 2, {})).snapshot
    first, second = pods(1, 2, name="small"), pods(1, 4, name="large")
    return Placer(snapshot, SPREADING, np.random.default_rng(0)), first, second


def test_one_after_the_other_misses_places():
    placer, first, second = a_gang_of_two_shapes()
    assert land(placer, QUEUES, workload(first, second), admitted(first, second)) is None
    assert placer.snapshot.bookings == {}


def test_all_together_finds_them():
    pytest.importorskip("highspy")
    placer, first, second = a_gang_of_two_shapes()
    job, given = workload(first, second), admitted(first, second)
    landed = land(placer, QUEUES, job, given, exact_limit_s=1.0)
    assert [(one.pod, one.node) for one in landed.assignments] == [
        ("team/job/small-0", "b"),
        ("team/job/large-0", "a"),
    ]
    assert {booking.assignment for booking in placer.snapshot.bookings.values()} == set(
        landed.assignments
    )
    assert {one.group for one in landed.assignments} == {"team/job"}


def test_domains_are_not_left_for_it():
    placer, first, second = a_gang_of_two_shapes()
    given = admitted(first, second, domains={("a",): 1})
    job = workload(first, second)
    assert land(placer, QUEUES, job, given, exact_limit_s=1.0) is None
