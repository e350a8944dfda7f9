"""The fields of the tests of preemption, gangs and pod groups, and who answers."""

from verification.oracles.kube_scheduler import evictions, gangs, preemption
from verification.oracles.kube_scheduler.fields import listed, names
from verification.oracles.kube_scheduler.kinds import (
    CODE,
    HINT,
    NUMBER,
    REFUSED,
    STATUS,
    STATUS_CODE,
    TRUTH,
)
from verification.oracles.rows import Kind, Test

VERBATIM = Kind(lambda wanted: wanted, "altered")
NAMES = Kind(lambda wanted: sorted(wanted or ()), ["altered"])
OBJECTS = Kind(lambda wanted: wanted or [], [{"altered": 1}])
UNITS = Kind(preemption.by_first_pod, [{"pods": ["altered"]}])
IN_TURN = Kind(lambda wanted: wanted, ["altered"])
PLACEMENTS = Kind(lambda wanted: wanted, {"altered": []})
UNSAID = names(
    "apiVersion kind spec uid evaluatedNodes feasibleNodes nominatingInfo schedulingDuration",
    "plugin podCtx permitStatus requiresPreemption",
)
RESULT = Kind(gangs.read_placement_result, REFUSED, UNSAID)
POD_CODES = Kind(gangs.read_pod_codes, REFUSED, frozenset({"reasons"}))
PREEMPTING = Kind(gangs.read_preempting, {"altered": True})
CONDITION = Kind(gangs.read_condition, 1, frozenset({"message", "lastTransitionTime"}))
WHOLE_CONDITION = Kind(gangs.read_whole_condition, 1, frozenset({"lastTransitionTime"}))

RUNNING = listed(
    evictions.is_waiting,
    "lastVictimSet podsInPodLister preemptingSet preemptorUID preemptorID",
    expectedResult=TRUTH,
)


TESTS: dict[tuple[str, str], Test] = {
    ("defaultpreemption", "TestPostFilter"): listed(
        preemption.post_filter,
        "extender features filteredNodesStatuses nodes pdbs pod podGroups pods",
        wantResult=VERBATIM,
        wantStatus=STATUS,
    ),
    ("defaultpreemption", "TestDryRunPreemption"): listed(
        preemption.dry_run,
        "args disableParallelism fakeFilterRC initPods nodeNames pdbs registerPlugins testPods",
        expected=VERBATIM,
    )._replace(unused=frozenset({"expectedNumFilterCalled"})),  # a count of calls
    ("defaultpreemption", "TestSelectBestCandidate"): listed(
        preemption.select_best, "nodeNames pod pods registerPlugin", expected=VERBATIM
    ),
    ("defaultpreemption", "TestCustomSelection"): listed(
        preemption.custom, "eligiblePods nodeNames pod pods", expected=VERBATIM
    ),
    ("defaultpreemption", "TestCustomOrdering"): listed(
        preemption.custom, "orderPods nodeNames pod pods", expectedPods=VERBATIM
    ),
    ("defaultpreemption", "TestPodEligibleToPreemptOthers"): listed(
        preemption.eligible, "nodes nominatedNodeStatus pod pods", expected=TRUTH
    ),
    ("defaultpreemption", "TestPreempt"): listed(
        preemption.preempt,
        "extenders nodeNames pod pods registerPlugin",
        expectedPods=NAMES,
        want=VERBATIM,
    ),
    ("preemption", "TestPodGroupEvaluator_SelectVictimsOnDomain"): listed(
        preemption.victims_on_domain,
        "blockingRules initPodGroups initPods nodeNames pdbs preemptor",
        expectedPods=NAMES,
        expectedStatus=STATUS_CODE,
    ),
    ("preemption", "TestMoreImportantVictim"): listed(
        preemption.more_important, "vi1 vi2", want=TRUTH
    ),
    ("preemption", "TestFilterVictimsWithPDBViolation"): listed(
        preemption.budget_violations,
        "pdbs victims",
        expectedNonViolating=OBJECTS,
        expectedViolating=OBJECTS,
    ),
    ("preemption", "TestIsPodGroupPreemptiblePod"): listed(
        preemption.goes_as_one, "pod podGroups", wantOk=TRUTH, wantPodGroup=VERBATIM
    ),
    ("preemption", "TestNewDomainForWorkloadPreemption"): listed(
        preemption.units, "domainName nodes podGroups pods", wantVictims=UNITS
    ),
    ("defaultpreemption", "TestPreEnqueue"): listed(
        evictions.entry, "features pgs podToCheck podToTriggerPreemption", wantStatus=STATUS
    )._replace(unused=frozenset({"expectPreemption"})),
    ("preemption", "TestIsPodRunningPreemption"): RUNNING,
    ("preemption", "TestIsPodGroupRunningPreemption"): RUNNING,
    ("preemption", "TestPrepareCandidate"): listed(
        evictions.prepared,
        "candidate nodeNames preemptor preemptorPodGroup testPods",
        late="expectedActivatedPods expectedPreemptingMap expectedStatus",
        expectedActivatedPods=VERBATIM,
        expectedDeletedPod=NAMES,
        expectedDeletionError=TRUTH,
        expectedPatchError=TRUTH,
        expectedPreemptingMap=NAMES,
        expectedStatus=STATUS,
    ),
    ("preemption", "TestPrepareCandidateAsyncSetsPreemptingSets"): listed(
        evictions.last_victim, "candidate preemptor", lastVictim=VERBATIM
    ),
    ("preemption", "TestAsyncPreemptionFailure"): listed(
        evictions.failing,
        "preemptorPodGroup preemptorPods victims",
        expectPreemptionAttemptForLastVictim=TRUTH,
        expectSuccessfulPreemption=TRUTH,
    ),
    ("gangscheduling", "Test_isSchedulableAfterPodAdded"): listed(
        gangs.after_pod_added, "newPod pod", expectedHint=HINT
    ),
    ("gangscheduling", "Test_isSchedulableAfterPodGroupAdded"): listed(
        gangs.after_group_added, "newPodGroup pod", expectedHint=HINT
    ),
    ("gangscheduling", "TestGangSchedulingFlow"): listed(
        gangs.flow,
        "initialPodGroups initialPods isDuringPodGroupSchedulingCycle pod podsWaitingOnPermit",
        late="wantActivatedPods wantAllowedPods wantPermitStatus",
        wantActivatedPods=OBJECTS,
        wantAllowedPods=NAMES,
        wantPermitStatus=STATUS,
        wantPreEnqueueStatus=STATUS,
    ),
    ("podgrouppodscount", "TestScorePlacement"): listed(
        gangs.count_score, "assignedPods assumedPods placement pod", expectedScore=NUMBER
    ),
    ("podgrouppodscount", "TestNormalizePlacementScore"): listed(
        gangs.normalised_counts,
        "scores",
        late="expectedNormalizedScores",
        expectedError=VERBATIM,
        expectedNormalizedScores=OBJECTS,
    ),
    ("topologyaware", "TestGeneratePlacements"): listed(
        gangs.placements,
        "otherNodes placementNodes podGroup scheduledPodGroupPods",
        wantPlacementNodes=PLACEMENTS,
        wantStatus=CODE,
    ),
    ("schedule_one_podgroup", "TestPodGroupInfoForPod"): listed(
        gangs.group_order, "pInfo queuePods unscheduledPods", expectedPods=IN_TURN
    ),
    ("schedule_one_podgroup", "TestPodGroupSchedulingAlgorithm"): listed(
        gangs.group_pass,
        "plugin postFilterMode skipForTAS",
        expectedGroupStatusCode=CODE,
        expectedGroupWaitingOnPreemption=TRUTH,
        expectedPodStatus=POD_CODES,
        expectedPreemption=PREEMPTING,
    ),
    ("schedule_one_podgroup", "TestPodGroupSchedulingPlacementAlgorithm"): listed(
        gangs.in_best_placement, "placementPlugin", expectedResult=RESULT
    ),
    ("schedule_one_podgroup", "TestPodGroupSchedulingPlacementAlgorithm_Scoring"): listed(
        gangs.weighed_placements, "pluginData", expectedPlacement=VERBATIM
    ),
    ("schedule_one_podgroup", "TestUpdatePodGroupCondition"): listed(
        gangs.condition,
        "condition existingPodGroup namespace podGroupName",
        expectCondition=WHOLE_CONDITION,
        expectLastTransitionTimeUnchanged=TRUTH,
    ),
    ("schedule_one_podgroup", "TestRunWorkloadAwarePreemption"): listed(
        gangs.group_preemption,
        "existingPodGroups pluginReturnStatus pluginsRegistered podGroupInfo",
        expectedStatus=STATUS,
    ),
    ("schedule_one_podgroup", "TestSubmitPodGroupAlgorithmResult"): listed(
        gangs.submitted,
        "algorithmResult existingPodGroup",
        expectBound=NAMES,
        expectCondition=CONDITION,
        expectFailed=NAMES,
        expectPreempting=NAMES,
    ),
}
