"""Kueue's objects as JSON: quotas and limits, defaults, older words, workloads and admissions."""

import json

import pytest

from gpuyard.dialects import kueue
from gpuyard.dialects.kueue import (
    DialectError,
    admission,
    cluster_queue,
    cohort,
    local_queue,
    resource_flavor,
    workload,
)
from gpuyard.model.constraints import LabelSelector, Requirement, Taint, Toleration
from gpuyard.model.queues import (
    QUOTA_MAX,
    WEIGHT_ONE_NANO,
    Admission,
    BorrowWithinCohort,
    ClusterQueue,
    Cohort,
    FlavorFungibility,
    FlavorQuotas,
    FlavorResource,
    LocalQueue,
    PodSetAssignment,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import SentBack

GIB = 2**30


def named(name="it", /, **spec):
    return {"metadata": {"name": name}, "spec": spec}


def group(resource, flavor="h100", **quota):
    quotas = [{"name": resource, **quota}]
    return {"coveredResources": [resource], "flavors": [{"name": flavor, "resources": quotas}]}


def quota_of(resource, **quota):
    read = cluster_queue(named(resourceGroups=[group(resource, **quota)]))
    return read.resource_groups[0].flavors[0].resources[0]


# -- queues


def test_what_is_left_out_has_kueues_defaults():
    assert cluster_queue(named("a")) == ClusterQueue(name="a")
    assert cohort(named("a")) == Cohort(name="a")
    assert resource_flavor(named("a")) == ResourceFlavor(name="a")
    defaulted = named("a", preemption={}, flavorFungibility={}, fairSharing={}, stopPolicy=None)
    assert cluster_queue(defaulted) == ClusterQueue(name="a")
    assert ClusterQueue(name="a").queueing_strategy == "BestEffortFIFO"


TEAM_A = named(
    "team-a",
    cohortName="research",
    resourceGroups=[
        {
            "coveredResources": ["cpu", "nvidia.com/gpu"],
            "flavors": [
                {
                    "name": "h100",
                    "resources": [
                        {"name": "cpu", "nominalQuota": "1500m"},
                        {"name": "nvidia.com/gpu", "nominalQuota": 8, "borrowingLimit": "4"},
                    ],
                },
                {"name": "a100"},
            ],
        }
    ],
    queueingStrategy="StrictFIFO",
    namespaceSelector={
        "matchLabels": {"team": "a"},
        "matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["test"]}],
    },
    flavorFungibility={
        "whenCanBorrow": "TryNextFlavor",
        "whenCanPreempt": "TryNextFlavor",
        "preference": "PreemptionOverBorrowing",
    },
    preemption={
        "withinClusterQueue": "LowerPriority",
        "reclaimWithinCohort": "Any",
        "borrowWithinCohort": {"policy": "LowerPriority", "maxPriorityThreshold": 100},
    },
    stopPolicy="Hold",
    fairSharing={"weight": "1.5"},
)


def test_a_whole_cluster_queue():
    expected = ClusterQueue(
        name="team-a",
        cohort="research",
        resource_groups=(
            ResourceGroup(
                ("cpu", "nvidia.com/gpu"),
                (
                    FlavorQuotas(
                        "h100",
                        (
                            ResourceQuota(resource="cpu", nominal=1500),
                            ResourceQuota(resource="nvidia.com/gpu", nominal=8, borrowing_limit=4),
                        ),
                    ),
                    FlavorQuotas("a100"),
                ),
            ),
        ),
        queueing_strategy="StrictFIFO",
        namespace_selector=LabelSelector(
            (Requirement("team", "In", ("a",)), Requirement("stage", "NotIn", ("test",)))
        ),
        fungibility=FlavorFungibility(
            when_can_borrow="TryNextFlavor",
            when_can_preempt="TryNextFlavor",
            preference="PreemptionOverBorrowing",
        ),
        preemption=QueuePreemption(
            within_cluster_queue="LowerPriority",
            reclaim_within_cohort="Any",
            borrow_within_cohort=BorrowWithinCohort(
                policy="LowerPriority", max_priority_threshold=100
            ),
        ),
        stop_policy="Hold",
        fair_weight_nano=WEIGHT_ONE_NANO * 3 // 2,
    )
    assert cluster_queue(TEAM_A) == expected
    assert cluster_queue(json.dumps(TEAM_A)) == expected
    assert cluster_queue(json.dumps(TEAM_A).encode()) == expected


def test_a_selector_that_is_missing_is_not_one_that_is_empty():
    assert cluster_queue(named()).namespace_selector is None
    assert cluster_queue(named(namespaceSelector={})).namespace_selector == LabelSelector()


@pytest.mark.parametrize(
    ("resource", "quantity", "expected"),
    [
        pytest.param("cpu", "2", 2000, id="cores are counted in thousandths"),
        pytest.param("cpu", "100u", 1, id="and rounded up"),
        pytest.param("memory", "6Gi", 6 * GIB, id="bytes"),
        pytest.param("nvidia.com/gpu", "1500m", 2, id="pieces are rounded up"),
        pytest.param("cpu", "1E", QUOTA_MAX, id="more cores than 64 bits count in thousandths"),
        pytest.param("cpu", "9223372036854774", 9223372036854774000, id="just countable"),
        pytest.param("cpu", "9223372036854775", QUOTA_MAX, id="where Kueue stops counting"),
        pytest.param("memory", "100E", QUOTA_MAX, id="more bytes than 64 bits count"),
        pytest.param("pods", -3, -3, id="negative: refused later, with all objects in view"),
    ],
)
def test_amounts(resource, quantity, expected):
    assert quota_of(resource, nominalQuota=quantity).nominal == expected
    assert quota_of(resource, lendingLimit=quantity).lending_limit == expected
    assert quota_of(resource, borrowingLimit=quantity).borrowing_limit == expected


def test_a_limit_of_zero_is_a_limit():
    read = quota_of("cpu", nominalQuota="1", borrowingLimit="0", lendingLimit=0)
    assert (read.borrowing_limit, read.lending_limit) == (0, 0)
    assert quota_of("cpu").borrowing_limit is None


@pytest.mark.parametrize(
    ("weight", "expected"),
    [("2", 2 * 10**9), ("0", 0), ("750m", 75 * 10**7), (3, 3 * 10**9), ("5n", 5), (None, 10**9)],
)
def test_weights_are_exact(weight, expected):
    assert cluster_queue(named(fairSharing={"weight": weight})).fair_weight_nano == expected
    assert cohort(named(fairSharing={"weight": weight})).fair_weight_nano == expected


@pytest.mark.parametrize(
    ("borrow", "preempt", "expected"),
    [
        pytest.param("Borrow", "Preempt", ("MayStopSearch", "MayStopSearch"), id="older words"),
        pytest.param("", "", ("MayStopSearch", "TryNextFlavor"), id="empty means default"),
        pytest.param(
            "TryNextFlavor", "MayStopSearch", ("TryNextFlavor", "MayStopSearch"), id="today's words"
        ),
    ],
)
def test_fungibility_of_both_versions(borrow, preempt, expected):
    written = {"whenCanBorrow": borrow, "whenCanPreempt": preempt}
    read = cluster_queue(named(flavorFungibility=written)).fungibility
    assert (read.when_can_borrow, read.when_can_preempt) == expected


def test_the_older_word_for_the_cohort():
    assert cluster_queue(named(cohort="all")).cohort == "all"


def test_a_cohort_in_a_tree():
    read = cohort(named("c", parentName="root", resourceGroups=[group("cpu", nominalQuota="1")]))
    assert (read.parent, read.resource_groups[0].covered_resources) == ("root", ("cpu",))


def test_a_flavor():
    written = named(
        "spot",
        nodeLabels={"pool": "spot", "arch": "amd64"},
        nodeTaints=[{"key": "spot", "effect": "NoSchedule"}],
        tolerations=[{"key": "spot", "operator": "Exists"}],
        topologyName="racks",
    )
    assert resource_flavor(written) == ResourceFlavor(
        name="spot",
        node_labels=(("arch", "amd64"), ("pool", "spot")),
        node_taints=(Taint("spot", "", "NoSchedule"),),
        tolerations=(Toleration("spot", "Exists"),),
        topology="racks",
    )


def test_a_local_queue():
    written = {
        "metadata": {"name": "main", "namespace": "ml"},
        "spec": {
            "clusterQueue": "team-a",
            "stopPolicy": "HoldAndDrain",
            "fairSharing": {"weight": 2},
        },
    }
    assert local_queue(written) == LocalQueue(
        namespace="ml",
        name="main",
        cluster_queue="team-a",
        stop_policy="HoldAndDrain",
        fair_weight_nano=2 * WEIGHT_ONE_NANO,
    )


# -- workloads


def job(status=None, count=4, **spec):
    containers = [{"name": "c", "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "2"}}}]
    template = {
        "metadata": {"labels": {"app": "train"}},
        "spec": {"containers": containers, "nodeSelector": {"zone": "a"}},
    }
    pod_set = {"name": "workers", "count": count, "minCount": 2, "template": template}
    return {
        "metadata": {
            "name": "train",
            "namespace": "ml",
            "creationTimestamp": "2026-01-02T03:04:05.5Z",
        },
        "spec": {"podSets": [pod_set], "queueName": "main", "priority": 7, **spec},
        "status": status,
    }


def admitted(count=None, reclaimable=0, **usage):
    assigned = {"name": "workers", "flavors": {"cpu": "h100", "nvidia.com/gpu": "h100"}}
    assigned["resourceUsage"] = usage or {"cpu": "4", "nvidia.com/gpu": "8"}
    if count is not None:
        assigned["count"] = count
    status = {"admission": {"clusterQueue": "team-a", "podSetAssignments": [assigned]}}
    if reclaimable:
        status["reclaimablePods"] = [{"name": "workers", "count": reclaimable}]
    return job(status)


def test_a_workload():
    read = workload(job())
    assert (read.key, read.queue, read.priority) == ("ml/train", "ml/main", 7)
    assert read.created_ns == 1_767_323_045_500_000_000
    (workers,) = read.pod_sets
    assert (workers.name, workers.count, workers.min_count) == ("workers", 4, 2)
    assert workers.template.request.resources.as_dict() == {"cpu": 1000, "nvidia.com/gpu": 2}
    assert workers.template.constraints.node_selector == (("zone", "a"),)
    assert (workers.template.namespace, workers.template.labels) == ("ml", (("app", "train"),))


def test_a_workload_that_says_little():
    read = workload({"metadata": {"name": "w"}, "spec": {"podSets": [{}], "priority": None}})
    assert (read.key, read.queue, read.priority, read.created_ns) == ("w", "", 0, 0)
    assert (read.pod_sets[0].name, read.pod_sets[0].count) == ("main", 1)


@pytest.mark.parametrize("status", [None, {}, {"admission": None}])
def test_who_holds_nothing_has_no_admission(status):
    assert admission(job(status)) is None


def test_an_admission():
    read = admission(admitted(count=4))
    assert read == Admission(
        "team-a",
        (
            PodSetAssignment(
                name="workers",
                count=4,
                flavors=(("cpu", "h100"), ("nvidia.com/gpu", "h100")),
                usage=Resources.of({"cpu": 4000, "nvidia.com/gpu": 8}),
            ),
        ),
    )
    assert dict(read.usage().quota) == {
        FlavorResource("h100", "cpu"): 4000,
        FlavorResource("h100", "nvidia.com/gpu"): 8,
    }


@pytest.mark.parametrize(
    ("count", "reclaimable", "expected"),
    [
        pytest.param(None, 0, (4, 8), id="without a count of its own: all pods"),
        pytest.param(None, 1, (3, 6), id="one pod is done"),
        pytest.param(None, 9, (0, 0), id="more done than there are"),
        pytest.param(2, 0, (2, 8), id="partly admitted"),
        pytest.param(2, 1, (2, 8), id="partly admitted, and as many left as were admitted"),
        pytest.param(2, 3, (1, 4), id="partly admitted, and fewer left"),
        pytest.param(3, 2, (2, 4), id="usage of one pod is rounded down"),
    ],
)
def test_pods_that_are_done_no_longer_count(count, reclaimable, expected):
    (held,) = admission(admitted(count, reclaimable)).pod_sets
    assert (held.count, held.usage.get("nvidia.com/gpu")) == expected


def test_usage_adds_up_over_pod_sets():
    assigned = [
        {"name": name, "flavors": {"cpu": flavor}, "resourceUsage": {"cpu": "1"}, "count": 1}
        for name, flavor in (("a", "h100"), ("b", "h100"), ("c", "a100"))
    ]
    pod_sets = [{"name": one["name"], "count": 1} for one in assigned]
    status = {"admission": {"clusterQueue": "q", "podSetAssignments": assigned}}
    assert dict(admission(job(status, podSets=pod_sets)).usage().quota) == {
        FlavorResource("h100", "cpu"): 2000,
        FlavorResource("a100", "cpu"): 1000,
    }


def test_usage_without_a_flavor_is_kept():
    held = Admission("q", (PodSetAssignment(name="a", count=1, usage=Resources.of({"cpu": 1})),))
    assert dict(held.usage().quota) == {FlavorResource("", "cpu"): 1}


def with_conditions(*conditions):
    """Return an admitted job with conditions (type, status, reason)."""
    read = admitted()
    read["status"]["conditions"] = [
        {"type": kind, "status": status, "reason": reason, "lastTransitionTime": at}
        for kind, status, reason, at in conditions
    ]
    return read


AT, LATER = "1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z"


@pytest.mark.parametrize(
    ("conditions", "reserved_ns", "evicted"),
    [
        pytest.param([], None, False, id="nobody wrote down since when"),
        pytest.param([("QuotaReserved", "True", "", AT)], 10**9, False, id="reserved"),
        pytest.param([("QuotaReserved", "False", "", AT)], None, False, id="no longer reserved"),
        pytest.param(
            [("QuotaReserved", "True", "", AT), ("Evicted", "True", "Preempted", LATER)],
            10**9,
            True,
            id="told to go, and still there",
        ),
    ],
)
def test_a_holder_of_quota(conditions, reserved_ns, evicted):
    held = kueue.admitted(with_conditions(*conditions))
    assert held.workload.key == "ml/train"
    assert held.admission.cluster_queue == "team-a"
    assert (held.reserved_ns, held.evicted) == (reserved_ns, evicted)


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        pytest.param({}, {}, True, id="it has no quota"),
        pytest.param({"active": True}, {"conditions": []}, True, id="active"),
        pytest.param({"active": False}, {}, False, id="deactivated"),
        pytest.param({}, {"admission": {"clusterQueue": "q"}}, False, id="admitted"),
        pytest.param(
            {},
            {"conditions": [{"type": "QuotaReserved", "status": "True"}]},
            False,
            id="quota is reserved",
        ),
        pytest.param(
            {},
            {"conditions": [{"type": "QuotaReserved", "status": "False"}]},
            True,
            id="it lost its quota",
        ),
        pytest.param(
            {}, {"conditions": [{"type": "Finished", "status": "True"}]}, False, id="finished"
        ),
    ],
)
def test_who_waits_for_quota(spec, status, expected):
    source = {"metadata": {"name": "w"}, "spec": {"podSets": [{}], **spec}, "status": status}
    assert kueue.is_waiting(source) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, (0, False), id="no back-off"),
        pytest.param(
            {"requeueState": {"count": 1, "requeueAt": "1970-01-01T00:00:02Z"}},
            (2 * 10**9, False),
            id="until an instant",
        ),
        pytest.param({"requeueState": {"count": 1}}, (0, False), id="counted, with no end"),
        pytest.param(
            {"conditions": [{"type": "Requeued", "status": "False"}]},
            (0, True),
            id="until somebody says so",
        ),
        pytest.param(
            {"conditions": [{"type": "Requeued", "status": "True"}]}, (0, False), id="it was said"
        ),
    ],
)
def test_back_offs(status, expected):
    read = workload({"metadata": {"name": "w"}, "spec": {"podSets": [{}]}, "status": status})
    assert (read.not_before_ns, read.held_back) == expected


def test_a_queue_whose_local_queues_take_turns_by_usage():
    scope = {"admissionMode": "UsageBasedAdmissionFairSharing"}
    read = kueue.cluster_queue({"metadata": {"name": "q"}, "spec": {"admissionScope": scope}})
    assert read.admission_mode == "UsageBasedAdmissionFairSharing"
    assert kueue.cluster_queue({"metadata": {"name": "q"}}).admission_mode.startswith("No")


def test_a_queue_that_is_being_deleted():
    gone = {"name": "q", "deletionTimestamp": "2026-01-02T03:04:05Z"}
    assert kueue.cluster_queue({"metadata": gone}).is_terminating
    assert not kueue.cluster_queue({"metadata": {"name": "q"}}).is_terminating


def test_a_workload_without_quota_is_no_holder():
    assert kueue.admitted(job()) is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(("Evicted", "True", "PodsReadyTimeout", AT), "readiness", id="not ready"),
        pytest.param(("Evicted", "True", "AdmissionCheck", AT), "check", id="a check failed"),
        pytest.param(
            ("Preempted", "True", "InCohortReclaimWhileBorrowing", AT), "borrower", id="borrower"
        ),
        pytest.param(("Evicted", "True", "Preempted", AT), None, id="preempted: keeps its turn"),
        pytest.param(("Evicted", "False", "PodsReadyTimeout", AT), None, id="long ago"),
    ],
)
def test_who_sent_it_back(condition, expected):
    sent_back = workload(with_conditions(condition)).sent_back
    assert sent_back == ((SentBack(expected, 10**9),) if expected else ())


@pytest.mark.parametrize(
    ("boost", "expected"),
    [("3", 10), ("-3", 4), ("", 7), ("a lot", 7), ("2147483648", 7), ("1" * 12, 7)],
)
def test_a_priority_boost(boost, expected):
    given = job()
    given["metadata"]["annotations"] = {"kueue.x-k8s.io/priority-boost": boost}
    assert workload(given).effective_priority == expected


def test_an_elastic_replacement_and_a_failed_node():
    given = admitted()
    given["metadata"] |= {
        "uid": "u-1",
        "annotations": {"kueue.x-k8s.io/workload-slice-replacement-for": "ml/old"},
    }
    given["status"]["unhealthyNodes"] = [{"name": "n7"}]
    held = kueue.admitted(given)
    assert (held.workload.replaces, held.workload.uid) == ("ml/old", "u-1")
    assert held.unhealthy_nodes == ("n7",)


def test_pods_given_back_are_not_asked_for():
    (workers,) = workload(admitted(reclaimable=3)).pod_sets
    assert workers.count == 1


# -- errors


@pytest.mark.parametrize(
    ("read", "written", "sentence"),
    [
        pytest.param(
            cluster_queue, named(""), "ClusterQueue: metadata.name: it has no name", id="no name"
        ),
        pytest.param(
            cluster_queue,
            named("a", resourceGroups=[group("cpu", nominalQuota="many")]),
            "ClusterQueue a: spec.resourceGroups[0]: flavor h100: nominalQuota: cpu: 'many' is not",
            id="no quantity",
        ),
        pytest.param(
            cohort,
            named("a", resourceGroups=[group("cpu", lendingLimit="x")]),
            "Cohort a: spec.resourceGroups[0]: flavor h100: lendingLimit: cpu: 'x' is not",
            id="no limit",
        ),
        pytest.param(
            cohort,
            named("a", fairSharing={"weight": "heavy"}),
            "Cohort a: spec.fairSharing.weight: 'heavy' is not a quantity",
            id="no weight",
        ),
        pytest.param(
            cluster_queue,
            named("a", queueingStrategy="LIFO"),
            "ClusterQueue a: spec.queueingStrategy: invalid enum value 'LIFO'",
            id="a word that Kueue does not know",
        ),
        pytest.param(
            admission,
            admitted(cpu="much"),
            "Workload ml/train: status.admission: pod set workers: resourceUsage: cpu: 'much' is",
            id="no usage",
        ),
        pytest.param(
            workload,
            {"metadata": {"name": "w", "creationTimestamp": "2026-01-02T03:04:05"}},
            "Workload w: metadata.creationTimestamp: expected",
            id="a time without a zone",
        ),
        pytest.param(resource_flavor, "{", "ResourceFlavor: this is not JSON: ", id="no JSON"),
    ],
)
def test_errors_name_the_place(read, written, sentence):
    with pytest.raises(DialectError) as refused:
        read(written)
    assert str(refused.value).startswith(sentence)
