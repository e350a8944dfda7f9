"""Where pod templates lie, for readers outside Python: paths that CEL can walk.

An admission policy cannot call `gpuyard.dialects.workloads`, so the same table is written here as
plain paths; `EACH_ITEM` stands for every item of a list, `EACH_VALUE` for every value of a mapping.
That both tables say the same is a test.

Kinds that are completed by another object (TrainJob, KServe's) have no path: what is missing in
them proves nothing, and a policy sees nothing else. The webhook looks at them all the same. Kueue's
Workload is left out of everything: Kueue makes it of an object that was looked at already.
"""

from typing import Final

import msgspec

EACH_ITEM: Final = "[]"
EACH_VALUE: Final = "{}"

Walk = tuple[str, ...]


class Places(msgspec.Struct, frozen=True):
    """The kinds of one API group whose pod templates lie at the same paths."""

    group: str
    kinds: tuple[str, ...]
    templates: tuple[Walk, ...]
    """The PodTemplateSpecs; ``()`` where the object is one itself (a Pod)."""


_TEMPLATE: Walk = ("spec", "template")
_LEADERS: Walk = ("spec", "leaderWorkerTemplate")


def _ray(*spec: str, submitter: Walk = ()) -> tuple[Walk, ...]:
    """Return the paths below a RayClusterSpec, and that of the pod that hands in the job."""
    groups = (
        (*spec, "headGroupSpec", "template"),
        (*spec, "workerGroupSpecs", EACH_ITEM, "template"),
    )
    return (*groups, submitter) if submitter else groups


def _roles(kind: str, field: str) -> Places:
    """Return the row of a Kubeflow job, which has a template for each role."""
    return Places("kubeflow.org", (kind,), (("spec", field, EACH_VALUE, "template"),))


PLACES: tuple[Places, ...] = (
    Places("", ("Pod",), ((),)),
    Places("", ("PodTemplate",), (("template",),)),
    Places("", ("ReplicationController",), (_TEMPLATE,)),
    Places("apps", ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"), (_TEMPLATE,)),
    Places("argoproj.io", ("Rollout",), (_TEMPLATE,)),
    Places("batch", ("Job",), (_TEMPLATE,)),
    Places("batch", ("CronJob",), (("spec", "jobTemplate", "spec", "template"),)),
    Places("batch.volcano.sh", ("Job",), (("spec", "tasks", EACH_ITEM, "template"),)),
    Places(
        "jobset.x-k8s.io",
        ("JobSet",),
        (("spec", "replicatedJobs", EACH_ITEM, "template", "spec", "template"),),
    ),
    _roles("JAXJob", "jaxReplicaSpecs"),
    _roles("MPIJob", "mpiReplicaSpecs"),
    _roles("PaddleJob", "paddleReplicaSpecs"),
    _roles("PyTorchJob", "pytorchReplicaSpecs"),
    _roles("TFJob", "tfReplicaSpecs"),
    _roles("XGBoostJob", "xgbReplicaSpecs"),
    Places(
        "leaderworkerset.x-k8s.io",
        ("LeaderWorkerSet",),
        ((*_LEADERS, "leaderTemplate"), (*_LEADERS, "workerTemplate")),
    ),
    Places("ray.io", ("RayCluster",), _ray("spec")),
    Places(
        "ray.io",
        ("RayCronJob",),
        _ray(
            *("spec", "jobTemplate", "rayClusterSpec"),
            submitter=("spec", "jobTemplate", "submitterPodTemplate"),
        ),
    ),
    Places(
        "ray.io",
        ("RayJob",),
        _ray("spec", "rayClusterSpec", submitter=("spec", "submitterPodTemplate")),
    ),
    Places("ray.io", ("RayService",), _ray("spec", "rayClusterConfig")),
    Places("serving.knative.dev", ("Service",), (_TEMPLATE,)),
)

COMPLETED_ELSEWHERE: tuple[tuple[str, str], ...] = (
    ("serving.kserve.io", "InferenceService"),
    ("serving.kserve.io", "LLMInferenceService"),
    ("serving.kserve.io", "LLMInferenceServiceConfig"),
    ("trainer.kubeflow.org", "TrainJob"),
    ("trainer.kubeflow.org", "TrainingRuntime"),
)
"""Kinds of namespaces without a path, by group."""

COMPLETED_CLUSTER_WIDE: tuple[tuple[str, str], ...] = (
    ("trainer.kubeflow.org", "ClusterTrainingRuntime"),
)
"""The same, of kinds without a namespace."""


def plural(kind: str) -> str:
    """Return the resource name of a kind; those of the table are all regular."""
    return f"{kind.lower()}s"
