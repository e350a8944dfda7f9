"""Answers to the tests of pod groups: the barrier, the pass over a group, the choice of a domain.

Where a row hands in what fake plugins say of a pod, it becomes what our pass would have found for
that pod; what becomes of the group is then for the core to say. No rule of ours fails with an
error, so rows in which a plugin does are none of ours.
"""

from collections.abc import Mapping

import numpy as np

from gpuyard.dialects import core
from gpuyard.dialects.core.instants import nanoseconds
from gpuyard.model.pod_groups import PodGroup
from gpuyard.model.workloads import PendingPod
from gpuyard.scheduling.gang import barrier, domains, progress, start
from gpuyard.scheduling.gang.barrier import Members, Passage
from gpuyard.scheduling.gang.domains import Domain, ScatteredError
from gpuyard.scheduling.gang.progress import Condition
from gpuyard.scheduling.gang.start import Member, Outcome
from gpuyard.scheduling.preemption.nodes import pod_groups
from verification.oracles.kube_scheduler.cluster import cluster
from verification.oracles.kube_scheduler.kinds import SUCCESS, Status
from verification.oracles.kube_scheduler.preemption import (
    bare_nodes,
    group_key,
    groups_of,
    placer_of,
    pod_name,
)
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

QUEUE, SKIP = "Queue", "QueueSkip"
WAITS: Status = ("Wait", ("waiting for minCount pods from a gang to be scheduled",))
TOO_FEW = "waiting for minCount pods from a gang to appear in scheduling queue"
NOWHERE_TO_GO: Status = ("Unschedulable", ("no feasible placements found",))
NOBODY = "no pods from pod group are assigned to any of the candidate placements"
PLACEMENT = "placement"  # the label that names a node's placement where a row lists them by name


# -- the barrier


def after_pod_added(row: Row) -> Answers:
    """Answer Test_isSchedulableAfterPodAdded."""
    return _hint(row, core.pending_pod(_named(row.case["newPod"])).group)


def after_group_added(row: Row) -> Answers:
    """Answer Test_isSchedulableAfterPodGroupAdded."""
    return _hint(row, group_key(row.case["newPodGroup"]))


def _hint(row: Row, group: str) -> Answers:
    waiting = core.pending_pod(row.case["pod"])
    return {"expectedHint": QUEUE if barrier.may_complete(waiting, group=group) else SKIP}


def _named(pod: Json) -> Json:
    return {**pod, "metadata": {**pod["metadata"], "name": pod["metadata"].get("name") or "new"}}


def flow(row: Row) -> Answers:
    """Answer TestGangSchedulingFlow: enter the queue, then come to the barrier after others did."""
    pod = core.pending_pod(row.case["pod"])
    group = groups_of(row.case["initialPodGroups"]).get(pod.group)
    known = {
        core.pod_key(each): each for each in (*(row.case["initialPods"] or ()), row.case["pod"])
    }
    kin = [key for key, each in known.items() if core.pending_pod(each).group == pod.group]
    refusal = barrier.may_enter(pod, group, Members(unscheduled=tuple(kin)))
    if refusal is not None:
        return {"wantPreEnqueueStatus": _entry_status(row.case["pod"], refusal)}
    ahead = [core.pod_key(each) for each in row.case["podsWaitingOnPermit"] or ()]
    assumed = tuple(key for key in kin if key in ahead or key == pod.key)
    rest = tuple(key for key in kin if key not in assumed)
    passage = barrier.at_barrier(pod, group, Members(unscheduled=rest, assumed=assumed))
    return {
        "wantPreEnqueueStatus": SUCCESS,
        "wantPermitStatus": WAITS if passage.waits else SUCCESS,
        "wantActivatedPods": [known[key] for key in passage.sent_for],
        "wantAllowedPods": _let_go(passage, pod),
    }


def _entry_status(pod: Json, refusal: barrier.EntryRefusal) -> Status:
    name = pod["spec"]["schedulingGroup"]["podGroupName"]
    unknown = f'waiting for pods\'s pod group "{name}" to appear in scheduling queue'
    text = unknown if refusal == "PodGroupNotFound" else TOO_FEW
    return ("UnschedulableAndUnresolvable", (text,))


def _let_go(passage: Passage, pod: PendingPod) -> list[str]:
    """Return who is let go; the source does not look at a pod that needs no barrier."""
    return [] if passage.goes == (pod.key,) else sorted(pod_name(key) for key in passage.goes)


# -- the domains


def placements(row: Row) -> Answers:
    """Answer TestGeneratePlacements."""
    inside, outside = row.case["placementNodes"] or [], row.case["otherNodes"] or []
    snapshot = cluster([*inside, *outside])
    group = core.pod_group(row.case["podGroup"])
    slots = np.array([snapshot.slot_of[node["metadata"]["name"]] for node in inside])
    standing = (row.case["scheduledPodGroupPods"] or {}).values()
    try:
        found = domains.domains(snapshot, group.topology_key, slots=slots, standing=standing)
    except ScatteredError:
        return {"wantStatus": "Error", "wantPlacementNodes": None}
    whole = row.context["initialPlacementName"]
    named = {
        domain.value or whole: [snapshot.nodes[slot].name for slot in domain.slots]
        for domain in found
    }
    return {"wantStatus": "Success", "wantPlacementNodes": named}


def count_score(row: Row) -> Answers:
    """Answer TestScorePlacement of PodGroupPodsCount."""
    standing = len(row.case["assignedPods"] or ()) + len(row.case["assumedPods"] or ())
    proposed = row.case["placement"]["proposedAssignments"]
    members = [Member(pod=core.pod_key(each["pod"]), node=each["nodeName"]) for each in proposed]
    return {"expectedScore": domains.pods_count(start.verdict(members), standing)}


def normalised_counts(row: Row) -> Answers:
    """Answer TestNormalizePlacementScore."""
    counts = np.array([each["score"] for each in row.case["scores"]], dtype=np.int64)
    shares = domains.share_of_most(counts)
    if shares is None:
        return {"expectedError": NOBODY}
    given = [
        {**each, "score": share}
        for each, share in zip(row.case["scores"], shares.tolist(), strict=True)
    ]
    return {"expectedError": "", "expectedNormalizedScores": given}


def in_best_placement(row: Row) -> Answers:
    """Answer TestPodGroupSchedulingPlacementAlgorithm with the scores that the row gives."""
    plugin = row.case["placementPlugin"]
    if plugin["generatePlacementsStatus"] or plugin["scorePlacementsStatus"]:
        raise OutOfScopeError(Outside.PLUMBING)  # of a plugin that fails
    cordoned = set(plugin["filterStatus"] or {})
    scores = [(1, plugin["scorePlacementsResult"] or {})]
    found = _best_placement(row, plugin["generatePlacementsResult"], scores, cordoned)
    if found is None:
        result = {"podResults": [], "status": NOWHERE_TO_GO, "waitingOnPreemption": False}
        return {"expectedResult": result}
    hosts = [(member.pod, member.node, "Success") for member in found[1].members if member.node]
    waits = found[1].waits_for_victims
    status = SUCCESS if found[1].starts else ("Unschedulable", ())
    return {"expectedResult": {"podResults": hosts, "status": status, "waitingOnPreemption": waits}}


def weighed_placements(row: Row) -> Answers:
    """Answer TestPodGroupSchedulingPlacementAlgorithm_Scoring."""
    scores = [(each["weight"], each["scorePlacementResult"]) for each in row.case["pluginData"]]
    found = _best_placement(row, row.context["placements"], scores, set())
    return {"expectedPlacement": found and found[0].value}


def _best_placement(
    row: Row,
    nodes_of: Mapping[str, list[str]],
    scores: list[tuple[int, Mapping[str, int]]],
    cordoned: set[str],
) -> tuple[Domain, Outcome] | None:
    """Try the one pod of the group in each placement; return the best of those where it starts."""
    label = {node: value for value, nodes in nodes_of.items() for node in nodes}
    nodes = [
        {
            **node,
            "metadata": {
                **node["metadata"],
                "labels": {PLACEMENT: label[node["metadata"]["name"]]},
            },
            "spec": {"unschedulable": node["metadata"]["name"] in cordoned},
        }
        for node in bare_nodes(label)
    ]
    placer = placer_of(nodes, ())
    group = PodGroup(key="pg", topology_key=PLACEMENT)
    pods = [core.pending_pod(row.context["podGroupPod"])]
    tried = [
        (domain, domains.try_in(placer, group, pods, domain))
        for domain in domains.domains(placer.snapshot, group.topology_key)
    ]
    feasible = [(domain, outcome) for domain, outcome in tried if outcome.starts]
    if not feasible:
        return None
    given = [
        (weight, np.array([by_name.get(domain.value, 0) for domain, _ in feasible]))
        for weight, by_name in scores
    ]
    return feasible[domains.highest(domains.weighed(given))]


def read_placement_result(wanted: Json) -> Json:
    """Read where the pods of an expected result go, and what becomes of the group."""
    status = wanted["status"]
    return {
        "podResults": [
            (
                core.pod_key(each["pod"]),
                each["scheduleResult"]["suggestedHost"],
                each["status"]["code"] if each["status"] else "Success",
            )
            for each in wanted["podResults"] or ()
        ],
        "status": SUCCESS if status is None else (status["code"], tuple(status["reasons"] or ())),
        "waitingOnPreemption": wanted["waitingOnPreemption"],
    }


# -- the pass over a group


def group_order(row: Row) -> Answers:
    """Answer TestPodGroupInfoForPod: the members in their turn, those that are in the queue."""
    first = row.case["pInfo"]
    queued = row.case["queuePods"]
    waiting = [first, *(queued[name] for name in row.case["unscheduledPods"] if name in queued)]
    pods = [_queued(each) for each in waiting]
    return {"expectedPods": [pod_name(pod.key) for pod in start.order(pods)]}


def _queued(entry: Json) -> PendingPod:
    pod = entry["podInfo"]
    read = core.pending_pod(pod)
    since_ns = nanoseconds(entry["initialAttemptTimestamp"], "initialAttemptTimestamp")
    return PendingPod(
        key=read.key,
        template=read.template,
        priority=read.priority,
        group=read.group,
        first_tried_ns=since_ns,
    )


def group_pass(row: Row) -> Answers:
    """Answer TestPodGroupSchedulingAlgorithm."""
    plugin = row.case["plugin"]
    members = [
        _member(pod["metadata"]["name"], plugin)
        for pod in row.context["podGroupInfo"]["podGroupInfo"]["unscheduledPods"]
    ]
    outcome = start.verdict(members)
    return {
        "expectedGroupStatusCode": "Success" if outcome.starts else "Unschedulable",
        "expectedGroupWaitingOnPreemption": outcome.waits_for_victims,
        "expectedPodStatus": {
            each.pod: "Success" if each.node and not each.needs_preemption else "Unschedulable"
            for each in outcome.members
        },
        "expectedPreemption": {each.pod for each in outcome.members if each.needs_preemption},
    }


def _member(pod: str, plugin: Json) -> Member:
    """Return what a pass finds where plugins say this; a pod they do not name is refused."""
    fits = _code(plugin["filterStatus"], pod)
    permit = _code(plugin["permitStatus"], pod)
    if "Error" in {fits, permit}:
        raise OutOfScopeError(Outside.PLUMBING)
    promised = ((plugin["postFilterResult"] or {}).get(pod) or {}).get("nominatingInfo") or {}
    needs_preemption = fits != "Success"
    has_place = not needs_preemption or bool(promised.get("nominatedNodeName"))
    if not has_place or permit not in {"Success", "Wait"}:
        return Member(pod=pod)
    return Member(
        pod=pod, node="node1", passes=permit == "Success", needs_preemption=needs_preemption
    )


def _code(statuses: Json, pod: str) -> str:
    if pod not in (statuses or {}):
        return "Unschedulable"
    status = statuses[pod]
    return "Success" if status is None else str(status["code"])


def read_pod_codes(wanted: Json) -> dict[str, str]:
    """Read the codes of expected statuses by pod; null is Success."""
    return {pod: status["code"] if status else "Success" for pod, status in wanted.items()}


def read_preempting(wanted: Json) -> set[str]:
    """Read which pods are expected to need preemption."""
    return {pod for pod, needs in (wanted or {}).items() if needs}


def submitted(row: Row) -> Answers:
    """Answer TestSubmitPodGroupAlgorithmResult: who is bound, who is promised a node, who is not.

    The row's results are in the order of the members; members after the last result found nothing.
    """
    given = row.case["algorithmResult"]
    results = given["podResults"] or []
    if any(
        (status or {}).get("code") == "Error"
        for status in (given["status"], *(each["status"] for each in results))
    ):
        raise OutOfScopeError(Outside.PLUMBING)
    names = [
        pod["metadata"]["name"]
        for pod in row.context["podGroupInfo"]["podGroupInfo"]["unscheduledPods"]
    ]
    found = [_submitted_member(name, result) for name, result in zip(names, results, strict=False)]
    found += [Member(pod=name) for name in names[len(results) :]]
    outcome = start.verdict(found)
    return {
        "expectBound": sorted(outcome.bound),
        "expectPreempting": sorted(outcome.nominated),
        "expectFailed": sorted(outcome.refused),
        "expectCondition": {
            "type": "PodGroupScheduled",
            "status": str(outcome.starts),
            "reason": "Scheduled" if outcome.starts else "Unschedulable",
        },
    }


def _submitted_member(pod: str, result: Json) -> Member:
    return Member(
        pod=pod,
        node=result["scheduleResult"]["suggestedHost"],
        needs_preemption=result["requiresPreemption"],
        passes=(result["permitStatus"] or {}).get("code", "Success") == "Success",
    )


def read_condition(wanted: Json) -> dict[str, str]:
    """Read what a condition says, not how it words it."""
    return {field: wanted[field] for field in ("type", "status", "reason")}


# -- what is said of a group, and its preemption


def condition(row: Row) -> Answers:
    """Answer TestUpdatePodGroupCondition; now is the instant 1."""
    group = row.case["existingPodGroup"] or {}
    known = group.get("status", {}).get("conditions", [])
    before = _condition(known[0], since_ns=0) if known else None
    after = progress.following(before, _condition(row.case["condition"], since_ns=1))
    return {
        "expectCondition": {
            "type": "PodGroupScheduled",
            "status": str(after.is_met),
            "reason": after.reason,
            "message": after.message,
        },
        "expectLastTransitionTimeUnchanged": before is not None and after.since_ns == 0,
    }


def _condition(given: Json, since_ns: int) -> Condition:
    return Condition(
        is_met=given["status"] == "True",
        reason=given["reason"],
        message=given["message"],
        since_ns=since_ns,
    )


def read_whole_condition(wanted: Json) -> dict[str, str]:
    """Read everything a condition says but its instant."""
    return {field: wanted[field] for field in ("type", "status", "reason", "message")}


def group_preemption(row: Row) -> Answers:
    """Answer TestRunWorkloadAwarePreemption where the answer is not that of a fake plugin."""
    queued = row.case["podGroupInfo"]["podGroupInfo"]
    group = groups_of(row.case["existingPodGroups"]).get(
        core.group_key(queued["namespace"], queued["name"])
    )
    if not row.case["pluginsRegistered"] or group is None or row.case["pluginReturnStatus"]:
        raise OutOfScopeError(Outside.PLUMBING)
    pods = [
        core.pending_pod(each["podInfo"]) for each in row.case["podGroupInfo"]["queuedPodInfos"]
    ]
    return {"expectedStatus": GROUP_REFUSALS[pod_groups.refusal(group, pods)]}


GROUP_REFUSALS: dict[pod_groups.Refusal | None, Status] = {
    None: SUCCESS,
    "GroupIsPlacedByTopology": (
        "Unschedulable",
        ("workload aware preemption is not supported for pod groups with scheduling constraints",),
    ),
}
