"""Filters that look at one node: cordon, name, taints, affinity, volumes, ports, resources."""

import numpy as np
import pytest

from gpuyard.model.constraints import (
    Constraints,
    HostPort,
    NodeSelectorTerm,
    Requirement,
    Taint,
    Toleration,
    Volume,
)
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.nodes import Node
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import Assignment, PodTemplate, Request
from gpuyard.scheduling.feasibility import (
    FILTERS,
    explain,
    node_affinity,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    taint_toleration,
    volume_binding,
)
from gpuyard.scheduling.snapshot import Snapshot

CORDON = "node.kubernetes.io/unschedulable"


def a_node(name="a", *, labels=(), **fields):
    return Node(name=name, labels=tuple(sorted(dict(labels).items())), **fields)


def cluster(*nodes):
    snapshot = Snapshot()
    for node in nodes:
        snapshot.apply(NodeObserved(node))
    return snapshot


def a_pod(*, cpu=0, **constraints):
    request = Request(resources=Resources.of({"cpu": cpu} if cpu else {}))
    return PodTemplate(request=request, constraints=Constraints(**constraints))


def verdicts(rule, snapshot, template):
    """Whether each node passes, and the texts and resolvability of those that do not."""
    shape = snapshot.shape(template)
    slots = np.flatnonzero(snapshot.fleet.present)
    passing = rule.passes(snapshot, shape, slots)
    assert rule.concerns(shape) or passing.all(), "a rule that has no concern turns nobody down"
    for slot, passes in zip(slots.tolist(), passing.tolist(), strict=True):
        assert passes == rule.passes(snapshot, shape, np.array([slot])).all(), "all or one"
        assert passes or rule.reasons(snapshot, shape, slot)
    return passing.tolist()


def reason(rule, snapshot, template, slot=0):
    rejections = rule.reasons(snapshot, snapshot.shape(template), slot)
    return [(rejection.text, rejection.resolvable) for rejection in rejections]


@pytest.mark.parametrize("rule", FILTERS, ids=lambda rule: rule.name)
def test_no_nodes_no_answers(rule):
    snapshot = cluster(a_node())
    shape = snapshot.shape(a_pod(cpu=1))
    assert len(rule.passes(snapshot, shape, np.array([], dtype=np.int64))) == 0


def test_filters_stand_in_kubernetes_order():
    theirs = [
        "NodeUnschedulable",
        "NodeName",
        "TaintToleration",
        "NodeAffinity",
        "NodePorts",
        "NodeResourcesFit",
        "VolumeBinding",
        "PodTopologySpread",
        "InterPodAffinity",
    ]
    assert [rule.name for rule in FILTERS if not rule.name.startswith("Device")] == theirs


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        pytest.param((), [False, True], id="cordoned"),
        pytest.param((Toleration(CORDON, "Exists"),), [True, True], id="tolerates the cordon"),
        pytest.param((Toleration("", "Exists"),), [True, True], id="tolerates everything"),
        pytest.param((Toleration("other", "Exists"),), [False, True], id="tolerates another"),
        pytest.param(
            (Toleration(CORDON, "Exists", "", "NoExecute"),), [False, True], id="other effect"
        ),
    ],
)
def test_unschedulable(tolerations, expected):
    snapshot = cluster(a_node("a", unschedulable=True), a_node("b"))
    assert verdicts(node_unschedulable.FILTER, snapshot, a_pod(tolerations=tolerations)) == expected


def test_node_name():
    snapshot = cluster(a_node("a"), a_node("b"))
    assert verdicts(node_name.FILTER, snapshot, a_pod(node_name="b")) == [False, True]
    assert verdicts(node_name.FILTER, snapshot, a_pod(node_name="gone")) == [False, False]
    assert verdicts(node_name.FILTER, snapshot, a_pod()) == [True, True]


@pytest.mark.parametrize(
    ("taint", "toleration", "expected"),
    [
        pytest.param(("k", "v", "NoSchedule"), None, False, id="repels"),
        pytest.param(("k", "v", "NoExecute"), None, False, id="repels and evicts"),
        pytest.param(("k", "v", "PreferNoSchedule"), None, True, id="only discourages"),
        pytest.param(("k", "v", "NoSchedule"), ("k", "Equal", "v", ""), True, id="equal"),
        pytest.param(("k", "v", "NoSchedule"), ("k", "Equal", "w", ""), False, id="other value"),
        pytest.param(("k", "v", "NoSchedule"), ("k", "Exists", "", ""), True, id="exists"),
        pytest.param(("k", "v", "NoSchedule"), ("l", "Exists", "", ""), False, id="other key"),
        pytest.param(("k", "v", "NoSchedule"), ("", "Exists", "", ""), True, id="every key"),
        pytest.param(
            ("k", "v", "NoSchedule"), ("k", "Exists", "", "NoExecute"), False, id="other effect"
        ),
        pytest.param(("k", "5", "NoSchedule"), ("k", "Gt", "4", ""), True, id="5 > 4"),
        pytest.param(("k", "5", "NoSchedule"), ("k", "Gt", "5", ""), False, id="5 > 5"),
        pytest.param(("k", "-5", "NoSchedule"), ("k", "Lt", "4", ""), True, id="-5 < 4"),
        pytest.param(("k", "05", "NoSchedule"), ("k", "Gt", "4", ""), False, id="leading zero"),
        pytest.param(("k", "x", "NoSchedule"), ("k", "Lt", "4", ""), False, id="no number"),
    ],
)
def test_taints(taint, toleration, expected):
    snapshot = cluster(a_node(taints=(Taint(*taint),)))
    tolerations = (Toleration(*toleration),) if toleration else ()
    pod = a_pod(tolerations=tolerations)
    assert verdicts(taint_toleration.FILTER, snapshot, pod) == [expected]


def test_every_taint_must_be_tolerated():
    taints = (Taint("a", "", "NoSchedule"), Taint("b", "", "NoSchedule"))
    pod = a_pod(tolerations=(Toleration("a", "Exists"),))
    snapshot = cluster(a_node(taints=taints))
    assert verdicts(taint_toleration.FILTER, snapshot, pod) == [False]
    assert reason(taint_toleration.FILTER, snapshot, pod) == [
        ("node(s) had untolerated taint(s)", False)
    ]


def terms(*requirements, fields=()):
    return NodeSelectorTerm(tuple(requirements), tuple(fields))


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        pytest.param(("zone", "In", ("a", "b")), [True, False], id="in"),
        pytest.param(("zone", "NotIn", ("a",)), [False, True], id="not in holds without label"),
        pytest.param(("zone", "Exists", ()), [True, False], id="exists"),
        pytest.param(("zone", "DoesNotExist", ()), [False, True], id="does not exist"),
        pytest.param(("cores", "Gt", ("7",)), [True, False], id="more"),
        pytest.param(("cores", "Lt", ("8",)), [False, False], id="less, never without label"),
        pytest.param(("zone", "Gt", ("1",)), [False, False], id="not a number"),
        pytest.param(("cores", "Gt", ()), [False, False], id="no bound"),
    ],
)
def test_required_node_affinity(requirement, expected):
    snapshot = cluster(a_node("a", labels={"zone": "a", "cores": "8"}), a_node("b"))
    pod = a_pod(required_nodes=(terms(Requirement(*requirement)),))
    assert verdicts(node_affinity.FILTER, snapshot, pod) == expected


ZONE_A = Requirement("zone", "In", ("a",))
NAMED_B = Requirement("metadata.name", "In", ("b",))


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        pytest.param({"node_selector": (("zone", "a"),)}, [True, False], id="selector"),
        pytest.param(
            {"node_selector": (("x", "y"), ("zone", "a"))}, [False, False], id="every pair"
        ),
        pytest.param({"required_nodes": ()}, [False, False], id="no alternative"),
        pytest.param({"required_nodes": (terms(),)}, [False, False], id="an empty term is nowhere"),
        pytest.param(
            {"required_nodes": (terms(), terms(ZONE_A))}, [True, False], id="one alternative"
        ),
        pytest.param({"required_nodes": (terms(fields=[NAMED_B]),)}, [False, True], id="by name"),
        pytest.param(
            {"required_nodes": (terms(ZONE_A, fields=[NAMED_B]),)}, [False, False], id="both"
        ),
        pytest.param(
            {"required_nodes": (terms(ZONE_A),), "node_selector": (("zone", "b"),)},
            [False, False],
            id="selector and terms",
        ),
        pytest.param({"enforced_nodes": (terms(ZONE_A),)}, [True, False], id="enforced"),
    ],
)
def test_selector_and_terms(constraints, expected):
    snapshot = cluster(a_node("a", labels={"zone": "a"}), a_node("b", labels={"zone": "b"}))
    assert verdicts(node_affinity.FILTER, snapshot, a_pod(**constraints)) == expected


def test_whose_affinity_it_was():
    snapshot = cluster(a_node("b", labels={"zone": "b"}))
    own = a_pod(required_nodes=(terms(ZONE_A),))
    enforced = a_pod(required_nodes=(terms(ZONE_A),), enforced_nodes=(terms(ZONE_A),))
    assert reason(node_affinity.FILTER, snapshot, own) == [
        ("node(s) didn't match Pod's node affinity/selector", False)
    ]
    assert reason(node_affinity.FILTER, snapshot, enforced) == [
        ("node(s) didn't match scheduler-enforced node affinity", False)
    ]


@pytest.mark.parametrize(
    ("alternatives", "expected"),
    [
        pytest.param(None, None, id="none required"),
        pytest.param((terms(ZONE_A),), None, id="names are free"),
        pytest.param((terms(fields=[NAMED_B]),), {"b"}, id="one name"),
        pytest.param((terms(fields=[NAMED_B]), terms(ZONE_A)), None, id="one alternative is free"),
        pytest.param(
            (terms(fields=[NAMED_B, Requirement("metadata.name", "In", ("c",))]),),
            set(),
            id="contradiction",
        ),
    ],
)
def test_named_nodes(alternatives, expected):
    assert node_affinity.named_nodes(Constraints(required_nodes=alternatives)) == expected


def test_volumes_are_reached_from_some_nodes():
    snapshot = cluster(a_node("a", labels={"zone": "a"}), a_node("b", labels={"zone": "b"}))
    anywhere, bound = Volume("v"), Volume("w", (terms(ZONE_A),))
    late = Volume("x", (terms(ZONE_A),), bound=False)
    assert verdicts(volume_binding.FILTER, snapshot, a_pod(volumes=(anywhere,))) == [True, True]
    assert verdicts(volume_binding.FILTER, snapshot, a_pod(volumes=(anywhere, bound))) == [
        True,
        False,
    ]
    texts = reason(volume_binding.FILTER, snapshot, a_pod(volumes=(bound, late)), slot=1)
    assert texts == [
        ("node(s) didn't match PersistentVolume's node affinity", False),
        ("node(s) didn't find available persistent volumes to bind", False),
    ]


@pytest.mark.parametrize(
    ("wanted", "taken", "expected"),
    [
        pytest.param(HostPort(80), HostPort(80), False, id="same"),
        pytest.param(HostPort(80), HostPort(81), True, id="other port"),
        pytest.param(HostPort(80, "UDP"), HostPort(80), True, id="other protocol"),
        pytest.param(
            HostPort(80, address="10.0.0.1"),
            HostPort(80, address="10.0.0.2"),
            True,
            id="other address",
        ),
        pytest.param(
            HostPort(80, address="10.0.0.1"), HostPort(80), False, id="the other has every address"
        ),
        pytest.param(HostPort(80), HostPort(80, address="10.0.0.1"), False, id="wants them all"),
    ],
)
def test_host_ports(wanted, taken, expected):
    snapshot = cluster(a_node())
    holder = a_pod(host_ports=(taken,))
    snapshot.apply(PodBound(Assignment(pod="p", template=holder, node="a")))
    pod = a_pod(host_ports=(wanted,))
    assert verdicts(node_ports.FILTER, snapshot, pod) == [expected]


def with_resources(**allocatable):
    amounts = {name.replace("_", "-"): amount for name, amount in allocatable.items()}
    return a_node(allocatable=Resources.of(amounts))


def asking(**amounts):
    return PodTemplate(request=Request(resources=Resources.of(amounts)))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({"cpu": 6}, [], id="exactly what is left"),
        pytest.param({"cpu": 7}, [("Insufficient cpu", True)], id="one too many"),
        pytest.param({"cpu": 11}, [("Insufficient cpu", False)], id="more than the node has"),
        pytest.param({"gpu": 0}, [], id="zero of what it lacks"),
        pytest.param({"gpu": 1}, [("Insufficient gpu", False)], id="one of what it lacks"),
        pytest.param(
            {"memory": 30, "cpu": 7, "a": 1},
            [("Insufficient cpu", True), ("Insufficient memory", False), ("Insufficient a", False)],
            id="all that is missing, in Kubernetes' order",
        ),
    ],
)
def test_resources(asked, expected):
    snapshot = cluster(with_resources(cpu=10, memory=20))
    snapshot.apply(PodBound(Assignment(pod="p", template=asking(cpu=4), node="a")))
    pod = asking(**asked)
    assert verdicts(node_resources_fit.FILTER, snapshot, pod) == [not expected]
    assert reason(node_resources_fit.FILTER, snapshot, pod) == expected


def test_zero_passes_where_pods_hold_more_than_there_is():
    snapshot = cluster(with_resources(cpu=10))
    snapshot.apply(PodBound(Assignment(pod="p", template=asking(cpu=14), node="a")))
    assert verdicts(node_resources_fit.FILTER, snapshot, asking(cpu=0)) == [True]
    shortage = node_resources_fit.shortages(snapshot, snapshot.shape(asking(cpu=1)), 0)[0]
    assert (shortage.requested, shortage.used, shortage.capacity) == (1, 14, 10)


def test_a_place_for_one_more_pod():
    snapshot = cluster(with_resources(pods=1))
    snapshot.apply(PodBound(Assignment(pod="p", template=asking(), node="a")))
    assert reason(node_resources_fit.FILTER, snapshot, asking()) == [("Too many pods", True)]


def test_each_node_speaks_through_its_first_filter():
    snapshot = cluster(
        a_node("a", unschedulable=True, allocatable=Resources.of({"cpu": 1})),
        a_node("b", allocatable=Resources.of({"cpu": 1, "memory": 1})),
        a_node("c", allocatable=Resources.of({"cpu": 1})),
        a_node("d", allocatable=Resources.of({"cpu": 9, "memory": 9})),
    )
    explained = explain(snapshot, snapshot.shape(asking(cpu=2, memory=1)))
    assert [(rejection.text, count) for rejection, count in explained] == [
        ("Insufficient cpu", 2),
        ("Insufficient memory", 1),
        ("node(s) were unschedulable", 1),
    ]


def test_a_pod_that_contradicts_itself_fits_nowhere():
    snapshot = cluster(a_node("a"), a_node("b"))
    both = [NAMED_B, Requirement("metadata.name", "In", ("a",))]
    shape = snapshot.shape(a_pod(required_nodes=(terms(fields=both),)))
    assert [(said.text, count) for said, count in explain(snapshot, shape)] == [
        ("pod affinity terms conflict", 2)
    ]
