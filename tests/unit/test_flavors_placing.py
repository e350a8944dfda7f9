"""Places after flavors: who seeks them, what their lack brings, what they use."""

import pytest

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Node
from gpuyard.model.queues import Admission, PodSetAssignment, ResourceFlavor
from gpuyard.model.resources import CPU, PODS, Resources
from gpuyard.model.topology import (
    DomainCount,
    Topology,
    TopologyAssignment,
    TopologyRequest,
    TopologyRules,
    TopologyUsage,
)
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.flavors.topologies import FlavorTopologies
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology.capacity import survey
from tests.small_queues import (
    GPU,
    HOST,
    Hosts,
    assigned,
    chosen,
    group,
    pods,
    queue,
    queues_of,
    usage,
)

TAS = ResourceFlavor(name="tas", topology="hosts")
ANYWHERE = TopologyRequest(mode="unconstrained")
ON_ONE_HOST = TopologyRequest(mode="required", level=HOST[0])
NEAR = TopologyRequest(mode="preferred", level=HOST[0])


def grouped(mode="unconstrained", *, only=False):
    level = "" if mode == "unconstrained" else HOST[0]
    return TopologyRequest(mode=mode, level=level, group="g", only_groups=only)


def tas_queues(*, used=(), quota=8):
    return queues_of(queue(group(tas=quota)), flavors=[TAS], used=used)


# -- what the lack of places brings


@pytest.mark.parametrize(
    ("free", "when_empty", "used", "mode", "asked"),
    [
        pytest.param(4, 4, 0, Mode.FIT, [False], id="quota and places"),
        pytest.param(2, 4, 0, Mode.PREEMPT, [False, True], id="places are taken"),
        pytest.param(2, 2, 0, Mode.NO_FIT, [False, True], id="there are not that many places"),
        pytest.param(4, 4, 6, Mode.PREEMPT, [True], id="quota is taken"),
        pytest.param(4, 2, 6, Mode.NO_FIT, [True], id="quota is taken, and not that many places"),
    ],
)
def test_places_decide_after_quota(free, when_empty, used, mode, asked):
    topologies = Hosts(tas=(free, when_empty))
    queues = tas_queues(used={"tas": used})
    assignment = assigned(queues, pods(4, topology=ON_ONE_HOST), topologies=topologies)
    assert assignment.mode is mode
    assert [empty for _, empty in topologies.asked] == asked
    expected = "TopologyPlacementFailed" if mode is Mode.NO_FIT else ""
    assert assignment.no_fit_reason == expected
    assert (assignment.pod_sets[0].topology is not None) == (mode is Mode.FIT)


def test_a_refusal_is_told_with_its_reason():
    topologies = Hosts(tas=(2, 4))
    assignment = assigned(tas_queues(), pods(4, topology=ON_ONE_HOST), topologies=topologies)
    (reason,) = assignment.pod_sets[0].reasons
    assert (reason.code, reason.flavor) == ("TopologyPlacementFailed", "tas")
    assert "doesn't allow to fit" in assignment.message()


def test_places_that_never_are_become_the_flavors_reason_even_where_quota_is_taken():
    """The pod set itself has nothing against it but places; another one waits for quota."""
    first = pods(2, name="first", topology=ANYWHERE)
    assignment = assigned(
        tas_queues(used={"tas": 4}, quota=7),
        first,
        pods(3, name="second", topology=ANYWHERE),
        topologies=Hosts(tas=(9, 1)),
    )
    assert assignment.mode is Mode.NO_FIT
    assert assignment.pod_sets[0].mode is Mode.NO_FIT
    assert assignment.no_fit_reason == "TopologyPlacementFailed"


def test_who_seeks_places_may_evict_for_them_though_quota_is_free():
    assignment = assigned(
        queues_of(queue(group(plain=8), group(tas={CPU: 8000})), flavors=[TAS]),
        pods(2, name="head", asks={GPU: 1}),
        pods(4, name="worker", asks={CPU: 1000}, topology=ON_ONE_HOST),
        topologies=Hosts(tas=(1, 9)),
    )
    modes = {each.name: each.mode for each in assignment.pod_sets}
    assert modes == {"head": Mode.FIT, "worker": Mode.PREEMPT}


def test_places_found_are_used_and_admitted():
    assignment = assigned(tas_queues(), pods(3, topology=NEAR), topologies=Hosts(tas=(4, 4)))
    places = TopologyAssignment(HOST, (DomainCount(("tas-host",), 3),))
    assert assignment.pod_sets[0].topology == places
    used = TopologyUsage("tas", Resources.of({GPU: 1}), places.domains)
    assert assignment.usage.places == (used,)
    assert assignment.admission("main").pod_sets[0].topology == places


def test_without_topologies_nobody_seeks_places():
    topologies = Hosts(tas=(0, 0))
    rules = FlavorRules(topology_aware=False)
    asked = pods(3, topology=NEAR)
    assignment = assigned(tas_queues(), asked, topologies=topologies, rules=rules)
    assert (assignment.mode, topologies.asked) == (Mode.FIT, [])


def test_all_flavors_with_a_topology_mean_that_everybody_seeks_places():
    topologies = Hosts(tas=(4, 4))
    assignment = assigned(tas_queues(), pods(3), topologies=topologies)
    assert assignment.pod_sets[0].topology is not None


def test_no_pods_seek_no_places():
    topologies = Hosts(tas=(4, 4))
    asked = [pods(0, name="done", topology=NEAR), pods(2, topology=NEAR)]
    assignment = assigned(tas_queues(), *asked, topologies=topologies)
    assert [each.topology is not None for each in assignment.pod_sets] == [False, True]
    assert assignment.mode is Mode.FIT


# -- leaders


MIXED = (group(tas=8), group(plain={CPU: 8000}))


def test_a_leader_that_asks_for_nothing_goes_with_its_workers():
    assignment = assigned(
        queues_of(queue(*MIXED), flavors=[TAS]),
        pods(1, name="leader", asks={}, topology=grouped("required")),
        pods(3, name="worker", topology=grouped("required")),
        topologies=Hosts(tas=(4, 4)),
    )
    assert chosen(assignment) == {"leader": "tas", "worker": "tas"}
    assert assignment.mode is Mode.FIT
    assert assignment.usage.quota == usage({"tas": 3}).quota


@pytest.mark.parametrize(
    ("leader", "workers", "groups", "code"),
    [
        pytest.param(ON_ONE_HOST, ON_ONE_HOST, MIXED, "NoTopologyFlavor", id="no group"),
        pytest.param(
            grouped("required"),
            grouped(only=True),
            (group(plain=8),),
            "NoTopologyCapacity",
            id="no flavor of the queue has a topology",
        ),
    ],
)
def test_a_leader_without_a_topology(leader, workers, groups, code):
    assignment = assigned(
        queues_of(queue(*groups), flavors=[TAS]),
        pods(1, name="leader", asks={}, topology=leader),
        pods(3, name="worker", topology=workers),
        topologies=Hosts(tas=(4, 4)),
    )
    error = assignment.pod_sets[0].error
    assert error is not None
    assert error.code == code
    assert assignment.mode is Mode.NO_FIT
    assert assignment.message().startswith("failed to assign flavors to pod set leader: ")


def test_two_flavors_with_a_topology_cannot_be_placed():
    other = ResourceFlavor(name="other", topology="hosts")
    queues = queues_of(queue(group(tas=8), group(other={CPU: 8000})), flavors=[TAS, other])
    topologies = Hosts(tas=(4, 4), other=(4, 4))
    asked = pods(1, asks={GPU: 1, CPU: 1}, topology=NEAR)
    error = assigned(queues, asked, topologies=topologies).pod_sets[0].error
    assert error is not None
    assert (error.code, error.flavors) == ("SeveralTopologyFlavors", ("other", "tas"))


# -- workloads that grow


@pytest.mark.parametrize(
    ("asked", "is_on", "code"),
    [
        pytest.param(ON_ONE_HOST, True, "ElasticRequiredTopology", id="required"),
        pytest.param(NEAR, True, "ElasticPreferredTopology", id="preferred"),
        pytest.param(ANYWHERE, True, None, id="unconstrained"),
        pytest.param(ON_ONE_HOST, False, None, id="the rule is off"),
    ],
)
def test_elastic_workloads_stand_anywhere(asked, is_on, code):
    rules = FlavorRules(elastic_slices_with_topology=is_on)
    assignment = assigned(
        tas_queues(),
        pods(2, topology=asked),
        topologies=Hosts(tas=(4, 4)),
        rules=rules,
        is_elastic=True,
    )
    error = assignment.pod_sets[0].error
    assert (None if error is None else error.code) == code


# -- workloads that run


def standing(*hosts):
    return TopologyAssignment(HOST, tuple(DomainCount((host,), 1) for host in hosts))


def running(*hosts):
    """Return the request of a workload with a pod on each of `hosts`, and what it holds."""
    pod_set = pods(len(hosts), topology=NEAR)
    total = Resources.of({GPU: len(hosts)})
    places = standing(*hosts)
    held = PodSetAssignment(
        name="main", count=len(hosts), flavors=((GPU, "tas"),), usage=total, topology=places
    )
    asked = QuotaRequest(
        pod_set=pod_set, count=len(hosts), total=total, flavors=held.flavors, topology=places
    )
    return {"pod_sets": (asked,), "held": Admission("main", (held,))}


def test_who_has_places_keeps_them_and_uses_nothing_more():
    topologies = Hosts(tas=(0, 0))
    assignment = assigned(tas_queues(used={"tas": 8}), topologies=topologies, **running("a", "b"))
    assert (assignment.mode, topologies.asked) == (Mode.FIT, [])
    assert assignment.pod_sets[0].topology == standing("a", "b")
    assert assignment.usage == usage({})


def test_who_lost_a_node_seeks_another_place_and_evicts_nobody():
    full = Hosts(tas=(0, 9))
    lost = assigned(tas_queues(), topologies=full, unhealthy_nodes=("b",), **running("a", "b"))
    assert (lost.mode, full.asked) == (Mode.PREEMPT, [(["tas"], False)])
    room = Hosts(tas=(2, 2))
    moved = assigned(tas_queues(), topologies=room, unhealthy_nodes=("b",), **running("a", "b"))
    (used,) = moved.usage.places
    assert used.domains == (DomainCount(("tas-host",), 2),)
    assert moved.usage.quota == ()


def test_a_node_that_failed_elsewhere_does_not_matter():
    topologies = Hosts(tas=(0, 0))
    given = running("a", "b")
    assignment = assigned(tas_queues(), topologies=topologies, unhealthy_nodes=("c",), **given)
    assert (assignment.mode, topologies.asked) == (Mode.FIT, [])


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        pytest.param({}, {"a": 2}, {"a": 2}, id="all of it"),
        pytest.param({"a": 2}, {"a": 2}, {}, id="nothing"),
        pytest.param({"a": 1}, {"a": 3}, {"a": 2}, id="more pods in one domain"),
        pytest.param({"a": 2}, {"b": 2}, {"b": 2}, id="a domain is left, nothing comes back"),
        pytest.param({"a": 3}, {"a": 1, "b": 2}, {"b": 2}, id="fewer pods give nothing back"),
    ],
)
def test_only_new_places_are_used(before, after, new):
    class Fixed(Hosts):
        def place(self, requests, /, *, empty):
            return {"main": at(after)}

    def at(counts):
        domains = tuple(DomainCount((host,), count) for host, count in counts.items())
        return TopologyAssignment(HOST, domains)

    held = PodSetAssignment(name="main", count=2, flavors=((GPU, "tas"),), topology=at(before))
    assignment = assigned(
        tas_queues(),
        pods(2, topology=NEAR),
        topologies=Fixed(tas=(9, 9)),
        held=Admission("main", (held,)),
    )
    found = {
        each.values[0]: each.count for used in assignment.usage.places for each in used.domains
    }
    assert found == new


# -- real topologies


def real(*flavors, hosts=("one", "two"), **more):
    """Return the topologies of flavors that all have the same hosts, of four cores each."""
    snapshot = Snapshot()
    topology = Topology(name="hosts", levels=HOST)
    for rank, name in enumerate(hosts):
        labels = ((HOST[0], f"host-{name}"), *((flavor, "yes") for flavor in flavors))
        allocatable = Resources.of({CPU: 4000, PODS: 32})
        snapshot.apply(
            NodeObserved(Node(name=name, allocatable=allocatable, labels=labels, rank=rank))
        )
    capacities = {
        name: survey(
            snapshot,
            ResourceFlavor(name=name, node_labels=((name, "yes"),), topology="hosts"),
            topology,
        )
        for name in flavors
    }
    return FlavorTopologies(capacities, TopologyRules(), **more)


def test_levels_of_a_flavor():
    topologies = real("tas")
    assert topologies.levels("tas") == HOST
    assert topologies.levels("plain") is None


def test_places_on_hosts():
    queues = queues_of(queue(group(tas={CPU: 8000})), flavors=[TAS])
    asked = pods(2, asks={CPU: 3000}, topology=ANYWHERE)
    assignment = assigned(queues, asked, topologies=real("tas"))
    topology = assignment.pod_sets[0].topology
    assert topology is not None
    assert [(each.values, each.count) for each in topology.domains] == [
        (("host-one",), 1),
        (("host-two",), 1),
    ]
    too_many = pods(3, asks={CPU: 2500}, topology=ANYWHERE)
    assert assigned(queues, too_many, topologies=real("tas")).mode is Mode.NO_FIT


def test_flavors_that_share_hosts_see_what_the_other_takes():
    other = ResourceFlavor(name="other", topology="hosts")
    queues = queues_of(queue(group(tas={CPU: 4000}, other={CPU: 8000})), flavors=[TAS, other])
    first = pods(1, name="first", asks={CPU: 3000}, topology=ON_ONE_HOST)
    second = pods(1, name="second", asks={CPU: 3000}, topology=ON_ONE_HOST)
    assignment = assigned(queues, first, second, topologies=real("tas", "other"))
    assert chosen(assignment) == {"first": "tas", "second": "other"}
    hosts = {
        domain.values
        for each in assignment.pod_sets
        if each.topology is not None
        for domain in each.topology.domains
    }
    assert hosts == {("host-one",), ("host-two",)}


def test_a_failed_host_is_left():
    pod_set = pods(1, asks={CPU: 3000}, topology=ANYWHERE)
    total = Resources.of({CPU: 3000})
    places = standing("host-one")
    held = PodSetAssignment(
        name="main", count=1, flavors=((CPU, "tas"),), usage=total, topology=places
    )
    asked = QuotaRequest(
        pod_set=pod_set, count=1, total=total, flavors=held.flavors, topology=places
    )
    assignment = assigned(
        queues_of(queue(group(tas={CPU: 8000})), flavors=[TAS]),
        topologies=real("tas", hosts=["two"], failed_host="host-one"),
        pod_sets=(asked,),
        held=Admission("main", (held,)),
        unhealthy_nodes=("host-one",),
    )
    assert assignment.pod_sets[0].topology == standing("host-two")
