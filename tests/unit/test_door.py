"""What is refused at the door, with which code, until when, and what is let in."""

import msgspec
import pytest

from gpuyard.model.constraints import (
    Constraints,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    Requirement,
    Taint,
)
from gpuyard.model.door import DoorRules
from gpuyard.model.queues import ClusterQueue, Cohort, LocalQueue, ResourceFlavor
from gpuyard.model.reasons import Constraint
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.topology import HOSTNAME, SliceRequest, Topology, TopologyRequest
from gpuyard.model.workloads import DeviceRequest, Workload
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.door import CHOICES_MAX, Door
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.topology import survey
from tests.idle_yard import GPU, MODEL, Yard, flavor, node, pods, queue

WORKLOAD, QUEUES, NODES = "the workload changes", "the queues change", "the nodes change"


def a_yard(queues=None, **facts):
    return Yard([node(name, **facts) for name in ("a", "b")], queues)


def asked(*pod_sets, to="main", **facts):
    return Workload(key="t/w", pod_sets=pod_sets, created_ns=0, queue=f"t/{to}", **facts)


def refused(workload, yard=None, *, rules=None, **door):
    yard = yard or a_yard()
    rules = rules or yard.policy.rules
    return Door(yard.queues, rules, DoorRules(**door), yard.snapshot).check(workload)


def with_devices(**devices):
    made = pods(1)
    request = msgspec.structs.replace(made.template.request, devices=DeviceRequest(**devices))
    template = msgspec.structs.replace(made.template, request=request)
    return msgspec.structs.replace(made, template=template)


def with_amounts(**amounts):
    made = pods(1)
    request = msgspec.structs.replace(made.template.request, **amounts)
    template = msgspec.structs.replace(made.template, request=request)
    return msgspec.structs.replace(made, template=template)


def term(*requirements, fields=()):
    return NodeSelectorTerm(
        tuple(Requirement(*each) for each in requirements),
        tuple(Requirement("metadata.name", *each) for each in fields),
    )


def needs(*terms, selector=()):
    return pods(1, constraints=Constraints(required_nodes=terms, node_selector=selector))


def topology(mode="required", level="rack", **more):
    return TopologyRequest(mode=mode, level=level, **more)


def sliced(count, *layers):
    slices = tuple(SliceRequest(*each) for each in layers)
    return pods(count, topology=topology("unconstrained", "", slices=slices))


BESIDE = PodTerm(topology_key=HOSTNAME, selector=LabelSelector())


# -- the workload by itself


@pytest.mark.parametrize(
    ("pod_sets", "said"),
    [
        pytest.param((), "no pod sets", id="nothing is asked for"),
        pytest.param((pods(0),), "has 0 pods", id="no pods"),
        pytest.param((pods(-1),), "has -1 pods", id="negative count"),
        pytest.param((pods(1, reclaimed=-1),), "pods that are done", id="negative reclaimed"),
        pytest.param((pods(1), pods(2)), "two pod sets are called main", id="duplicate name"),
        pytest.param((pods(1, name=""),), "pod set 0 has no name", id="no name"),
        pytest.param((pods(2, min_count=3),), "at least 3 pods, and has 2", id="min above count"),
        pytest.param((pods(2, min_count=0),), "starts with 0 pods", id="min of zero"),
        pytest.param((pods(1, 1, -5),), "asks for -5 cpu", id="negative amount"),
        pytest.param((pods(3, 1, 2**60),), "more than can be counted", id="amount beyond 64 bits"),
        pytest.param(
            (with_amounts(scored=Resources(((CPU, -1),))),), "asks for -1 cpu", id="negative scored"
        ),
        pytest.param((with_devices(count=0),), "asks for 0 devices", id="no device"),
        pytest.param((with_devices(count=-1),), "asks for -1 devices", id="negative devices"),
        pytest.param((with_devices(count=1, milli=0),), "0 milli", id="nothing of a device"),
        pytest.param((with_devices(count=1, milli=1001),), "1001 milli", id="more than a device"),
        pytest.param((pods(1, topology=topology(level="")),), "names no level", id="no level"),
        pytest.param((sliced(4, ("rack", 0)),), "slices of 0 pods", id="slices of nothing"),
        pytest.param((sliced(4, ("", 2)),), "names no level", id="slices of no level"),
        pytest.param((sliced(5, ("rack", 2)),), "whole slices of 2", id="pods left over"),
        pytest.param(
            (sliced(6, ("rack", 6), (HOSTNAME, 4)),), "do not add up", id="slices do not divide"
        ),
        pytest.param(
            tuple(pods(2, name=name, topology=topology(group="g")) for name in "ab"),
            "one leader pod",
            id="a group without a leader",
        ),
        pytest.param(
            (pods(1, constraints=Constraints(required_pods=(BESIDE,), forbidden_pods=(BESIDE,))),),
            "that it keeps away from",
            id="beside and away",
        ),
    ],
)
def test_what_contradicts_itself(pod_sets, said):
    found = refused(asked(*pod_sets))
    assert (found.reason.code, found.until) == ("BadConstraints", WORKLOAD)
    assert said in found.reason.sentence


@pytest.mark.parametrize(
    ("pod_set", "said"),
    [
        pytest.param(needs(), "empty list", id="no term"),
        pytest.param(needs(term()), "no term", id="a term without conditions"),
        pytest.param(
            needs(term(("zone", "In", ("a",))), selector=(("zone", "b"),)),
            "contradict each other in zone",
            id="selector against affinity",
        ),
        pytest.param(
            needs(term(("zone", "DoesNotExist")), selector=(("zone", "b"),)),
            "in zone",
            id="selector against absence",
        ),
        pytest.param(
            needs(term(("zone", "In", ("a", "b")), ("zone", "NotIn", ("a", "b")))),
            "in zone",
            id="in and not in",
        ),
        pytest.param(
            needs(term(("zone", "Exists"), ("zone", "DoesNotExist"))), "in zone", id="both"
        ),
        pytest.param(
            needs(term(("gen", "Gt", ("7",)), ("gen", "Lt", ("8",)))), "in gen", id="between"
        ),
        pytest.param(
            needs(term(("gen", "Gt", ("7",)), ("gen", "Lt", ("9",)), ("gen", "NotIn", ("8",)))),
            "in gen",
            id="the only one between is excluded",
        ),
        pytest.param(needs(term(("gen", "Gt", ("x",)))), "in gen", id="no number"),
        pytest.param(
            needs(term(fields=[("In", ("a",)), ("In", ("b",))])), "no term", id="two names"
        ),
        pytest.param(
            needs(term(fields=[("DoesNotExist",)])), "no term", id="a node always has a name"
        ),
        pytest.param(
            pods(1, constraints=Constraints(node_selector=(("zone", "a"), ("zone", "b")))),
            "two values of zone",
            id="two selectors",
        ),
    ],
)
def test_conditions_that_no_node_meets(pod_set, said):
    found = refused(asked(pod_set))
    assert (found.reason.code, found.until) == ("BadConstraints", WORKLOAD)
    assert said in found.reason.sentence


@pytest.mark.parametrize(
    "pod_set",
    [
        pytest.param(
            needs(term(("flavor", "In", (MODEL, "x")), ("flavor", "NotIn", ("x",)))),
            id="one is left",
        ),
        pytest.param(
            needs(term(("zone", "NotIn", ("a",)), ("zone", "DoesNotExist"))), id="absence"
        ),
        pytest.param(
            needs(term(("x", "Exists"), ("x", "DoesNotExist")), term(("flavor", "Exists"))),
            id="one of two terms",
        ),
        pytest.param(needs(term(fields=[("In", ("a", "b")), ("NotIn", ("b",))])), id="one name"),
        pytest.param(pods(0, reclaimed=2), id="all pods are done"),
        pytest.param(pods(0, reclaimed=2, min_count=0), id="none are left to start with"),
        pytest.param(pods(2, min_count=2), id="all are needed"),
        pytest.param(with_devices(count=1, milli=1), id="a thousandth of a device"),
    ],
)
def test_what_can_be_true_is_let_in(pod_set):
    assert refused(asked(pod_set)) is None


def test_integers_between_bounds_are_found():
    between = needs(term(("gen", "Gt", ("7",)), ("gen", "Lt", ("10",)), ("gen", "NotIn", ("8",))))
    assert refused(asked(between), nodes_may_come=True) is None


def test_so_many_pods_are_let_in():
    assert refused(asked(pods(8)), pods_max=8) is None
    found = refused(asked(pods(5), pods(4, name="more")), pods_max=8)
    assert found.reason.binding == Constraint(name="pods", needed=9, have=8, where="one workload")


# -- its queue


def test_a_local_queue_that_does_not_exist():
    found = refused(asked(pods(1), to="nowhere"))
    assert (found.reason.code, found.until) == ("Misconfigured", QUEUES)
    assert found.reason.sentence == "there is no LocalQueue 't/nowhere'"


def test_a_cluster_queue_that_does_not_exist():
    local = LocalQueue(namespace="t", name="main", cluster_queue="gone")
    queues = Queues((), flavors=(), local_queues=[local])
    found = Door(queues, AdmissionRules()).check(asked(pods(1)))
    assert (found.reason.code, found.until) == ("Misconfigured", QUEUES)
    assert "ClusterQueue 'gone', which does not exist" in found.reason.sentence


@pytest.mark.parametrize(
    ("specs", "cohorts"),
    [
        pytest.param([queue(stop_policy="Hold", cpu=0)], (), id="stopped"),
        pytest.param(
            [queue(cohort="c", cpu=0)], [Cohort(name="c", parent="c")], id="in a cycle of cohorts"
        ),
    ],
)
def test_an_inactive_queue_refuses_nobody(specs, cohorts):
    local = LocalQueue(namespace="t", name="main", cluster_queue="main")
    queues = Queues(specs, cohorts, flavors=[flavor(MODEL)], local_queues=[local])
    assert Door(queues, AdmissionRules()).check(asked(pods(1))) is None


def test_more_than_the_queue_can_ever_have():
    yard = a_yard([queue(cpu=3000)])
    found = refused(asked(pods(4)), yard)
    assert (found.reason.code, found.until) == ("ExceedsMaxQuota", QUEUES)
    assert found.reason.binding == Constraint(
        name=CPU, needed=4000, have=3000, where="ClusterQueue main, flavor h100: all quota"
    )
    assert refused(asked(pods(3)), yard) is None


def test_what_others_use_is_no_reason():
    yard = a_yard([queue(cpu=3000)])
    yard.use_quota(cpu=3000)
    yard.run_on("a", pods(4))
    yard.run_on("b", pods(4))
    assert refused(asked(pods(3)), yard) is None


def test_what_can_be_borrowed_counts():
    specs = [queue(cpu=1000, cohort="c"), queue("other", cpu=2000, cohort="c")]
    assert refused(asked(pods(3)), a_yard(specs)) is None
    assert refused(asked(pods(4)), a_yard(specs)).reason.code == "ExceedsMaxQuota"


def test_the_nearest_of_several_flavors_is_told():
    small = queue(flavors=("a100",), cpu=1000)
    both = msgspec.structs.replace(
        small,
        resource_groups=(
            msgspec.structs.replace(
                small.resource_groups[0],
                flavors=(
                    *small.resource_groups[0].flavors,
                    *queue(cpu=3000).resource_groups[0].flavors,
                ),
            ),
        ),
    )
    found = refused(asked(pods(4)), a_yard([both]))
    assert found.reason.binding.have == 3000


def test_pod_sets_may_get_different_flavors():
    """Neither flavor has quota for both pod sets; one each will do."""
    yard = Yard([node("a"), node("b", flavor="a100")], [queue(flavors=("a100", MODEL), cpu=3000)])
    assert refused(asked(pods(3), pods(3, name="more")), yard) is None
    assert refused(asked(pods(3), pods(4, name="more")), yard).reason.code == "ExceedsMaxQuota"


def test_a_resource_that_nobody_offers():
    found = refused(asked(with_amounts(resources=Resources((("example.com/fpga", 1),)))))
    assert (found.reason.code, found.until) == ("NoMatchingFlavor", QUEUES)


def test_a_flavor_whose_taint_nobody_tolerates():
    spot = ResourceFlavor(name=MODEL, node_taints=(Taint("spot", "", "NoSchedule"),))
    local = LocalQueue(namespace="t", name="main", cluster_queue="main")
    queues = Queues([queue()], flavors=[spot], local_queues=[local])
    found = Door(queues, AdmissionRules()).check(asked(pods(1)))
    assert (found.reason.code, found.until) == ("NoMatchingFlavor", QUEUES)


def test_who_may_shrink_is_asked_with_fewest_pods():
    yard = a_yard([queue(cpu=3000)])
    assert refused(asked(pods(9, min_count=3)), yard) is None
    whole = AdmissionRules(flavors=FlavorRules(partial_admission=False))
    assert refused(asked(pods(9, min_count=3)), yard, rules=whole).reason.code == "ExceedsMaxQuota"


def test_beyond_so_many_choices_nobody_is_refused_by_its_queue():
    names = tuple(f"f{index}" for index in range(CHOICES_MAX + 1))
    yard = Yard([], [queue(flavors=names, cpu=0)])
    assert refused(asked(pods(1)), yard) is None
    yard = Yard([], [queue(flavors=names[:CHOICES_MAX], cpu=0)])
    assert refused(asked(pods(1)), yard).reason.code == "ExceedsMaxQuota"


def test_a_queue_without_any_quota():
    found = refused(asked(pods(1)), Yard([], [ClusterQueue(name="main")]))
    assert (found.reason.code, found.until) == ("NoMatchingFlavor", QUEUES)


# -- topology


def racked(per_host=2):
    nodes = [
        node(name, per_host, counts=True, labels=(("rack", rack), (HOSTNAME, name)))
        for name, rack in (("a", "r1"), ("b", "r1"), ("c", "r2"))
    ]
    racks = Topology(name="racks", levels=("rack", HOSTNAME))

    def places(snapshot):
        given = msgspec.structs.replace(flavor(MODEL), topology="racks")
        return {MODEL: survey(snapshot, given, racks)}

    return Yard(nodes, places=places)


@pytest.mark.parametrize(
    ("count", "wish", "until", "have"),
    [
        pytest.param(4, topology(), None, 0, id="a rack holds it"),
        pytest.param(5, topology(), NODES, 4, id="no rack holds it"),
        pytest.param(3, topology(level=HOSTNAME), NODES, 2, id="no host holds it"),
        pytest.param(7, topology("unconstrained", ""), NODES, 6, id="all racks do not hold it"),
        pytest.param(1, topology(level="block"), QUEUES, 0, id="no such level"),
        pytest.param(
            4,
            topology(level=HOSTNAME, slices=(SliceRequest("rack", 2),)),
            QUEUES,
            0,
            id="slices wider than the pods",
        ),
    ],
)
def test_topology(count, wish, until, have):
    found = refused(asked(pods(count, counts=True, topology=wish)), racked())
    if until is None:
        assert found is None
        return
    assert found.until == until
    if have:
        assert found.reason.code == "TopologyPlacementFailed"
        assert (found.reason.binding.needed, found.reason.binding.have) == (count, have)
    may_come = refused(
        asked(pods(count, counts=True, topology=wish)), racked(), nodes_may_come=True
    )
    assert (may_come is None) == (until == NODES)


def test_places_that_others_hold_are_no_reason():
    yard = racked()
    yard.submit("t/first", pods(4, counts=True, topology=topology()))
    assert yard.cycle() == ["t/first"]
    assert refused(asked(pods(4, counts=True, topology=topology())), yard) is None


def test_a_topology_where_the_queue_has_none():
    found = refused(asked(pods(1, topology=topology())))
    assert (found.reason.code, found.until) == ("NoMatchingFlavor", QUEUES)


# -- nodes


@pytest.mark.parametrize(
    ("pod_sets", "code", "name", "needed", "have"),
    [
        pytest.param((pods(1, 5),), "NoSuchNode", "nodes", 1, 0, id="more devices than a node has"),
        pytest.param((pods(1, 1, 65_000),), "NoSuchNode", CPU, 65_000, 64_000, id="more CPU"),
        pytest.param((pods(9),), "ExceedsFleet", "pods", 9, 8, id="one shape"),
        pytest.param((pods(3, 3),), "ExceedsFleet", "pods", 3, 2, id="in pieces"),
        pytest.param(
            (pods(5), pods(4, name="more")), "ExceedsFleet", "pods", 9, 8, id="one shape twice"
        ),
        pytest.param(
            (pods(5), pods(2, 2, name="more")),
            "ExceedsFleet",
            "milli of devices",
            9000,
            8000,
            id="two shapes together",
        ),
        pytest.param(
            (pods(2, 0, 50_000), pods(1, 0, 60_000, name="more")),
            "ExceedsFleet",
            CPU,
            160_000,
            128_000,
            id="CPU together",
        ),
    ],
)
def test_larger_than_the_fleet(pod_sets, code, name, needed, have):
    found = refused(asked(*pod_sets))
    assert (found.reason.code, found.until) == (code, NODES)
    bound = found.reason.binding
    assert (bound.name, bound.needed, bound.have) == (name, needed, have)
    assert str(needed) in found.reason.sentence or code == "NoSuchNode"
    assert refused(asked(*pod_sets), nodes_may_come=True) is None


def test_labels_that_no_node_has():
    elsewhere = pods(1, constraints=Constraints(node_selector=(("zone", "z"),)))
    found = refused(asked(elsewhere))
    assert (found.reason.code, found.until) == ("NoSuchNode", NODES)
    assert found.reason.sentence == "none of 2 nodes, were it empty, takes a pod of main"


def test_only_nodes_of_the_queue_count():
    yard = Yard([node("a"), node("b", flavor="a100")], [queue(flavors=(MODEL,))])
    assert refused(asked(pods(4)), yard) is None
    assert refused(asked(pods(5)), yard).reason.binding.have == 4


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"unschedulable": True}, id="cordoned"),
        pytest.param(
            {"ready": False, "taints": (Taint("node.kubernetes.io/not-ready", "", "NoSchedule"),)},
            id="not ready",
        ),
    ],
)
def test_nodes_that_come_back_count(facts):
    assert refused(asked(pods(8)), a_yard(**facts)) is None


def test_a_taint_of_a_ready_node_counts():
    tainted = a_yard(taints=(Taint("team", "x", "NoSchedule"),))
    assert refused(asked(pods(1)), tainted).reason.code == "NoSuchNode"


def test_without_any_node_nobody_is_refused_by_nodes():
    assert refused(asked(pods(99)), Yard([])) is None


def test_without_a_snapshot_no_node_is_looked_at():
    yard = a_yard()
    assert Door(yard.queues, yard.policy.rules).check(asked(pods(99))) is None


def test_nodes_that_count_their_devices():
    yard = Yard([node("a", counts=True)], [queue()])
    assert refused(asked(pods(4, counts=True)), yard) is None
    found = refused(asked(pods(1, 5, counts=True)), yard)
    assert found.reason.binding == Constraint(name=GPU, needed=5, have=4, where="the largest node")
