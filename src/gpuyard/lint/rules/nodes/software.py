"""What a container brings along, and what the node has: CUDA, the driver, the runtime.

A driver runs programs of its own CUDA major version and of older ones. For a newer major version an
image needs the compatibility package, which works on data centre GPUs only and with some drivers
only. Feature discovery writes on each node what its driver runs.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.fleet import fleet, template
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

RUNS = "nvidia.com/cuda.runtime.major"
RUNS_MINOR = "nvidia.com/cuda.runtime.minor"
_TAGS = (
    re.compile(r"/cuda:(\d+)\.(\d+)"),
    re.compile(r"[-_.]cuda(\d{2})\.(\d)(?![0-9])"),
    re.compile(r"[-_.]cu(\d{2})(\d)(?![0-9])"),
)
RUNTIME_CLASS = "node.k8s.io/RuntimeClass"
DAEMON_SET = "apps/DaemonSet"
HANDLER = "nvidia"
OWN_WAYS = ("cdi-cri", "cdi-annotations")  # by which the plugin needs no runtime of its own


def check_cuda(pod: PodView, world: World) -> Iterator[Hit]:
    """Find images with a CUDA that is too new for every node that the pod may go to."""
    for container in pod.containers:
        wanted = _cuda(container.image)
        if wanted is None or not container.gpus:
            continue
        nodes, asked = fleet(world), template(pod)
        if nodes is None or asked is None:
            return
        runs = [dict(node.labels) for node in nodes.nodes_for(asked) if _has_gpus(node.allocatable)]
        known = [int(one[RUNS]) for one in runs if one.get(RUNS, "").isdecimal()]
        if known and len(known) == len(runs) and max(known) < wanted[0]:
            best = next(one for one in runs if one[RUNS] == str(max(known)))
            yield Hit(
                container.at("image"),
                f"container {container.name} brings CUDA {wanted[0]}.{wanted[1]}, and the drivers "
                f"of {count(len(runs), 'node')} run CUDA up to {best[RUNS]}."
                f"{best.get(RUNS_MINOR, 'x')}",
                of="value",
            )


def check_runtime(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods without a runtime class where the device plugin itself needs one."""
    if pod.spec.text("runtimeClassName") or pod.claims or not pod.is_complete:
        return
    if pod.spec.text("nodeName"):
        return  # it runs, or is about to
    if world.cluster_wide(RUNTIME_CLASS, HANDLER) is None or world.of_kind(
        "nvidia.com/ClusterPolicy"
    ):
        return  # the operator makes the runtime the default, or uses CDI
    for plugin in world.of_kind(DAEMON_SET):
        if _needs_runtime(plugin):
            yield Hit(
                pod.spec.at("runtimeClassName"),
                f"the pod asks for a GPU and names no runtimeClassName, but {plugin.title} needs "
                f"runtimeClassName {HANDLER} to see one",
            )
            return


def _cuda(image: str) -> tuple[int, int] | None:
    """Return the CUDA version that an image's name tells."""
    for tag in _TAGS:
        found = tag.search(image)
        if found:
            return int(found[1]), int(found[2])
    return None


def _has_gpus(allocatable: object) -> bool:
    return "nvidia.com/" in str(allocatable)


def _needs_runtime(entry: Entry) -> bool:
    """Tell whether it is a device plugin that asks for the runtime by name."""
    if entry.workload is None:
        return False
    for pod in entry.workload.pods:
        if pod.spec.text("runtimeClassName") != HANDLER:
            continue
        for box in pod.containers:
            if "k8s-device-plugin" in box.image:
                strategy = box.env("DEVICE_LIST_STRATEGY")
                said = f"{strategy and strategy.value} {' '.join(word for word, _ in box.words)}"
                return not any(way in said for way in OWN_WAYS)
    return False


NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
  labels:
    nvidia.com/cuda.runtime.major: "12"
    nvidia.com/cuda.runtime.minor: "4"
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    cpu: "96"
    memory: 1000Gi
    pods: "110"
    nvidia.com/gpu: "8"
---
"""
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  runtimeClassName: nvidia
  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
  containers:
    - name: server
      image: nvidia/cuda:12.6.3-runtime-ubuntu22.04
      resources:
        limits:
          nvidia.com/gpu: 1
"""
PLUGIN = """\
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: nvidia
handler: nvidia
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: nvidia-device-plugin
  namespace: kube-system
spec:
  selector:
    matchLabels: {app: plugin}
  template:
    metadata:
      labels: {app: plugin}
    spec:
      runtimeClassName: nvidia
      tolerations: [{operator: Exists}]
      containers:
        - name: plugin
          image: nvcr.io/nvidia/k8s-device-plugin:v0.17.4
---
"""

RULES = (
    Rule(
        id="CUDA-DRIVER",
        severity="warning",
        title="The driver of a node runs the CUDA version of an image",
        why="A driver runs its own CUDA major version and older ones. A newer image stops with "
        "'CUDA driver version is insufficient for CUDA runtime version', or does not start.",
        remedy="use an image with the CUDA major version of the driver, or upgrade the driver; "
        "cuda-compat helps on data centre GPUs",
        source="CUDA Compatibility, Minor Version and Forward Compatibility; NVIDIA/nvidia-docker "
        "#317; GPU Feature Discovery labels",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_cuda,
        failing=NODE
        + POD.replace(
            "cuda:12.6.3-runtime-ubuntu22.04", "cuda:13.0.1-runtime-ubuntu24.04 # <- here"
        ),
        passing=NODE + POD,
    ),
    Rule(
        id="RUNTIME-CLASS",
        severity="warning",
        title="A GPU pod names the runtime that nodes do not use by default",
        why="Where the nvidia runtime is not the default, the kubelet hands a pod its devices and "
        "the container has no driver: nvidia-smi and libcuda are missing.",
        remedy="add runtimeClassName: nvidia, or make nvidia the default runtime of the nodes",
        source="K3s and RKE2 documentation, NVIDIA container runtime; NVIDIA/k8s-device-plugin "
        "README, Prerequisites",
        scope="pod",
        needs="cluster",
        reads=("node.k8s.io/RuntimeClass", "apps/DaemonSet", "Node"),
        check=check_runtime,
        failing=NODE
        + PLUGIN
        + POD.replace("  runtimeClassName: nvidia\n", "").replace("spec:", "spec: # <- here"),
        passing=NODE + PLUGIN + POD,
    ),
)
