"""Filters that look at pods in other nodes' domains: affinity and spread."""

import numpy as np
import pytest

from gpuyard.model.constraints import (
    Constraints,
    LabelSelector,
    PodTerm,
    Requirement,
    SpreadConstraint,
    Taint,
)
from gpuyard.model.deltas import NamespaceObserved, NodeObserved, PodBound
from gpuyard.model.nodes import Node
from gpuyard.model.workloads import Assignment, PodTemplate, Request
from gpuyard.scheduling.feasibility import inter_pod_affinity, topology_spread
from gpuyard.scheduling.snapshot import Snapshot


def app(*names):
    return LabelSelector((Requirement("app", "In", names),))


def term(key, selector, *namespaces, namespace_selector=None):
    return PodTerm(key, selector, namespaces or ("default",), namespace_selector)


def a_pod(labels="", **constraints):
    return PodTemplate(
        request=Request(),
        constraints=Constraints(**constraints),
        labels=(("app", labels),) if labels else (),
    )


def cluster(pods=(), nodes=None):
    """Two zones with two nodes each, a node without a zone; pods as (node, template)."""
    snapshot = Snapshot()
    for name, zone in (nodes or {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "x": None}).items():
        labels = (("host", name), *((("zone", zone),) if zone else ()))
        snapshot.apply(NodeObserved(Node(name=name, labels=labels)))
    for index, (node, template) in enumerate(pods):
        snapshot.apply(PodBound(Assignment(pod=f"p{index}", template=template, node=node)))
    return snapshot


def passing(rule, snapshot, template):
    shape = snapshot.shape(template)
    slots = np.flatnonzero(snapshot.fleet.present)
    passes = rule.passes(snapshot, shape, slots)
    assert rule.concerns(shape) or passes.all()
    for slot in slots[~passes].tolist():
        assert rule.reasons(snapshot, shape, slot)
    return [snapshot.nodes[slot].name for slot in slots[passes].tolist()]


WEB, DB = a_pod("web"), a_pod("db")


@pytest.mark.parametrize(
    ("pods", "constraints", "expected"),
    [
        pytest.param(
            [("a1", WEB)], {"required_pods": (term("zone", app("web")),)}, ["a1", "a2"], id="near"
        ),
        pytest.param([], {"required_pods": (term("zone", app("web")),)}, [], id="nobody there"),
        pytest.param(
            [],
            {"required_pods": (term("zone", app("new")),)},
            ["a1", "a2", "b1", "b2"],
            id="the first of its group, where the labels are",
        ),
        pytest.param(
            [("x", a_pod("new"))],
            {"required_pods": (term("zone", app("new")),)},
            ["a1", "a2", "b1", "b2"],
            id="still the first: the other one is in no zone",
        ),
        pytest.param(
            [("a1", WEB), ("b1", DB)],
            {"required_pods": (term("zone", app("web")), term("zone", app("db")))},
            [],
            id="one pod has to match all terms",
        ),
        pytest.param(
            [("a1", WEB)],
            {"forbidden_pods": (term("zone", app("web")),)},
            ["b1", "b2", "x"],
            id="apart",
        ),
        pytest.param(
            [("a1", WEB)],
            {"forbidden_pods": (term("host", app("web")),)},
            ["a2", "b1", "b2", "x"],
            id="apart by host",
        ),
        pytest.param(
            [("x", WEB)],
            {"forbidden_pods": (term("zone", app("web")),)},
            ["a1", "a2", "b1", "b2", "x"],
            id="who is in no domain disturbs nobody",
        ),
        pytest.param(
            [("a1", a_pod("web", forbidden_pods=(term("zone", app("new")),)))],
            {},
            ["b1", "b2", "x"],
            id="a running pod wants to be apart",
        ),
        pytest.param(
            [("a1", a_pod("web", forbidden_pods=(term("zone", app("other")),)))],
            {},
            ["a1", "a2", "b1", "b2", "x"],
            id="but not from this one",
        ),
        pytest.param(
            [("a1", WEB)],
            {"forbidden_pods": (term("zone", app("web"), "elsewhere"),)},
            ["a1", "a2", "b1", "b2", "x"],
            id="other namespace",
        ),
    ],
)
def test_inter_pod_affinity(pods, constraints, expected):
    assert (
        passing(inter_pod_affinity.FILTER, cluster(pods), a_pod("new", **constraints)) == expected
    )


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(None, False, id="none"),
        pytest.param(LabelSelector(), True, id="every namespace"),
        pytest.param(LabelSelector((Requirement("team", "In", ("x",)),)), True, id="by label"),
        pytest.param(LabelSelector((Requirement("team", "In", ("y",)),)), False, id="other label"),
    ],
)
def test_namespace_selector(selector, expected):
    snapshot = cluster([("a1", WEB)])
    snapshot.apply(NamespaceObserved("default", (("team", "x"),)))
    far = PodTerm("zone", app("web"), ("elsewhere",), selector)
    keeps_out = "a1" not in passing(
        inter_pod_affinity.FILTER, snapshot, a_pod(forbidden_pods=(far,))
    )
    assert keeps_out == expected


@pytest.mark.parametrize(
    ("pods", "constraints", "slot", "expected"),
    [
        pytest.param(
            [],
            {"required_pods": (term("zone", app("web")),)},
            0,
            ("node(s) didn't match pod affinity rules", False),
            id="affinity",
        ),
        pytest.param(
            [("a1", WEB)],
            {"forbidden_pods": (term("zone", app("web")),)},
            0,
            ("node(s) didn't match pod anti-affinity rules", True),
            id="anti-affinity",
        ),
        pytest.param(
            [("a1", a_pod("web", forbidden_pods=(term("zone", app("new")),)))],
            {},
            0,
            ("node(s) didn't satisfy existing pods anti-affinity rules", True),
            id="existing",
        ),
    ],
)
def test_what_inter_pod_affinity_says(pods, constraints, slot, expected):
    snapshot = cluster(pods)
    shape = snapshot.shape(a_pod("new", **constraints))
    (said,) = inter_pod_affinity.FILTER.reasons(snapshot, shape, slot)
    assert (said.text, said.resolvable) == expected


def spread(key="zone", max_skew=1, selector=None, **fields):
    wanted = app("web") if selector is None else selector
    return SpreadConstraint(max_skew, key, "DoNotSchedule", wanted, **fields)


@pytest.mark.parametrize(
    ("pods", "constraints", "expected"),
    [
        pytest.param([], [spread()], ["a1", "a2", "b1", "b2"], id="empty; no zone, no place"),
        pytest.param([("a1", WEB)], [spread()], ["b1", "b2"], id="the other zone first"),
        pytest.param([("a1", WEB)], [spread(max_skew=2)], ["a1", "a2", "b1", "b2"], id="lenient"),
        pytest.param(
            [("a1", WEB)],
            [spread(selector=app("db"))],
            ["a1", "a2", "b1", "b2"],
            id="other pods do not count",
        ),
        pytest.param(
            [("a1", WEB), ("b1", WEB)], [spread(), spread("host")], ["a2", "b2"], id="both keys"
        ),
        pytest.param(
            [],
            [spread(min_domains=3, max_skew=1)],
            ["a1", "a2", "b1", "b2"],
            id="too few domains: the emptiest counts as empty",
        ),
        pytest.param(
            [("a1", WEB), ("b1", WEB)], [spread(min_domains=3)], [], id="too few domains, all taken"
        ),
        pytest.param(
            [("a1", WEB)],
            [spread(selector=LabelSelector())],
            ["a1", "a2", "b1", "b2"],
            id="an empty selector counts nobody",
        ),
    ],
)
def test_topology_spread(pods, constraints, expected):
    pod = a_pod("web", spread=tuple(constraints))
    assert passing(topology_spread.FILTER, cluster(pods), pod) == expected


def test_terminating_pods_are_not_spread():
    snapshot = cluster()
    snapshot.apply(PodBound(Assignment(pod="p", template=WEB, node="a1", terminating=True)))
    assert "a1" in passing(topology_spread.FILTER, snapshot, a_pod("web", spread=(spread(),)))


@pytest.mark.parametrize(
    ("fields", "selector", "expected"),
    [
        pytest.param({}, (("zone", "a"),), ["a1", "a2"], id="nodes beyond the selector: no domain"),
        pytest.param({"honor_node_affinity": False}, (("zone", "a"),), [], id="they make one"),
        pytest.param({}, (), ["b1"], id="a taint is ignored"),
        pytest.param({"honor_node_taints": True}, (), ["a1", "a2", "b1"], id="or honoured"),
    ],
)
def test_which_nodes_make_domains(fields, selector, expected):
    snapshot = cluster([("a1", WEB)], nodes={"a1": "a", "a2": "a", "b1": "b"})
    repelling = (Taint("k", "v", "NoSchedule"),)
    labels = (("host", "b1"), ("zone", "b"))
    snapshot.apply(NodeObserved(Node(name="b1", labels=labels, taints=repelling)))
    pod = a_pod("web", spread=(spread(**fields),), node_selector=selector)
    passes = passing(topology_spread.FILTER, snapshot, pod)
    assert [name for name in passes if name != "b1" or not selector] == expected


def test_what_topology_spread_says():
    snapshot = cluster([("a1", WEB)])
    shape = snapshot.shape(a_pod("web", spread=(spread(),)))
    (uneven,) = topology_spread.FILTER.reasons(snapshot, shape, snapshot.slot_of["a1"])
    (nowhere,) = topology_spread.FILTER.reasons(snapshot, shape, snapshot.slot_of["x"])
    text = "node(s) didn't match pod topology spread constraints"
    assert (uneven.text, uneven.resolvable) == (text, True)
    assert (nowhere.text, nowhere.resolvable) == (f"{text} (missing required label)", False)
