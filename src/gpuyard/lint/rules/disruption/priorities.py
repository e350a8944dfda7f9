"""Priorities: classes that are not there, and pods that an autoscaler gives away.

A pod with an unknown ``priorityClassName`` is refused when it is made; a controller then makes none
and says so in its events. A priority below -10 is *expendable* to cluster-autoscaler: it adds no
node for such a pod, and removes nodes as if the pod were not there.

Sources: k8s.io/api 1.37, scheduling/v1; Kubernetes documentation, Pod Priority and Preemption;
cluster-autoscaler FAQ (2026-08), How does CA work with Pod Priority.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.samples import POD, changed, together
from gpuyard.lint.world import World

PRIORITY_CLASS = "scheduling.k8s.io/PriorityClass"
SYSTEM = "system-"
EXPENDABLE_BELOW = -10


def check_unknown(pod: PodView, world: World) -> Iterator[Hit]:
    """Find priority classes that were not given, where classes were."""
    name = pod.spec.text("priorityClassName")
    if not name or name.startswith(SYSTEM) or not world.knows(PRIORITY_CLASS):
        return
    if world.cluster_wide(PRIORITY_CLASS, name) is None:
        yield Hit(
            pod.spec.at("priorityClassName"),
            f"PriorityClass {name} is none of {len(world.of_kind(PRIORITY_CLASS))} given",
            of="value",
        )


def check_expendable(pod: PodView, world: World) -> Iterator[Hit]:
    """Find GPU pods for which no autoscaler adds a node."""
    name = pod.spec.text("priorityClassName")
    given = world.cluster_wide(PRIORITY_CLASS, name) if name else None
    value = None if given is None else given.whole("value")
    if value is not None and value < EXPENDABLE_BELOW:
        yield Hit(
            pod.spec.at("priorityClassName"),
            f"PriorityClass {name} is {value}, and below {EXPENDABLE_BELOW} the cluster autoscaler "
            "adds no node for a pod",
            of="value",
        )


_CLASS = """\
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata:
  name: training
value: 1000
"""
_RANKED = changed(POD, "spec:\n", "spec:\n  priorityClassName: training\n")
RULES = (
    Rule(
        id="PRIORITY-UNKNOWN",
        severity="warning",
        title="The priority class of a pod exists",
        why="The API server refuses a pod whose class it does not know. A Job or Deployment then "
        "has no pods, and only its events say why.",
        remedy="correct priorityClassName, or make the PriorityClass",
        source="Kubernetes documentation, Pod Priority and Preemption",
        scope="pod",
        check=check_unknown,
        failing=together(_CLASS, changed(_RANKED, "Name: training", "Name: trainings # <- here")),
        passing=together(_CLASS, _RANKED),
    ),
    Rule(
        id="PRIORITY-EXPENDABLE",
        severity="warning",
        title="A GPU pod is worth a node to the autoscaler",
        why="Below -10 a pod is expendable: no node is added for it, and nodes are removed as if "
        "it were not there. Pods with GPUs, which wait for a node more than others, wait for ever.",
        remedy="give the PriorityClass a value of -10 or more",
        source="cluster-autoscaler FAQ (2026-08), --expendable-pods-priority-cutoff",
        scope="pod",
        check=check_expendable,
        failing=together(
            changed(_CLASS, "value: 1000", "value: -100"),
            changed(_RANKED, "Name: training", "Name: training # <- here"),
        ),
        passing=together(_CLASS, _RANKED),
    ),
)
