"""Several cycles, and what happens between them."""

import copy

from gpuyard.model.ledger import Account, DecayedUsage
from gpuyard.model.quantity import parse_nano
from gpuyard.scheduling.ledger import Ledger
from verification.oracles.kueue.admission_fair_sharing import knobs_of
from verification.oracles.kueue.cycles.digest import ASSIGNMENTS, DECISIONS
from verification.oracles.kueue.cycles.situation import NOW_NS, Situation
from verification.oracles.kueue.kinds import TEXT
from verification.oracles.rows import Answers, Row, Test

CYCLES = 4
QUOTAS = ("5", "4")  # of the second flavor, in turn


def by_usage(row: Row) -> Answers:
    """Answer with what stands after as many cycles as there are workloads.

    That a LocalQueue was deleted has not reached the queues yet.
    """
    is_on = row.case["featureGates"]["AdmissionFairSharing"]
    situation = Situation({**row.case, "enableFairSharing": is_on}, row.context)
    if is_on:
        situation.knobs = knobs_of(row.context["afsConfig"])
    situation.ledger = Ledger(
        DecayedUsage(
            account=Account("queue", f"default/{name}"),
            amounts_nano=tuple(sorted((key, parse_nano(each)) for key, each in used.items())),
            sampled_ns=NOW_NS,
            half_life_ns=0,
        )
        for name, used in (row.case["initialUsage"] or {}).items()
    )
    for _ in row.case["workloads"]:
        situation.run()
    return {"wantWorkloads": situation.decided}


def some_end(row: Row) -> Answers:
    """Answer with what a cycle decides, and who holds what after some ended and one more.

    A third cycle must not change that: some variants of the source's test run one.
    """
    situation = Situation({**row.case, "clusterQueues": row.case["cqs"]}, row.context)
    situation.run()
    first = dict(situation.decided)
    for gone in row.case["deleteWorkloads"] or ():
        situation.end(f"{gone['Namespace']}/{gone['Name']}")
    situation.run()
    second = situation.admissions()
    situation.run()
    if situation.admissions() != second:
        raise ValueError("a third cycle changes what the second one left")
    return {"wantWorkloads": first, "wantAdmissionsOnSecondSchedule": second}


def quotas_change(row: Row) -> Answers:
    """Answer with the flavor that a workload gets while quotas change after each cycle."""
    around = row.context
    queue = around["clusterQueue"]
    case = {
        "clusterQueues": [queue],
        "enableFairSharing": True,
        "nodes": around["nodes"],
        "resourceFlavors": around["resourceFlavors"],
        "topologies": [around["singleLevelTopology"]],
        "workloads": [around["blocker"], around["pending"]],
    }
    situation = Situation(case, {"queues": around["queues"], "gates": around["gates"]})
    for index in range(CYCLES):
        situation.run()
        if not row.case["noChurn"]:
            changed = copy.deepcopy(queue)
            second = changed["spec"]["resourceGroups"][0]["flavors"][1]
            second["resources"][0]["nominalQuota"] = QUOTAS[index % 2]
            situation.change([changed])
    given = {key: held.pod_sets[0].flavors[0][1] for key, held in situation.admissions().items()}
    return {
        "wantPendingFlavor": given.get("default/pending", ""),
        "flavor of blocker": given.get("default/blocker", ""),
    }


TESTS: dict[tuple[str, str], Test] = {
    ("kueue_schedule_afs", "TestScheduleForAFS"): Test(
        by_usage,
        frozenset({"deleteQueue", "featureGates", "initialUsage", "workloads"}),
        {"wantWorkloads": DECISIONS},
        around=frozenset({"afsConfig", "clusterQueues", "gates", "queues", "resourceFlavors"}),
    ),
    ("kueue_schedule_other", "TestLastSchedulingContext"): Test(
        some_end,
        frozenset({"cqs", "deleteWorkloads", "workloads"}),
        {"wantWorkloads": DECISIONS, "wantAdmissionsOnSecondSchedule": ASSIGNMENTS},
        around=frozenset({"gates", "queues", "resourceFlavors"}),
    ),
    ("kueue_schedule_other", "TestScheduleForPreserveFlavorScanProgress"): Test(
        quotas_change,
        frozenset({"gateEnabled", "noChurn"}),
        {"wantPendingFlavor": TEXT, "flavor of blocker": TEXT},
        implied={"flavor of blocker": "tas-flavor-1"},
        around=frozenset(
            {
                "blocker",
                "clusterQueue",
                "gates",
                "nodes",
                "pending",
                "queues",
                "resourceFlavors",
                "singleLevelTopology",
            }
        ),
    ),
}
