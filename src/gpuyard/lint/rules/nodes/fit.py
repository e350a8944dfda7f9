"""Pods that no node takes, even if all nodes were empty.

Three reasons, each a rule of its own, because each is mended elsewhere: the pod asks for more than
any node has; it wants nodes that there are none of; or the nodes it wants keep it out. In this
order: the next is only said where the one before does not hold.

Nodes may still come where something adds them on demand. Then the finding tells what such a node
has to be like; that one like it exists already is what most people take for granted.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.fleet import Fleet, fleet, lasting, template, without_constraints
from gpuyard.lint.wording import count
from gpuyard.lint.world import World
from gpuyard.model.constraints import Taint, Toleration
from gpuyard.model.nodes import Node
from gpuyard.model.workloads import PodTemplate

SELF_TOLERATING = "cloud.google.com/gke-"  # on GKE an admission controller tolerates GPU taints
NOT_PLACED_SO = frozenset({"DaemonSet", "Workload", "ClusterTrainingRuntime", "TrainingRuntime"})


def check_size(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that ask for more than any node has."""
    nodes, asked = _question(pod, world)
    if nodes is None or asked is None:
        return
    anywhere = without_constraints(asked)
    if nodes.fits_somewhere(anywhere) or _is_new_profile(pod, nodes):
        return
    yield Hit(
        pod.containers[0].resources_path if pod.containers else pod.spec_path,
        f"none of {count(len(nodes.nodes), 'node')} takes this pod, even if it were empty: "
        f"{nodes.why_not(anywhere)}",
    )


def check_selector(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that want nodes of a kind that is not there."""
    nodes, asked = _question(pod, world)
    if nodes is None or asked is None or not nodes.fits_somewhere(without_constraints(asked)):
        return
    if nodes.fits_somewhere(without_constraints(asked, taints_only=True)):
        return
    constraints = asked.constraints
    if not (constraints.node_selector or constraints.required_nodes is not None):
        return
    path, said = _which(pod, asked, nodes)
    yield Hit(path, said)


def check_taint(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that every node they want keeps out by a taint."""
    nodes, asked = _question(pod, world)
    if nodes is None or asked is None or nodes.fits_somewhere(asked):
        return
    tolerant = without_constraints(asked, taints_only=True)
    if not nodes.fits_somewhere(tolerant):
        return
    wanted = [one for one in nodes.nodes_for(tolerant) if nodes.room(tolerant)[one.name] > 0]
    taints = _keeping_out(wanted)
    if not taints or any(_tolerates_itself(one) for one in wanted):
        return
    near = _near_miss(asked.constraints.tolerations, taints)
    yield Hit(
        pod.spec.at("tolerations"),
        f"{count(len(wanted), 'node')} would do, but for a taint that the pod does not tolerate: "
        f"{', '.join(map(_shown, taints[:3]))}" + (f"; it tolerates only {near}" if near else ""),
        remedy=f"tolerate the key {taints[0].key} with operator Exists",
    )


def _question(pod: PodView, world: World) -> tuple[Fleet | None, PodTemplate | None]:
    """Return the nodes and what the pod asks of them; nothing where it cannot be answered."""
    if pod.workload.kind in NOT_PLACED_SO or pod.spec.text("nodeName") or _is_over(pod):
        return None, None
    return fleet(world), template(pod)


def _is_over(pod: PodView) -> bool:
    """Tell whether it has run: a Pod or Job of a cluster that is done."""
    status = pod.workload.mapping("status")
    return status.get("phase") in ("Succeeded", "Failed") or "completionTime" in status


def _is_new_profile(pod: PodView, nodes: Fleet) -> bool:
    """Tell whether it asks for a MIG profile that no node has: a rule of its own says that."""
    offered = {name for node in nodes.nodes for name, _ in node.allocatable.amounts}
    return any(ask.resource.profile and ask.resource.name not in offered for ask in pod.gpu_asks)


def _which(pod: PodView, asked: PodTemplate, nodes: Fleet) -> tuple[tuple[str | int, ...], str]:
    """Return the place of the label that is wanted in vain, and what the nodes have instead."""
    total = count(len(nodes.nodes), "node")
    for key, value in asked.constraints.node_selector:
        has = sorted({dict(node.labels)[key] for node in nodes.nodes if key in dict(node.labels)})
        if value not in has:
            near = get_close_matches(value, has, 1) or (has if len(has) == 1 else [])
            there = (
                f"did you mean {near[0]!r}?"
                if near
                else (f"the nodes have {_listed(has)}" if has else "no node has that label")
            )
            path = pod.spec.at("nodeSelector", key)
            return path, f"none of {total} has {key}={value}: {there}"
    is_affinity = asked.constraints.required_nodes is not None
    path = pod.spec.at("affinity", "nodeAffinity") if is_affinity else pod.spec.at("nodeSelector")
    return path, f"none of {total} that has room for the pod matches what it selects"


def _listed(values: list[str]) -> str:
    more = len(values) - 3
    return ", ".join(map(repr, values[:3])) + (f" and {more} more" if more > 0 else "")


def _keeping_out(wanted: Iterable[Node]) -> list[Taint]:
    found = {
        taint: None
        for node in wanted
        for taint in lasting(node.taints)
        if taint.effect != "PreferNoSchedule"
    }
    return list(found)


def _tolerates_itself(node: Node) -> bool:
    """Tell whether the node is of a cloud that adds tolerations for GPUs to pods that ask."""
    return any(key.startswith(SELF_TOLERATING) for key, _ in node.labels)


def _near_miss(tolerations: Iterable[Toleration], taints: list[Taint]) -> str:
    keys = {taint.key for taint in taints}
    for one in tolerations:
        if one.key in keys and one.operator == "Equal":
            return f"{one.key}={one.value}"
    return ""


def _shown(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"


NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
  labels:
    nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
spec:
  taints:
    - {key: nvidia.com/gpu, value: "true", effect: NoSchedule}
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
  nodeSelector:
    nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists}
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          cpu: "16"
          memory: 128Gi
          nvidia.com/gpu: 1
"""
SOURCE = "kube-scheduler v1.36.3, filters in gpuyard.scheduling.feasibility; "

RULES = (
    Rule(
        id="FIT-NODE",
        severity="warning",
        title="A pod asks for no more than a node has",
        why="A pod runs on one node. One that asks for more than any node has stays Pending, and "
        "so does everything that waits for it.",
        remedy="ask for less per pod and use more pods, or add nodes that are large enough",
        source=SOURCE + "Kubernetes documentation, Resource Management",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_size,
        failing=NODE
        + POD.replace("      resources:", "      resources: # <- here").replace(
            'cpu: "16"', 'cpu: "128"'
        ),
        passing=NODE + POD,
    ),
    Rule(
        id="FIT-SELECTOR",
        severity="warning",
        title="A pod selects nodes that exist",
        why="A label that no node has keeps the pod Pending. Product names change with the driver, "
        "with sharing (-SHARED) and with MIG (-MIG-1g.10gb), and labels differ between clouds.",
        remedy="select a label and value that the nodes have",
        source=SOURCE + "NVIDIA/k8s-device-plugin v0.17, GPU Feature Discovery labels",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_selector,
        failing=NODE
        + POD.replace(
            "product: NVIDIA-H100-80GB-HBM3", "product: NVIDIA-H100-80GB-HBM3-SHARED # <- here"
        ),
        passing=NODE + POD,
    ),
    Rule(
        id="FIT-TAINT",
        severity="warning",
        title="A pod tolerates the taints of the nodes that it wants",
        why="GPU nodes carry a taint that keeps other pods out. A pod without the toleration is "
        "kept out as well; an Equal toleration has to match the taint's value letter by letter.",
        remedy="tolerate the taint's key with operator Exists",
        source=SOURCE + "Kubernetes documentation, Taints and Tolerations",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_taint,
        failing=NODE
        + POD.replace("tolerations:", "tolerations: # <- here").replace(
            "operator: Exists", "operator: Equal, value: present, effect: NoSchedule"
        ),
        passing=NODE + POD,
    ),
)
