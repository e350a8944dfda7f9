"""GPU pods that are worth as much as everything else.

Without a priority class a pod has priority 0, as has every batch script of the cluster: it cannot
take a GPU back from them, and is preempted as readily. Pods in a queue are ordered there, and a
class that is the cluster's default is enough.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

CLASS = "scheduling.k8s.io/PriorityClass"
FIELDS = ("priorityClassName", "priority")
OF_QUEUES = ("kueue.x-k8s.io/priority-class", "kueue.x-k8s.io/queue-name", "kai.scheduler/queue")


def check(workload: Workload, world: World) -> Iterator[Hit]:
    """Find workloads none of whose GPU pods has a priority."""
    if workload.row.gangs_itself or workload.row.lifetime == "daemon" or _has_default(world):
        return
    if any(key in workload.labels for key in OF_QUEUES):
        return
    pods = workload.gpu_pods
    if any(_has_priority(pod) for pod in pods):
        return
    if workload.get("spec", "runPolicy", "schedulingPolicy", "priorityClass") is None:
        yield Hit(
            pods[0].spec.at("priorityClassName"),
            "no priority class: these GPU pods have priority 0, like every pod without one",
        )


def _has_priority(pod: PodView) -> bool:
    return (
        not pod.is_complete
        or any(pod.spec.get(field) is not None for field in FIELDS)
        or any(key in pod.labels for key in OF_QUEUES)
    )


def _has_default(world: World) -> bool:
    return any(one.is_true("globalDefault") for one in world.of_kind(CLASS))


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
{spec}
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="GPU-NO-PRIORITY",
        severity="info",
        title="A GPU workload has a priority class",
        why="When GPUs run out, priority decides who waits and who is preempted. Without it a "
        "production server and a forgotten experiment are worth the same.",
        remedy="set priorityClassName in the PodSpec",
        source="Kubernetes documentation, Pod Priority and Preemption",
        scope="workload",
        check=check,
        failing=_POD.format(spec="spec: # <- here"),
        passing=_POD.format(spec="spec:\n  priorityClassName: serving"),
    ),
)
