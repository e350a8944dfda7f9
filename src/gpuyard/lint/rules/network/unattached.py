"""A network card that is paid for and not plugged in.

A card handed out by the network operator's device plugin (``nvidia.com/hostdev``), or by an SR-IOV
plugin, comes into a pod through a second network: Multus moves it there when an annotation names
the network. Without the annotation the device is taken from the node and the pod sees nothing of
it; NCCL finds no RDMA and falls back to TCP.

Which resources are such cards is certain where a NetworkAttachmentDefinition of the run names them,
and by the operator's own name otherwise. Slots of a shared card (``rdma/…``), EFA and pods on the
node's network need no attachment.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

ATTACHES = ("k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network")
DEFINITION = "k8s.cni.cncf.io/NetworkAttachmentDefinition"
OF_DEFINITION = "k8s.v1.cni.cncf.io/resourceName"
HOST_DEVICE = "nvidia.com/hostdev"
NEEDS_NONE = ("rdma/", "vpc.amazonaws.com/")


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find cards that no network brings into the pod."""
    if pod.spec.is_true("hostNetwork") or not pod.is_complete:
        return
    if any(key in kept for key in ATTACHES for kept in (pod.annotations, pod.workload.annotations)):
        return
    for container in pod.containers:
        for name in container.limits:
            if "/" in name and _is_card(name, pod, world):
                yield Hit(
                    (*container.resources_path, "limits", name),
                    f"container {container.name} asks for {container.limits[name]} of {name}, and "
                    "the pod is attached to no network",
                )


def _is_card(name: str, pod: PodView, world: World) -> bool:
    if name.startswith(NEEDS_NONE):
        return False
    if name == HOST_DEVICE:
        return True
    definitions = world.beside(DEFINITION, world.entry(pod))
    return any(one.annotations.get(OF_DEFINITION) == name for one in definitions)


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
{annotation}\
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      securityContext:
        capabilities: {{add: [IPC_LOCK]}}
      resources:
        limits:
          nvidia.com/gpu: 1
          nvidia.com/hostdev: 1{mark}
"""
_ANNOTATION = """\
  annotations:
    k8s.v1.cni.cncf.io/networks: hostdev-net
"""

RULES = (
    Rule(
        id="RDMA-UNATTACHED",
        severity="warning",
        title="A network card is attached to the pod that asks for it",
        why="The card is taken from the node, and without a network nothing moves it into the "
        "pod. NCCL finds no RDMA device and runs over TCP, many times slower, without an error.",
        remedy="name the network in the pod's annotation k8s.v1.cni.cncf.io/networks",
        source="NVIDIA network operator 26.1 documentation, HostDeviceNetwork; multus-cni v4",
        scope="pod",
        check=check,
        failing=_POD.format(annotation="", mark=" # <- here"),
        passing=_POD.format(annotation=_ANNOTATION, mark=""),
    ),
)
