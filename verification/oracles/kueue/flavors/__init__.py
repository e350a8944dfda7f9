"""Flavor assignment, its scan positions, and partial admission.

A row's workload has no name and its queues have no workloads: usage is given as amounts. What
preemption could do is given too; where it is not, it could do it within the queue's own quota.
"""

from verification.oracles.kueue.flavors.assignments import (
    allowed_flavors,
    assign_flavors,
    first_pod_set,
    group_flavors,
    no_fit_reasons,
    recomputed_position,
    scan_position,
)
from verification.oracles.kueue.flavors.expectations import (
    AMOUNTS,
    ASSIGNED,
    COUNT,
    FLAVORS,
    GROUP_FLAVORS,
    NAMES,
    PLACES,
)
from verification.oracles.kueue.flavors.steps import (
    borrowing,
    fewer_pods,
    net_places,
    outdated,
    preferred,
    to_reserve,
    topology_errors,
    total_requests,
    who_seeks_places,
)
from verification.oracles.kueue.kinds import TEXT, TRUTH
from verification.oracles.rows import Outside, Test

_ASSIGN = frozenset({"clusterQueue", "wlPods", "wlReclaimablePods"})
_WHOLE = {"wantAssignment": ASSIGNED, "wantRepMode": TEXT}
_FIRST = {"wantAssigment": FLAVORS, "wantMode": TEXT}
_ONE_POD_SET = frozenset(
    {
        "flavorFungibility",
        "otherClusterQueueUsage",
        "simulationResult",
        "testClusterQueueFlavors",
        "testClusterQueueUsage",
        "workloadRequests",
    }
)
_TOPOLOGY_ERRORS = Test(
    topology_errors, frozenset({"assignment", "cq", "workload"}), {"wantErr": TEXT}
)
_SCAN = frozenset({"clusterQueue", "nodes", "resourceFlavors", "siblingClusterQueue", "topologies"})
_BESIDE = frozenset({"resourceFlavors", "testCq", "otherCq"})

FILE = "kueue_flavorassigner"
TESTS: dict[tuple[str, str], Test] = {
    (FILE, "TestAssignFlavors"): Test(
        assign_flavors,
        _ASSIGN
        | {
            "clusterQueueUsage",
            "enableFairSharing",
            "featureGates",
            "preemptWorkloadSlice",
            "secondaryClusterQueue",
            "secondaryClusterQueueUsage",
            "simulationResult",
            "topologies",
        },
        _WHOLE,
        around=frozenset({"resourceFlavors"}),
    ),
    (FILE, "TestDeletedFlavors"): Test(
        assign_flavors, _ASSIGN, _WHOLE, around=frozenset({"flavorMap"})
    ),
    (FILE, "TestReclaimBeforePriorityPreemption"): Test(
        first_pod_set, _ONE_POD_SET, _FIRST, around=_BESIDE
    ),
    (FILE, "TestHierarchical"): Test(
        first_pod_set, _ONE_POD_SET, _FIRST, around=_BESIDE | {"cohorts"}
    ),
    (FILE, "TestIsPreferred"): Test(
        preferred, frozenset({"a", "b", "config"}), {"wantPreferred": TRUTH}
    ),
    (FILE, "TestAssignFlavorsWithAllowedFlavors"): Test(
        allowed_flavors,
        frozenset({"allowedFlavors"}),
        {"wantFlavor": TEXT, "wantRepMode": TEXT},
        around=frozenset({"cq", "resourceFlavors", "wl"}),
    ),
    (FILE, "TestIsNoFitDueToCapacityAndLimits"): Test(
        no_fit_reasons,
        frozenset(
            {
                "allowedFlavors",
                "cq",
                "cqUsage",
                "featureGates",
                "podSet",
                "replaceWl",
                "resourceFlavors",
                "siblingCQUsage",
                "siblingCQs",
                "simulationResult",
                "topologies",
            }
        ),
        {"wantNoFitReason": TEXT, "wantFlavorAttempts": FLAVORS},
        around=frozenset({"cq", "resourceFlavors", "wl"}),
    ),
    (FILE, "TestWorkloadsTopologyRequests_ErrorBranches"): _TOPOLOGY_ERRORS,
    (FILE, "TestWorkloadsTopologyRequests_ElasticJobsValidation"): _TOPOLOGY_ERRORS,
    (FILE, "TestWorkloadsTopologyRequests_ZeroCountPodSetSkipped"): Test(
        who_seeks_places, frozenset({"podSets", "wlPodSets"}), {"wantTASPodSets": NAMES}
    ),
    (FILE, "TestAssignment_ComputeTASNetUsage"): Test(
        net_places, frozenset({"assignment", "cq", "prevAdmission", "wl"}), {"want": PLACES}
    ),
    (FILE, "TestAssignment_TotalRequestsFor"): Test(
        total_requests, frozenset({"args", "fields"}), {"want": AMOUNTS}
    ),
    (FILE, "TestAssignment_RequiresBorrowing"): Test(
        borrowing, frozenset({"borrowing"}), {"want": TRUTH}
    ),
    (FILE, "TestAssignFlavors_LeaderWorkerSetTASFlavor"): Test(
        group_flavors,
        frozenset({"clusterQueue", "wlPods"}),
        {"wantPodSetErrors": FLAVORS, "wantPodSetFlavors": GROUP_FLAVORS},
        around=frozenset({"nodes", "resourceFlavors", "topologies"}),
    ),
    (FILE, "TestFlavorScanRecordsLastTriedFlavorIdx"): Test(
        scan_position,
        frozenset(
            {
                "clusterQueueUsage",
                "cohortSpare",
                "fungibility",
                "nodeUsage",
                "nominalPerFlavor",
                "request",
                "simulationResult",
            }
        ),
        {"wantMode": TEXT, "wantPlan": TRUTH, "wantTriedFlavorIdx": COUNT},
        around=_SCAN,
    ),
    (FILE, "TestRecomputeRecordsLastTriedFlavorIdx"): Test(
        recomputed_position,
        frozenset({"quotaUsageAtRecompute", "simulationResult"}),
        {"wantRecomputedIdx": COUNT},
        around=_SCAN | {"fungibility"},
    ),
    (FILE, "TestSearch"): Test(
        fewer_pods,
        frozenset({"countLimit", "podSets"}),
        {"wantCount": COUNT, "wantFound": TRUTH},
    ),
    ("kueue_schedule_other", "TestResourcesToReserve"): Test(
        to_reserve,
        frozenset({"assignmentMode", "assignmentUsage", "borrowing", "cqUsage"}),
        {"wantReserved": AMOUNTS},
        around=frozenset({"cq", "resourceFlavors"}),
    ),
    ("kueue_schedule_other", "TestLastAssignmentOutdated"): Test(
        outdated, frozenset({"args", "preserveProgress"}), {"want": TRUTH}
    ),
}

OUTSIDE: dict[tuple[str, str], Outside] = {}
