"""Answers to the tests of preemption: who leaves which node for whom, for a pod and for a group.

Victims are compared as the row's own pods, told apart by their keys; of several nodes that are
equally good any will do, so the answer is all of them.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gpuyard.dialects import core
from gpuyard.model.disruption import DisruptionBudget, PreemptionRules
from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.model.reasons import Rejection
from gpuyard.model.workloads import Assignment, PendingPod
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.nodes import (
    disruption,
    eligibility,
    importance,
    per_node,
    pick,
    pod_groups,
)
from gpuyard.scheduling.preemption.nodes.importance import Unit
from gpuyard.scheduling.preemption.nodes.per_node import Candidate
from gpuyard.scheduling.preemption.nodes.pod_groups import Eviction
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.kube_scheduler.cluster import cluster
from verification.oracles.kube_scheduler.kinds import SUCCESS, Status
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

OFFSETS = (4, 1, 3)  # what Go's rand.New(rand.NewSource(4)).Int31n(5) draws, one cycle each
OVERRIDE = 1  # the nominating mode: what was nominated before is forgotten
NO_NODE = "no-node"  # of victims that a row lists without saying where they run
ANY_POD = {"kind": "Pod", "metadata": {}, "spec": {}}

REFUSALS: dict[str, Status] = {
    "PodGroupNotFound": ("Unschedulable", ("pod group for pod not found",)),
    "GroupIsPlacedByTopology": (
        "Unschedulable",
        ("not eligible due to placement-based pod group scheduling limitation",),
    ),
    "GroupPreemptsAsOne": (
        "Unschedulable",
        ("not eligible due to workload aware preemption enabled",),
    ),
}
GROUP_CODES: dict[str, str] = {
    "PreemptionPolicyNever": "Unschedulable",
    "NoVictims": "UnschedulableAndUnresolvable",
    "NotEnough": "Unschedulable",
}


# -- one pod


def post_filter(row: Row) -> Answers:
    """Answer TestPostFilter."""
    _refuse_extenders(row.case["extender"])
    if any((node["metadata"].get("labels") or {}).get("error") for node in row.case["nodes"]):
        raise OutOfScopeError(Outside.PLUMBING)  # a plugin that fails where this label is
    placer = placer_of(row.case["nodes"], row.case["pods"])
    pod = core.pending_pod(row.case["pod"])
    statuses = row.case["filteredNodesStatuses"]
    absent = statuses["absentNodesStatus"]
    slots = _slots(
        placer.snapshot,
        [
            name
            for name in placer.snapshot.slot_of
            if statuses["nodeToStatus"].get(name, absent)["code"] == "Unschedulable"
        ],
    )
    groups = groups_of(row.case["podGroups"])
    why_not = eligibility.refusal(
        placer.snapshot, pod, groups, rules_of(row.case["features"]), slots
    )
    if why_not is not None:
        return {"wantResult": None, "wantStatus": _prefixed(REFUSALS[why_not])}
    budgets = budgets_of(row.case["pdbs"])
    best = pick.best(per_node.candidates(placer, pod, budgets, slots=slots))
    if best is not None:
        return {"wantResult": nominated(best.node), "wantStatus": SUCCESS}
    reasons = per_node.explain(placer, pod, slots=slots)
    status = ("Unschedulable", (_fit_error(len(row.case["nodes"]), reasons),))
    return {"wantResult": nominated(""), "wantStatus": _prefixed(status)}


def rules_of(features: Iterable[str]) -> PodGroupRules:
    """Return the rules for pod groups with these features of the plugin on."""
    return PodGroupRules(
        honors_topology="EnableTopologyAwareWorkloadScheduling" in features,
        preempt="as-group" if "EnableWorkloadAwarePreemption" in features else "pod-by-pod",
    )


def _prefixed(status: Status) -> Status:
    code, reasons = status
    return code, tuple(f"preemption: {reason}" for reason in reasons)


def _fit_error(nodes: int, reasons: Iterable[tuple[Rejection, int]]) -> str:
    said = sorted(f"{count} {rejection.text}" for rejection, count in reasons)
    return f"0/{nodes} nodes are available: {', '.join(said)}."


def dry_run(row: Row) -> Answers:
    """Answer TestDryRunPreemption of the plugin: each test pod by itself.

    A fake filter that turns every node down, whoever leaves, is a cordon on every node.
    """
    nodes = row.context["nodes"]
    if row.case["fakeFilterRC"] != "Success":
        nodes = [{**node, "spec": {**node["spec"], "unschedulable": True}} for node in nodes]
    placer = placer_of(nodes, row.case["initPods"])
    slots = _slots(placer.snapshot, sorted(placer.snapshot.slot_of))
    args = row.case["args"] or row.context["pluginArgs"]
    rules = PreemptionRules(
        candidates_min=args["minCandidateNodesAbsolute"],
        candidates_min_pct=args["minCandidateNodesPercentage"],
    )
    by_key = {core.pod_key(pod): pod for pod in row.case["initPods"]}
    found = []
    for offset, pod in zip(OFFSETS, row.case["testPods"], strict=False):
        candidates = per_node.candidates(
            placer,
            core.pending_pod(pod),
            budgets_of(row.case["pdbs"]),
            rules,
            slots=slots,
            offset=offset % len(slots),
        )
        by_node = sorted(candidates, key=lambda candidate: candidate.node)
        found.append([_candidate_json(candidate, by_key) for candidate in by_node])
    return {"expected": found}


def _candidate_json(candidate: Candidate, by_key: Mapping[str, Json]) -> Json:
    pods = [by_key[victim.pod] for victim in candidate.victims]
    by_name = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    victims = {"numPDBViolations": candidate.pdb_violations, "pods": by_name}
    return {"name": candidate.node, "victims": victims}


def select_best(row: Row) -> Answers:
    """Answer TestSelectBestCandidate with every node that is as good as the best."""
    placer = placer_of(row.context["nodes"], row.case["pods"])
    candidates = _on_all_nodes(placer, core.pending_pod(row.case["pod"]))
    least = min(pick.harm(candidate) for candidate in candidates)
    return {"expected": [each.node for each in candidates if pick.harm(each) == least]}


def custom(row: Row) -> Answers:
    """Answer TestCustomSelection and TestCustomOrdering where the row itself has all that counts.

    A rule that is a function of the test's own is not in the row, and no part of a policy.
    """
    if any(isinstance(row.case.get(field), dict) for field in ("eligiblePods", "orderPods")):
        raise OutOfScopeError(Outside.PLUMBING)
    placer = placer_of(row.context["nodes"], row.case["pods"])
    candidates = _on_all_nodes(placer, core.pending_pod(row.case["pod"]))
    return {"expected": {each.node: [pod.pod for pod in each.victims] for each in candidates}}


def eligible(row: Row) -> Answers:
    """Answer TestPodEligibleToPreemptOthers."""
    snapshot = cluster_by_name(row.context.get("nodes") or (), row.case["pods"])
    pod = core.pending_pod(row.case["pod"])
    status = row.case["nominatedNodeStatus"]
    is_lost = bool(status) and status["code"] == "UnschedulableAndUnresolvable"
    mendable = [name for name in snapshot.slot_of if not (is_lost and name == pod.nominated_node)]
    why_not = eligibility.refusal(snapshot, pod, {}, PodGroupRules(), _slots(snapshot, mendable))
    return {"expected": why_not is None}


def preempt(row: Row) -> Answers:
    """Answer TestPreempt: the node that is promised, and who leaves it."""
    _refuse_extenders(row.case["extenders"])
    placer = placer_of(row.context["nodes"], row.case["pods"])
    pod = core.pending_pod(row.case["pod"])
    slots = _all_slots(placer.snapshot)
    if eligibility.refusal(placer.snapshot, pod, {}, PodGroupRules(), slots) is not None:
        return {"want": None, "expectedPods": []}
    best = pick.best(per_node.candidates(placer, pod, slots=slots))
    if best is None:
        return {"want": nominated(""), "expectedPods": []}
    return {
        "want": nominated(best.node),
        "expectedPods": sorted(pod_name(victim.pod) for victim in best.victims),
    }


def nominated(node: str) -> Json:
    """Return what nominates `node`; "" takes an earlier nomination back."""
    return {"nominatingInfo": {"nominatedNodeName": node, "nominatingMode": OVERRIDE}}


def _on_all_nodes(placer: Placer, pod: PendingPod) -> tuple[Candidate, ...]:
    return per_node.candidates(placer, pod, slots=_all_slots(placer.snapshot))


def _refuse_extenders(extenders: Json) -> None:
    """Leave rows alone in which another process has a say, by a function that is not in the row."""
    if extenders:
        raise OutOfScopeError(Outside.PLUMBING)


# -- a pod group


def victims_on_domain(row: Row) -> Answers:
    """Answer TestPodGroupEvaluator_SelectVictimsOnDomain.

    The row's blocking rules stand for everything that decides whether the group can start: a node
    has room for so many of its pods once those who block it are gone.
    """
    snapshot = cluster_by_name(bare_nodes(row.case["nodeNames"]), row.case["initPods"])
    preemptor = row.case["preemptor"]
    group = core.pod_group(preemptor["podGroup"])
    pods = [core.pending_pod(pod) for pod in preemptor["pods"]]

    def can_start(_: Sequence[Unit]) -> bool:
        room = 0
        for rule in row.case["blockingRules"]:
            here = snapshot.pods_on[snapshot.slot_of[rule["nodeName"]]]
            if not here.keys() & set(rule["blockingVictims"]):
                room += rule["capacity"]
        return room >= len(pods)

    found = pod_groups.refusal(group, pods) or pod_groups.chosen_units(
        snapshot,
        group.priority,
        pod_groups.units(snapshot, groups_of(row.case["initPodGroups"])),
        budgets_of(row.case["pdbs"]),
        can_start,
    )
    if not isinstance(found, Eviction):
        return {"expectedPods": [], "expectedStatus": GROUP_CODES[found]}
    names = sorted(pod_name(victim.pod) for victim in found.victims)
    return {"expectedPods": names, "expectedStatus": "Success"}


def more_important(row: Row) -> Answers:
    """Answer TestMoreImportantVictim; what the row does not tell apart is equal."""
    first, second = (_unit(row.case[name]) for name in ("vi1", "vi2"))
    return {"want": importance.of_unit(first) < importance.of_unit(second)}


def _unit(given: Json) -> Unit:
    start_time = given["earliestStartTime"]
    pods = given["pods"] or [ANY_POD]  # where priorities differ, the row names no pods
    if start_time:
        pods = [{**pod, "status": {"startTime": start_time}} for pod in pods]
    return Unit(pods=tuple(somewhere(pod, key="pod") for pod in pods), priority=given["priority"])


def budget_violations(row: Row) -> Answers:
    """Answer TestFilterVictimsWithPDBViolation."""
    units = row.case["victims"] or []
    pods = [[somewhere(pod) for pod in unit["pods"]] for unit in units]
    breaking = disruption.breaking_units(pods, budgets_of(row.case["pdbs"]))
    judged = list(zip(units, breaking, strict=True))
    return {
        "expectedViolating": [unit for unit, breaks in judged if breaks],
        "expectedNonViolating": [unit for unit, breaks in judged if not breaks],
    }


def goes_as_one(row: Row) -> Answers:
    """Answer TestIsPodGroupPreemptiblePod."""
    by_key = {group_key(group): group for group in (row.case["podGroups"] or {}).values()}
    found = pod_groups.goes_as_one(somewhere(row.case["pod"]), groups_of(by_key.values()))
    return {"wantOk": found is not None, "wantPodGroup": found and by_key[found.key]}


def units(row: Row) -> Answers:
    """Answer TestNewDomainForWorkloadPreemption."""
    snapshot = cluster_by_name(row.case["nodes"], row.case["pods"] or ())
    groups = groups_of((row.case["podGroups"] or {}).values())
    found = [
        {
            "pods": [pod_name(pod.pod) for pod in unit.pods],
            "affectedNodes": sorted(unit.nodes),
            "priority": unit.priority,
        }
        for unit in pod_groups.units(snapshot, groups)
    ]
    return {"wantVictims": by_first_pod(found)}


def by_first_pod(units: Json) -> Json:
    """Return units in an order of their own: the source keeps them in a map."""
    return sorted(units or (), key=lambda unit: str(unit["pods"]))


# -- objects


def placer_of(nodes: Iterable[Json], pods: Iterable[Json]) -> Placer:
    """Return a placer by kube-scheduler's policy over these objects."""
    snapshot = cluster_by_name(nodes, pods)
    return Placer(snapshot, PLACEMENTS["kube"], np.random.default_rng(0))


def cluster_by_name(nodes: Iterable[Json], pods: Iterable[Json]) -> Snapshot:
    """Return a snapshot in which each pod has its own key."""
    return cluster(nodes, pods, key_of=core.pod_key)


def bare_nodes(names: Iterable[str]) -> list[Json]:
    """Return nodes of which only the names are known."""
    return [{"kind": "Node", "metadata": {"name": name}} for name in names]


def somewhere(pod: Json, key: str = "") -> Assignment:
    """Return a pod as one that runs, on a node that does not matter where the row names none."""
    spec = {**pod["spec"], "nodeName": pod["spec"].get("nodeName") or NO_NODE}
    return core.assignment({**pod, "spec": spec}, key=key)


def budgets_of(budgets: Iterable[Json] | None) -> tuple[DisruptionBudget, ...]:
    """Return the disruption budgets of a row."""
    return tuple(core.disruption_budget(budget) for budget in budgets or ())


def groups_of(groups: Iterable[Json] | None) -> dict[str, PodGroup]:
    """Return the pod groups of a row by key."""
    found = [core.pod_group(group) for group in groups or ()]
    return {group.key: group for group in found}


def group_key(group: Json) -> str:
    """Return the key of a pod group object."""
    return core.group_key(group["metadata"].get("namespace", ""), group["metadata"]["name"])


def pod_name(key: str) -> str:
    """Return the name in a pod's key."""
    return key.rpartition("/")[2]


def _slots(snapshot: Snapshot, names: Iterable[str]) -> IntArray:
    return np.array([snapshot.slot_of[name] for name in names], dtype=np.int64)


def _all_slots(snapshot: Snapshot) -> IntArray:
    return _slots(snapshot, snapshot.slot_of)
