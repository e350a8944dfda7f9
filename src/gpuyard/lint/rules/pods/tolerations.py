"""Pods of one job, some of which tolerate the taint of GPU nodes and some do not.

A job of several templates (a master and workers, a head and worker groups) repeats what its pods
need in each. A toleration that stands in one template only lets those pods onto the GPU nodes; the
others wait outside, and the job waits for them. Where no template has the toleration, the cluster
adds it, or the nodes have no taint: nothing is said.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Append, Hit, Rule
from gpuyard.lint.world import World

FOR_EVERYTHING = ""


def check(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find templates that lack a toleration which another with the same GPUs has."""
    pods = [pod for pod in workload.gpu_pods if pod.is_complete]
    for pod in pods:
        for other in pods:
            missing = None if other is pod else _missing(pod, other)
            if missing is not None:
                key = plain.text(missing, "key")
                yield Hit(
                    pod.spec.at("tolerations"),
                    f"the pods of {other.role} tolerate the taint {key}, those of {pod.role} ask "
                    "for the same GPUs and do not",
                    edits=(Append(pod.spec.at("tolerations"), dict(missing)),),
                )
                break


def _missing(pod: PodView, other: PodView) -> Mapping[str, object] | None:
    """Return a toleration for the taint of GPU nodes that `other` has and `pod` has not."""
    shared = {ask.resource.name for ask in pod.gpu_asks} & {
        ask.resource.name for ask in other.gpu_asks
    }
    own = {plain.text(one, "key") for _, one in pod.spec.mappings("tolerations")}
    if FOR_EVERYTHING in own:
        return None
    for _, one in other.spec.mappings("tolerations"):
        key = plain.text(one, "key")
        if key in shared and key not in own:
            return one
    return None


_JOB = """\
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata:
  name: train
spec:
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      template:
        spec:
          tolerations:
            - {{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}}
          containers:
            - name: pytorch
              image: registry.example/trainer:1.4
              resources:
                limits:
                  nvidia.com/gpu: 1
    Worker:
      replicas: 3
      template:
        spec:{mark}
{worker}\
          containers:
            - name: pytorch
              image: registry.example/trainer:1.4
              resources:
                limits:
                  nvidia.com/gpu: 1
"""
_WORKER = """\
          tolerations:
            - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
"""

RULES = (
    Rule(
        id="POD-TOLERATIONS",
        severity="warning",
        title="All GPU pods of a job tolerate the same GPU taint",
        why="The pods without the toleration stay pending beside free GPUs, while the others hold "
        "theirs and wait for them.",
        remedy="repeat the toleration in the PodSpec of every template that asks for GPUs",
        source="ray-project/kuberay #1914; Kubernetes documentation, Taints and Tolerations",
        scope="workload",
        check=check,
        has_fix=True,
        failing=_JOB.format(mark=" # <- here", worker=""),
        passing=_JOB.format(mark="", worker=_WORKER),
    ),
)
