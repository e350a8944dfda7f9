"""Pods that nobody makes again.

A Pod without a controller lives as long as its node. When the node restarts, is drained or lost,
the pod stays in Terminating, Failed or Unknown, and nothing takes its place.

Left alone: pods of a group or a queue (their scheduler made them), static pods, tests of a Helm
chart, and what another object owns.

Source: Kubernetes documentation, Configuration Good Practices; kubernetes #125579.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.samples import POD
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

STATIC = "kubernetes.io/config.mirror"
HOOK = "helm.sh/hook"
FINISHED = frozenset({"Succeeded", "Failed"})


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find Pods with GPUs that have no controller."""
    workload = pod.workload
    if workload.kind != "Pod" or workload.mappings("metadata", "ownerReferences"):
        return
    if workload.gang_marks or workload.annotations.keys() & {STATIC, HOOK}:
        return
    if workload.text("status", "phase") not in FINISHED:
        yield Hit(
            ("kind",),
            f"a Pod with {count(pod.gpus, 'GPU')} and without a controller is not made again when "
            "its node goes",
            of="value",
        )


RULES = (
    Rule(
        id="JOB-BARE-POD",
        severity="info",
        title="A controller stands behind a pod with GPUs",
        why="When the node restarts, is drained or lost, a bare Pod ends with it, and nobody "
        "starts it again.",
        remedy="make it a Job, or a Deployment",
        source="Kubernetes documentation, Configuration Good Practices; kubernetes #125579",
        scope="pod",
        check=check,
        failing=POD.replace("kind: Pod", "kind: Pod # <- here"),
        passing="""\
apiVersion: batch/v1
kind: Job
metadata:
  name: rank-0
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              nvidia.com/gpu: 1
""",
    ),
)
