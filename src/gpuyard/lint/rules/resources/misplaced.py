"""A GPU asked for where nobody looks.

``nvidia.com/gpu`` counts below ``limits`` of a container. Written directly below ``resources`` it
is an unknown field: a strict client refuses it, every other drops it, and the pod runs without a
GPU. Below the resources of the *pod* (``spec.resources``, beta since Kubernetes 1.34) only cpu,
memory and huge pages are allowed, and the API server refuses the pod.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, gpu_resource
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find GPU resources beside limits and requests, and among those of the pod."""
    if pod.spec.get("resources") is not None:
        for field in ("limits", "requests"):
            for name in pod.spec.mapping("resources", field):
                if gpu_resource(name):
                    yield Hit(
                        pod.spec.at("resources", field, name),
                        f"{name} is asked for by the pod as a whole; only containers can ask for "
                        "devices",
                    )
    for container in pod.all_containers:
        resources = plain.mapping(container.value, container.resources_path[-1])
        for name in resources:
            if gpu_resource(name):
                yield Hit(
                    (*container.resources_path, name),
                    f"container {container.name} names {name} beside limits, where it asks for "
                    "nothing",
                )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
"""

RULES = (
    Rule(
        id="GPU-MISPLACED",
        severity="error",
        title="A GPU is asked for below the limits of a container",
        why="Anywhere else the field is refused or dropped without a word, and the pod is placed "
        "on a node without a GPU.",
        remedy="move it below resources.limits of the container that uses the GPU",
        source="k8s.io/api 1.37, core/v1 ResourceRequirements; Kubernetes documentation, Assign "
        "Pod-level CPU and memory resources",
        scope="pod",
        check=check,
        gpu_only=False,
        failing=_POD
        + """\
        nvidia.com/gpu: 1 # <- here
""",
        passing=_POD
        + """\
        limits:
          nvidia.com/gpu: 1
""",
    ),
)
