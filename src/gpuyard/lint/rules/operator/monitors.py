"""The operator itself, and who reads the counters of a GPU.

The operator keeps every node in memory: its default limit is made for some hundred. DCGM reads the
profiling counters of a GPU, and only one engine can: an exporter with an engine of its own beside a
standalone one gets errors instead of numbers, or takes them from the other.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import Entry, World
from gpuyard.model.quantity import parse_quantity

NODES_MANY = 300
BYTES_FEW = 500 * 2**20
REMOTE = "DCGM_REMOTE_HOSTENGINE_INFO"
DAEMON_SET = "apps/DaemonSet"


def check_memory(operator: Entry, world: World) -> Iterator[Hit]:
    """Find an operator with too little memory for its nodes."""
    nodes = len(world.of_kind("Node"))
    if nodes < NODES_MANY or operator.workload is None:
        return
    for pod in operator.workload.pods:
        for box in pod.containers:
            limit = box.limits.get("memory")
            if (
                "/gpu-operator:" in box.image
                and isinstance(limit, str)
                and _bytes(limit) < BYTES_FEW
            ):
                yield Hit(
                    (*box.resources_path, "limits", "memory"),
                    f"the gpu-operator has {limit} of memory for {nodes} nodes",
                    of="value",
                )


def check_engines(world: World, _world: World) -> Iterator[Hit]:
    """Find several engines that read the same GPUs."""
    engines = [one for one in world.of_kind(DAEMON_SET) if _has_engine(one)]
    if len(engines) > 1:
        names = [one.title for one in engines]
        yield Hit(
            ("metadata", "name"),
            f"{len(engines)} DaemonSets read the counters of the same GPUs: {', '.join(names[:3])}",
            on=engines[-1],
        )


def _has_engine(entry: Entry) -> bool:
    """Tell whether it runs a DCGM engine on every node: a standalone one, or an exporter's own."""
    for pod in entry.workload.pods if entry.workload else ():
        if pod.spec.mapping("nodeSelector") or pod.spec.mapping("affinity"):
            return False  # the two may share the nodes between them
        for box in pod.containers:
            name = box.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
            flag = box.flag("-r", "--remote-hostengine-info")
            if name == "dcgm" or (name == "dcgm-exporter" and not box.env(REMOTE) and not flag):
                return True
    return False


def _bytes(written: str) -> int:
    try:
        return parse_quantity(written)
    except ValueError:
        return BYTES_FEW


OPERATOR = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: gpu-operator
spec:
  selector:
    matchLabels: {app: gpu-operator}
  template:
    metadata:
      labels: {app: gpu-operator}
    spec:
      containers:
        - name: gpu-operator
          image: nvcr.io/nvidia/gpu-operator:v25.10.1
          resources:
            limits:
              memory: 350Mi # <- here
---
"""
NODES = (
    """\
apiVersion: v1
kind: List
items: [
  &node {apiVersion: v1, kind: Node, metadata: {name: gpu-0}},
"""
    + ("  " + "*node, " * 19 + "*node,\n") * (NODES_MANY // 20)
    + "]\n"
)
ENGINE = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: nvidia-dcgm
spec:
  selector:
    matchLabels: {app: dcgm}
  template:
    metadata:
      labels: {app: dcgm}
    spec:
      containers:
        - name: dcgm
          image: nvcr.io/nvidia/cloud-native/dcgm:4.4.2-1-ubuntu22.04
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: dcgm-exporter # <- here
spec:
  selector:
    matchLabels: {app: exporter}
  template:
    metadata:
      labels: {app: exporter}
    spec:
      containers:
        - name: exporter
          image: nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-distroless
"""

ENGINE_ELSEWHERE = """\
          env:
            - {name: DCGM_REMOTE_HOSTENGINE_INFO, value: "nvidia-dcgm:5555"}
"""

RULES = (
    Rule(
        id="OPERATOR-MEMORY",
        severity="warning",
        title="The gpu-operator has memory for all nodes",
        why="It keeps every node and its own objects in memory. On large clusters it is killed "
        "again and again, and new nodes get no driver.",
        remedy="set operator.resources.limits.memory to 1Gi or more",
        source="GPU Operator documentation, Troubleshooting, operator pods killed for memory",
        scope="object",
        kinds=("apps/Deployment",),
        needs="cluster",
        reads=("Node",),
        check=check_memory,
        failing=OPERATOR + NODES,
        passing=OPERATOR.replace("350Mi # <- here", "1Gi") + NODES,
    ),
    Rule(
        id="DCGM-TWICE",
        severity="warning",
        title="One DCGM engine reads the GPUs of a node",
        why="Only one engine can hold the profiling counters of a GPU. The exporter's metrics are "
        "missing or zero, for the one that came second.",
        remedy="set DCGM_REMOTE_HOSTENGINE_INFO of the exporter to the standalone engine, or "
        "remove one of them",
        source="GPU Operator documentation, Troubleshooting; NVIDIA/dcgm-exporter README, "
        "DCGM_REMOTE_HOSTENGINE_INFO",
        scope="world",
        check=check_engines,
        failing=ENGINE,
        passing=ENGINE.replace(" # <- here", "") + ENGINE_ELSEWHERE,
    ),
)
