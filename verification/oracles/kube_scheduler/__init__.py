"""kube-scheduler's own table tests (k8s.io/kubernetes v1.36.3, pkg/scheduler), asked of our core.

The rows were dumped from the running tests; what each field means is in the README beside them.
This module is the list of fields and of who answers; `cluster` builds the snapshot, `filters`,
`scores` and `states` ask it.
"""

from collections.abc import Callable

from verification.oracles.kube_scheduler import filters, hints, scores, states
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
from verification.oracles.rows import Adapter, Answers, Kind, OutOfScopeError, Outside, Row, Test

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


def outside(reason: Outside) -> Callable[[Row], Answers]:
    """Return the answer to tests of which every row is out of scope."""

    def answer(_: Row) -> Answers:
        raise OutOfScopeError(reason)

    return answer


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


def _test(answer: Callable[[Row], Answers], inputs: str, late: str = "", **outputs: Kind) -> Test:
    return Test(answer, _names(inputs), outputs, _names(late))


def _hint(answer: Callable[[Row], Answers], inputs: str, error: str = "expectedErr") -> Test:
    return Test(answer, _names(inputs), {"expectedHint": HINT, error: TRUTH})


def _strategy(name: str) -> Test:
    return _test(
        scores.strategy(name),
        "existingPods nodes requestedPod resources shape",
        expectedScores=SCORES,
        wantStatusCode=CODE,
    )._replace(unused=frozenset({"wantErrs"}))  # rows that have any are out of scope


def _signature(answer: Callable[[Row], Answers]) -> Test:
    return _test(
        answer, "disableDRAExtendedResource pod", expectedFragments=UNREAD, expectedStatusCode=CODE
    )


ON_ONE_NODE = "node pod enableTaintTolerationComparisonOps"

TESTS: dict[tuple[str, str], Test] = {
    ("nodename", "TestNodeName"): _test(filters.name, ON_ONE_NODE, wantStatus=STATUS),
    ("nodeunschedulable", "TestNodeUnschedulable"): _test(
        filters.unschedulable, ON_ONE_NODE, wantStatus=STATUS
    ),
    ("nodeunschedulable", "TestIsSchedulableAfterNodeChange"): _hint(
        hints.after_node("NodeUnschedulable"), EVENT_FIELDS
    ),
    ("nodeunschedulable", "TestIsSchedulableAfterPodTolerationChange"): _hint(
        hints.after_pod("NodeUnschedulable"), EVENT_FIELDS
    ),
    ("nodeports", "TestNodePorts"): _test(
        filters.ports,
        "nodeInfo pod",
        late="wantFilterStatus",
        wantFilterStatus=STATUS,
        wantPreFilterStatus=STATUS,
    ),
    ("nodeports", "Test_isSchedulableAfterPodDeleted"): _hint(
        hints.after_pod("NodePorts"), "pod oldObj"
    ),
    ("nodeports", "TestFits"): _test(filters.ports_fit, "pod existing", expect=TRUTH),
    ("tainttoleration", "TestTaintTolerationScore"): _test(
        scores.taints, "nodes pod enableTaintTolerationComparisonOps", expectedList=SCORES
    ),
    ("tainttoleration", "TestTaintTolerationFilter"): _test(
        filters.taints, ON_ONE_NODE, wantStatus=STATUS
    ),
    ("tainttoleration", "TestTaintTolerationFilterWithFeatureGate"): _test(
        filters.taints, ON_ONE_NODE, wantStatus=STATUS
    ),
    ("tainttoleration", "TestIsSchedulableAfterNodeChange"): _hint(
        hints.after_node("TaintToleration"), EVENT_FIELDS, "wantErr"
    ),
    ("tainttoleration", "Test_isSchedulableAfterPodTolerationChange"): _hint(
        hints.after_pod("TaintToleration"), EVENT_FIELDS
    ),
    ("nodeaffinity", "TestNodeAffinity"): _test(
        filters.affinity_to_nodes,
        "args labels nodeName pod runPreFilter",
        late="wantPreFilterStatus wantPreFilterResult",
        wantPreFilterResult=Kind(
            lambda wanted: wanted and sorted(wanted["nodeNames"]), {"nodeNames": ["altered"]}
        ),
        wantPreFilterStatus=STATUS,
        wantStatus=STATUS,
    ),
    ("nodeaffinity", "TestNodeAffinityPriority"): _test(
        scores.preferred_nodes,
        "args nodes pod runPreScore",
        late="expectedList wantPreScoreStatus",
        expectedList=SCORES,
        wantPreScoreStatus=STATUS,
    ),
    ("nodeaffinity", "Test_isSchedulableAfterNodeChange"): _hint(
        hints.after_node("NodeAffinity"), f"args {EVENT_FIELDS}"
    ),
    ("noderesources_fit", "TestEnoughRequests"): _test(
        filters.resources,
        "args draExtendedResourceEnabled nilDRAManager nodeInfo pod podLevelResourcesEnabled",
        wantInsufficientResources=SHORTAGES,
        wantStatus=STATUS,
    ),
    ("noderesources_fit", "TestNotEnoughRequests"): _test(
        filters.resources, "nodeInfo pod", wantStatus=STATUS
    )._replace(unused=frozenset({"fits"})),
    ("noderesources_fit", "TestStorageRequests"): _test(
        filters.resources, "nodeInfo pod", wantStatus=STATUS
    ),
    ("noderesources_fit", "TestRestartableInitContainers"): _test(
        filters.sidecars,
        "enableSidecarContainers pod",
        late="wantFilterStatus",
        wantFilterStatus=STATUS,
        wantPreFilterStatus=STATUS,
    ),
    ("noderesources_fit", "TestFitScore"): _test(
        scores.fit,
        "draObjects existingPods nodeResourcesFitArgs nodes requestedPod runPreScore",
        expectedPriorities=SCORES,
    ),
    ("noderesources_fit", "TestEventsToRegister"): _test(
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
    ("noderesources_fit", "TestIsFit"): _test(
        filters.is_fit, "node pod podLevelResourcesEnabled", expected=TRUTH
    ),
    ("noderesources_fit", "TestHaveAnyRequestedResourcesIncreased"): _test(
        hints.resources_grew,
        "draExtendedResourceEnabled modifiedNode originalNode pod",
        expected=TRUTH,
    ),
    ("noderesources_fit", "TestFitSignPod"): _signature(states.resource_signature),
    ("noderesources_fit", "TestScorePlacement_Resources"): _test(
        scores.placement,
        "nodes placementNodeNames podGroupAssignments podGroupPods preExistingPods resourceSpec",
        expectedScore=NUMBER,
    ),
    ("noderesources_fit", "TestComputePodResourceRequestWithNodeAllocatableDRA"): _test(
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
    ("noderesources_requested_to_capacity_ratio", "TestResourceBinPackingSingleExtended"): _test(
        scores.ratio_by_arguments, ON_NODES, expectedScores=SCORES
    ),
    ("noderesources_requested_to_capacity_ratio", "TestResourceBinPackingMultipleExtended"): _test(
        scores.ratio_by_arguments, ON_NODES, expectedScores=SCORES
    ),
    ("noderesources_balanced_allocation", "TestNodeResourcesBalancedAllocation"): _test(
        scores.balanced,
        "args draObjects existingPods nodes requestedPod runPreScore",
        late="expectedScores",
        expectedPreScoreStatusCode=CODE,
        expectedScores=SCORES,
    ),
    ("noderesources_balanced_allocation", "TestBalancedAllocationSignPod"): _signature(
        states.resource_signature
    ),
    ("noderesources_resource_allocation", "TestResourceAllocationScorerCalculateRequests"): _test(
        states.scored_requests, "pod", expected=AMOUNTS
    ),
    ("noderesources_resource_allocation", "TestCalculateResourceAllocatableRequest"): _test(
        states.resource_on_node,
        "draObjects enableDRAExtendedResource extendedResource node",
        expectedAllocatable=NUMBER,
        expectedAllocated=NUMBER,
    ),
    ("noderesources_resource_allocation", "TestNodeMatchCaching"): _test(
        states.node_match, "allNodesMatch nodeNameToMatch nodeSelector", expectedMatch=TRUTH
    ),
    ("interpodaffinity", "TestRequiredAffinitySingleNode"): _test(
        filters.affinity_on_one_node,
        "node pod pods",
        late="wantFilterStatus",
        wantFilterStatus=STATUS,
        wantPreFilterStatus=STATUS,
    ),
    ("interpodaffinity", "TestRequiredAffinityMultipleNodes"): _test(
        filters.affinity_on_nodes,
        ON_NODES,
        late="wantFilterStatuses",
        wantFilterStatuses=STATUSES,
        wantPreFilterStatus=STATUS,
    ),
    ("interpodaffinity", "TestPreFilterStateAddRemovePod"): _test(
        states.affinity_counts_after_add,
        "addedPod existingPods nodes pendingPod",
        expectedAffinity=PAIRS,
        expectedAntiAffinity=PAIRS,
    ),
    ("interpodaffinity", "TestGetTPMapMatchingIncomingAffinityAntiAffinity"): _test(
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
    ("interpodaffinity", "TestPodAffinitySignature"): _test(
        outside(Outside.SIGNATURE), "config pod", expectedSignature=UNREAD, schedulable=TRUTH
    ),
    ("interpodaffinity", "TestPreferredAffinity"): _test(
        scores.preferred_pods,
        f"ignorePreferredTermsOfExistingPods {ON_NODES}",
        late="expectedList",
        expectedList=SCORES,
        wantStatus=STATUS_CODE,
    ),
    ("interpodaffinity", "TestPreferredAffinityWithHardPodAffinitySymmetricWeight"): _test(
        scores.preferred_pods,
        f"hardPodAffinityWeight {ON_NODES}",
        late="expectedList",
        expectedList=SCORES,
        wantStatus=STATUS_CODE,
    ),
    ("podtopologyspread", "TestPreFilterState"): _test(
        states.filter_state,
        f"defaultConstraints existingPods nodes objs pod {SPREAD_GATES}",
        want=FILTER_STATE,
        wantPrefilterStatus=STATUS,
    ),
    ("podtopologyspread", "TestPreFilterStateAddPod"): _test(
        states.filter_state_after_add,
        f"addedPod existingPods nodeIdx nodes preemptor {SPREAD_GATES}",
        want=FILTER_STATE,
    ),
    ("podtopologyspread", "TestPreFilterStateRemovePod"): _test(
        states.filter_state_after_remove,
        f"deletedPod deletedPodIdx existingPods nodeIdx nodes preemptor {SPREAD_GATES}",
        want=FILTER_STATE,
    ),
    ("podtopologyspread", "TestSingleConstraint"): _test(
        filters.spread, f"existingPods nodes pod {SPREAD_GATES}", wantStatusCode=CODES
    ),
    ("podtopologyspread", "TestMultipleConstraints"): _test(
        filters.spread, f"existingPods nodes pod {SPREAD_GATES}", wantStatusCode=CODES
    ),
    ("podtopologyspread", "TestPodTopoSignatures"): _test(
        outside(Outside.SIGNATURE), "config pod", expectedSignature=UNREAD, scheduleable=TRUTH
    ),
    ("podtopologyspread", "Test_isSchedulableAfterNodeChange"): _hint(
        hints.after_node("PodTopologySpread", "oldNode", "newNode"), "pod oldNode newNode"
    ),
    ("podtopologyspread", "Test_isSchedulableAfterPodChange"): _hint(
        hints.after_pod("PodTopologySpread", "oldPod", "newPod"),
        "enableNodeInclusionPolicyInPodTopologySpread pod oldPod newPod",
    ),
    ("podtopologyspread", "TestPreScoreSkip"): _test(
        states.score_skip, "config nodes objs pod", preScoreStatus=STATUS
    )._replace(implied={"preScoreStatus": {"code": "Skip", "reasons": []}}),
    ("podtopologyspread", "TestPreScoreStateEmptyNodes"): _test(
        states.score_state, f"config nodes objs pod {SPREAD_GATES}", want=SCORE_STATE
    ),
    ("podtopologyspread", "TestPodTopologySpreadScore"): _test(
        scores.spread, f"existingPods failedNodes nodes objs pod {SPREAD_GATES}", want=SCORES
    ),
}


KUBE_SCHEDULER = Adapter(
    tests=TESTS,
    context_inputs=_names(
        "defaultScoringStrategy deviceClassWithExtendResourceName draFeatures features",
        "featureGate featureGates namespaces node nodes objects pluginArgs shape testNode",
    ),
)
