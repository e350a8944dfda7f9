"""The table of workload kinds: for each kind where its pods lie, what they are, and how many."""

import doctest

import pytest

from gpuyard.dialects import plain, workloads
from gpuyard.dialects.workloads import KINDS, ROWS, api_group, workload
from gpuyard.dialects.workloads.counts import times, total

GPU = {"name": "main", "resources": {"limits": {"nvidia.com/gpu": 2}}}
POD = {"spec": {"containers": [GPU]}}


def of(api_version, kind, spec, **more):
    """Return the view of an object."""
    found = workload({"apiVersion": api_version, "kind": kind, "spec": spec, **more})
    assert found is not None
    return found


def shown(found):
    """Return path, role and count of each pod."""
    return [(".".join(map(str, pod.path)), pod.role, pod.count) for pod in found.pods]


def job(**more):
    return {"template": POD, **more}


RAY = {
    "headGroupSpec": {"template": POD},
    "workerGroupSpecs": [
        {"groupName": "gpu", "replicas": 3, "minReplicas": 1, "maxReplicas": 5, "template": POD},
        {"groupName": "tpu", "replicas": 2, "numOfHosts": 4, "template": POD},
    ],
}
RAY_PODS = [
    ("headGroupSpec.template", "head", 1),
    ("workerGroupSpecs.0.template", "gpu", 3),
    ("workerGroupSpecs.1.template", "tpu", 8),
]


def ray_pods(prefix):
    return [(f"{prefix}.{path}", role, count) for path, role, count in RAY_PODS]


def kubeflow(field, *roles):
    spec = {field: {role: {"replicas": n + 1, "template": POD} for n, role in enumerate(roles)}}
    pods = [(f"spec.{field}.{role}.template", role, n + 1) for n, role in enumerate(roles)]
    return spec, pods


CASES = [
    ("v1", "Pod", POD["spec"], [("", "pod", 1)]),
    ("v1", "ReplicationController", job(replicas=3), [("spec.template", "pod", 3)]),
    ("apps/v1", "ReplicaSet", job(replicas=3), [("spec.template", "pod", 3)]),
    ("apps/v1", "Deployment", job(replicas=3), [("spec.template", "pod", 3)]),
    ("apps/v1", "Deployment", job(), [("spec.template", "pod", 1)]),
    ("apps/v1", "Deployment", job(replicas=0), [("spec.template", "pod", 0)]),
    ("apps/v1", "StatefulSet", job(replicas=4), [("spec.template", "pod", 4)]),
    ("apps/v1", "DaemonSet", job(), [("spec.template", "pod", None)]),
    ("argoproj.io/v1alpha1", "Rollout", job(replicas=2), [("spec.template", "pod", 2)]),
    ("argoproj.io/v1alpha1", "Rollout", {"workloadRef": {"name": "x"}}, []),
    ("serving.knative.dev/v1", "Service", job(), [("spec.template", "pod", None)]),
    ("batch/v1", "Job", job(), [("spec.template", "pod", 1)]),
    ("batch/v1", "Job", job(parallelism=4), [("spec.template", "pod", 4)]),
    ("batch/v1", "Job", job(parallelism=8, completions=4), [("spec.template", "pod", 4)]),
    ("batch/v1", "Job", job(completions=4), [("spec.template", "pod", 1)]),
    (
        *("batch/v1", "CronJob", {"jobTemplate": {"spec": job(parallelism=2)}}),
        [("spec.jobTemplate.spec.template", "pod", 2)],
    ),
    (
        *("jobset.x-k8s.io/v1alpha2", "JobSet"),
        {
            "replicatedJobs": [
                {"name": "leader", "template": {"spec": job()}},
                {"name": "workers", "replicas": 2, "template": {"spec": job(parallelism=3)}},
            ]
        },
        [
            ("spec.replicatedJobs.0.template.spec.template", "leader", 1),
            ("spec.replicatedJobs.1.template.spec.template", "workers", 6),
        ],
    ),
    (
        *("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
        {
            "replicas": 3,
            "leaderWorkerTemplate": {"size": 4, "leaderTemplate": POD, "workerTemplate": POD},
        },
        [
            ("spec.leaderWorkerTemplate.leaderTemplate", "leader", 3),
            ("spec.leaderWorkerTemplate.workerTemplate", "worker", 9),
        ],
    ),
    (
        *("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
        {"replicas": 3, "leaderWorkerTemplate": {"size": 4, "workerTemplate": POD}},
        [("spec.leaderWorkerTemplate.workerTemplate", "worker", 12)],
    ),
    (
        *("kueue.x-k8s.io/v1beta2", "Workload"),
        {"podSets": [{"name": "a", "count": 2, "minCount": 1, "template": POD}, {"template": POD}]},
        [("spec.podSets.0.template", "a", 2), ("spec.podSets.1.template", "", 1)],
    ),
    (
        *("trainer.kubeflow.org/v1alpha1", "TrainJob"),
        {"trainer": {"numNodes": 4, "resourcesPerNode": GPU["resources"]}},
        [("spec.trainer", "node", 4)],
    ),
    (
        "trainer.kubeflow.org/v1alpha1",
        "TrainJob",
        {"trainer": {}},
        [("spec.trainer", "node", None)],
    ),
    ("trainer.kubeflow.org/v1alpha1", "TrainJob", {"runtimeRef": {"name": "torch"}}, []),
    *(
        (
            *("trainer.kubeflow.org/v1alpha1", kind),
            {
                "template": {
                    "spec": {"replicatedJobs": [{"name": "node", "template": {"spec": job()}}]}
                }
            },
            [("spec.template.spec.replicatedJobs.0.template.spec.template", "node", 1)],
        )
        for kind in ("ClusterTrainingRuntime", "TrainingRuntime")
    ),
    ("kubeflow.org/v1", "PyTorchJob", *kubeflow("pytorchReplicaSpecs", "Master", "Worker")),
    ("kubeflow.org/v1", "TFJob", *kubeflow("tfReplicaSpecs", "Chief", "PS", "Worker")),
    ("kubeflow.org/v1", "XGBoostJob", *kubeflow("xgbReplicaSpecs", "Master", "Worker")),
    ("kubeflow.org/v1", "PaddleJob", *kubeflow("paddleReplicaSpecs", "Worker")),
    ("kubeflow.org/v1", "JAXJob", *kubeflow("jaxReplicaSpecs", "Worker")),
    ("kubeflow.org/v1", "MPIJob", *kubeflow("mpiReplicaSpecs", "Launcher", "Worker")),
    ("kubeflow.org/v2beta1", "MPIJob", *kubeflow("mpiReplicaSpecs", "Launcher", "Worker")),
    (
        *("kubeflow.org/v1", "PyTorchJob", {"pytorchReplicaSpecs": {"Worker": job()}}),
        [("spec.pytorchReplicaSpecs.Worker.template", "Worker", 1)],
    ),
    (
        *("kubeflow.org/v2beta1", "MPIJob", {"mpiReplicaSpecs": {"Worker": job()}}),
        [("spec.mpiReplicaSpecs.Worker.template", "Worker", 0)],
    ),
    ("ray.io/v1", "RayCluster", RAY, ray_pods("spec")),
    (
        *("ray.io/v1", "RayJob", {"rayClusterSpec": RAY, "submitterPodTemplate": POD}),
        [*ray_pods("spec.rayClusterSpec"), ("spec.submitterPodTemplate", "submitter", 1)],
    ),
    ("ray.io/v1", "RayJob", {"clusterSelector": {"ray.io/cluster": "x"}}, []),
    (
        *("ray.io/v1", "RayCronJob", {"jobTemplate": {"rayClusterSpec": RAY}}),
        ray_pods("spec.jobTemplate.rayClusterSpec"),
    ),
    ("ray.io/v1", "RayService", {"rayClusterConfig": RAY}, ray_pods("spec.rayClusterConfig")),
    (
        *("batch.volcano.sh/v1alpha1", "Job"),
        {"tasks": [{"name": "m", "replicas": 1, "template": POD}, {"name": "w", "template": POD}]},
        [("spec.tasks.0.template", "m", 1), ("spec.tasks.1.template", "w", 0)],
    ),
    (
        *("serving.kserve.io/v1beta1", "InferenceService"),
        {"predictor": {"minReplicas": 2, "model": GPU}, "transformer": {"containers": [GPU]}},
        [("spec.predictor", "predictor", 2), ("spec.transformer", "transformer", 1)],
    ),
    (
        *("serving.kserve.io/v1beta1", "InferenceService"),
        {"predictor": {"model": GPU, "workerSpec": {"containers": [GPU]}}},
        [("spec.predictor", "predictor", 1), ("spec.predictor.workerSpec", "worker", None)],
    ),
    (
        *("serving.kserve.io/v1alpha2", "LLMInferenceService"),
        {
            "replicas": 2,
            "template": POD["spec"],
            "worker": POD["spec"],
            "prefill": {"scaling": {"maxReplicas": 3}, "template": POD["spec"]},
        },
        [
            ("spec.template", "leader", 2),
            ("spec.worker", "worker", None),
            ("spec.prefill.template", "prefill-server", None),
        ],
    ),
    (
        *("serving.kserve.io/v1alpha1", "LLMInferenceServiceConfig", {"template": POD["spec"]}),
        [("spec.template", "server", 1)],
    ),
]


@pytest.mark.parametrize(("api_version", "kind", "spec", "expected"), CASES)
def test_pods(api_version, kind, spec, expected):
    found = of(api_version, kind, spec)
    assert shown(found) == expected
    for pod in found.pods:
        assert pod.whole_gpus == 2 or kind == "TrainJob"
        assert plain.get(found.value, *pod.path) is not None


def test_every_row_of_the_table_has_a_case():
    tested = {(api_group(api_version), kind) for api_version, kind, *_ in CASES}
    assert set(KINDS) - tested == {("", "PodTemplate")}
    assert len(KINDS) == len(ROWS) == 31


def test_a_pod_template_object():
    found = workload({"apiVersion": "v1", "kind": "PodTemplate", "template": POD})
    assert shown(found) == [("template", "pod", 1)]


def test_the_example_at_the_head_of_the_room_is_true():
    assert doctest.testmod(workloads).failed == 0
    assert doctest.testmod(workloads).attempted >= 8


@pytest.mark.parametrize(
    "value",
    [
        *[
            None,
            3,
            "x",
            [],
            {},
            {"kind": "Pod"},
            {"apiVersion": "v1"},
            {"apiVersion": 1, "kind": 2},
        ],
        {"apiVersion": "v1", "kind": "Service", "spec": POD},
        {"apiVersion": "apps/v1", "kind": "Pod", "spec": POD["spec"]},
        {"apiVersion": "batch/v1", "kind": "job", "spec": job()},
        {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {}},
    ],
)
def test_what_is_no_workload(value):
    assert workload(value) is None


@pytest.mark.parametrize(
    ("api_version", "expected"),
    [("v1", ""), ("apps/v1", "apps"), ("ray.io/v1", "ray.io"), ("", ""), ("a/b/c", "a")],
)
def test_api_group(api_version, expected):
    assert api_group(api_version) == expected


# --- How many ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (None, 1),
        (2, 2),
        (2.0, 2),
        (0, 0),
        (-3, 0),
        ("2", None),
        (True, None),
        (1.5, None),
        ([], None),
    ],
)
def test_a_count_that_is_no_number_is_not_known(replicas, expected):
    assert of("apps/v1", "Deployment", job(replicas=replicas)).pods_total == expected


@pytest.mark.parametrize(
    ("group", "count", "minimum"),
    [
        ({}, 0, 0),
        ({"minReplicas": 2}, 2, 2),
        ({"replicas": 1, "minReplicas": 2}, 2, 2),
        ({"replicas": 9, "maxReplicas": 4}, 4, 0),
        ({"replicas": 3, "numOfHosts": 2, "minReplicas": 1}, 6, 2),
        ({"replicas": 3, "suspend": True}, 0, 0),
        ({"replicas": "x"}, None, 0),
        ({"replicas": 3, "numOfHosts": "x"}, None, 0),
    ],
)
def test_workers_of_a_ray_cluster(group, count, minimum):
    found = of("ray.io/v1", "RayCluster", {"workerGroupSpecs": [{**group, "template": POD}]})
    assert [(pod.role, pod.count, pod.place.minimum) for pod in found.pods] == [
        ("worker", count, minimum)
    ]


@pytest.mark.parametrize(
    ("factors", "expected"),
    [((2, 3), 6), ((2, None), None), ((0, None), 0), ((None, 0), 0), ((), 1)],
)
def test_times(factors, expected):
    assert times(*factors) == expected


@pytest.mark.parametrize(("counts", "expected"), [([1, 2], 3), ([1, None], None), ([], 0)])
def test_total(counts, expected):
    assert total(counts) == expected


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "pods", "gpus", "together"),
    [
        ("apps/v1", "Deployment", job(replicas=3), 3, 6, 1),
        ("apps/v1", "DaemonSet", job(), None, None, 1),
        ("batch/v1", "Job", job(parallelism=4), 4, 8, 4),
        ("ray.io/v1", "RayCluster", RAY, 12, 24, 12),
        (
            *("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
            {
                "replicas": 3,
                "leaderWorkerTemplate": {"size": 4, "leaderTemplate": POD, "workerTemplate": POD},
            },
            *(12, 24, 4),
        ),
        (
            *("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
            {"leaderWorkerTemplate": {"workerTemplate": POD}},
            *(1, 2, 1),
        ),
        ("serving.kserve.io/v1beta1", "InferenceService", {"predictor": {"model": GPU}}, 1, 2, 1),
        ("serving.kserve.io/v1alpha2", "LLMInferenceService", {}, 0, 0, 1),
    ],
)
def test_totals(api_version, kind, spec, pods, gpus, together):
    found = of(api_version, kind, spec)
    assert (found.pods_total, found.gpus_total, found.together) == (pods, gpus, together)


# --- What the rows say of a kind ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "leader"),
    [
        ("ray.io/v1", "RayCluster", RAY, "spec.headGroupSpec.template"),
        (
            *("kubeflow.org/v1", "PyTorchJob", kubeflow("pytorchReplicaSpecs", "Master")[0]),
            "spec.pytorchReplicaSpecs.Master.template",
        ),
        ("kubeflow.org/v1", "JAXJob", kubeflow("jaxReplicaSpecs", "Worker")[0], None),
        ("apps/v1", "Deployment", job(), None),
    ],
)
def test_leader(api_version, kind, spec, leader):
    found = of(api_version, kind, spec).leader
    assert (found and ".".join(map(str, found.path))) == leader


@pytest.mark.parametrize(
    ("api_version", "kind", "path"),
    [
        ("batch/v1", "Job", ("spec", "suspend")),
        ("batch/v1", "CronJob", ("spec", "suspend")),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", ("spec", "suspend")),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", ("spec", "suspend")),
        ("kubeflow.org/v1", "PyTorchJob", ("spec", "runPolicy", "suspend")),
        ("kubeflow.org/v2beta1", "MPIJob", ("spec", "runPolicy", "suspend")),
        ("ray.io/v1", "RayCluster", ("spec", "suspend")),
        ("ray.io/v1", "RayJob", ("spec", "suspend")),
    ],
)
def test_suspend(api_version, kind, path):
    spec = True
    for key in reversed(path[1:]):
        spec = {key: spec}
    found = of(api_version, kind, spec)
    assert found.row.suspend == path
    assert found.is_suspended
    assert not of(api_version, kind, {}).is_suspended


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "expected"),
    [
        ("v1", "Pod", {"containers": []}, "Always"),
        ("v1", "Pod", {"restartPolicy": "Never"}, "Never"),
        ("batch/v1", "Job", job(), ""),
        ("batch/v1", "Job", {"template": {"spec": {"restartPolicy": "OnFailure"}}}, "OnFailure"),
        (
            "kubeflow.org/v1",
            "PyTorchJob",
            kubeflow("pytorchReplicaSpecs", "Worker")[0],
            "OnFailure",
        ),
        ("kubeflow.org/v1", "TFJob", kubeflow("tfReplicaSpecs", "Worker")[0], "Never"),
        ("kubeflow.org/v2beta1", "MPIJob", kubeflow("mpiReplicaSpecs", "Launcher")[0], "OnFailure"),
        ("kubeflow.org/v2beta1", "MPIJob", kubeflow("mpiReplicaSpecs", "Worker")[0], "Never"),
        (
            *("kubeflow.org/v1", "PyTorchJob"),
            {"pytorchReplicaSpecs": {"Worker": job(restartPolicy="ExitCode")}},
            "ExitCode",
        ),
    ],
)
def test_restart_policy(api_version, kind, spec, expected):
    (pod,) = of(api_version, kind, spec).pods
    assert pod.restart_policy == expected


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "path"),
    [
        ("batch/v1", "Job", job(), ("spec",)),
        (
            *("batch/v1", "CronJob", {"jobTemplate": {"spec": job()}}),
            ("spec", "jobTemplate", "spec"),
        ),
        (
            *("jobset.x-k8s.io/v1alpha2", "JobSet"),
            {"replicatedJobs": [{"template": {"spec": job(backoffLimit=0)}}]},
            ("spec", "replicatedJobs", 0, "template", "spec"),
        ),
        ("apps/v1", "Deployment", job(), None),
        ("v1", "Pod", {"containers": []}, None),
    ],
)
def test_the_job_around_a_template(api_version, kind, spec, path):
    (pod,) = of(api_version, kind, spec).pods
    assert (pod.job and pod.job.path) == path


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "is_complete"),
    [
        ("apps/v1", "Deployment", job(), False),
        ("apps/v1", "Deployment", job(selector={}), True),
        ("batch/v1", "Job", job(), True),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", {"trainer": {}}, False),
        ("serving.kserve.io/v1beta1", "InferenceService", {"predictor": {"model": {}}}, False),
        (
            "serving.kserve.io/v1beta1",
            "InferenceService",
            {"predictor": {"containers": [{}]}},
            True,
        ),
        ("serving.kserve.io/v1alpha2", "LLMInferenceService", {"template": {}}, False),
    ],
)
def test_a_template_that_something_else_completes(api_version, kind, spec, is_complete):
    (pod,) = of(api_version, kind, spec).pods
    assert pod.is_complete is is_complete


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({"name": "llm", "namespace": "a"}, "Deployment a/llm"),
        ({"name": "llm"}, "Deployment llm"),
        ({"generateName": "llm-"}, "Deployment llm-"),
        ({}, "Deployment without a name"),
        ("x", "Deployment without a name"),
    ],
)
def test_title(metadata, title):
    found = of("apps/v1", "Deployment", job(), metadata=metadata)
    assert found.title == title
    assert found.pods[0].title == title


def test_pods_of_several_roles_are_called_by_their_role():
    found = of("ray.io/v1", "RayCluster", RAY, metadata={"name": "x"})
    assert [pod.title for pod in found.pods] == [
        *("RayCluster x (head)", "RayCluster x (gpu)", "RayCluster x (tpu)")
    ]


def test_labels_of_the_object_and_of_its_pods():
    template = {"metadata": {"labels": {"a": "1", "b": 2}, "annotations": {"c": "3"}}, **POD}
    found = of("apps/v1", "Deployment", {"template": template}, metadata={"labels": {"d": "4"}})
    assert (found.labels, found.annotations) == ({"d": "4"}, {})
    assert (found.pods[0].labels, found.pods[0].annotations) == ({"a": "1"}, {"c": "3"})
    service = {"predictor": {"labels": {"a": "1"}, "model": {}}}
    assert of("serving.kserve.io/v1beta1", "InferenceService", service).pods[0].labels == {"a": "1"}
    llm = {"labels": {"a": "1"}, "template": {}}
    assert of("serving.kserve.io/v1alpha2", "LLMInferenceService", llm).pods[0].labels == {"a": "1"}
