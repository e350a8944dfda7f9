"""MIG instances, used as if they were GPUs.

A CUDA process sees one MIG instance, the first; a container with two of them uses one unless it
runs two processes with an instance each. Instances cannot talk to each other: NCCL has no path
between them, so no model is spread over several.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.servers import engine_of, world_of
from gpuyard.lint.wording import count
from gpuyard.lint.world import World
from gpuyard.model.catalogue import MODELS

PROFILES = frozenset(profile.name for model in MODELS for profile in model.mig_profiles)


def check_several(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers with several instances."""
    for container in pod.containers:
        instances = _instances(container)
        if instances > 1 and not _spreads(container):
            ask = next(one for one in container.gpu_asks if one.resource.sharing == "partition")
            yield Hit(
                ask.path,
                f"container {container.name} has {instances} MIG instances; a CUDA process uses "
                "the first of them",
            )


def check_spread(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find models that are spread over several instances."""
    for container in pod.containers:
        if _instances(container):
            over = _spreads(container)
            if over > 1:
                yield Hit(
                    container.gpu_asks[0].path,
                    f"container {container.name} spreads a model over {over} devices, but has "
                    f"{count(_instances(container), 'MIG instance')}, which cannot talk to "
                    "each other",
                )


def check_profile(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find profiles that no GPU has."""
    for ask in pod.gpu_asks:
        profile = ask.resource.profile
        if ask.resource.vendor == "nvidia" and profile and not _is_known(profile):
            yield Hit(
                ask.path,
                f"container {ask.container} asks for the MIG profile {profile}, "
                "which no known GPU has",
            )


def _is_known(profile: str) -> bool:
    """Tell whether a GPU has it; ``.me`` and the like, and compute instances, are not looked at."""
    slices, _, rest = profile.partition(".")
    return "c" in slices or f"{slices}.{rest.partition('.')[0]}" in PROFILES


def _instances(container: ContainerView) -> int:
    return sum(
        ask.count
        for ask in container.gpu_asks
        if ask.resource.vendor == "nvidia" and ask.resource.sharing == "partition"
    )


def _spreads(container: ContainerView) -> int:
    """Return over how many devices a server of the container spreads, 0 where it does not say."""
    engine = engine_of(container)
    world = world_of(container, engine) if engine else None
    return world.gpus if world and world.said else 0


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/vllm:0.11
      command: [vllm, serve, /models/embed]
"""

RULES = (
    Rule(
        id="MIG-SEVERAL",
        severity="warning",
        title="A container has one MIG instance",
        why="CUDA shows a process a single MIG instance. Further ones are allocated, paid for and "
        "never used, unless every process is given its own by UUID.",
        remedy="ask for one instance of a larger profile, or run one pod for each instance",
        source="NVIDIA MIG user guide, CUDA visible devices; NVIDIA/k8s-device-plugin #446, #728; "
        "pytorch #130181",
        scope="pod",
        check=check_several,
        failing=_POD
        + """\
      resources:
        limits:
          nvidia.com/mig-1g.10gb: 2 # <- here
""",
        passing=_POD
        + """\
      resources:
        limits:
          nvidia.com/mig-2g.20gb: 1
""",
    ),
    Rule(
        id="MIG-SPREAD",
        severity="error",
        title="A model is not spread over MIG instances",
        why="There is no peer-to-peer path between MIG instances and NCCL refuses them: the server "
        "ends with an error while it starts.",
        remedy="serve from one instance (parallel size 1), or ask for whole GPUs",
        source="NVIDIA MIG user guide, Application considerations; NVIDIA/nccl #1716",
        scope="pod",
        check=check_spread,
        failing=_POD
        + """\
      args: [--tensor-parallel-size, "2"]
      resources:
        limits:
          nvidia.com/mig-3g.40gb: 2 # <- here
""",
        passing=_POD
        + """\
      resources:
        limits:
          nvidia.com/mig-3g.40gb: 1
""",
    ),
    Rule(
        id="MIG-PROFILE",
        severity="warning",
        title="A MIG profile is one that GPUs have",
        why="The number of slices and the memory belong together and depend on the model. A "
        "profile that does not exist is offered by no node, and the pod waits for ever.",
        remedy="take a profile that nvidia-smi mig -lgip lists on the node",
        source="NVIDIA MIG user guide, Supported MIG profiles",
        scope="pod",
        check=check_profile,
        failing=_POD
        + """\
      resources:
        limits:
          nvidia.com/mig-1g.15gb: 1 # <- here
""",
        passing=_POD
        + """\
      resources:
        limits:
          nvidia.com/mig-1g.10gb: 1
""",
    ),
)
