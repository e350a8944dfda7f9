"""DaemonSets that GPU nodes keep out.

A taint that keeps CPU pods from GPU nodes keeps everything else out too: the storage driver without
which no volume is mounted there, the exporter whose metrics are then missing for exactly the nodes
that matter. A DaemonSet that is not meant for GPU nodes says so by its selector; of one without,
only those are spoken of that a GPU node is known to need.

Which nodes let a pod in is the scheduling core's answer, with the tolerations that the DaemonSet
controller adds.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import POLICY
from gpuyard.lint.rules.nodes.fleet import Fleet, fleet, lasting, template, without_constraints
from gpuyard.lint.rules.nodes.untainted import gpus_of
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World
from gpuyard.model.constraints import Constraints, Taint, Toleration
from gpuyard.model.workloads import PodTemplate, Request

NEEDED = {
    "csi-node-driver-registrar": "volumes cannot be mounted there",
    "dcgm-exporter": "their GPUs have no metrics",
    "node-problem-detector": "nobody watches them for faults",
    "node-exporter": "they have no metrics",
    "fluent-bit": "their logs are lost",
    "k8s-rdma-shared-dev-plugin": "they offer no RDMA",
    "aws-efa-k8s-device-plugin": "they offer no EFA",
    "gpu-feature-discovery": "they get no GPU labels",
}
"""Parts of image names of what GPU nodes need, and what is missing without it."""

OPERANDS_TOLERATE = (Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),)


def check_daemon(pod: PodView, world: World) -> Iterator[Hit]:
    """Find DaemonSets that do not reach the GPU nodes."""
    if pod.workload.kind != "DaemonSet" or not (missing := _what_for(pod)):
        return
    nodes, asked = fleet(world), template(pod)
    if nodes is None or asked is None:
        return
    gpu_nodes = {node.name for node in world.of_kind("Node") if gpus_of(node)}
    asked = replace(asked, request=Request())
    tolerant = without_constraints(asked, taints_only=True)
    out = _names(nodes, tolerant) & gpu_nodes - _names(nodes, asked)
    if out:
        yield Hit(
            pod.spec.at("tolerations"),
            f"a taint keeps it out of {len(out)} of {count(len(gpu_nodes), 'GPU node')}: {missing}",
        )


def check_operator(policy: Entry, world: World) -> Iterator[Hit]:
    """Find taints of GPU nodes that the operator's own DaemonSets do not tolerate."""
    nodes = fleet(world)
    if nodes is None:
        return
    written = policy.get("spec", "daemonsets", "tolerations")
    tolerations = _tolerations(policy) if isinstance(written, list) else OPERANDS_TOLERATE
    asked = PodTemplate(request=Request(), constraints=Constraints(tolerations=tolerations))
    gpu_nodes = {node.name: node for node in nodes.nodes if _is_gpu_node(dict(node.labels))}
    out = sorted(set(gpu_nodes) - _names(nodes, asked))
    if out:
        taints = lasting(gpu_nodes[out[0]].taints)
        yield Hit(
            ("spec", "daemonsets", "tolerations"),
            f"the operator's DaemonSets do not reach {len(out)} of "
            f"{count(len(gpu_nodes), 'GPU node')}, {out[0]} among them with "
            f"{', '.join(map(_shown, taints[:3]))}",
        )


def _what_for(pod: PodView) -> str:
    for container in pod.containers:
        for part, missing in NEEDED.items():
            if part in container.image:
                return missing
    return ""


def _names(nodes: Fleet, asked: PodTemplate) -> set[str]:
    return {node.name for node in nodes.nodes_for(asked)}


def _is_gpu_node(labels: dict[str, str]) -> bool:
    return labels.get("nvidia.com/gpu.present") == "true"


def _tolerations(policy: Entry) -> tuple[Toleration, ...]:
    found = []
    for _, one in policy.mappings("spec", "daemonsets", "tolerations"):
        operator, effect = plain.text(one, "operator"), plain.text(one, "effect")
        found.append(
            Toleration(
                key=plain.text(one, "key"),
                operator="Exists" if operator == "Exists" else "Equal",
                value=plain.text(one, "value"),
                effect=effect if effect in ("NoSchedule", "NoExecute") else "",  # type: ignore[arg-type]
            )
        )
    return tuple(found)


def _shown(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"


NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
  labels:
    nvidia.com/gpu.present: "true"
spec:
  taints:
    - {key: team, value: research, effect: NoSchedule}
status:
  allocatable:
    pods: "110"
    nvidia.com/gpu: "8"
---
"""
DAEMON = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: csi-node
spec:
  selector:
    matchLabels: {app: csi-node}
  template:
    metadata:
      labels: {app: csi-node}
    spec:
      tolerations:
        - operator: Exists
      containers:
        - name: registrar
          image: registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.13.0
"""
OPERATOR = f"""\
apiVersion: {POLICY.partition("/")[0]}/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  daemonsets:
    tolerations:
      - {{key: team, operator: Exists}}
"""

RULES = (
    Rule(
        id="NODE-DAEMON",
        severity="warning",
        title="What every node needs runs on the GPU nodes as well",
        why="A taint that keeps CPU pods away keeps storage drivers, exporters and log collectors "
        "away too. Pods on those nodes wait for volumes, and what they do is seen by nobody.",
        remedy="let the DaemonSet tolerate the taint, with operator Exists",
        source="Kubernetes documentation, DaemonSet, Taints and Tolerations; GPU Operator "
        "documentation, daemonsets.tolerations",
        scope="pod",
        gpu_only=False,
        needs="cluster",
        reads=("Node",),
        check=check_daemon,
        failing=NODE
        + DAEMON.replace(
            "tolerations:\n        - operator: Exists",
            "tolerations: # <- here\n        - {key: other, operator: Exists}",
        ),
        passing=NODE + DAEMON,
    ),
    Rule(
        id="OPERATOR-TAINT",
        severity="warning",
        title="The gpu-operator reaches every GPU node",
        why="The driver, the device plugin and the exporter come as DaemonSets. A node with a "
        "taint that they do not tolerate never gets a driver, and offers no GPU.",
        remedy="add the taint's key with operator Exists to daemonsets.tolerations",
        source="NVIDIA/gpu-operator v26.7.0, assets/*/0500_daemonset.yaml; GPU Operator "
        "documentation, daemonsets.tolerations",
        scope="object",
        kinds=(POLICY,),
        needs="cluster",
        reads=("Node",),
        check=check_operator,
        failing=NODE
        + OPERATOR.replace("tolerations:", "tolerations: # <- here").replace(
            "key: team", "key: nvidia.com/gpu"
        ),
        passing=NODE + OPERATOR,
    ),
)
