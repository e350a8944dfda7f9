"""EFA, the RDMA of AWS: how many cards an instance has, and variables that belong to the past.

The number of EFA interfaces goes with the instance type. A pod with all GPUs of such an instance
and fewer interfaces leaves bandwidth that is paid for.

``RDMAV_FORK_SAFE`` was once needed before a fork; on newer kernels it can break what it was to
protect. rdma-core asks whether it is set, not to what. ``FI_PROVIDER`` and ``NCCL_PROTO`` had to be
set up to aws-ofi-nccl 1.5; what is pinned by hand keeps the plugin of today from choosing better.

Sources: AWS documentation, EC2 accelerated computing instances (network cards);
awsome-distributed-training, 1.architectures/efa-cheatsheet.md; aws-ofi-nccl #44, #141, #179.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView
from gpuyard.dialects.workloads.gpus import devices
from gpuyard.lint.rule import Hit, Remove, Rule, Set
from gpuyard.lint.rules.rdma.nics import EFA
from gpuyard.lint.world import World

INSTANCE = "node.kubernetes.io/instance-type"
# GPUs and EFA interfaces of an instance; AWS documentation of 2026-08
INTERFACES = {
    "p4d.24xlarge": (8, 4),
    "p4de.24xlarge": (8, 4),
    "p5.48xlarge": (8, 32),
    "p5e.48xlarge": (8, 32),
    "p5en.48xlarge": (8, 16),
    "p6-b200.48xlarge": (8, 8),
}
OUTDATED = ("FI_PROVIDER", "NCCL_PROTO")


def check_interfaces(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find pods that take a whole instance of a known type and not all of its interfaces."""
    kind = plain.text(pod.spec.value, "nodeSelector", INSTANCE)
    if kind not in INTERFACES:
        return
    gpus, interfaces = INTERFACES[kind]
    for container in pod.containers:
        asked = devices(container.requested(EFA))
        if container.gpus == gpus and 0 < asked < interfaces:
            field = "limits" if EFA in container.limits else "requests"
            path = (*container.resources_path, field, EFA)
            yield Hit(
                path,
                f"container {container.name} takes all {gpus} GPUs of a {kind}, but {asked} of its "
                f"{interfaces} EFA interfaces",
                of="value",
                edits=(Set(path, interfaces),) if EFA not in container.requests else (),
            )


def check_fork_safe(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find RDMAV_FORK_SAFE beside EFA."""
    for container in pod.all_containers:
        found = container.env("RDMAV_FORK_SAFE")
        if found is not None and EFA in container.limits:
            is_alone = len(container.mappings("env")) == 1
            yield Hit(
                found.path,
                f"container {container.name} sets RDMAV_FORK_SAFE beside {EFA}",
                edits=(Remove(container.at("env")),) if is_alone else (),
            )


def check_outdated(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find variables that aws-ofi-nccl chooses by itself."""
    for container in pod.all_containers:
        vendors = {ask.resource.vendor for ask in container.gpu_asks}
        if EFA not in container.limits or vendors != {"nvidia"}:
            continue  # Neuron has no NCCL, and wants FI_PROVIDER
        found = [one for name in OUTDATED if (one := container.env(name)) is not None]
        if found:
            names = ", ".join(one.name for one in found)
            yield Hit(
                found[0].path,
                f"container {container.name} pins {names}, which aws-ofi-nccl needs no more "
                "since 1.6",
            )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  nodeSelector:
    node.kubernetes.io/instance-type: p5.48xlarge
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      volumeMounts:
        - {name: dshm, mountPath: /dev/shm}
"""
_VOLUMES = """\
  volumes:
    - name: dshm
      emptyDir: {medium: Memory, sizeLimit: 64Gi}
"""
_LIMITS = """\
      resources:
        limits:
          nvidia.com/gpu: 8
          hugepages-2Mi: 5Gi
          memory: 1Ti
"""
_WHOLE = _POD + _LIMITS + "          vpc.amazonaws.com/efa: 32\n" + _VOLUMES

RULES = (
    Rule(
        id="EFA-INTERFACES",
        severity="warning",
        title="A pod with all GPUs of an instance takes all EFA interfaces",
        why="Each GPU of such an instance has EFA interfaces of its own. Those that are not asked "
        "for are not in the pod, and the bandwidth between nodes shrinks by their share.",
        remedy="ask for as many vpc.amazonaws.com/efa as the instance type has",
        source="AWS documentation, Amazon EC2 accelerated computing instances, Network "
        "specifications (2026-08)",
        scope="pod",
        check=check_interfaces,
        has_fix=True,
        failing=_POD + _LIMITS + "          vpc.amazonaws.com/efa: 4 # <- here\n" + _VOLUMES,
        passing=_WHOLE,
    ),
    Rule(
        id="EFA-FORK-SAFE",
        severity="warning",
        title="RDMAV_FORK_SAFE is not set beside EFA",
        why="It is a switch of rdma-core that withholds memory from children after a fork. On "
        "newer kernels it breaks DataLoader workers; from 5.15 on nothing of the kind is needed.",
        remedy="remove RDMAV_FORK_SAFE",
        source="awsome-distributed-training, 1.architectures/efa-cheatsheet.md; aws/aws-ofi-nccl "
        "#44; ofiwg/libfabric #9112",
        scope="pod",
        check=check_fork_safe,
        has_fix=True,
        failing=_POD
        + "      env:\n"
        + '        - {name: RDMAV_FORK_SAFE, value: "1"} # <- here\n'
        + _LIMITS
        + "          vpc.amazonaws.com/efa: 32\n"
        + _VOLUMES,
        passing=_WHOLE,
    ),
    Rule(
        id="EFA-PINNED",
        severity="info",
        title="What aws-ofi-nccl chooses by itself is left to it",
        why="These variables were needed up to aws-ofi-nccl 1.5. Pinned today they keep the plugin "
        "from the provider and protocol that fit the instance.",
        remedy="remove them, unless the image has aws-ofi-nccl 1.5 or older",
        source="awsome-distributed-training, 1.architectures/efa-cheatsheet.md; aws/aws-ofi-nccl "
        "#141, #179",
        scope="pod",
        check=check_outdated,
        failing=_POD
        + "      env:\n"
        + '        - {name: FI_PROVIDER, value: "efa"} # <- here\n'
        + _LIMITS
        + "          vpc.amazonaws.com/efa: 32\n"
        + _VOLUMES,
        passing=_WHOLE,
    ),
)
