"""GPUs without CPU and memory beside them.

A container that asks only for GPUs promises nothing about the rest. The scheduler puts it on a node
whose CPUs and memory are taken; there it is throttled, starves its GPUs, and is the first to be
killed when memory runs short. A limit counts as a request. Where a LimitRange gives defaults, or
the pod has resources of its own as a whole, the rule is silent.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import CelRule, Hit, Rule
from gpuyard.lint.world import World

BESIDE = ("cpu", "memory")


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find containers with GPUs that leave out cpu or memory."""
    if not pod.is_complete or pod.spec.mapping("resources"):
        return
    if world.beside("LimitRange", world.entry(pod)):
        return
    for container in pod.containers:
        missing = _missing(container)
        if container.gpu_asks and missing:
            yield Hit(
                container.resources_path,
                f"container {container.name} asks for GPUs, but for no {' and no '.join(missing)}",
            )


def _missing(container: ContainerView) -> list[str]:
    return [name for name in BESIDE if container.requested(name) is None]


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
"""

RULES = (
    Rule(
        id="GPU-NO-REQUESTS",
        severity="warning",
        title="A container with GPUs asks for CPU and memory too",
        why="Without requests it may land where no CPU or memory is left: the GPUs wait for data, "
        "and under memory pressure the kubelet evicts this pod first.",
        remedy="set requests.cpu and requests.memory, about the node's share for that many GPUs",
        source="Kubernetes documentation, Node-pressure Eviction; Configure Quality of Service "
        "for Pods",
        scope="pod",
        check=check,
        cel=CelRule(
            "has(variables.spec.resources) || variables.spec.containers.all(c, "
            "!has(c.resources) || !has(c.resources.limits) || !c.resources.limits.exists(name, "
            "name.startsWith('nvidia.com/gpu') || name.startsWith('nvidia.com/mig-') || "
            "name == 'amd.com/gpu') || ['cpu', 'memory'].all(beside, "
            "beside in c.resources.limits || "
            "(has(c.resources.requests) && beside in c.resources.requests)))"
        ),
        failing=_POD
        + """\
      resources: # <- here
        limits:
          nvidia.com/gpu: 1
""",
        passing=_POD
        + """\
      resources:
        requests:
          cpu: "8"
          memory: 64Gi
        limits:
          memory: 64Gi
          nvidia.com/gpu: 1
""",
    ),
)
