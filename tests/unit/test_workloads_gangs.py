"""By which marks an object says that its pods start together."""

import pytest

from gpuyard.dialects.workloads import workload

TEMPLATE = ("spec", "template")


def job(metadata=None, pod=None, spec=None, job_spec=None):
    template = {"metadata": pod or {}, "spec": spec or {}}
    found = workload(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata or {},
            "spec": {"template": template, **(job_spec or {})},
        }
    )
    assert found is not None
    return found


def marks(found):
    return [(mark.system, mark.path, mark.minimum) for mark in found.gang_marks]


@pytest.mark.parametrize(
    ("where", "key", "system"),
    [
        ("labels", "kueue.x-k8s.io/queue-name", "kueue"),
        ("labels", "kueue.x-k8s.io/pod-group-name", "kueue"),
        ("annotations", "scheduling.k8s.io/group-name", "volcano"),
        ("annotations", "scheduling.volcano.sh/group-name", "volcano"),
        ("labels", "scheduling.x-k8s.io/pod-group", "coscheduling"),
        ("labels", "pod-group.scheduling.sigs.k8s.io", "coscheduling"),
        ("labels", "pod-group.scheduling.sigs.k8s.io/name", "coscheduling"),
        ("labels", "kai.scheduler/queue", "kai"),
        ("annotations", "pod-group-name", "kai"),
        ("annotations", "yunikorn.apache.org/task-group-name", "yunikorn"),
        ("annotations", "yunikorn.apache.org/task-groups", "yunikorn"),
        ("annotations", "gang.scheduling.koordinator.sh/name", "koordinator"),
        ("labels", "ray.io/gang-scheduling-enabled", "ray"),
    ],
)
def test_a_label_or_annotation(where, key, system):
    on_object = job(metadata={where: {key: "x"}})
    assert marks(on_object) == [(system, ("metadata", where, key), None)]
    on_pod = job(pod={where: {key: "x"}})
    assert marks(on_pod) == [(system, (*TEMPLATE, "metadata", where, key), None)]
    assert on_object.has_gang
    assert on_pod.has_gang
    other = "annotations" if where == "labels" else "labels"
    assert marks(job(metadata={other: {key: "x"}})) == []
    assert marks(job(metadata={where: {key: ""}})) == []
    assert marks(job(metadata={where: {key: 3}})) == []


@pytest.mark.parametrize(
    ("metadata", "minimum"),
    [
        (
            {
                "labels": {"kueue.x-k8s.io/pod-group-name": "g"},
                "annotations": {"kueue.x-k8s.io/pod-group-total-count": "4"},
            },
            4,
        ),
        (
            {
                "annotations": {
                    "gang.scheduling.koordinator.sh/name": "g",
                    "gang.scheduling.koordinator.sh/min-available": "3",
                }
            },
            3,
        ),
        ({"annotations": {"scheduling.volcano.sh/group-min-member": "2"}}, 2),
        ({"annotations": {"kai.scheduler/batch-min-member": "5"}}, 5),
        ({"annotations": {"kai.scheduler/batch-min-member": "many"}}, None),
        ({"annotations": {"kai.scheduler/batch-min-member": "9" * 30}}, None),
    ],
)
def test_the_smallest_number_that_a_mark_names(metadata, minimum):
    assert [mark.minimum for mark in job(pod=metadata).gang_marks] == [minimum]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"schedulingGroup": {"podGroupName": "g"}},
            [("kubernetes", (*TEMPLATE, "spec", "schedulingGroup"), None)],
        ),
        (
            {"workloadRef": {"name": "w", "podGroup": "g"}},
            [("kubernetes", (*TEMPLATE, "spec", "workloadRef"), None)],
        ),
        (
            {"schedulerName": "kai-scheduler"},
            [("kai", (*TEMPLATE, "spec", "schedulerName"), None)],
        ),
        (
            {"schedulerName": "volcano"},
            [("volcano", (*TEMPLATE, "spec", "schedulerName"), None)],
        ),
        (
            {"schedulerName": "slurm-bridge-scheduler"},
            [("slurm", (*TEMPLATE, "spec", "schedulerName"), None)],
        ),
        ({"schedulerName": "default-scheduler"}, []),
        ({"schedulingGroup": {}}, []),
        ({"schedulingGroup": "g"}, []),
    ],
)
def test_a_field_of_the_pod(spec, expected):
    assert marks(job(spec=spec)) == expected


def test_the_scheduling_policy_of_a_job():
    policy = {"schedulingPolicy": {"gang": {"minCount": 4}}}
    found = job(job_spec={"scheduling": policy})
    assert marks(found) == [("kubernetes", ("spec", "scheduling", "schedulingPolicy", "gang"), 4)]
    assert marks(job(job_spec={"scheduling": {"schedulingPolicy": {"basic": {}}}})) == []


def test_the_scheduling_policy_of_kubeflow():
    def of(policy):
        return workload(
            {
                "apiVersion": "kubeflow.org/v1",
                "kind": "PyTorchJob",
                "spec": {"runPolicy": {"schedulingPolicy": policy}, "pytorchReplicaSpecs": {}},
            }
        )

    found = of({"minAvailable": 3})
    assert marks(found) == [("kubeflow", ("spec", "runPolicy", "schedulingPolicy"), 3)]
    assert marks(of({})) == marks(of(None)) == marks(of("x")) == []


def test_ray_may_say_that_it_does_without():
    def of(value):
        return workload(
            {
                "apiVersion": "ray.io/v1",
                "kind": "RayCluster",
                "metadata": {"labels": {"ray.io/gang-scheduling-enabled": value}},
                "spec": {},
            }
        )

    assert of("true").has_gang
    assert not of("false").has_gang
    assert not of("False").has_gang


def test_kinds_that_are_gangs_themselves():
    volcano = workload({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {}})
    assert volcano.has_gang
    assert volcano.gang_marks == ()
    assert volcano.row.minimum == ("spec", "minAvailable")
    assert not job().has_gang


def test_a_mark_of_a_pod_is_named_once():
    found = workload(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}},
            "spec": {"containers": []},
        }
    )
    assert marks(found) == [("kueue", ("metadata", "labels", "kueue.x-k8s.io/queue-name"), None)]


def test_several_systems_may_be_asked_at_once():
    found = job(
        metadata={"labels": {"kueue.x-k8s.io/queue-name": "q"}}, spec={"schedulerName": "volcano"}
    )
    assert [mark.system for mark in found.gang_marks] == ["kueue", "volcano"]
