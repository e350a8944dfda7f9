"""A service mesh in a job.

Istio puts a proxy beside the containers of every pod in a namespace with ``istio-injection:
enabled``. Where it is an ordinary container (the default before Istio 1.27), it runs on after the
job has ended, and the job never completes. In each case it stands between the ranks of a training
job, whose connections it does not understand.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.world import World

SWITCH = "sidecar.istio.io/inject"
INJECTION = "istio-injection"
REVISION = "istio.io/rev"


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods of jobs in a namespace with injection that do not opt out."""
    if pod.workload.row.lifetime != "task" or not pod.is_complete:
        return
    said = pod.labels.get(SWITCH) or pod.annotations.get(SWITCH)
    if said == "false":
        return
    injects = "" if said == "true" else _injecting(pod, world)
    if said == "true" or injects:
        path = (*pod.metadata_path, "labels", SWITCH)
        why = f"the pod's {SWITCH} is true" if said == "true" else injects
        yield Hit(
            path,
            f"{why}, so a proxy starts beside the containers of this job",
            edits=() if said == "true" else (Set(path, "false"),),
        )


def _injecting(pod: PodView, world: World) -> str:
    """Return what makes Istio inject into the pod's namespace, "" where nothing is known to."""
    name = pod.workload.namespace
    namespace = world.cluster_wide("Namespace", name) if name else None
    if namespace is None:
        return ""
    if namespace.labels.get(INJECTION) == "enabled":
        return f"namespace {name} has {INJECTION}=enabled"
    revision = namespace.labels.get(REVISION)
    if revision and namespace.labels.get(INJECTION) != "disabled":
        return f"namespace {name} has {REVISION}={revision}"
    return ""


_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: research
  labels:
    istio-injection: enabled
---
apiVersion: batch/v1
kind: Job
metadata:
  name: train
  namespace: research
spec:
"""
_SPEC = """\
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="JOB-MESH",
        severity="warning",
        title="A training job stays out of the service mesh",
        why="The proxy outlives the trainer, so the job never completes and keeps its GPUs; while "
        "it runs, it stands between ranks that talk over ports of their own.",
        remedy='label the pod template sidecar.istio.io/inject: "false"',
        source="Istio documentation, Controlling the injection policy; Kubeflow documentation, "
        "Istio and training jobs; istio/istio #48794",
        scope="pod",
        check=check,
        has_fix=True,
        failing=_NAMESPACE
        + """\
  template: # <- here
"""
        + _SPEC,
        passing=_NAMESPACE
        + """\
  template:
    metadata:
      labels:
        sidecar.istio.io/inject: "false"
"""
        + _SPEC,
    ),
)
