"""Where pod templates lie: one function for each way in which kinds keep them.

Each function makes the reader of one table row: object in, `TemplateAt`s out. Only what is there
comes out: a row names all places where a template may lie, an object has some of them.

Field paths were read in the Go types of each project; `table` names them with their versions.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import counts
from gpuyard.dialects.workloads.kinds import TemplateAt, Templates

Object = Mapping[str, object]

PREDICTORS = (
    *("model", "huggingface", "triton", "pytorch", "tensorflow", "onnx"),
    *("sklearn", "xgboost", "lightgbm", "paddle", "pmml"),
)
"""Fields of a KServe predictor that hold its container, beside ``containers``."""


def pod(value: Object) -> Iterator[TemplateAt]:
    """Return a Pod as its own template."""
    if plain.get(value, "spec") is not None:
        yield TemplateAt(path=(), spec=("spec",), metadata=("metadata",))


def single(
    *path: str, count: Path = (), default: int | None = 1, restarts: str = "Always"
) -> Templates:
    """Return the reader of a kind with one template at `path` and its number of pods at `count`."""

    def templates(value: Object) -> Iterator[TemplateAt]:
        pods = counts.number(value, *count, default=default) if count else default
        yield from _template(value, path, count=pods, restarts=restarts)

    return templates


def job(*path: str) -> Templates:
    """Return the reader of a kind whose JobSpec lies at `path`."""

    def templates(value: Object) -> Iterator[TemplateAt]:
        pods = counts.at_once(plain.mapping(value, *path))
        yield from _template(value, (*path, "template"), count=pods, is_job=True, restarts="")

    return templates


def replicated_jobs(*path: str, completed_by: str = "") -> Templates:
    """Return the reader of a kind whose JobSetSpec lies at `path`."""

    def templates(value: Object) -> Iterator[TemplateAt]:
        for index, each in plain.mappings(value, *path, "replicatedJobs"):
            spec = ("template", "spec")
            yield from _template(
                value,
                (*path, "replicatedJobs", index, *spec, "template"),
                role=plain.text(each, "name"),
                count=counts.times(
                    counts.number(each, "replicas", default=1),
                    counts.at_once(plain.mapping(each, *spec)),
                ),
                is_job=True,
                restarts="",
                completed_by=completed_by,
            )

    return templates


def replicas(*path: str, restarts: str) -> Templates:
    """Return the reader of a Kubeflow job: one ReplicaSpec for each role at `path`.

    A ReplicaSpec without ``replicas`` makes one pod.
    """

    def templates(value: Object) -> Iterator[TemplateAt]:
        for role, each in plain.mapping(value, *path).items():
            yield from _template(
                value,
                (*path, role, "template"),
                role=role,
                count=counts.number(each, "replicas", default=1),
                restarts=restarts,
            )

    return templates


def mpi_job(value: Object) -> Iterator[TemplateAt]:
    """Return the templates of an MPIJob: no workers unless asked for, and a launcher."""
    for role, replicas_default, restarts in ("Launcher", 1, "OnFailure"), ("Worker", 0, "Never"):
        place: Path = ("spec", "mpiReplicaSpecs", role)
        yield from _template(
            value,
            (*place, "template"),
            role=role,
            count=counts.number(value, *place, "replicas", default=replicas_default),
            restarts=restarts,
        )


def listed(*path: str, count: str, minimum: str, default: int) -> Templates:
    """Return the reader of a kind that lists named templates at `path` (tasks, pod sets)."""

    def templates(value: Object) -> Iterator[TemplateAt]:
        for index, each in plain.mappings(value, *path):
            yield from _template(
                value,
                (*path, index, "template"),
                role=plain.text(each, "name"),
                count=counts.number(each, count, default=default),
                minimum=counts.number(each, minimum, default=None),
            )

    return templates


def leader_workers(value: Object) -> Iterator[TemplateAt]:
    """Return the templates of a LeaderWorkerSet.

    Without a leader template, the worker template makes the leaders too.
    """
    groups, size = counts.leader_worker(plain.mapping(value, "spec"))
    base: Path = ("spec", "leaderWorkerTemplate")
    has_leader = isinstance(plain.get(value, *base, "leaderTemplate"), Mapping)
    if has_leader:
        yield from _template(
            value, (*base, "leaderTemplate"), role="leader", count=groups, per_group=1
        )
    workers = counts.one_less(size) if has_leader else size
    yield from _template(
        value,
        (*base, "workerTemplate"),
        role="worker",
        count=counts.times(groups, workers),
        per_group=workers,
    )


def ray_cluster(*path: str, submitter: Path = ()) -> Templates:
    """Return the reader of a kind whose RayClusterSpec lies at `path`."""

    def templates(value: Object) -> Iterator[TemplateAt]:
        yield from _template(value, (*path, "headGroupSpec", "template"), role="head")
        for index, group in plain.mappings(value, *path, "workerGroupSpecs"):
            yield from _template(
                value,
                (*path, "workerGroupSpecs", index, "template"),
                role=plain.text(group, "groupName") or "worker",
                count=counts.ray_workers(group),
                minimum=counts.ray_fewest(group),
            )
        if submitter:
            yield from _template(value, submitter, role="submitter", restarts="Never")

    return templates


def train_job(value: Object) -> Iterator[TemplateAt]:
    """Return what a TrainJob says of its trainer; its runtime says the rest."""
    if isinstance(plain.get(value, "spec", "trainer"), Mapping):
        place: Path = ("spec", "trainer")
        yield TemplateAt(
            path=place,
            spec=(*place, "podTemplate"),  # it has none: what is asked of its PodSpec is empty
            metadata=(*place, "podTemplate"),
            role="node",
            count=counts.number(value, *place, "numNodes", default=None),
            restarts="",
            containers=(place,),
            renamed=(("resources", "resourcesPerNode"),),
            completed_by="TrainingRuntime",
        )


def inference_service(value: Object) -> Iterator[TemplateAt]:
    """Return the components of a KServe InferenceService: PodSpecs with more fields."""
    for role in ("predictor", "transformer", "explainer"):
        place: Path = ("spec", role)
        component = plain.get(value, *place)
        if not isinstance(component, Mapping):
            continue
        yield TemplateAt(
            path=place,
            spec=place,
            metadata=place,
            role=role,
            count=counts.number(component, "minReplicas", default=1),
            containers=tuple(
                (*place, name) for name in PREDICTORS if isinstance(component.get(name), Mapping)
            ),
            completed_by="" if component.get("containers") else "ServingRuntime",
        )
        if isinstance(component.get("workerSpec"), Mapping):
            yield TemplateAt(
                path=(*place, "workerSpec"),
                spec=(*place, "workerSpec"),
                metadata=place,
                role="worker",
                count=None,  # from the parallel sizes, its own and the runtime's
                completed_by="ServingRuntime",
            )


def llm_inference_service(value: Object) -> Iterator[TemplateAt]:
    """Return the templates of a KServe LLMInferenceService: PodSpecs that presets fill up."""
    for base, prefix in (("spec",), ""), (("spec", "prefill"), "prefill-"):
        workload = plain.mapping(value, *base)
        groups = None if "scaling" in workload else counts.number(workload, "replicas", default=1)
        has_workers = isinstance(workload.get("worker"), Mapping)
        for field, role in (
            ("template", "leader" if has_workers else "server"),
            ("worker", "worker"),
        ):
            if isinstance(workload.get(field), Mapping):
                yield TemplateAt(
                    path=(*base, field),
                    spec=(*base, field),
                    metadata=base,
                    role=prefix + role,
                    count=None if field == "worker" else groups,
                    per_group=None if field == "worker" else 1,
                    completed_by="LLMInferenceServiceConfig",
                )


def _template(  # noqa: PLR0913 — the columns of TemplateAt
    value: Object,
    path: Path,
    *,
    role: str = "pod",
    count: int | None = 1,
    minimum: int | None = None,
    per_group: int | None = None,
    is_job: bool = False,
    restarts: str = "Always",
    completed_by: str = "",
) -> Iterator[TemplateAt]:
    """Return the PodTemplateSpec at `path`, if there is one."""
    if isinstance(plain.get(value, *path), Mapping):
        yield TemplateAt(
            path=path,
            spec=(*path, "spec"),
            metadata=(*path, "metadata"),
            role=role,
            count=count,
            minimum=minimum,
            per_group=per_group,
            is_job=is_job,
            restarts=restarts,
            completed_by=completed_by,
        )
