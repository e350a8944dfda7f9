"""The table: every workload kind that gpuyard reads, one row each.

A kind that is not here is no workload to us. To add one, name where its pod templates lie (a
function of `templates`), and fill in the fields that `kinds` explains; the test walks through all
rows.

Sources of the field paths, read in the Go types of k8s.io/api 1.37 (core, apps, batch), jobset
v0.13 (jobset/v1alpha2), lws v0.10 (leaderworkerset/v1), kubeflow trainer v2 of 2026-08
(trainer/v1alpha1; TrainJob and runtimes), kubeflow training-operator release-1.9 (kubeflow.org/v1;
PyTorchJob and its siblings), mpi-operator v0.8 (kubeflow.org/v2beta1), kuberay v1.7 (ray.io/v1),
volcano apis v1.15 (batch/v1alpha1), kserve v0.20 (serving v1beta1 and v1alpha2), kueue v0.20
(kueue/v1beta2).

SparkApplication is missing on purpose: what its driver and executors ask for is spread over fields
of its own, there is no pod template to look at.
"""

from gpuyard.dialects.workloads import templates as at
from gpuyard.dialects.workloads.kinds import Templates, WorkloadKind

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
REPLICA_INDEX = "training.kubeflow.org/replica-index"

_APPS = "apps"


def _kubeflow(
    kind: str,
    specs: str,
    leader: str,
    *,
    templates: Templates | None = None,
    restarts: str = "",
) -> WorkloadKind:
    """Return the row of a kind whose pods are ReplicaSpecs by role."""
    return WorkloadKind(
        group="kubeflow.org",
        kind=kind,
        templates=templates or at.replicas("spec", specs, restarts=restarts),
        lifetime="task",
        together="object",
        leader=leader,
        index_label=REPLICA_INDEX,
        group_label="training.kubeflow.org/job-name",
        suspend=("spec", "runPolicy", "suspend"),
        deadline=("spec", "runPolicy", "activeDeadlineSeconds"),
        keeps=("spec", "runPolicy", "ttlSecondsAfterFinished"),
        retries=("spec", "runPolicy", "backoffLimit"),
        minimum=("spec", "runPolicy", "schedulingPolicy", "minAvailable"),
        queue=("spec", "runPolicy", "schedulingPolicy", "queue"),
    )


ROWS: tuple[WorkloadKind, ...] = (
    # --- Kubernetes itself ----------------------------------------------------------------------
    WorkloadKind(group="", kind="Pod", templates=at.pod, lifetime="pod"),
    WorkloadKind(group="", kind="PodTemplate", templates=at.single("template"), lifetime="pod"),
    WorkloadKind(
        group="",
        kind="ReplicationController",
        templates=at.single("spec", "template", count=("spec", "replicas")),
        lifetime="service",
        selector=("spec", "selector"),
    ),
    WorkloadKind(
        group=_APPS,
        kind="ReplicaSet",
        templates=at.single("spec", "template", count=("spec", "replicas")),
        lifetime="service",
        selector=("spec", "selector"),
    ),
    WorkloadKind(
        group=_APPS,
        kind="Deployment",
        templates=at.single("spec", "template", count=("spec", "replicas")),
        lifetime="service",
        selector=("spec", "selector"),
    ),
    WorkloadKind(
        group=_APPS,
        kind="StatefulSet",
        templates=at.single("spec", "template", count=("spec", "replicas")),
        lifetime="service",
        index_label="apps.kubernetes.io/pod-index",
        selector=("spec", "selector"),
    ),
    WorkloadKind(
        group=_APPS,
        kind="DaemonSet",
        templates=at.single("spec", "template", default=None),
        lifetime="daemon",
        selector=("spec", "selector"),
    ),
    WorkloadKind(
        group="batch",
        kind="Job",
        templates=at.job("spec"),
        lifetime="task",
        together="object",
        index_label=COMPLETION_INDEX,
        group_label="batch.kubernetes.io/job-name",
        selector=("spec", "selector"),
        suspend=("spec", "suspend"),
        deadline=("spec", "activeDeadlineSeconds"),
        keeps=("spec", "ttlSecondsAfterFinished"),
        retries=("spec", "backoffLimit"),
    ),
    WorkloadKind(
        group="batch",
        kind="CronJob",
        templates=at.job("spec", "jobTemplate", "spec"),
        lifetime="task",
        together="object",
        index_label=COMPLETION_INDEX,
        suspend=("spec", "suspend"),
        deadline=("spec", "jobTemplate", "spec", "activeDeadlineSeconds"),
        keeps=("spec", "jobTemplate", "spec", "ttlSecondsAfterFinished"),
        retries=("spec", "jobTemplate", "spec", "backoffLimit"),
    ),
    # --- Kubernetes SIGs ------------------------------------------------------------------------
    WorkloadKind(
        group="jobset.x-k8s.io",
        kind="JobSet",
        templates=at.replicated_jobs("spec"),
        lifetime="task",
        together="object",
        index_label=COMPLETION_INDEX,
        group_label="jobset.sigs.k8s.io/jobset-name",
        suspend=("spec", "suspend"),
        keeps=("spec", "ttlSecondsAfterFinished"),
        retries=("spec", "failurePolicy", "maxRestarts"),
    ),
    WorkloadKind(
        group="leaderworkerset.x-k8s.io",
        kind="LeaderWorkerSet",
        templates=at.leader_workers,
        lifetime="service",
        together="group",
        leader="leader",
        index_label="leaderworkerset.sigs.k8s.io/worker-index",
        group_label="leaderworkerset.sigs.k8s.io/name",
    ),
    WorkloadKind(
        group="kueue.x-k8s.io",
        kind="Workload",
        templates=at.listed("spec", "podSets", count="count", minimum="minCount", default=1),
        lifetime="task",
        together="object",
        deadline=("spec", "maximumExecutionTimeSeconds"),
        queue=("spec", "queueName"),
        gangs_itself=True,  # quota is granted to all pod sets or to none
    ),
    # --- Kubeflow -------------------------------------------------------------------------------
    WorkloadKind(
        group="trainer.kubeflow.org",
        kind="TrainJob",
        templates=at.train_job,
        lifetime="task",
        together="object",
        index_label=COMPLETION_INDEX,
        group_label="jobset.sigs.k8s.io/jobset-name",
        suspend=("spec", "suspend"),
        deadline=("spec", "activeDeadlineSeconds"),
    ),
    *(
        WorkloadKind(
            group="trainer.kubeflow.org",
            kind=kind,
            templates=at.replicated_jobs("spec", "template", "spec", completed_by="TrainJob"),
            lifetime="task",
            together="object",
            index_label=COMPLETION_INDEX,
        )
        for kind in ("ClusterTrainingRuntime", "TrainingRuntime")
    ),
    _kubeflow("PyTorchJob", "pytorchReplicaSpecs", "Master", restarts="OnFailure"),
    _kubeflow("TFJob", "tfReplicaSpecs", "Chief", restarts="Never"),
    _kubeflow("XGBoostJob", "xgbReplicaSpecs", "Master", restarts="Never"),
    _kubeflow("PaddleJob", "paddleReplicaSpecs", "Master", restarts="OnFailure"),
    _kubeflow("JAXJob", "jaxReplicaSpecs", "", restarts="Never"),
    _kubeflow("MPIJob", "mpiReplicaSpecs", "Launcher", templates=at.mpi_job),
    # --- Ray ------------------------------------------------------------------------------------
    WorkloadKind(
        group="ray.io",
        kind="RayCluster",
        templates=at.ray_cluster("spec"),
        lifetime="service",
        together="object",
        leader="head",
        group_label="ray.io/cluster",
        suspend=("spec", "suspend"),
    ),
    WorkloadKind(
        group="ray.io",
        kind="RayJob",
        templates=at.ray_cluster(
            "spec", "rayClusterSpec", submitter=("spec", "submitterPodTemplate")
        ),
        lifetime="task",
        together="object",
        leader="head",
        suspend=("spec", "suspend"),
        deadline=("spec", "activeDeadlineSeconds"),
        keeps=("spec", "ttlSecondsAfterFinished"),
        retries=("spec", "backoffLimit"),
    ),
    WorkloadKind(
        group="ray.io",
        kind="RayCronJob",
        templates=at.ray_cluster(
            *("spec", "jobTemplate", "rayClusterSpec"),
            submitter=("spec", "jobTemplate", "submitterPodTemplate"),
        ),
        lifetime="task",
        together="object",
        leader="head",
        suspend=("spec", "suspend"),
        deadline=("spec", "jobTemplate", "activeDeadlineSeconds"),
        keeps=("spec", "jobTemplate", "ttlSecondsAfterFinished"),
        retries=("spec", "jobTemplate", "backoffLimit"),
    ),
    WorkloadKind(
        group="ray.io",
        kind="RayService",
        templates=at.ray_cluster("spec", "rayClusterConfig"),
        lifetime="service",
        together="object",
        leader="head",
        suspend=("spec", "suspend"),
    ),
    # --- Volcano --------------------------------------------------------------------------------
    WorkloadKind(
        group="batch.volcano.sh",
        kind="Job",
        templates=at.listed("spec", "tasks", count="replicas", minimum="minAvailable", default=0),
        lifetime="task",
        together="object",
        index_label="volcano.sh/task-index",
        group_label="volcano.sh/job-name",
        keeps=("spec", "ttlSecondsAfterFinished"),
        retries=("spec", "maxRetry"),
        minimum=("spec", "minAvailable"),
        queue=("spec", "queue"),
        gangs_itself=True,
    ),
    # --- Serving --------------------------------------------------------------------------------
    WorkloadKind(
        group="serving.kserve.io",
        kind="InferenceService",
        templates=at.inference_service,
        lifetime="service",
        group_label="serving.kserve.io/inferenceservice",
    ),
    *(
        WorkloadKind(
            group="serving.kserve.io",
            kind=kind,
            templates=at.llm_inference_service,
            lifetime="service",
            together="group",
            leader="leader",
        )
        for kind in ("LLMInferenceService", "LLMInferenceServiceConfig")
    ),
    WorkloadKind(
        group="serving.knative.dev",
        kind="Service",
        templates=at.single("spec", "template", default=None),
        lifetime="service",
    ),
    WorkloadKind(
        group="argoproj.io",
        kind="Rollout",
        templates=at.single("spec", "template", count=("spec", "replicas")),
        lifetime="service",
        selector=("spec", "selector"),
    ),
)

KINDS: dict[tuple[str, str], WorkloadKind] = {row.key: row for row in ROWS}
"""Rows by API group and kind; the version of the API does not matter."""
