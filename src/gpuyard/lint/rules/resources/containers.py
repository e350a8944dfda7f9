"""GPUs that are asked for twice in one pod.

A GPU belongs to one container. Two containers that each ask for one get two, and do not share; who
meant to share pays for a device that stays idle. Init containers are counted apart: the pod takes
what its largest init container asks for, if that is more, and keeps it for life.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import World


def check_split(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find several containers of a pod that ask for whole GPUs."""
    running = [one for one in pod.all_containers if not one.is_init or one.is_sidecar]
    asking = [one for one in running if one.gpus and not one.claims]
    if len(asking) > 1:
        names = ", ".join(f"{one.name} {one.gpus}" for one in asking)
        yield Hit(
            asking[1].gpu_asks[0].path,
            f"{len(asking)} containers ask for GPUs ({names}): the pod takes "
            f"{count(pod.gpus, 'GPU')}, and no container sees another's",
        )


def check_init(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find init containers that make the pod hold more GPUs than it runs with."""
    running = sum(one.gpus for one in pod.all_containers if not one.is_init or one.is_sidecar)
    for container in pod.all_containers:
        if container.is_init and not container.is_sidecar and container.gpus > running:
            yield Hit(
                container.gpu_asks[0].path,
                f"init container {container.name} asks for {count(container.gpus, 'GPU')}, the "
                f"containers for {running}; the pod holds the larger number until it ends",
            )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
"""
_SERVER = """\
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/gpu: 1
"""
_INIT = """\
  initContainers:
    - name: convert
      image: registry.example/convert:2.1
"""

RULES = (
    Rule(
        id="GPU-SPLIT",
        severity="info",
        title="One container of a pod has the GPUs",
        why="Containers of a pod share a network and volumes, but no GPU: each that asks for one "
        "takes one of its own off the node.",
        remedy="ask in the one container that computes; to share a device, use a resource claim "
        "that several containers name, or a shared resource",
        source="Kubernetes documentation, Schedule GPUs; Dynamic Resource Allocation",
        scope="pod",
        check=check_split,
        failing=_POD
        + _SERVER
        + """\
    - name: tokenizer
      image: registry.example/tokenizer:2.1
      resources:
        limits:
          nvidia.com/gpu: 1 # <- here
""",
        passing=_POD
        + _SERVER
        + """\
    - name: tokenizer
      image: registry.example/tokenizer:2.1
""",
    ),
    Rule(
        id="GPU-INIT",
        severity="warning",
        title="An init container asks for no more GPUs than the pod runs with",
        why="A pod is charged the larger of what its init containers and its containers ask for. "
        "What the init container alone needed stays allocated, and idle, for its whole life.",
        remedy="do that work in a Job of its own, or without a GPU",
        source="Kubernetes documentation, Init Containers, Resource sharing within containers",
        scope="pod",
        check=check_init,
        failing=_POD
        + _INIT
        + """\
      resources:
        limits:
          nvidia.com/gpu: 2 # <- here
"""
        + _SERVER,
        passing=_POD + _INIT + _SERVER,
    ),
)
