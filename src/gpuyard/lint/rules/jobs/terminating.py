"""Pods that cannot end, because nobody is left to say that they have.

When a node stops answering, its pods are marked for deletion after five minutes. The kubelet would
confirm it, but it is the kubelet that is gone: the pods stay in Terminating, count as running for
their Job or StatefulSet, and keep their names and claims. The taint ``out-of-service`` tells the
control plane that the node is down for sure, and Kueue has an annotation for the same.

Sources: Kubernetes documentation, Non-graceful node shutdown; kubernetes #125579; Kueue v0.20,
``kueue.x-k8s.io/safe-to-forcefully-delete``.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.samples import GPU_NODE, POD, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
SAFE = "kueue.x-k8s.io/safe-to-forcefully-delete"


def check(world: World, _world: World) -> Iterator[Hit]:
    """Find nodes that do not answer and hold GPU pods which are being deleted."""
    held: dict[str, list[Entry]] = {}
    for pod in world.of_kind("Pod"):
        is_ending = pod.get("metadata", "deletionTimestamp") and SAFE not in pod.annotations
        if is_ending and pod.workload is not None and pod.workload.asks_gpus:
            held.setdefault(pod.text("spec", "nodeName"), []).append(pod)
    for name, pods in held.items():
        node = world.cluster_wide("Node", name)
        if node is None or _is_ready(node) or _is_out_of_service(node):
            continue
        gpus = sum(one.gpus for pod in pods if pod.workload for one in pod.workload.pods)
        yield Hit(
            ("metadata", "deletionTimestamp"),
            f"node {name} does not answer, and {count(len(pods), 'pod')} with {count(gpus, 'GPU')} "
            "cannot finish terminating",
            on=pods[0],
        )


def _is_ready(node: Entry) -> bool:
    conditions = [one for _, one in node.mappings("status", "conditions")]
    ready = next((one for one in conditions if one.get("type") == "Ready"), None)
    return ready is None or plain.text(ready, "status") == "True"


def _is_out_of_service(node: Entry) -> bool:
    return any(taint.get("key") == OUT_OF_SERVICE for _, taint in node.mappings("spec", "taints"))


_NODE = changed(
    GPU_NODE, "status:\n", 'status:\n  conditions:\n    - {type: Ready, status: "Unknown"}\n'
)
_POD = changed(
    changed(
        POD,
        "  name: rank-0\n",
        "  name: rank-0\n  deletionTimestamp: 2026-11-23T10:00:00Z # <- here\n",
    ),
    "spec:\n",
    "spec:\n  nodeName: gpu-0\n",
)

RULES = (
    Rule(
        id="JOB-TERMINATING",
        severity="warning",
        title="Pods of a dead node are let go",
        why="Only the kubelet can say that a pod has ended. While its node is down the pod stays "
        "in Terminating, and its Job or StatefulSet waits with the replacement.",
        remedy="when the node is certainly down, taint it "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        source="Kubernetes documentation, Node Shutdowns, Non-graceful node shutdown handling; "
        "kubernetes #125579",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check,
        failing=together(_NODE, _POD),
        passing=together(
            changed(
                _NODE,
                "    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}\n",
                "    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}\n"
                "    - {key: node.kubernetes.io/out-of-service, effect: NoExecute}\n",
            ),
            _POD.replace(" # <- here", ""),
        ),
    ),
)
