"""Which events may help a waiting pod."""

import pytest

from gpuyard.model.constraints import (
    Constraints,
    HostPort,
    LabelSelector,
    PodTerm,
    Requirement,
    SpreadConstraint,
    Taint,
    Toleration,
)
from gpuyard.model.nodes import Node
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodTemplate, Request
from gpuyard.scheduling.hints import HINTS, NodeEvent, PodEvent

EVERYTHING = (Toleration("", "Exists"),)
TAINTED = (Taint("k", "", "NoSchedule"),)


def a_pod(label="", namespace="default", cpu=0, **constraints):
    return PodTemplate(
        request=Request(resources=Resources.of({"cpu": cpu} if cpu else {})),
        constraints=Constraints(**constraints),
        namespace=namespace,
        labels=(("app", label),) if label else (),
    )


def a_node(zone=None, cpu=0, **fields):
    labels = (("zone", zone),) if zone else ()
    return Node(name="a", labels=labels, allocatable=Resources.of({"cpu": cpu}), **fields)


def app(name):
    return LabelSelector((Requirement("app", "In", (name,)),))


def near(name, namespace_selector=None):
    return PodTerm("zone", app(name), ("default",), namespace_selector)


def spread(**fields):
    return SpreadConstraint(1, "zone", "DoNotSchedule", app("web"), **fields)


@pytest.mark.parametrize(
    ("rule", "waiting", "before", "after", "expected"),
    [
        pytest.param("NodeUnschedulable", {}, None, {}, True, id="an open node came"),
        pytest.param(
            "NodeUnschedulable", {}, None, {"unschedulable": True}, False, id="a cordoned one came"
        ),
        pytest.param(
            "NodeUnschedulable", {}, {"unschedulable": True}, {}, True, id="it was uncordoned"
        ),
        pytest.param("NodeUnschedulable", {}, {}, None, False, id="it went"),
        pytest.param(
            "TaintToleration", {}, {"taints": TAINTED}, {}, True, id="a taint was taken off"
        ),
        pytest.param("TaintToleration", {}, {}, {}, False, id="nothing changed"),
        pytest.param(
            "NodeAffinity", {"node_selector": (("zone", "a"),)}, {}, {"zone": "a"}, True, id="label"
        ),
        pytest.param("NodeResourcesFit", {"cpu": 2}, None, {"cpu": 2}, True, id="room came"),
        pytest.param("NodeResourcesFit", {"cpu": 2}, None, {"cpu": 1}, False, id="too little"),
        pytest.param("NodeResourcesFit", {"cpu": 2}, {"cpu": 2}, {"cpu": 3}, True, id="it grew"),
        pytest.param("NodeResourcesFit", {"cpu": 2}, {"cpu": 3}, {"cpu": 3}, False, id="the same"),
        pytest.param("NodePorts", {}, None, {}, True, id="any new node has free ports"),
        pytest.param("NodePorts", {}, {}, {}, False, id="an old node's ports stay as they are"),
        pytest.param(
            "InterPodAffinity",
            {"required_pods": (near("web"),)},
            {"zone": "a"},
            {"zone": "b"},
            True,
            id="it moved to another domain",
        ),
        pytest.param(
            "InterPodAffinity",
            {"forbidden_pods": (near("web"),)},
            {"zone": "a"},
            {},
            True,
            id="it left a domain to keep away from",
        ),
        pytest.param(
            "InterPodAffinity",
            {"forbidden_pods": (near("web"),)},
            {},
            {"zone": "a"},
            False,
            id="it joined one",
        ),
        pytest.param(
            "PodTopologySpread", {"spread": (spread(),)}, None, {"zone": "a"}, True, id="a domain"
        ),
        pytest.param(
            "PodTopologySpread", {"spread": (spread(),)}, {"zone": "a"}, None, True, id="one less"
        ),
        pytest.param(
            "PodTopologySpread", {"spread": (spread(),)}, None, {}, False, id="none of the domains"
        ),
    ],
)
def test_after_a_node(rule, waiting, before, after, expected):
    event = NodeEvent(
        None if before is None else a_node(**before), None if after is None else a_node(**after)
    )
    assert HINTS[rule].after_node(a_pod("new", **waiting), event) == expected


PORT = (HostPort(80),)
ITSELF = {"is_itself": True}


@pytest.mark.parametrize(
    ("rule", "waiting", "before", "after", "how", "expected"),
    [
        pytest.param("NodeUnschedulable", {}, {}, {}, ITSELF, False, id="no toleration"),
        pytest.param(
            "NodeUnschedulable", {}, {}, {"tolerations": EVERYTHING}, ITSELF, True, id="tolerates"
        ),
        pytest.param(
            "TaintToleration", {}, {}, {"tolerations": EVERYTHING}, {}, False, id="another pod"
        ),
        pytest.param(
            "NodePorts", {"host_ports": PORT}, {"host_ports": PORT}, None, {}, True, id="released"
        ),
        pytest.param(
            "NodePorts", {"host_ports": PORT}, {}, None, {}, False, id="had other ports, or none"
        ),
        pytest.param("NodeResourcesFit", {"cpu": 1}, {"cpu": 1}, None, {}, True, id="it went"),
        pytest.param(
            "NodeResourcesFit",
            {"cpu": 1},
            {"cpu": 1},
            None,
            {"has_node": False},
            False,
            id="it never ran",
        ),
        pytest.param(
            "NodeResourcesFit", {"cpu": 1}, {"cpu": 2}, {"cpu": 1}, {}, True, id="it shrank"
        ),
        pytest.param("NodeResourcesFit", {}, {"cpu": 2}, {"cpu": 1}, {}, False, id="needs none"),
        pytest.param("NodeResourcesFit", {"cpu": 1}, None, {}, {}, False, id="it came"),
        pytest.param(
            "InterPodAffinity",
            {"required_pods": (near("web"),)},
            None,
            {"label": "web"},
            {},
            True,
            id="wanted company came",
        ),
        pytest.param(
            "InterPodAffinity",
            {"required_pods": (near("new"),)},
            {"label": "new"},
            None,
            {},
            True,
            id="wanted company went: it may be the first now",
        ),
        pytest.param(
            "InterPodAffinity",
            {"required_pods": (near("web"),)},
            {"label": "web"},
            None,
            {},
            False,
            id="wanted company went",
        ),
        pytest.param(
            "InterPodAffinity",
            {"forbidden_pods": (near("web"), near("db"))},
            {"label": "web"},
            None,
            {},
            True,
            id="unwanted by one term of two",
        ),
        pytest.param(
            "InterPodAffinity",
            {"forbidden_pods": (near("web", LabelSelector()),)},
            {"label": "web", "namespace": "x"},
            None,
            {},
            True,
            id="perhaps unwanted: the namespace may match",
        ),
        pytest.param(
            "InterPodAffinity",
            {},
            {"forbidden_pods": (near("new"),)},
            None,
            {},
            True,
            id="who kept others out went",
        ),
        pytest.param(
            "PodTopologySpread",
            {"spread": (spread(),)},
            None,
            {"label": "web"},
            {},
            True,
            id="one more counts",
        ),
        pytest.param(
            "PodTopologySpread",
            {"spread": (spread(),)},
            {"label": "web"},
            {"label": "web"},
            {},
            False,
            id="counts as before",
        ),
        pytest.param(
            "PodTopologySpread",
            {"spread": (spread(),)},
            None,
            {"label": "web", "namespace": "x"},
            {},
            False,
            id="other namespace",
        ),
        pytest.param(
            "PodTopologySpread",
            {"spread": (spread(honor_node_taints=True),)},
            {},
            {"tolerations": EVERYTHING},
            ITSELF,
            True,
            id="tolerates more nodes",
        ),
    ],
)
def test_after_a_pod(rule, waiting, before, after, how, expected):
    def changed(facts):
        return None if facts is None else a_pod(**{"label": "", **facts})

    event = PodEvent(changed(before), changed(after), **how)
    assert HINTS[rule].after_pod(a_pod("new", **waiting), event) == expected
