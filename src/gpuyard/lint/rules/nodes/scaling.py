"""GPU nodes and the cluster autoscaler: adding too many, and removing none.

A new node shows its GPUs minutes after it is ready. cluster-autoscaler waits for them if the node
carries the GPU label of its cloud; without the label it takes the node for one without GPUs, sees
the pod still pending and adds another.

It removes a node only if all pods on it can go. A pod without a controller, one with local storage,
or one of kube-system without a budget holds the node, and with it eight GPUs that nobody uses.

Nodes that Karpenter made are left alone; it knows neither label nor these reasons.

Sources: cluster-autoscaler of 2026-08, cloudprovider/{aws,azure,gce}/*_cloud_provider.go
(GPULabel), FAQ (What types of pods can prevent CA from removing a node); autoscaler #7095, #2027.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.disruption.evictions import SAFE_TO_EVICT
from gpuyard.lint.rules.nodes.candidates import gpu_nodes, gpus_offered
from gpuyard.lint.rules.samples import GPU_NODE, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

LOCAL_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
STATIC = "kubernetes.io/config.mirror"
# How a cloud's nodes begin their providerID, and the labels that its autoscaler looks for
LABELS = {
    "aws://": ("k8s.amazonaws.com/accelerator",),
    "azure://": ("kubernetes.azure.com/accelerator", "accelerator"),
    "gce://": ("cloud.google.com/gke-accelerator", "cloud.google.com/gke-gpu-dra-driver"),
}
MADE_BY_OTHERS = ("karpenter.sh/nodepool", "eks.amazonaws.com/compute-type")
LOCAL = ("emptyDir", "hostPath")


def check_label(world: World, _world: World) -> Iterator[Hit]:
    """Find GPU nodes that the autoscaler does not take for such."""
    without: dict[str, list[Entry]] = {}
    for node in world.once(gpu_nodes):
        labels = _labels_wanted(node)
        if labels and not node.labels.keys() & {*labels, *MADE_BY_OTHERS}:
            without.setdefault(labels[0], []).append(node)
    for label, nodes in without.items():
        yield Hit(
            ("metadata", "labels"),
            f"{count(len(nodes), 'GPU node')} without the label {label}: "
            f"{', '.join(node.name for node in nodes[:3])}",
            on=nodes[0],
            remedy=f"label the node group with {label}",
        )


def check_held(world: World, _world: World) -> Iterator[Hit]:
    """Find GPU nodes without work that a pod keeps from being removed."""
    nodes = {node.name: node for node in world.once(gpu_nodes)}
    at: dict[str, list[Entry]] = {name: [] for name in nodes}
    for pod in world.of_kind("Pod"):
        name = pod.text("spec", "nodeName")
        if name in at and pod.text("status", "phase") not in {"Succeeded", "Failed"}:
            at[name].append(pod)
    for name, pods in at.items():
        node = nodes[name]
        if not _labels_wanted(node) or node.labels.keys() & set(MADE_BY_OTHERS):
            continue
        if any(pod.workload is not None and pod.workload.asks_gpus for pod in pods):
            continue
        holding = [(pod, reason) for pod in pods if (reason := _holds(pod))]
        if holding:
            pod, reason = holding[0]
            yield Hit(
                ("metadata", "name"),
                f"node {name} with {count(gpus_offered(node), 'idle GPU')} is not removed: {reason}"
                f"{f', and {len(holding) - 1} more' if holding[1:] else ''}",
                on=pod,
            )


def _labels_wanted(node: Entry) -> tuple[str, ...]:
    provider = node.text("spec", "providerID")
    return next((labels for start, labels in LABELS.items() if provider.startswith(start)), ())


def _holds(pod: Entry) -> str:
    """Return why the autoscaler leaves a pod where it is, "" where it does not."""
    safe = pod.annotations.get(SAFE_TO_EVICT)
    owners = {plain.text(one, "kind") for _, one in pod.mappings("metadata", "ownerReferences")}
    if STATIC in pod.annotations or safe == "true" or "DaemonSet" in owners or "Node" in owners:
        return ""
    if safe == "false":
        return f"{pod.title} is not safe to evict"
    if not owners:
        return f"{pod.title} has no controller"
    return f"{pod.title} has local storage" if _has_local_storage(pod) else ""


def _has_local_storage(pod: Entry) -> bool:
    exempt = {name.strip() for name in pod.annotations.get(LOCAL_VOLUMES, "").split(",")}
    return any(
        any(kind in volume for kind in LOCAL)
        and plain.get(volume, "emptyDir", "medium") != "Memory"
        and plain.text(volume, "name") not in exempt
        for _, volume in pod.mappings("spec", "volumes")
    )


_ON_AWS = changed(
    changed(GPU_NODE, "spec:\n", "spec:\n  providerID: aws:///eu-west-1a/i-0\n"),
    "  name: gpu-0\n",
    "  name: gpu-0\n  labels:\n    k8s.amazonaws.com/accelerator: nvidia-h100\n",
)
_NOTEBOOK = """\
apiVersion: v1
kind: Pod
metadata:
  name: debug
spec:
  nodeName: gpu-0
  containers:
    - name: shell
      image: registry.example/shell:1.0
"""

RULES = (
    Rule(
        id="NODE-GPU-LABEL",
        severity="warning",
        title="GPU nodes carry the label that the autoscaler looks for",
        why="Until a node shows its GPUs the autoscaler waits, if the label tells that there will "
        "be some. Without it, it adds a second node for the same pod and removes one again.",
        remedy="label the node group with the accelerator label of the cloud",
        source="cluster-autoscaler, cloudprovider GPULabel (2026-08); kubernetes/autoscaler #7095, "
        "#2027",
        scope="world",
        needs="cluster",
        reads=("Node",),
        check=check_label,
        failing=changed(
            changed(_ON_AWS, "    k8s.amazonaws.com/accelerator: nvidia-h100\n", "    team: a\n"),
            "labels:",
            "labels: # <- here",
        ),
        passing=_ON_AWS,
    ),
    Rule(
        id="NODE-HELD",
        severity="info",
        title="An idle GPU node can be removed",
        why="The autoscaler removes a node only if all of its pods may be moved. One pod without a "
        "controller or with local storage keeps all GPUs of the node running, unused.",
        remedy="give the pod a controller, or annotate it with "
        'cluster-autoscaler.kubernetes.io/safe-to-evict: "true"',
        source="cluster-autoscaler FAQ (2026-08), What types of pods can prevent CA from removing "
        "a node",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_held,
        failing=together(_ON_AWS, changed(_NOTEBOOK, "name: debug", "name: debug # <- here")),
        passing=together(
            _ON_AWS,
            changed(
                _NOTEBOOK,
                "  name: debug\n",
                "  name: debug\n  annotations:\n"
                '    cluster-autoscaler.kubernetes.io/safe-to-evict: "true"\n',
            ),
        ),
    ),
)
