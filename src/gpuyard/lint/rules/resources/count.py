"""More GPUs in one pod than a machine has.

A pod runs on one node, and no node on sale has more than sixteen GPUs of NVIDIA or AMD; eight is
common. A job that needs more has several pods. Shares of a GPU are left alone: a node may have any
number of them.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

GPUS_MAX = 16  # HGX-2, p2.16xlarge, a2-megagpu-16g
COUNTED = frozenset({"nvidia.com/gpu", "amd.com/gpu"})


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find pods for which no node is large enough."""
    for name, number in pod.devices.items():
        if name in COUNTED and number > GPUS_MAX:
            ask = max(
                (one for one in pod.gpu_asks if one.resource.name == name),
                key=lambda one: one.count,
            )
            yield Hit(
                ask.path,
                f"the pod asks for {number} of {name}, and no machine has more than {GPUS_MAX}",
                of="value",
            )


_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  parallelism: 4
  completions: 4
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          volumeMounts:
            - {name: dshm, mountPath: /dev/shm}
          resources:
            limits:
"""
_VOLUME = """\
      volumes:
        - name: dshm
          emptyDir: {medium: Memory}
"""

RULES = (
    Rule(
        id="GPU-TOO-MANY",
        severity="error",
        title="A pod asks for no more GPUs than a machine has",
        why="A pod runs on one node. This one waits for ever, and an autoscaler has no machine "
        "that would help.",
        remedy="spread the job over several pods with as many GPUs as a node has",
        source="NVIDIA HGX-2 data sheet; Google Cloud a2-megagpu-16g; AWS p2.16xlarge",
        scope="pod",
        check=check,
        failing=_JOB
        + """\
              nvidia.com/gpu: 32 # <- here
"""
        + _VOLUME,
        passing=_JOB
        + """\
              nvidia.com/gpu: 8
"""
        + _VOLUME,
    ),
)
