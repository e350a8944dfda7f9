"""What Ray believes a pod has, and what it has.

KubeRay tells Ray how many GPUs a pod has: the limit of its first container, unless ``num-gpus``
says something else. More than there are, and Ray starts tasks on devices that do not exist. Fewer,
and the rest stay idle while they are allocated; a head with ``num-gpus: "0"`` and GPUs in its
limits is the usual case.

Fractions shared by several tasks are Ray's own business and do not show here.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.amounts import amount
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

KEY = "num-gpus"
FOR_GPUS = re.compile(r"gpu|cuda|-cu[0-9]|rocm|vllm|sglang")  # in the name of an image
COUNTED = frozenset({"nvidia", "amd", "intel"})  # TPUs and Neuron cores are resources of their own


def check_more(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find groups that promise Ray GPUs which the pod does not have."""
    for path, said, there in _said(pod):
        if said > there and _is_about_gpus(pod):
            yield Hit(
                path,
                f"Ray is told of {count(said, 'GPU')} in each pod of this group, which has {there}",
                of="value",
            )


def check_fewer(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find groups that hide GPUs from Ray."""
    for path, said, there in _said(pod):
        if said < there:
            yield Hit(
                path,
                f"Ray is told of {count(said, 'GPU')} in each pod of this group, which has {there}",
                of="value",
            )


def _is_about_gpus(pod: PodView) -> bool:
    """Tell whether GPUs are meant: to Ray ``num-gpus`` is a number that may stand for anything."""
    return pod.workload.asks_gpus or FOR_GPUS.search(pod.containers[0].image) is not None


def _said(pod: PodView) -> Iterator[tuple[tuple[str | int, ...], int, int]]:
    """Return where ``num-gpus`` stands, its number, and the devices of the pod."""
    if pod.workload.row.group != "ray.io" or pod.role == "submitter" or not pod.containers:
        return
    parameters = pod.around.mapping("rayStartParams")
    said = amount(parameters.get(KEY))
    overruled = any(name.lower() == "gpu" for name in pod.around.mapping("resources"))
    container = pod.containers[0]
    if said is not None and not overruled and not container.claims and not pod.claims:
        asks = [ask for ask in container.gpu_asks if ask.resource.vendor in COUNTED]
        yield pod.around.at("rayStartParams", KEY), said, sum(ask.count for ask in asks)


_CLUSTER = """\
apiVersion: ray.io/v1
kind: RayCluster
metadata:
  name: tune
spec:
  headGroupSpec:
    rayStartParams: {{}}
    template:
      spec:
        containers:
          - name: head
            image: registry.example/ray:2.50
  workerGroupSpecs:
    - groupName: gpus
      replicas: 2
      rayStartParams:
        num-gpus: "{said}"{mark}
      template:
        spec:
          containers:
            - name: worker
              image: registry.example/ray:2.50
              resources:
                limits:
                  nvidia.com/gpu: 4
"""
_SOURCE = "KubeRay v1.7 ray-operator/controllers/ray/common/pod.go; ray-project/kuberay #321"
_PASSING = _CLUSTER.format(said=4, mark="")

RULES = (
    Rule(
        id="RAY-GPUS-MISSING",
        severity="error",
        title="Ray is told of no more GPUs than a pod has",
        why="Ray starts as many tasks as it believes there are GPUs. The last of them find none: "
        "CUDA reports no device, or two tasks share one and run out of memory.",
        remedy="remove num-gpus: KubeRay fills in the limit",
        source=_SOURCE,
        scope="pod",
        check=check_more,
        gpu_only=False,
        failing=_CLUSTER.format(said=8, mark=" # <- here"),
        passing=_PASSING,
    ),
    Rule(
        id="RAY-GPUS-HIDDEN",
        severity="warning",
        title="Ray is told of all the GPUs that a pod has",
        why="GPUs that Ray does not know of run nothing. They are allocated to the pod and idle "
        "for as long as the cluster lives.",
        remedy="remove num-gpus, or the GPUs from the limits of this group",
        source=_SOURCE,
        scope="pod",
        check=check_fewer,
        failing=_CLUSTER.format(said=2, mark=" # <- here"),
        passing=_PASSING,
    ),
)
