"""GPU nodes that let everybody in.

A pod without a GPU takes CPU and memory wherever it fits. On a GPU node that strands the devices
beside it: they are free and no pod can use them. A taint keeps such pods out; pods with GPUs
tolerate it, most clouds add that toleration by themselves.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import gpu_resource
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})


def check(world: World, _world: World) -> Iterator[Hit]:
    """Find the GPU nodes without a taint, and count who sits there without a GPU."""
    nodes = [node for node in world.of_kind("Node") if gpus_of(node)]
    open_ones = [node for node in nodes if not _keeps_out(node)]
    if not open_ones:
        return
    names = {node.name for node in open_ones}
    guests = sum(_is_guest(pod, names) for pod in world.of_kind("Pod"))
    seated = f"; {count(guests, 'pod')} without a GPU on them" if guests else ""
    yield Hit(
        ("spec", "taints"),
        f"{len(open_ones)} of {count(len(nodes), 'GPU node')} without a NoSchedule taint{seated}",
        on=open_ones[0],
    )


def gpus_of(node: Entry) -> int:
    """Return how many devices a Node offers, of whatever kind."""
    return sum(
        count
        for name, written in node.mapping("status", "allocatable").items()
        if gpu_resource(name) and (count := _count(written))
    )


def _count(written: object) -> int:
    return int(written) if isinstance(written, str | int) and str(written).isdecimal() else 0


def _keeps_out(node: Entry) -> bool:
    taints = node.mappings("spec", "taints")
    return any(plain.text(taint, "effect") in KEEPS_OUT for _, taint in taints)


def _is_guest(pod: Entry, nodes: set[str]) -> bool:
    if pod.workload is None or plain.text(pod.value, "spec", "nodeName") not in nodes:
        return False
    owners = {plain.text(owner, "kind") for _, owner in pod.mappings("metadata", "ownerReferences")}
    return not pod.workload.asks_gpus and "DaemonSet" not in owners


RULES = (
    Rule(
        id="NODE-UNTAINTED",
        severity="warning",
        title="GPU nodes carry a taint that keeps other pods out",
        why="Pods without a GPU fill the CPU and memory of GPU nodes; the devices beside them are "
        "then free, paid for and of no use to anybody.",
        remedy="taint the nodes, nvidia.com/gpu=present:NoSchedule as on GKE, and let GPU pods "
        "tolerate the key with operator Exists",
        source="GKE documentation, About GPUs; Kubernetes documentation, Taints and Tolerations",
        scope="world",
        needs="cluster",
        reads=("Node",),
        check=check,
        failing="""\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
spec: # <- here
  providerID: example://gpu-0
status:
  allocatable:
    cpu: "96"
    nvidia.com/gpu: "8"
---
apiVersion: v1
kind: Node
metadata:
  name: gpu-1
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    cpu: "96"
    nvidia.com/gpu: "8"
---
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  nodeName: gpu-0
  containers:
    - name: web
      image: registry.example/web:1.0
""",
        passing="""\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    cpu: "96"
    nvidia.com/gpu: "8"
---
apiVersion: v1
kind: Node
metadata:
  name: cpu-0
status:
  allocatable:
    cpu: "32"
""",
    ),
)
