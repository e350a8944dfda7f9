"""Replicas of which not all have a node, even if all nodes were empty.

More replicas than nodes with an anti-affinity on the hostname, a spread over zones that cannot be
even, simply more GPUs than the cluster has: the last replicas wait for ever, and a roll-out of the
others never ends. All are placed one after the other on the empty nodes, by the code that places
pods, and counted.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.fit import NOT_PLACED_SO
from gpuyard.lint.rules.nodes.fleet import Fleet, fleet, said, template
from gpuyard.lint.wording import count
from gpuyard.lint.world import World
from gpuyard.model.workloads import PodTemplate
from gpuyard.scheduling import feasibility

REPLICAS_MAX = 512  # so many are tried out


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find workloads of which the last replicas never start."""
    replicas = pod.count
    if replicas is None or not 1 < replicas <= REPLICAS_MAX or pod.workload.kind in NOT_PLACED_SO:
        return
    if pod.workload.row.lifetime != "service":
        return  # what ends makes room for the next
    nodes, asked = fleet(world), template(pod)
    if nodes is None or asked is None or not nodes.fits_somewhere(asked):
        return
    fitting, why = _fitting(nodes, asked, replicas)
    if fitting < replicas:
        yield Hit(
            pod.workload.at("metadata", "name"),
            f"{fitting} of {count(replicas, 'replica')} would have a node, were all "
            f"{count(len(nodes.nodes), 'node')} empty: {why}",
        )


def _fitting(nodes: Fleet, asked: PodTemplate, replicas: int) -> tuple[int, str]:
    """Return how many replicas fit on the empty nodes, and why the next does not."""
    with nodes.empty.snapshot.trial():
        for index in range(replicas):
            if nodes.empty.place(f"replica-{index}", asked) is None:
                snapshot = nodes.empty.snapshot
                return index, said(feasibility.explain(snapshot, snapshot.shape(asked)))
    return replicas, ""


NODES = "".join(
    f"""\
apiVersion: v1
kind: Node
metadata:
  name: gpu-{number}
  labels: {{kubernetes.io/hostname: gpu-{number}}}
spec:
  taints:
    - {{key: nvidia.com/gpu, value: present, effect: NoSchedule}}
status:
  allocatable: {{cpu: "96", memory: 1000Gi, pods: "110", nvidia.com/gpu: "8"}}
---
"""
    for number in range(2)
)
SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm # <- here
spec:
  replicas: 3
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      tolerations: [{key: nvidia.com/gpu, operator: Exists}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - labelSelector:
                matchLabels: {app: llm}
              topologyKey: kubernetes.io/hostname
      containers:
        - name: vllm
          image: registry.example/vllm:0.13
          resources:
            limits:
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="FIT-REPLICAS",
        severity="warning",
        title="Every replica has a node",
        why="The last replicas stay Pending, and a rolling update that waits for them never ends. "
        "With a hostname anti-affinity there can be no more replicas than nodes.",
        remedy="use fewer replicas, prefer the anti-affinity instead of requiring it, or add nodes",
        source="placed by gpuyard.scheduling on the nodes that were given; Kubernetes "
        "documentation, Inter-pod affinity and anti-affinity",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check,
        failing=NODES + SERVER,
        passing=NODES + SERVER.replace(" # <- here", "").replace("replicas: 3", "replicas: 2"),
    ),
)
