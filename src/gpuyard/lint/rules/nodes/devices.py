"""Nodes that have fewer GPUs than they should, and what they carry all the same.

A device plugin reports devices; one that turned bad stays in ``capacity`` and leaves
``allocatable``. Most plugins never take it back before they are restarted. A node that is cordoned
or reported sick keeps its pods: cordoning is not draining.
"""

from collections import Counter
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import gpu_resource
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.untainted import gpus_of
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

# Conditions that say that GPUs, or the node under them, are not well, and the bad status.
SICK_IF_TRUE = frozenset(
    {"GpuMemWatch", "GpuThermalWatch", "GpuPcieWatch", "GpuPowerWatch", "GpuInforomWatch"}
    | {"GpuSmWatch", "GpuNvlinkWatch", "GpuMcuWatch", "GpuPmuWatch", "GpuDriverWatch"}
    | {"SysLogsXIDError", "SysLogsSXIDError", "SysLogsGPUFallenOff", "NVSwitchFatalError"}
    | {"XidCriticalError", "GPUMissing", "IBLinkFlapping", "UnhealthyNvidiaDevicePlugin"}
    | {"UnhealthyNvidiaDCGMServices", "KernelDeadlock", "ReadonlyFilesystem"}
)
SICK_IF_FALSE = frozenset({"AcceleratedHardwareReady", "Ready"})
SLICE = "resource.k8s.io/ResourceSlice"
DRA_DRIVER = "gpu.nvidia.com"
OPT_OUTS = ("k8saas.nvidia.com/ManagedByNVSentinel", "nvsentinel.dgxc.nvidia.com/managed")
REFUSED = "UnexpectedAdmissionError"
REFUSED_MIN = 3  # one or two are a race at a restart of the plugin
NUMA = "TopologyAffinityError"


def check_lost(node: Entry, _world: World) -> Iterator[Hit]:
    """Find nodes that offer fewer devices than they have."""
    capacity, offered = node.mapping("status", "capacity"), node.mapping("status", "allocatable")
    for name, written in capacity.items():
        known = gpu_resource(name)
        if known is None or known.sharing == "part":
            continue
        has, left = _whole(written), _whole(offered.get(name))
        if has is not None and left is not None and left < has:
            yield Hit(
                ("status", "allocatable", name),
                f"{has - left} of {count(has, 'device')} of {name} {_is_are(has - left)} unhealthy",
            )


def check_two_ways(world: World, _world: World) -> Iterator[Hit]:
    """Find nodes that hand out whole GPUs by a device plugin and by claims."""
    slices = Counter(
        one.text("spec", "nodeName")
        for one in world.of_kind(SLICE)
        if one.text("spec", "driver") == DRA_DRIVER and one.mappings("spec", "devices")
    )
    for node in world.of_kind("Node"):
        offered = _whole(node.get("status", "allocatable", "nvidia.com/gpu")) or 0
        if offered and slices[node.name]:
            yield Hit(
                ("status", "allocatable", "nvidia.com/gpu"),
                f"{count(offered, 'GPU')} can be asked for as nvidia.com/gpu, and the same GPUs "
                f"through claims of {DRA_DRIVER}",
                on=node,
            )


def check_unwatched(node: Entry, _world: World) -> Iterator[Hit]:
    """Find nodes that were taken out of the care of a remediator."""
    for label in OPT_OUTS:
        if node.labels.get(label) == "false":
            yield Hit(
                ("metadata", "labels", label), f"NVSentinel leaves this node alone: {label}=false"
            )


def check_sick(world: World, _world: World) -> Iterator[Hit]:
    """Find nodes that are cordoned or sick and go on running pods with GPUs."""
    busy = Counter(
        pod.text("spec", "nodeName")
        for pod in world.of_kind("Pod")
        if pod.workload and pod.workload.asks_gpus and pod.text("status", "phase") == "Running"
    )
    for node in world.of_kind("Node"):
        why = _why_sick(node)
        if why and busy[node.name]:
            yield Hit(
                why[0],
                f"{why[1]}, and {count(busy[node.name], 'pod')} with GPUs "
                f"{'goes' if busy[node.name] == 1 else 'go'} on running there",
                on=node,
            )


def check_refused(world: World, _world: World) -> Iterator[Hit]:
    """Find nodes whose kubelet refuses pods because of their devices."""
    yield from _failed(world, REFUSED, "its kubelet refused")


def check_numa(world: World, _world: World) -> Iterator[Hit]:
    """Find nodes whose topology manager refuses pods."""
    yield from _failed(world, NUMA, "its topology manager refused")


def _failed(world: World, reason: str, who: str) -> Iterator[Hit]:
    counted = Counter(
        pod.text("spec", "nodeName")
        for pod in world.of_kind("Pod")
        if pod.text("status", "reason") == reason and pod.workload and pod.workload.asks_gpus
    )
    for node in world.of_kind("Node"):
        refused = counted[node.name]
        if refused >= (REFUSED_MIN if reason == REFUSED else 1):
            yield Hit(("metadata", "name"), f"{who} {count(refused, 'pod')} with {reason}", on=node)


def _why_sick(node: Entry) -> tuple[tuple[str | int, ...], str] | None:
    if not gpus_of(node) and not any(map(gpu_resource, node.mapping("status", "capacity"))):
        return None
    for index, one in node.mappings("status", "conditions"):
        name, status = plain.text(one, "type"), plain.text(one, "status")
        if (name in SICK_IF_TRUE and status == "True") or (
            name in SICK_IF_FALSE and status == "False"
        ):
            return ("status", "conditions", index), f"condition {name} is {status}"
    if node.is_true("spec", "unschedulable"):
        return ("spec", "unschedulable"), "it is cordoned"
    return None


def _whole(written: object) -> int | None:
    return int(written) if isinstance(written, str | int) and str(written).isdecimal() else None


def _is_are(number: int) -> str:
    return "is" if number == 1 else "are"


NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  capacity:
    nvidia.com/gpu: "8"
  allocatable:
    nvidia.com/gpu: "8"
  conditions:
    - type: AcceleratedHardwareReady
      status: "True"
"""
POD = """\
---
apiVersion: v1
kind: Pod
metadata:
  name: embed-NUMBER
spec:
  nodeName: gpu-0
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        requests:
          nvidia.com/gpu: 1
        limits:
          nvidia.com/gpu: 1
status:
  phase: Running
"""
SLICES = """\
---
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata:
  name: gpu-0-gpu.nvidia.com
spec:
  driver: gpu.nvidia.com
  nodeName: NAME
  pool: {name: gpu-0, generation: 1, resourceSliceCount: 1}
  devices:
    - name: gpu-0
"""
REFUSED_POD = POD.replace("phase: Running", "phase: Failed\n  reason: UnexpectedAdmissionError")
NUMA_POD = POD.replace("phase: Running", "phase: Failed\n  reason: TopologyAffinityError")

RULES = (
    Rule(
        id="NODE-GPU-LOST",
        severity="warning",
        title="A node offers every GPU that it has",
        why="A device that the plugin found unhealthy leaves allocatable, and most plugins take it "
        "back only after a restart. Jobs that need the whole node wait for it for ever.",
        remedy="look for Xid messages in the node's kernel log; reset the GPU or reboot the node, "
        "then restart the device plugin there",
        source="NVIDIA/k8s-device-plugin #1223, #2038, internal/rm/health.go v0.17",
        scope="object",
        kinds=("Node",),
        needs="cluster",
        reads=("Node",),
        check=check_lost,
        failing=NODE.replace(
            'allocatable:\n    nvidia.com/gpu: "8"',
            'allocatable:\n    nvidia.com/gpu: "7" # <- here',
        ),
        passing=NODE,
    ),
    Rule(
        id="NODE-SICK-BUSY",
        severity="warning",
        title="No pods with GPUs run on a node that is cordoned or sick",
        why="Cordoning keeps new pods away and moves none. Training goes on there, with a GPU that "
        "is already known to be bad, until it fails and loses what it did since its checkpoint.",
        remedy="let them write a checkpoint, then drain the node",
        source="NVIDIA/NVSentinel node conditions; AWS EKS node monitoring agent; GKE and AKS node "
        "problem detector; Kubernetes documentation, Safely Drain a Node",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_sick,
        failing=NODE.replace(
            '- type: AcceleratedHardwareReady\n      status: "True"',
            '- type: AcceleratedHardwareReady # <- here\n      status: "False"',
        )
        + POD.replace("NUMBER", "0"),
        passing=NODE + POD.replace("NUMBER", "0"),
    ),
    Rule(
        id="NODE-TWO-WAYS",
        severity="warning",
        title="A node hands out its GPUs in one way",
        why="The device plugin and the DRA driver do not know of each other. A GPU that is claimed "
        "is given to the next pod that asks for nvidia.com/gpu as well.",
        remedy="turn off the device plugin on nodes with the DRA driver's GPUs, or the driver's "
        "GPUs where the device plugin stays",
        source="kubernetes-sigs/dra-driver-nvidia-gpu, installation; #719; GPU Operator "
        "documentation, GPUCluster",
        scope="world",
        needs="cluster",
        reads=("Node", SLICE),
        check=check_two_ways,
        failing=NODE.replace(
            'allocatable:\n    nvidia.com/gpu: "8"',
            'allocatable:\n    nvidia.com/gpu: "8" # <- here',
        )
        + SLICES.replace("NAME", "gpu-0"),
        passing=NODE + SLICES.replace("NAME", "gpu-1"),
    ),
    Rule(
        id="NODE-UNWATCHED",
        severity="info",
        title="No GPU node is left out of the care of NVSentinel for good",
        why="The label is set for a repair and forgotten. From then on a GPU that fails there is "
        "neither taken out of service nor mended.",
        remedy="take the label away when the repair is done",
        source="NVIDIA/NVSentinel, fault-quarantine configuration",
        scope="object",
        kinds=("Node",),
        needs="cluster",
        reads=("Node",),
        check=check_unwatched,
        failing=NODE.replace(
            "name: gpu-0\n",
            "name: gpu-0\n  labels:\n"
            '    k8saas.nvidia.com/ManagedByNVSentinel: "false" # <- here\n',
        ),
        passing=NODE,
    ),
    Rule(
        id="NODE-REFUSES",
        severity="warning",
        title="A node takes the GPU pods that are placed on it",
        why="The scheduler goes by what a node reports; the kubelet asks the device plugin, which "
        "says no. A controller makes the next pod at once, and hundreds of failed ones pile up.",
        remedy="cordon the node and restart its device plugin; if that does not help, reboot it",
        source="NVIDIA/k8s-device-plugin #231, #234, #1223; kubelet v1.36, cm/devicemanager",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_refused,
        failing=NODE.replace("name: gpu-0", "name: gpu-0 # <- here")
        + "".join(REFUSED_POD.replace("NUMBER", str(number)) for number in range(3)),
        passing=NODE + POD.replace("NUMBER", "0"),
    ),
    Rule(
        id="NODE-NUMA",
        severity="warning",
        title="A node's topology manager takes the GPU pods placed there",
        why="Under single-numa-node a pod whose GPUs and CPUs cannot come from one NUMA node is "
        "refused after it was placed, and made and refused again. The scheduler does not know.",
        remedy="ask for no more GPUs than one NUMA node has, or set topologyManagerPolicy to "
        "restricted or best-effort on these nodes",
        source="kubernetes #84757, #84869; pytorch/ci-infra #696; kubelet v1.36, "
        "cm/topologymanager",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_numa,
        failing=NODE.replace("name: gpu-0", "name: gpu-0 # <- here")
        + NUMA_POD.replace("NUMBER", "0"),
        passing=NODE + POD.replace("NUMBER", "0"),
    ),
)
