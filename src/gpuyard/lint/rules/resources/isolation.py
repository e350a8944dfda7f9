"""What opens a GPU pod to the node, or closes it so far that the GPU stays outside.

A privileged container sees every device of its node, also those that were given to other pods; what
it asked for no longer means anything. It is left alone where it takes all eight or more of a node:
then there is nothing else to see.

A pod with a user namespace of its own (``hostUsers: false``) does not start with NVIDIA GPUs: the
container toolkit's hook runs as a user that may not enter where it has to.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import CelRule, Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

VENDORS = frozenset({"nvidia", "amd"})  # TPUs have to be privileged on older versions of GKE
WHOLE_NODE = 8  # GPUs of most nodes with several


def check_privileged(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find privileged containers that ask for a part of a node's GPUs."""
    if pod.workload.row.lifetime == "daemon":
        return
    for container in pod.containers:
        gpus = sum(ask.count for ask in container.gpu_asks if ask.resource.vendor in VENDORS)
        if container.is_privileged and 0 < gpus < WHOLE_NODE:
            yield Hit(
                container.at("securityContext", "privileged"),
                f"container {container.name} asks for {count(gpus, 'GPU')} and is "
                "privileged, so it sees all of its node",
            )


def check_users(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find NVIDIA GPUs in a user namespace."""
    if pod.spec.get("hostUsers") is not False:
        return
    if any(ask.resource.vendor == "nvidia" for ask in pod.gpu_asks):
        yield Hit(
            pod.spec.at("hostUsers"),
            f"hostUsers is false in a pod with {count(pod.gpus, 'NVIDIA GPU')}",
        )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
"""
_CONTAINER = """\
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="GPU-PRIVILEGED",
        severity="warning",
        title="A container with a part of a node's GPUs is not privileged",
        why="A privileged container can open every device of its node. A library that takes the "
        "first GPU, or all of them, then computes on those of other pods.",
        remedy="drop privileged and add the capability that is needed (IPC_LOCK, SYS_NICE)",
        source="Kubernetes documentation, Pod Security Standards; NVIDIA/k8s-device-plugin #87",
        scope="pod",
        check=check_privileged,
        failing=_POD
        + _CONTAINER
        + """\
      securityContext:
        privileged: true # <- here
""",
        passing=_POD
        + _CONTAINER
        + """\
      securityContext:
        capabilities:
          add: [IPC_LOCK]
""",
    ),
    Rule(
        id="GPU-USER-NAMESPACE",
        severity="warning",
        title="A pod with NVIDIA GPUs stays in the node's user namespace",
        why="The container toolkit does not support user namespaces: its hook runs as a remapped "
        "user, cannot reach what it has to mount, and the container does not start.",
        remedy="leave hostUsers out until the container toolkit supports it",
        source="GPU operator release notes 26.3.1, known issues; "
        "NVIDIA/nvidia-container-toolkit #648",
        scope="pod",
        check=check_users,
        failing=_POD
        + """\
  hostUsers: false # <- here
"""
        + _CONTAINER,
        passing=_POD + _CONTAINER,
        cel=CelRule(
            "!has(variables.spec.hostUsers) || variables.spec.hostUsers || "
            "!variables.spec.containers.exists(c, has(c.resources) && has(c.resources.limits) && "
            "c.resources.limits.exists(name, name.startsWith('nvidia.com/')))"
        ),
    ),
)
