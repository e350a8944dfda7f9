"""kube-scheduler's scores, each by a few numbers one can check by hand."""

import math

import numpy as np
import pytest

from gpuyard.model.constraints import (
    Constraints,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    PreferredNodes,
    PreferredPods,
    Requirement,
    SpreadConstraint,
    Taint,
    Toleration,
)
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.nodes import Node
from gpuyard.model.policy import ResourceWeight, ShapePoint, WeightedScore
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import Assignment, PodTemplate, Request
from gpuyard.scheduling.scores import (
    SCORES,
    allocation,
    balanced_allocation,
    inter_pod_affinity,
    most_allocated,
    requested_to_capacity_ratio,
    topology_spread,
)
from gpuyard.scheduling.snapshot import Snapshot


def asking(scored=None, **amounts):
    wanted = None if scored is None else Resources.of(scored)
    return PodTemplate(request=Request(resources=Resources.of(amounts), scored=wanted))


def cluster(*nodes, pods=()):
    snapshot = Snapshot()
    for node in nodes:
        snapshot.apply(NodeObserved(node))
    for index, (node, template) in enumerate(pods):
        snapshot.apply(PodBound(Assignment(pod=f"p{index}", template=template, node=node)))
    return snapshot


def with_resources(name="a", **amounts):
    return Node(name=name, allocatable=Resources.of(amounts))


def raw(snapshot, template, name, **arguments):
    term = WeightedScore(name=name, **arguments)
    shape = snapshot.shape(template)
    slots = np.flatnonzero(snapshot.fleet.present)
    rule = SCORES[name]
    scores = rule.raw(snapshot, shape, term, slots, np.random.default_rng(0))
    assert scores.dtype == np.int64
    for index, slot in enumerate(slots.tolist()):
        if rule.reads != "pods":
            alone = rule.raw(snapshot, shape, term, np.array([slot]), np.random.default_rng(0))
            assert alone[0] == scores[index]
    if not rule.concerns(snapshot, shape, term):
        assert len(set(scores.tolist())) == 1, "who has no concern makes no difference"
    return scores.tolist()


def final(snapshot, template, name, **arguments):
    return SCORES[name].normalise(np.array(raw(snapshot, template, name, **arguments))).tolist()


# -- resources


@pytest.mark.parametrize(
    ("held", "asked", "least", "most"),
    [
        pytest.param({}, {}, 100, 0, id="empty"),
        pytest.param({"cpu": 5, "memory": 10}, {}, 50, 50, id="half"),
        pytest.param({"cpu": 1}, {"cpu": 2}, 85, 15, id="with the pod: (70 + 100) / 2"),
        pytest.param({}, {"cpu": 11}, 50, 50, id="beyond the node: 0, or full"),
        pytest.param({}, {"cpu": 1, "memory": 1}, 92, 7, id="rounded down at each step"),
        pytest.param({"gpu": 3}, {}, 100, 0, id="what is not listed does not count"),
    ],
)
def test_least_and_most_allocated(held, asked, least, most):
    node = with_resources(cpu=10, memory=20, gpu=4)
    snapshot = cluster(node, pods=[("a", asking(**held))])
    assert raw(snapshot, asking(**asked), "least-allocated") == [least]
    assert raw(snapshot, asking(**asked), "most-allocated") == [most]


GPU_HEAVY = (ResourceWeight("cpu"), ResourceWeight("gpu", 3))


@pytest.mark.parametrize(
    ("node", "asked", "expected"),
    [
        pytest.param({"cpu": 10, "gpu": 4}, {"cpu": 5, "gpu": 2}, 50, id="weighted mean"),
        pytest.param({"cpu": 10, "gpu": 4}, {"cpu": 5, "gpu": 4}, 87, id="(50 + 3·100) / 4"),
        pytest.param({"cpu": 10, "gpu": 4}, {"cpu": 5}, 50, id="left out unless asked for"),
        pytest.param({"cpu": 10}, {"cpu": 5, "gpu": 1}, 50, id="left out where there are none"),
        pytest.param({}, {"cpu": 5, "gpu": 1}, 0, id="nothing to count"),
    ],
)
def test_a_resource_that_few_nodes_have(node, asked, expected):
    snapshot = cluster(with_resources(**node))
    assert raw(snapshot, asking(**asked), "most-allocated", resources=GPU_HEAVY) == [expected]


def test_the_number_of_pods_is_no_resource_to_score():
    snapshot = cluster(with_resources(cpu=10, pods=2))
    counted = (ResourceWeight("pods"), ResourceWeight("cpu"))
    assert raw(snapshot, asking(cpu=5, pods=1), "most-allocated", resources=counted) == [50]


def test_scored_amounts_count_instead_of_requests():
    snapshot = cluster(
        with_resources(cpu=10, memory=10), pods=[("a", asking(scored={"cpu": 3, "memory": 3}))]
    )
    assert raw(snapshot, asking(scored={"cpu": 2, "memory": 2}), "least-allocated") == [50]
    assert raw(snapshot, asking(), "least-allocated") == [70]


def test_nodes_taken_together():
    snapshot = cluster(with_resources("a", cpu=10), with_resources("b", cpu=30))
    term = WeightedScore(name="most-allocated", resources=(ResourceWeight("cpu"),))
    shape = snapshot.shape(asking(cpu=10))
    use = allocation.scored(snapshot, shape, term.resources, np.array([0, 1]))
    assert most_allocated.of(term, allocation.together(use)).tolist() == [25]


@pytest.mark.parametrize(
    ("utilization", "expected"),
    [(-1, 20), (0, 20), (25, 60), (39, 82), (50, 100), (75, 50), (99, 2), (100, 0), (200, 0)],
)
def test_piecewise_linear(utilization, expected):
    points = (ShapePoint(0, 2), ShapePoint(50, 10), ShapePoint(100, 0))
    scaled = requested_to_capacity_ratio.scaled(points)
    value = requested_to_capacity_ratio.piecewise_linear(scaled, np.array([utilization]))
    assert value.tolist() == [expected]


def test_falling_lines_round_towards_their_left_end():
    points = (ShapePoint(0, 10), ShapePoint(3, 0))
    value = requested_to_capacity_ratio.piecewise_linear(points, np.array([1, 2]))
    assert value.tolist() == [7, 4]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({"cpu": 5}, 50, id="memory scores zero and does not count"),
        pytest.param({"cpu": 5, "memory": 20}, 75, id="both"),
        pytest.param({"cpu": 5, "memory": 3}, 33, id="(50 + 15) / 2 is rounded up"),
        pytest.param({"cpu": 50}, 100, id="beyond the node is full"),
        pytest.param({}, 0, id="nothing"),
    ],
)
def test_requested_to_capacity_ratio(asked, expected):
    snapshot = cluster(with_resources(cpu=10, memory=20))
    line = (ShapePoint(0, 0), ShapePoint(100, 10))
    scores = raw(snapshot, asking(**asked), "requested-to-capacity-ratio", shape=line)
    assert scores == [expected]


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        pytest.param({}, {"cpu": 5, "memory": 10}, 75, id="as even as before"),
        pytest.param({}, {"cpu": 10}, 50, id="all of one, none of the other"),
        pytest.param({"cpu": 10}, {"memory": 20}, 100, id="makes it even again"),
        pytest.param({"cpu": 20}, {"memory": 20}, 100, id="more than all counts as all"),
    ],
)
def test_balanced_allocation(held, asked, expected):
    snapshot = cluster(with_resources(cpu=10, memory=20), pods=[("a", asking(**held))])
    assert raw(snapshot, asking(**asked), "balanced-allocation") == [expected]


def test_evenness_of_three_is_the_standard_deviation():
    used, capacity = np.array([[0, 5, 10]]), np.array([[10, 10, 10]])
    deviation = math.sqrt((0.25 + 0 + 0.25) / 3)
    assert balanced_allocation.evenness(used, capacity).tolist() == [int((1 - deviation) * 100)]


def test_a_pod_that_asks_for_nothing_is_not_balanced():
    snapshot = cluster(with_resources(cpu=10))
    term = WeightedScore(name="balanced-allocation")
    assert not balanced_allocation.concerns(snapshot, snapshot.shape(asking()), term)


# -- labels


def test_fewer_resented_taints_are_better():
    taints = [Taint(key, "", "PreferNoSchedule") for key in "abcd"]
    nodes = [Node(name=str(n), taints=tuple(taints[:n])) for n in (0, 1, 3, 4)]
    tolerant = PodTemplate(
        request=Request(), constraints=Constraints(tolerations=(Toleration("d", "Exists"),))
    )
    assert raw(cluster(*nodes), tolerant, "taint-toleration") == [0, 1, 3, 3]
    assert final(cluster(*nodes), tolerant, "taint-toleration") == [100, 67, 0, 0]
    assert final(cluster(nodes[0]), tolerant, "taint-toleration") == [100]


def test_hard_taints_cost_no_points():
    node = Node(name="a", taints=(Taint("a", "", "NoSchedule"),))
    assert raw(cluster(node), asking(), "taint-toleration") == [0]


def test_preferred_nodes_add_their_weights():
    def wish(weight, key):
        return PreferredNodes(weight, NodeSelectorTerm((Requirement(key, "Exists"),)))

    nodes = [
        Node(name=name, labels=tuple((key, "") for key in keys))
        for name, keys in (("a", ""), ("b", "x"), ("c", "xy"))
    ]
    wishes = Constraints(preferred_nodes=(wish(2, "x"), wish(3, "y")))
    pod = PodTemplate(request=Request(), constraints=wishes)
    assert raw(cluster(*nodes), pod, "node-affinity") == [0, 2, 5]
    assert final(cluster(*nodes), pod, "node-affinity") == [0, 40, 100]


# -- pods in other nodes' domains


def app(name):
    return LabelSelector((Requirement("app", "In", (name,)),))


def near(name, key="zone"):
    return PodTerm(key, app(name), ("default",))


def a_pod(label="", **constraints):
    return PodTemplate(
        request=Request(),
        constraints=Constraints(**constraints),
        labels=(("app", label),) if label else (),
    )


def zones(pods=(), names=("a1", "a2", "b1", "x")):
    nodes = [
        Node(name=name, labels=() if name == "x" else (("host", name), ("zone", name[0])))
        for name in names
    ]
    return cluster(*nodes, pods=pods)


@pytest.mark.parametrize(
    ("pods", "own", "arguments", "expected"),
    [
        pytest.param(
            [("a1", a_pod("web"))],
            {"preferred_pods": (PreferredPods(5, near("web")),)},
            {},
            [5, 5, 0, 0],
            id="drawn near",
        ),
        pytest.param(
            [("a1", a_pod("web"))],
            {"preferred_pods": (PreferredPods(-5, near("web", "host")),)},
            {},
            [-5, 0, 0, 0],
            id="pushed away",
        ),
        pytest.param(
            [("a1", a_pod("web", preferred_pods=(PreferredPods(3, near("new")),)))] * 2,
            {},
            {},
            [6, 6, 0, 0],
            id="running pods draw it, each with its weight",
        ),
        pytest.param(
            [("b1", a_pod("web", required_pods=(near("new"),)))],
            {},
            {"hard_pod_affinity_weight": 7},
            [0, 0, 7, 0],
            id="required affinity draws with the policy's weight",
        ),
        pytest.param(
            [("b1", a_pod("web", preferred_pods=(PreferredPods(3, near("new")),)))],
            {},
            {"ignore_preferred_terms_of_existing_pods": True, "hard_pod_affinity_weight": 0},
            None,
            id="ignored by policy",
        ),
        pytest.param(
            [("x", a_pod("web"))],
            {"preferred_pods": (PreferredPods(5, near("web")),)},
            {},
            [0, 0, 0, 0],
            id="who is in no domain draws nobody",
        ),
    ],
)
def test_preferred_company(pods, own, arguments, expected):
    snapshot, pod = zones(pods), a_pod("new", **own)
    term = WeightedScore(name="inter-pod-affinity", **arguments)
    if expected is None:
        assert not inter_pod_affinity.concerns(snapshot, snapshot.shape(pod), term)
    else:
        assert raw(snapshot, pod, "inter-pod-affinity", **arguments) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], []), ([4], [0]), ([0, 0], [0, 0]), ([-5, 0, 5], [0, 50, 100]), ([0, 1, 3], [0, 33, 100])],
)
def test_company_is_stretched(given, expected):
    scores = np.array(given, dtype=np.int64)
    assert inter_pod_affinity.normalise(scores).tolist() == expected


def wish(key="zone", max_skew=1, **fields):
    return SpreadConstraint(max_skew, key, "ScheduleAnyway", app("web"), **fields)


def test_crowded_domains_are_worse():
    pods = [("a1", a_pod("web"))] * 3 + [("a2", a_pod("web")), ("b1", a_pod("web"))]
    pod = a_pod("web", spread=(wish(max_skew=2),))
    weight = math.log(2 + 2)
    crowded, light = round(4 * weight + 1), round(weight + 1)
    assert raw(zones(pods), pod, "topology-spread") == [crowded, crowded, light, -1]
    best = 100 * (crowded + light - light) // crowded
    worst = 100 * (crowded + light - crowded) // crowded
    assert final(zones(pods), pod, "topology-spread") == [worst, worst, best, 0]


def test_hosts_count_their_own_pods():
    hostname = topology_spread.HOSTNAME
    nodes = [Node(name=name, labels=((hostname, name),)) for name in "abc"]
    pods = [("a", a_pod("web")), ("a", a_pod("web")), ("b", a_pod("web"))]
    pod = a_pod("web", spread=(wish(hostname),))
    weight = math.log(3 + 2)
    expected = [round(2 * weight), round(weight), 0]
    assert raw(cluster(*nodes, pods=pods), pod, "topology-spread") == expected


def test_a_default_wish_is_lenient_about_labels():
    strict, lenient = a_pod("web", spread=(wish(),)), a_pod("web", spread=(wish(is_default=True),))
    assert raw(zones(), strict, "topology-spread")[-1] == topology_spread.NO_PART
    assert raw(zones(), lenient, "topology-spread")[-1] == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [([-1, -1], [0, 0]), ([0, 0], [100, 100]), ([0, -1], [100, 0]), ([2, 4], [100, 50])],
)
def test_crowding_is_turned_round(given, expected):
    assert topology_spread.normalise(np.array(given)).tolist() == expected
