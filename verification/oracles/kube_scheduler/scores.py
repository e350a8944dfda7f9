"""Answers to the score tests: what `scores.SCORES` give, raw or normalised as each test has it."""

from collections.abc import Callable, Iterable

import numpy as np

from gpuyard.dialects import core
from gpuyard.model.policy import ResourceWeight, ShapePoint, WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.gang import domains
from gpuyard.scheduling.scores import (
    SCORES,
    requested_to_capacity_ratio,
)
from gpuyard.scheduling.scores.requested_to_capacity_ratio import (
    POINT_SCORE_MAX,
    UTILIZATION_MAX,
)
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.kube_scheduler.cluster import (
    added_affinity,
    cluster,
    shape_of,
    spread_of,
    template_of,
    without_gated,
)
from verification.oracles.kube_scheduler.kinds import SKIP, SUCCESS
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

WEIGHT_MIN, WEIGHT_MAX = 1, 100  # what Kubernetes admits as the weight of a resource
STRATEGIES = {
    "LeastAllocated": "least-allocated",
    "MostAllocated": "most-allocated",
    "RequestedToCapacityRatio": "requested-to-capacity-ratio",
}
SYSTEM_DEFAULT_SPREAD = (
    {
        "maxSkew": 3,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
    },
    {
        "maxSkew": 5,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
    },
)


def raw_scores(snapshot: Snapshot, shape: Shape, term: WeightedScore, slots: IntArray) -> IntArray:
    """Return the raw scores of `slots`, asked as placement asks."""
    rule = SCORES[term.name]
    if not rule.concerns(snapshot, shape, term):
        return np.zeros(len(slots), dtype=np.int64)
    return rule.raw(snapshot, shape, term, slots, np.random.default_rng(0))


def normalised(snapshot: Snapshot, shape: Shape, term: WeightedScore, slots: IntArray) -> IntArray:
    """Return the scores of `slots` on the scale 0..100."""
    raw = raw_scores(snapshot, shape, term, slots)
    rule = SCORES[term.name]
    return rule.normalise(raw) if rule.normalise and _concerns(snapshot, shape, term) else raw


def _concerns(snapshot: Snapshot, shape: Shape, term: WeightedScore) -> bool:
    return SCORES[term.name].concerns(snapshot, shape, term)


def by_name(nodes: Iterable[Json], scores: IntArray) -> dict[str, int]:
    """Return scores by the names of nodes."""
    names = [node["metadata"]["name"] for node in nodes]
    return dict(zip(names, scores.tolist(), strict=True))


def slots_of(snapshot: Snapshot, nodes: Iterable[Json]) -> IntArray:
    """Return the slots of `nodes`, in their order."""
    return np.array([snapshot.slot_of[node["metadata"]["name"]] for node in nodes], dtype=np.int64)


# -- resources


def strategy_term(strategy: Json) -> WeightedScore:
    """Return the score that a ``scoringStrategy`` of NodeResourcesFitArgs asks for."""
    ratio = strategy.get("requestedToCapacityRatio") or {}
    points = tuple(ShapePoint(p["utilization"], p["score"]) for p in ratio.get("shape") or ())
    if strategy["type"] == "RequestedToCapacityRatio" and not _is_admitted(points):
        raise OutOfScopeError(Outside.INVALID_ARGUMENTS)
    return WeightedScore(
        name=STRATEGIES[strategy["type"]],  # type: ignore[arg-type]
        resources=weights_of(strategy["resources"]),
        shape=points,
    )


def _is_admitted(points: tuple[ShapePoint, ...]) -> bool:
    """Tell whether Kubernetes admits the points: some, ascending, 0..100 by 0..10."""
    utilizations = [point.utilization for point in points]
    in_range = all(
        0 <= point.utilization <= UTILIZATION_MAX and 0 <= point.score <= POINT_SCORE_MAX
        for point in points
    )
    return bool(points) and in_range and utilizations == sorted(set(utilizations))


def weights_of(resources: Json) -> tuple[ResourceWeight, ...]:
    """Return the resources that a score counts; Kubernetes wants some, with weights 1..100."""
    listed = tuple(ResourceWeight(each["name"], each["weight"]) for each in resources or ())
    if not listed or not all(WEIGHT_MIN <= each.weight <= WEIGHT_MAX for each in listed):
        raise OutOfScopeError(Outside.INVALID_ARGUMENTS)
    return listed


def strategy(strategy_name: str) -> Callable[[Row], Answers]:
    """Return the answer to the tests of one scoring strategy."""

    def answer(row: Row) -> Answers:
        listed = row.case["resources"]
        ratio = {"shape": row.case.get("shape")}
        term = strategy_term(
            {"type": strategy_name, "resources": listed, "requestedToCapacityRatio": ratio}
        )
        answers: Answers = {"expectedScores": _resource_scores(row, term, "requestedPod")}
        if "wantErrs" in row.case or strategy_name != "RequestedToCapacityRatio":
            answers["wantStatusCode"] = "Success"
        return answers

    return answer


def ratio_by_arguments(row: Row) -> Answers:
    """Answer the bin-packing tests, whose strategy is among the plugin's arguments."""
    term = strategy_term(row.context["pluginArgs"]["scoringStrategy"])
    return {"expectedScores": _resource_scores(row, term, "pod")}


def fit(row: Row) -> Answers:
    """Answer TestFitScore."""
    if row.case["draObjects"]:
        raise OutOfScopeError(Outside.DRA)
    term = strategy_term(row.case["nodeResourcesFitArgs"]["scoringStrategy"])
    return {"expectedPriorities": _resource_scores(row, term, "requestedPod")}


def balanced(row: Row) -> Answers:
    """Answer TestNodeResourcesBalancedAllocation."""
    if row.case["draObjects"]:
        raise OutOfScopeError(Outside.DRA)
    resources = weights_of(row.case["args"]["resources"])
    term = WeightedScore(name="balanced-allocation", resources=resources)
    snapshot = cluster(row.case["nodes"], row.case["existingPods"] or ())
    if row.case["runPreScore"] and not _concerns(
        snapshot, shape_of(snapshot, row.case["requestedPod"], levels=_has_levels(row)), term
    ):
        return {"expectedPreScoreStatusCode": "Skip"}
    return {
        "expectedPreScoreStatusCode": "Success",
        "expectedScores": _resource_scores(row, term, "requestedPod"),
    }


def _resource_scores(row: Row, term: WeightedScore, pod_field: str) -> dict[str, int]:
    nodes = row.case["nodes"]
    pods = row.case.get("existingPods") or row.case.get("pods") or ()
    snapshot = cluster(nodes, pods)
    shape = shape_of(snapshot, row.case[pod_field], levels=_has_levels(row))
    return by_name(nodes, raw_scores(snapshot, shape, term, slots_of(snapshot, nodes)))


def _has_levels(row: Row) -> bool:
    return "EnablePodLevelResources" in row.context.get("features", ())


def broken_line(row: Row) -> Answers:
    """Answer TestBrokenLinearFunction."""
    points = tuple(ShapePoint(each["utilization"], each["score"]) for each in row.case["points"])
    asked = np.array([each["p"] for each in row.case["assertions"]], dtype=np.int64)
    answers = requested_to_capacity_ratio.piecewise_linear(points, asked)
    return {"assertions": answers.tolist()}


def placement(row: Row) -> Answers:
    """Answer TestScorePlacement_Resources: nodes and pods of a placement taken together."""
    term = WeightedScore(name="most-allocated", resources=weights_of(row.case["resourceSpec"]))
    snapshot = cluster(row.case["nodes"], row.case["preExistingPods"] or ())
    names = row.case["placementNodeNames"]
    slots = np.array([snapshot.slot_of[name] for name in names], dtype=np.int64)
    placed = row.case["podGroupAssignments"]
    templates = [
        template_of(pod) for pod in row.case["podGroupPods"] if pod["metadata"]["uid"] in placed
    ]
    return {"expectedScore": domains.tightness(snapshot, slots.tolist(), templates, term)}


# -- labels and pods


def taints(row: Row) -> Answers:
    """Answer TestTaintTolerationScore."""
    nodes = row.case["nodes"]
    snapshot = cluster(nodes)
    shape = shape_of(snapshot, without_gated(row, row.case["pod"]))
    term = WeightedScore(name="taint-toleration")
    scores = normalised(snapshot, shape, term, slots_of(snapshot, nodes))
    return {"expectedList": by_name(nodes, scores)}


def preferred_nodes(row: Row) -> Answers:
    """Answer TestNodeAffinityPriority."""
    nodes = row.case["nodes"]
    snapshot = cluster(nodes)
    _, added = added_affinity(row.case["args"])
    own = template_of(row.case["pod"]).constraints.preferred_nodes
    shape = shape_of(snapshot, row.case["pod"], preferred_nodes=own + added)
    term = WeightedScore(name="node-affinity")
    if row.case["runPreScore"] and not _concerns(snapshot, shape, term):
        return {"wantPreScoreStatus": SKIP}
    scores = normalised(snapshot, shape, term, slots_of(snapshot, nodes))
    answers: Answers = {"expectedList": by_name(nodes, scores)}
    if row.case["runPreScore"]:
        answers["wantPreScoreStatus"] = SUCCESS
    return answers


def preferred_pods(row: Row) -> Answers:
    """Answer TestPreferredAffinity and its variant with a weight for required terms."""
    nodes, pods = row.case["nodes"], row.case["pods"] or ()
    snapshot = cluster(nodes, pods, row.context.get("namespaces") or ())
    try:
        shape = shape_of(snapshot, row.case["pod"])
    except core.DialectError:
        return {"wantStatus": "Error"}
    term = WeightedScore(
        name="inter-pod-affinity",
        hard_pod_affinity_weight=row.case.get("hardPodAffinityWeight", 1),
        ignore_preferred_terms_of_existing_pods=row.case.get(
            "ignorePreferredTermsOfExistingPods", False
        ),
    )
    if not _concerns(snapshot, shape, term) or not _anyone_weighs(snapshot, shape, term):
        return {"wantStatus": "Skip"}
    scores = normalised(snapshot, shape, term, slots_of(snapshot, nodes))
    return {"wantStatus": "Success", "expectedList": by_name(nodes, scores)}


def _anyone_weighs(snapshot: Snapshot, shape: Shape, term: WeightedScore) -> bool:
    """Tell what PreScore skips otherwise: no pod in any domain weighs anything."""
    everywhere = np.flatnonzero(snapshot.fleet.present)
    return bool(raw_scores(snapshot, shape, term, everywhere).any())


def spread(row: Row) -> Answers:
    """Answer TestPodTopologySpreadScore, whose defaults are Kubernetes' own."""
    nodes = row.case["nodes"]
    snapshot = cluster(row.context["nodes"], row.case["existingPods"] or ())
    pod = without_gated(row, row.case["pod"])
    constraints = spread_of(pod, SYSTEM_DEFAULT_SPREAD, row.case["objs"], system=True)
    shape = shape_of(snapshot, pod, spread=constraints)
    term = WeightedScore(name="topology-spread")
    scores = normalised(snapshot, shape, term, slots_of(snapshot, nodes))
    return {"want": by_name(nodes, scores)}
