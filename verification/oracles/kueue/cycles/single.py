"""One cycle over the heads of all queues."""

from verification.oracles.kueue.cycles.digest import ASSIGNMENTS, DECISIONS, KEYS
from verification.oracles.kueue.cycles.scope import refuse_delayed_places, refuse_what_is_not_ours
from verification.oracles.kueue.cycles.situation import Situation
from verification.oracles.kueue.kinds import TRUTH
from verification.oracles.rows import Answers, OutOfScopeError, Outside, Row, Test


def one_cycle(row: Row) -> Answers:
    """Answer with everything after one cycle."""
    refuse_what_is_not_ours(row.case)
    situation = Situation(row.case, row.context)
    situation.run()
    return {
        "wantAssignments": situation.admissions(),
        "wantLeft": situation.left(),
        "wantInadmissibleLeft": situation.parked(),
        "wantWorkloads": situation.decided,
    }


def one_cycle_with_places(row: Row) -> Answers:
    """Answer with everything after one cycle; of those with quota, who has new quota or places."""
    refuse_what_is_not_ours(row.case)
    refuse_delayed_places(row.case)
    situation = Situation(row.case, row.context)
    before = situation.admissions()
    situation.run()
    return {
        "wantNewAssignments": {
            key: held.admission
            for key, held in situation.queues.admitted.items()
            if before.get(key) is not held.admission or held.unhealthy_nodes
        },
        "wantLeft": situation.left(),
        "wantInadmissibleLeft": situation.parked(),
        "wantWorkloads": situation.decided,
    }


def one_workload(row: Row) -> Answers:
    """Answer with what becomes of a workload that somebody writes to during its cycle."""
    around = row.context
    case = {
        "clusterQueues": [around["cq"]],
        "resourceFlavors": [around["rf"]],
        "workloads": [row.case["workload"]],
    }
    situation = Situation(case, {"queues": [around["lq"]], "gates": around["gates"]})
    situation.run()
    return {"wantWorkloads": situation.decided}


def second_pass(row: Row) -> Answers:
    """Answer whether a workload with a failed node keeps its quota and leaves the node."""
    around = row.context
    source = row.case["workload"]
    failed = {each["name"] for each in source["status"].get("unhealthyNodes") or ()}
    if not failed:  # its places wait for nodes that a ProvisioningRequest brings
        raise OutOfScopeError(Outside.ADMISSION_CHECK)
    case = {
        "clusterQueues": [around["cq"]],
        "nodes": around["nodes"],
        "resourceFlavors": [around["rf"]],
        "topologies": [around["topology"]],
        "workloads": [source],
    }
    situation = Situation(case, {"queues": [around["lq"]], "gates": around["gates"]})
    situation.run()
    (held,) = situation.queues.admitted.values()
    (given,) = held.admission.pod_sets
    hosts = {each.values[-1] for each in given.topology.domains} if given.topology else set()
    return {
        "keeps its quota": not held.evicted,
        "has another place": bool(hosts) and hosts.isdisjoint(failed),
    }


_SCHEDULE = Test(
    one_cycle,
    frozenset(
        {
            "additionalClusterQueues",
            "additionalLocalQueues",
            "admissionError",
            "cohorts",
            "enableFairSharing",
            "eventMessageCompared",
            "featureGates",
            "objects",
            "workloads",
        }
    ),
    {
        "wantAssignments": ASSIGNMENTS,
        "wantLeft": KEYS,
        "wantInadmissibleLeft": KEYS,
        "wantWorkloads": DECISIONS,
    },
    unused=frozenset({"wantEvents", "wantSkippedPreemptions", "wantWorkloadUseMergePatch"}),
    around=frozenset({"resourceFlavors", "clusterQueues", "queues", "gates"}),
)

_PLACES = Test(
    one_cycle_with_places,
    frozenset(
        {
            "admissionChecks",
            "clusterQueues",
            "cohorts",
            "eventMessageCompared",
            "featureGates",
            "nodes",
            "patchStatusErr",
            "pods",
            "resourceFlavors",
            "resourceTransformations",
            "topologies",
            "workloads",
        }
    ),
    {
        "wantNewAssignments": ASSIGNMENTS,
        "wantLeft": KEYS,
        "wantInadmissibleLeft": KEYS,
        "wantWorkloads": DECISIONS,
    },
    unused=frozenset({"wantEvents"}),
    around=frozenset({"queues", "gates"}),
)

TESTS: dict[tuple[str, str], Test] = {
    ("kueue_schedule_tas", "TestScheduleForTAS"): _PLACES,
    ("kueue_schedule_tas", "TestScheduleForTASPreemption"): _PLACES,
    ("kueue_schedule_tas", "TestScheduleForTASCohorts"): _PLACES,
    ("kueue_schedule", "TestSchedule"): _SCHEDULE,
    ("kueue_schedule_fairsharing", "TestScheduleForFairSharing"): _SCHEDULE,
    ("kueue_schedule_other", "TestScheduleRecomputePreemptionTargets"): _SCHEDULE,
    ("kueue_schedule_other", "TestSchedulerWhenWorkloadModifiedConcurrently"): Test(
        one_workload,
        frozenset({"workload"}),
        {"wantWorkloads": DECISIONS},
        unused=frozenset({"wantEvents"}),
        around=frozenset({"cq", "gates", "lq", "rf"}),
    ),
    ("kueue_schedule_tas", "TestSecondPassSkipsWaitForPodsReadyBlock"): Test(
        second_pass,
        frozenset({"workload"}),
        {"keeps its quota": TRUTH, "has another place": TRUTH},
        unused=frozenset({"verify"}),  # a function there; its README tells it in words
        implied={"keeps its quota": True, "has another place": True},
        around=frozenset({"cq", "gates", "lq", "nodes", "rf", "topology"}),
    ),
}
