"""kube-scheduler's own table tests (k8s.io/kubernetes v1.36.3, pkg/scheduler), asked of our core.

The rows were dumped from the running tests; what each field means is in the README beside them.
This module and `group_tests` list the fields and who answers; `cluster` builds the snapshot;
`filters`, `scores`, `states`, `preemption`, `gangs` and `evictions` ask it.
"""

from collections.abc import Callable

from verification.oracles.kube_scheduler import filters, group_tests, hints, scores, states
from verification.oracles.kube_scheduler.fields import listed, names, outside
from verification.oracles.kube_scheduler.kinds import (
    AMOUNTS,
    CODE,
    CODES,
    FILTER_STATE,
    HINT,
    NUMBER,
    PAIRS,
    SCORE_STATE,
    SCORES,
    STATUS,
    STATUS_CODE,
    STATUSES,
    TRUTH,
    UNREAD,
)
from verification.oracles.rows import Adapter, Answers, Kind, Outside, Row, Test

EVENT_FIELDS = "pod oldObj newObj"
ON_NODES = "pod pods nodes"
SPREAD_GATES = "enableMatchLabelKeys enableNodeInclusionPolicy"
SHORTAGES = Kind(
    filters.read_shortages,
    [
        {
            "resourceName": "altered",
            "requested": 1,
            "used": 0,
            "capacity": 0,
            "reason": "altered",
            "unresolvable": False,
        }
    ],
)


def _hint(answer: Callable[[Row], Answers], inputs: str, error: str = "expectedErr") -> Test:
    return Test(answer, names(inputs), {"expectedHint": HINT, error: TRUTH})


def _strategy(name: str) -> Test:
    return listed(
        scores.strategy(name),
        "existingPods nodes requestedPod resources shape",
        expectedScores=SCORES,
        wantStatusCode=CODE,
    )._replace(unused=frozenset({"wantErrs"}))  # rows that have any are out of scope


def _signature(answer: Callable[[Row], Answers]) -> Test:
    return listed(
        answer, "disableDRAExtendedResource pod", expectedFragments=UNREAD, expectedStatusCode=CODE
    )


ON_ONE_NODE = "node pod enableTaintTolerationComparisonOps"

TESTS: dict[tuple[str, str], Test] = {
    ("nodename", "TestNodeName"): listed(filters.name, ON_ONE_NODE, wantStatus=STATUS),
    ("nodeunschedulable", "TestNodeUnschedulable"): listed(
        filters.unschedulable, ON_ONE_NODE, wantStatus=STATUS
    ),
    ("nodeunschedulable", "TestIsSchedulableAfterNodeChange"): _hint(
        hints.after_node("NodeUnschedulable"), EVENT_FIELDS
    ),
    ("nodeunschedulable", "TestIsSchedulableAfterPodTolerationChange"): _hint(
        hints.after_pod("NodeUnschedulable"), EVENT_FIELDS
    ),
    ("nodeports", "TestNodePorts"): listed(
        filters.ports,
        "nodeInfo pod",
        late="wantFilterStatus",
        wantFilterStatus=STATUS,
        wantPreFilterStatus=STATUS,
    ),
    ("nodeports", "Test_isSchedulableAfterPodDeleted"): _hint(
        hints.after_pod("NodePorts"), "pod oldObj"
    ),
    ("nodeports", "TestFits"): listed(filters.ports_fit, "pod existing", expect=TRUTH),
    ("tainttoleration", "TestTaintTolerationScore"): listed(
        scores.taints, "nodes pod enableTaintTolerationComparisonOps", expectedList=SCORES
    ),
    ("tainttoleration", "TestTaintTolerationFilter"): listed(
        filters.taints, ON_ONE_NODE, wantStatus=STATUS
    ),
    ("tainttoleration", "TestTaintTolerationFilterWithFeatureGate"): listed(
        filters.taints, ON_ONE_NODE, wantStatus=STATUS
    ),
    ("tainttoleration", "TestIsSchedulableAfterNodeChange"): _hint(
        hints.after_node("TaintToleration"), EVENT_FIELDS, "wantErr"
    ),
    ("tainttoleration", "Test_isSchedulableAfterPodTolerationChange"): _hint(
        hints.after_pod("TaintToleration"), EVENT_FIELDS
    ),
    ("nodeaffinity", "TestNodeAffinity"): listed(
        filters.affinity_to_nodes,
        "args labels nodeName pod runPreFilter",
        late="wantPreFilterStatus wantPreFilterResult",
        wantPreFilterResult=Kind(
            lambda wanted: wanted and sorted(wanted["nodeNames"]), {"nodeNames": ["altered"]}
        ),
        wantPreFilterStatus=STATUS,
        wantStatus=STATUS,
    ),
    ("nodeaffinity", "TestNodeAffinityPriority"): listed(
        scores.preferred_nodes,
        "args nodes pod runPreScore",
        late="expectedList wantPreScoreStatus",
        expectedList=SCORES,
        wantPreScoreStatus=STATUS,
    ),
    ("nodeaffinity", "Test_isSchedulableAfterNodeChange"): _hint(
        hints.after_node("NodeAffinity"), f"args {EVENT_FIELDS}"
    ),
    ("noderesources_fit", "TestEnoughRequests"): listed(
        filters.resources,
        "args draExtendedResourceEnabled nilDRAManager nodeInfo pod podLevelResourcesEnabled",
        wantInsufficientResources=SHORTAGES,
        wantStatus=STATUS,
    ),
    ("noderesources_fit", "TestNotEnoughRequests"): listed(
        filters.resources, "nodeInfo pod", wantStatus=STATUS
    )._replace(unused=frozenset({"fits"})),
    ("noderesources_fit", "TestStorageRequests"): listed(
        filters.resources, "nodeInfo pod", wantStatus=STATUS
    ),
    ("noderesources_fit", "TestRestartableInitContainers"): listed(
        filters.sidecars,
        "enableSidecarContainers pod",
        late="wantFilterStatus",
        wantFilterStatus=STATUS,
        wantPreFilterStatus=STATUS,
    ),
    ("noderesources_fit", "TestFitScore"): listed(
        scores.fit,
        "draObjects existingPods nodeResourcesFitArgs nodes requestedPod runPreScore",
        expectedPriorities=SCORES,
    ),
    ("noderesources_fit", "TestEventsToRegister"): listed(
        outside(Outside.EVENT),
        "enableDRAExtendedResource enableInPlacePodVerticalScaling enableSchedulingQueueHint",
        expectedClusterEvents=UNREAD,
    ),
    ("noderesources_fit", "Test_isSchedulableAfterPodChange"): _hint(
        hints.after_pod("NodeResourcesFit"), f"enableInPlacePodVerticalScaling {EVENT_FIELDS}"
    ),
    ("noderesources_fit", "Test_isSchedulableAfterNodeChange"): _hint(
        hints.after_node("NodeResourcesFit"), EVENT_FIELDS
    ),
    ("noderesources_fit", "Test_isSchedulableAfterDeviceClassChange"): _hint(
        outside(Outside.DRA), EVENT_FIELDS
    ),
    ("noderesources_fit", "TestIsFit"): listed(
        filters.is_fit, "node pod podLevelResourcesEnabled", expected=TRUTH
    ),
    ("noderesources_fit", "TestHaveAnyRequestedResourcesIncreased"): listed(
        hints.resources_grew,
        "draExtendedResourceEnabled modifiedNode originalNode pod",
        expected=TRUTH,
    ),
    ("noderesources_fit", "TestFitSignPod"): _signature(states.resource_signature),
    ("noderesources_fit", "TestScorePlacement_Resources"): listed(
        scores.placement,
        "nodes placementNodeNames podGroupAssignments podGroupPods preExistingPods resourceSpec",
        expectedScore=NUMBER,
    ),
    ("noderesources_fit", "TestComputePodResourceRequestWithNodeAllocatableDRA"): listed(
        outside(Outside.DRA), "enableDRANodeAllocatableResources pod", expected=UNREAD
    ),
    ("noderesources_least_allocated", "TestLeastAllocatedScoringStrategy"): _strategy(
        "LeastAllocated"
    ),
    ("noderesources_most_allocated", "TestMostAllocatedScoringStrategy"): _strategy(
        "MostAllocated"
    ),
    (
        "noderesources_requested_to_capacity_ratio",
        "TestRequestedToCapacityRatioScoringStrategy",
    ): _strategy("RequestedToCapacityRatio"),
    ("noderesources_requested_to_capacity_ratio", "TestBrokenLinearFunction"): Test(
        scores.broken_line, frozenset({"points", "assertions"}), {}, both={"assertions": "expected"}
    ),
    ("noderesources_requested_to_capacity_ratio", "TestResourceBinPackingSingleExtended"): listed(
        scores.ratio_by_arguments, ON_NODES, expectedScores=SCORES
    ),
    ("noderesources_requested_to_capacity_ratio", "TestResourceBinPackingMultipleExtended"): listed(
        scores.ratio_by_arguments, ON_NODES, expectedScores=SCORES
    ),
    ("noderesources_balanced_allocation", "TestNodeResourcesBalancedAllocation"): listed(
        scores.balanced,
        "args draObjects existingPods nodes requestedPod runPreScore",
        late="expectedScores",
        expectedPreScoreStatusCode=CODE,
        expectedScores=SCORES,
    ),
    ("noderesources_balanced_allocation", "TestBalancedAllocationSignPod"): _signature(
        states.resource_signature
    ),
    ("noderesources_resource_allocation", "TestResourceAllocationScorerCalculateRequests"): listed(
        states.scored_requests, "pod", expected=AMOUNTS
    ),
    ("noderesources_resource_allocation", "TestCalculateResourceAllocatableRequest"): listed(
        states.resource_on_node,
        "draObjects enableDRAExtendedResource extendedResource node",
        expectedAllocatable=NUMBER,
        expectedAllocated=NUMBER,
    ),
    ("noderesources_resource_allocation", "TestNodeMatchCaching"): listed(
        states.node_match, "allNodesMatch nodeNameToMatch nodeSelector", expectedMatch=TRUTH
    ),
    ("interpodaffinity", "TestRequiredAffinitySingleNode"): listed(
        filters.affinity_on_one_node,
        "node pod pods",
        late="wantFilterStatus",
        wantFilterStatus=STATUS,
        wantPreFilterStatus=STATUS,
    ),
    ("interpodaffinity", "TestRequiredAffinityMultipleNodes"): listed(
        filters.affinity_on_nodes,
        ON_NODES,
        late="wantFilterStatuses",
        wantFilterStatuses=STATUSES,
        wantPreFilterStatus=STATUS,
    ),
    ("interpodaffinity", "TestPreFilterStateAddRemovePod"): listed(
        states.affinity_counts_after_add,
        "addedPod existingPods nodes pendingPod",
        expectedAffinity=PAIRS,
        expectedAntiAffinity=PAIRS,
    ),
    ("interpodaffinity", "TestGetTPMapMatchingIncomingAffinityAntiAffinity"): listed(
        states.affinity_counts,
        "existingPods nodes pod",
        wantAffinityPodsMap=PAIRS,
        wantAntiAffinityPodsMap=PAIRS,
    ),
    ("interpodaffinity", "Test_isSchedulableAfterPodChange"): _hint(
        hints.after_pod("InterPodAffinity", "oldPod", "newPod"), "pod oldPod newPod"
    ),
    ("interpodaffinity", "Test_isSchedulableAfterNodeChange"): _hint(
        hints.after_node("InterPodAffinity", "oldNode", "newNode"), "pod oldNode newNode"
    ),
    ("interpodaffinity", "TestPodAffinitySignature"): listed(
        outside(Outside.SIGNATURE), "config pod", expectedSignature=UNREAD, schedulable=TRUTH
    ),
    ("interpodaffinity", "TestPreferredAffinity"): listed(
        scores.preferred_pods,
        f"ignorePreferredTermsOfExistingPods {ON_NODES}",
        late="expectedList",
        expectedList=SCORES,
        wantStatus=STATUS_CODE,
    ),
    ("interpodaffinity", "TestPreferredAffinityWithHardPodAffinitySymmetricWeight"): listed(
        scores.preferred_pods,
        f"hardPodAffinityWeight {ON_NODES}",
        late="expectedList",
        expectedList=SCORES,
        wantStatus=STATUS_CODE,
    ),
    ("podtopologyspread", "TestPreFilterState"): listed(
        states.filter_state,
        f"defaultConstraints existingPods nodes objs pod {SPREAD_GATES}",
        want=FILTER_STATE,
        wantPrefilterStatus=STATUS,
    ),
    ("podtopologyspread", "TestPreFilterStateAddPod"): listed(
        states.filter_state_after_add,
        f"addedPod existingPods nodeIdx nodes preemptor {SPREAD_GATES}",
        want=FILTER_STATE,
    ),
    ("podtopologyspread", "TestPreFilterStateRemovePod"): listed(
        states.filter_state_after_remove,
        f"deletedPod deletedPodIdx existingPods nodeIdx nodes preemptor {SPREAD_GATES}",
        want=FILTER_STATE,
    ),
    ("podtopologyspread", "TestSingleConstraint"): listed(
        filters.spread, f"existingPods nodes pod {SPREAD_GATES}", wantStatusCode=CODES
    ),
    ("podtopologyspread", "TestMultipleConstraints"): listed(
        filters.spread, f"existingPods nodes pod {SPREAD_GATES}", wantStatusCode=CODES
    ),
    ("podtopologyspread", "TestPodTopoSignatures"): listed(
        outside(Outside.SIGNATURE), "config pod", expectedSignature=UNREAD, scheduleable=TRUTH
    ),
    ("podtopologyspread", "Test_isSchedulableAfterNodeChange"): _hint(
        hints.after_node("PodTopologySpread", "oldNode", "newNode"), "pod oldNode newNode"
    ),
    ("podtopologyspread", "Test_isSchedulableAfterPodChange"): _hint(
        hints.after_pod("PodTopologySpread", "oldPod", "newPod"),
        "enableNodeInclusionPolicyInPodTopologySpread pod oldPod newPod",
    ),
    ("podtopologyspread", "TestPreScoreSkip"): listed(
        states.score_skip, "config nodes objs pod", preScoreStatus=STATUS
    )._replace(implied={"preScoreStatus": {"code": "Skip", "reasons": []}}),
    ("podtopologyspread", "TestPreScoreStateEmptyNodes"): listed(
        states.score_state, f"config nodes objs pod {SPREAD_GATES}", want=SCORE_STATE
    ),
    ("podtopologyspread", "TestPodTopologySpreadScore"): listed(
        scores.spread, f"existingPods failedNodes nodes objs pod {SPREAD_GATES}", want=SCORES
    ),
}


KUBE_SCHEDULER = Adapter(
    tests=TESTS | group_tests.TESTS,
    context_inputs=names(
        "defaultScoringStrategy deviceClassWithExtendResourceName draFeatures features",
        "featureGate featureGates namespaces node nodes objects pluginArgs shape testNode",
        "asyncAPICallsEnabled asyncPreemptionEnabled labelKeys veryLargeRes",
        "groupName initialPlacementName placements podGroupInfo podGroupPod tasEnabled",
        "errDeletePodFailed errPatchStatusFailed failVictimNamePrefix isPodGroup node1Name",
        "nodeNames onePodRes preemptor preemptorPodGroup testPodGroup testPods",
    ),
    outside=dict.fromkeys(
        [
            ("preemption", "TestRemoveNominatedNodeName"),  # a patch
            ("preemption", "TestPreemptPod"),  # API calls
            ("preemption", "TestCallExtenders"),  # calls of another process
            ("preemption", "TestDryRunPreemption"),  # what a fake plugin finds
            ("preemption", "TestSelectCandidate"),  # what a fake plugin prefers
            ("schedule_one_podgroup", "TestFrameworkForPodGroup"),  # kube-scheduler's profiles
            ("schedule_one_podgroup", "TestPodGroupCycle_PodGroupPostFilter"),  # who is called
        ],
        Outside.PLUMBING,
    ),
)
