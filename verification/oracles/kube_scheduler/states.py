"""Answers to the tests of what Kubernetes computes ahead: counts per domain, requests, shapes."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from gpuyard.dialects import core
from gpuyard.model.constraints import LabelSelector, NodeSelectorTerm, Requirement, SpreadConstraint
from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.policy import CPU_AND_MEMORY, WeightedScore
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.feasibility import inter_pod_affinity, node_affinity, topology_spread
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.node_facts import ABSENT, Fact
from gpuyard.scheduling.scores import SCORES, allocation, topology_spread as spread_score
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.kube_scheduler.cluster import (
    cluster,
    constraints_of,
    on_node,
    shape_of,
    spread_of,
    template_of,
    without_gated,
)
from verification.oracles.kube_scheduler.kinds import LOG_DIGITS, SKIP, SUCCESS
from verification.oracles.kube_scheduler.scores import SYSTEM_DEFAULT_SPREAD
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

NO_DOMAIN_YET = 2**31 - 1  # what Kubernetes writes as the fewest pods where there is no domain


# -- topology spread


def filter_state(row: Row) -> Answers:
    """Answer TestPreFilterState."""
    snapshot = cluster(row.case["nodes"] or (), row.case["existingPods"] or ())
    pod = without_gated(row, row.case["pod"])
    constraints = spread_of(pod, row.case["defaultConstraints"], row.case["objs"], system=False)
    shape = shape_of(snapshot, pod, spread=constraints)
    if not topology_spread.concerns(shape):
        return {"want": None, "wantPrefilterStatus": SKIP}
    return {"want": filter_state_of(snapshot, shape), "wantPrefilterStatus": SUCCESS}


def filter_state_after_add(row: Row) -> Answers:
    """Answer TestPreFilterStateAddPod."""
    snapshot, shape, name = _before(row)
    snapshot.apply(PodBound(_bound(row.case["addedPod"], name)))
    return {"want": filter_state_of(snapshot, shape)}


def filter_state_after_remove(row: Row) -> Answers:
    """Answer TestPreFilterStateRemovePod.

    A pod that was never there comes before it goes. The source removes the pod from the node that
    the row names, wherever it ran; where that is elsewhere, another pod of the node goes for it.
    """
    snapshot, shape, name = _before(row)
    index = row.case["deletedPodIdx"]
    if index < 0:
        snapshot.apply(PodBound(_bound(row.case["deletedPod"], name)))
    key = f"pod-{index}" if index >= 0 else "changed"
    there = snapshot.pods_on[snapshot.slot_of[name]]
    snapshot.apply(PodGone(key if key in there else next(iter(there))))
    return {"want": filter_state_of(snapshot, shape)}


def _before(row: Row) -> tuple[Snapshot, Shape, str]:
    snapshot = cluster(row.case["nodes"], row.case["existingPods"] or ())
    shape = shape_of(snapshot, without_gated(row, row.case["preemptor"]))
    filter_state_of(snapshot, shape)  # so that the counters exist and have to follow the change
    return snapshot, shape, row.case["nodes"][row.case["nodeIdx"]]["metadata"]["name"]


def _bound(pod: Json, node: str) -> Assignment:
    return core.assignment(on_node([pod], node)[0], key="changed")


def filter_state_of(snapshot: Snapshot, shape: Shape) -> object:
    """Return the constraints, the fewest pods in a domain, and the pods in each domain."""
    constraints = topology_spread.hard_constraints(shape)
    eligible = topology_spread.has_all_keys(snapshot, constraints)
    described, fewest, by_value = [], [], []
    for constraint in constraints:
        spread = topology_spread.spread_now(snapshot, shape, constraint, eligible)
        values = snapshot.facts.column(Fact("label", constraint.topology_key)).values
        domains = np.flatnonzero(spread.exists).tolist()
        described.append(describe(constraint))
        fewest.append(spread.smallest(0) if domains else NO_DOMAIN_YET)
        by_value.append({values[domain]: int(spread.pods[domain]) for domain in domains})
    return described, fewest, by_value


def describe(constraint: SpreadConstraint) -> tuple[object, ...]:
    """Return a constraint as Kubernetes' state shows it."""
    policy = {True: "Honor", False: "Ignore"}
    return (
        constraint.max_skew,
        constraint.topology_key,
        constraint.min_domains or 1,
        policy[constraint.honor_node_affinity],
        policy[constraint.honor_node_taints],
        describe_selector(constraint.selector),
    )


def describe_selector(selector: LabelSelector | None) -> frozenset[tuple[str, str, frozenset[str]]]:
    """Return a selector as a set of requirements."""
    requirements: Iterable[Requirement] = selector.requirements if selector else ()
    return frozenset((each.key, each.operator, frozenset(each.values)) for each in requirements)


def score_state(row: Row) -> Answers:
    """Answer TestPreScoreStateEmptyNodes."""
    nodes = row.case["nodes"]
    snapshot = cluster(nodes)
    shape = shape_of(snapshot, without_gated(row, row.case["pod"]), spread=_soft_spread(row))
    constraints = spread_score.soft_constraints(shape)
    if not constraints:
        return {"want": None}
    eligible = spread_score.taking_part(snapshot, constraints)
    scored = np.flatnonzero(eligible)
    left_out = np.flatnonzero(snapshot.fleet.present & ~eligible).tolist()
    return {
        "want": (
            [describe(constraint) for constraint in constraints],
            sorted(snapshot.nodes[slot].name for slot in left_out),
            [
                pods_by_value(snapshot, shape, constraint, scored, eligible)
                for constraint in constraints
            ],
            [
                round(spread_score.normalising_weight(snapshot, each, scored), LOG_DIGITS)
                for each in constraints
            ],
        )
    }


def pods_by_value(
    snapshot: Snapshot,
    shape: Shape,
    constraint: SpreadConstraint,
    scored: IntArray,
    eligible: BoolArray,
) -> dict[str, int]:
    """Return the pods in each domain with a scored node; per hostname Kubernetes counts later."""
    if constraint.topology_key == spread_score.HOSTNAME:
        return {}
    column = snapshot.facts.column(Fact("label", constraint.topology_key))
    nearby = spread_score.pods_nearby(snapshot, shape, constraint, eligible, scored)
    codes = column.codes[scored].tolist()
    return {
        "" if code == ABSENT else column.values[code]: pods
        for code, pods in zip(codes, nearby.tolist(), strict=True)
    }


def score_skip(row: Row) -> Answers:
    """Answer TestPreScoreSkip, which expects that there is nothing to do."""
    snapshot = cluster(row.case["nodes"])
    shape = shape_of(snapshot, row.case["pod"], spread=_soft_spread(row))
    term = WeightedScore(name="topology-spread")
    is_concerned = SCORES[term.name].concerns(snapshot, shape, term)
    return {"preScoreStatus": SUCCESS if is_concerned else SKIP}


def _soft_spread(row: Row) -> tuple[SpreadConstraint, ...]:
    is_system = row.case["config"]["defaultingType"] == "System"
    defaults = SYSTEM_DEFAULT_SPREAD if is_system else row.case["config"]["defaultConstraints"]
    pod = without_gated(row, row.case["pod"])
    return spread_of(pod, defaults, row.case["objs"], system=is_system)


# -- inter-pod affinity


def affinity_counts(row: Row) -> Answers:
    """Answer TestGetTPMapMatchingIncomingAffinityAntiAffinity."""
    snapshot = cluster(row.case["nodes"], row.case["existingPods"] or ())
    wanted, unwanted = company(snapshot, shape_of(snapshot, row.case["pod"]))
    return {"wantAffinityPodsMap": wanted, "wantAntiAffinityPodsMap": unwanted}


def affinity_counts_after_add(row: Row) -> Answers:
    """Answer TestPreFilterStateAddRemovePod: a pod comes in a trial, and is undone."""
    snapshot = cluster(row.case["nodes"], row.case["existingPods"] or ())
    shape = shape_of(snapshot, row.case["pendingPod"])
    before = company(snapshot, shape)
    with snapshot.trial():
        snapshot.apply(PodBound(core.assignment(row.case["addedPod"], key="changed")))
        wanted, unwanted = company(snapshot, shape)
    if company(snapshot, shape) != before:
        raise ValueError("undoing the trial did not restore the counts")
    return {"expectedAffinity": wanted, "expectedAntiAffinity": unwanted}


Pairs = dict[tuple[str, str], int]


def company(snapshot: Snapshot, shape: Shape) -> tuple[Pairs, Pairs]:
    """Return how many pods the required affinity and anti-affinity see in each domain."""
    wanted: Counter[tuple[str, str]] = Counter()
    unwanted: dict[tuple[str, str], int] = {}
    for term in shape.constraints.required_pods:  # Kubernetes counts a pod once for each term
        key = term.topology_key
        wanted.update(
            _pairs(snapshot, key, inter_pod_affinity.wanted_company(snapshot, shape, key))
        )
    for key in {term.topology_key for term in shape.constraints.forbidden_pods}:
        unwanted |= _pairs(snapshot, key, inter_pod_affinity.unwanted_company(snapshot, shape, key))
    return dict(wanted), unwanted


def _pairs(snapshot: Snapshot, key: str, by_domain: IntArray) -> Pairs:
    values = snapshot.facts.column(Fact("label", key)).values
    domains = np.flatnonzero(by_domain).tolist()
    return {(key, values[domain]): int(by_domain[domain]) for domain in domains}


# -- requests


def scored_requests(row: Row) -> Answers:
    """Answer TestResourceAllocationScorerCalculateRequests."""
    snapshot = cluster([])
    shape = shape_of(snapshot, row.case["pod"])
    amounts = allocation.pod_amounts(shape, CPU_AND_MEMORY, plain=False)
    names = [resource.name for resource in CPU_AND_MEMORY]
    return {"expected": dict(zip(names, amounts.tolist(), strict=True))}


def resource_on_node(row: Row) -> Answers:
    """Answer TestCalculateResourceAllocatableRequest."""
    if row.case["draObjects"]:
        raise OutOfScopeError(Outside.DRA)
    snapshot = cluster([row.case["node"]])
    column = snapshot.fleet.resource_column(row.case["extendedResource"])
    allocatable = int(snapshot.fleet.allocatable[0, column])
    allocated = allocatable - int(snapshot.fleet.free[0, column])
    return {"expectedAllocatable": allocatable, "expectedAllocated": allocated}


def node_match(row: Row) -> Answers:
    """Answer TestNodeMatchCaching: from which nodes a device is reached, told as node terms."""
    snapshot = cluster([row.context["testNode"]])
    name = row.case["nodeNameToMatch"]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": row.case["nodeSelector"]}
    terms = constraints_of({"affinity": {"nodeAffinity": required}}).required_nodes or ()
    if name:
        terms = (*terms, NodeSelectorTerm(fields=(Requirement("metadata.name", "In", (name,)),)))
    everywhere = None if row.case["allNodesMatch"] else terms
    return {
        "expectedMatch": bool(
            node_affinity.any_term_holds(snapshot, everywhere, np.array([0])).all()
        )
    }


def resource_signature(row: Row) -> Answers:
    """Answer the tests of resource signatures: our shape says the same of a pod's requests.

    With device classes in the cluster Kubernetes gives none.
    """
    if not row.case["disableDRAExtendedResource"]:
        raise OutOfScopeError(Outside.DRA)
    template = msgspec.structs.replace(template_of(row.case["pod"]), labels=())
    asked = cluster([]).shape(template).request.resources.as_dict()
    known = {
        "milliCPU": asked.pop("cpu", 0),
        "memory": asked.pop("memory", 0),
        "ephemeralStorage": asked.pop("ephemeral-storage", 0),
        "allowedPodNumber": asked.pop("pods", 0),
        "scalarResources": asked or None,
    }
    key = "v1.Pod.Spec.ContainerRequestsAndOverheads()"
    return {
        "expectedStatusCode": "Success",
        "expectedFragments": [{"key": key, "value": {"resource": known}}],
    }
