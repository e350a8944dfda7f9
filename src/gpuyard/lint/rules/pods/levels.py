"""Fields of a pod, written one level too high or too low.

``nodeSelector`` belongs into the PodSpec. Beside ``template``, in a worker group, or in a container
it is a field that nobody knows: a strict client refuses it, every other drops it, and the pod
starts wherever there is room. The levels from ``spec`` down to the template are looked at, and
containers. Kinds that have such a field of their own (a Volcano Job has ``priorityClassName``) keep
it.
"""

from collections.abc import Iterator

from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

FIELDS = frozenset(
    {
        *("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"),
        *("runtimeClassName", "priorityClassName", "schedulerName"),
        *("hostIPC", "hostNetwork", "hostPID", "dnsPolicy"),
        *("containers", "initContainers", "terminationGracePeriodSeconds"),
    }
)
"""Fields of a PodSpec that no kind of the table has above its template, but for `OWN`."""
OWN = {"batch.volcano.sh": frozenset({"priorityClassName", "schedulerName"})}
GENERATED = frozenset({"Workload"})  # Kueue writes those


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find fields of the PodSpec above it and below it."""
    if pod.path and pod.spec_path == (*pod.path, "spec") and pod.workload.kind not in GENERATED:
        own = OWN.get(pod.workload.row.group, frozenset())
        for end in range(1, len(pod.path) + 1):
            yield from _stray(pod, pod.path[:end], own)
    for container in pod.all_containers:
        yield from _stray(pod, container.path, frozenset())


def _stray(pod: PodView, level: Path, own: frozenset[str]) -> Iterator[Hit]:
    found = pod.workload.mapping(*level)
    for field in sorted(FIELDS.intersection(found) - own):
        if found[field] not in (None, "", False):
            yield Hit(
                (*level, field),
                f"{field} stands in {_written(level)}, where it is dropped; its place is "
                f"{_written(pod.spec_path)}",
            )


def _written(path: Path) -> str:
    """Return a path as people write it: ``spec.containers[0]``."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return "".join(parts).removeprefix(".")


_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
"""
_TEMPLATE = """\
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="POD-LEVEL",
        severity="error",
        title="Fields of a pod stand in its PodSpec",
        why="One level off, a selector or a toleration is an unknown field. It is refused by "
        "strict clients and dropped by all others, and the pod runs as if nobody had asked.",
        remedy="move the field into the PodSpec",
        source="k8s.io/api 1.37, core/v1 PodSpec; kubectl --validate=strict; ray-project/ray "
        "#50298; ray-project/kuberay #1914",
        scope="pod",
        check=check,
        failing=_JOB
        + """\
  nodeSelector: # <- here
    nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
"""
        + _TEMPLATE,
        passing=_JOB
        + _TEMPLATE
        + """\
      nodeSelector:
        nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
""",
    ),
)
