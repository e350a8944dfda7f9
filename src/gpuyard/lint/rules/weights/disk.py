"""A limit on disk below what the volumes may hold.

``ephemeral-storage`` counts what a pod writes to its layers, its logs and its emptyDirs on disk. A
pod above the limits of its containers together is evicted, whatever ``sizeLimit`` allows the
volume.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.amounts import amount, size
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

DISK = "ephemeral-storage"


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find emptyDirs that may grow beyond the limit on disk."""
    limits = [amount(one.limits.get(DISK)) for one in pod.containers]
    known = [limit for limit in limits if limit is not None]
    if not known or len(known) < len(limits):
        return
    allowed = sum(known)
    for index, volume in pod.spec.mappings("volumes"):
        written = plain.get(volume, "emptyDir", "sizeLimit")
        holds = amount(written)
        if holds is None or plain.get(volume, "emptyDir", "medium") == "Memory":
            continue
        if holds > allowed:
            yield Hit(
                pod.spec.at("volumes", index, "emptyDir", "sizeLimit"),
                f"volume {plain.text(volume, 'name')} may hold {written}, but the pod is evicted "
                f"above {size(allowed)} of {DISK}",
            )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: llm
spec:
  volumes:
    - name: models
      emptyDir:
        sizeLimit: 200Gi{mark}
  containers:
    - name: vllm
      image: registry.example/vllm:0.11
      volumeMounts:
        - {{name: models, mountPath: /models}}
      resources:
        limits:
          ephemeral-storage: {limit}
          nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="WEIGHTS-DISK-LIMIT",
        severity="warning",
        title="The limit on disk covers the emptyDirs of a pod",
        why="The kubelet evicts a pod that writes more than its ephemeral-storage limits, also "
        "into an emptyDir that was allowed to grow further: the download ends in an eviction, "
        "and starts again.",
        remedy="raise limits.ephemeral-storage above the sizeLimits together",
        source="Kubernetes documentation, Local ephemeral storage; kubernetes-engine-samples #1581",
        scope="pod",
        check=check,
        failing=_POD.format(mark=" # <- here", limit="50Gi"),
        passing=_POD.format(mark="", limit="250Gi"),
    ),
)
