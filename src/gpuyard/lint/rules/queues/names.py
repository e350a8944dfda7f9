"""Queues that are not there, and workloads that stand in none.

A label with a queue's name is a promise: Kueue suspends the job until the queue admits it. If there
is no such LocalQueue in the namespace, the job stays suspended, and only a condition of its
Workload tells. Without a label the job runs past the queue; it takes what it wants of what the
queues share out, unless the namespace has a LocalQueue called ``default``.

Spoken of only where LocalQueues were given; one that the workload can meet.

Source: Kueue v0.20, concepts Local Queue; pkg/controller/constants; local queue defaulting.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.queues.chain import (
    CLUSTER_QUEUE,
    DEFAULT,
    LOCAL_QUEUE,
    QUEUE_LABEL,
    near_queues,
    queue_name,
)
from gpuyard.lint.rules.samples import TRAIN, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
PRIORITY = "kueue.x-k8s.io/WorkloadPriorityClass"
NAMES_SHOWN_MAX = 4
NOT_QUEUED = frozenset({"ClusterTrainingRuntime", "PodTemplate", "TrainingRuntime", "Workload"})


def check_unknown(workload: Workload, world: World) -> Iterator[Hit]:
    """Find workloads in a queue that their namespace does not have."""
    name = queue_name(workload)
    entry = world.entry(workload)
    if not name or not world.knows(LOCAL_QUEUE) or world.named(LOCAL_QUEUE, name, entry):
        return
    near = near_queues(entry, world)
    if near or world.origin == "cluster":
        yield Hit(
            ("metadata", "labels", QUEUE_LABEL),
            f"no LocalQueue {name} in the namespace; there is {_names(near) or 'none'}",
            of="value",
        )


def check_missing(workload: Workload, world: World) -> Iterator[Hit]:
    """Find workloads that run past the queues of their namespace."""
    if workload.row.lifetime != "task" or workload.kind in NOT_QUEUED or queue_name(workload):
        return
    if any(mark.system != "kubernetes" for mark in workload.gang_marks) or workload.row.queue:
        return  # another scheduler, or a field of the kind, has its queue
    entry = world.entry(workload)
    near = near_queues(entry, world)
    if near and all(one.name != DEFAULT for one in near):
        gpus = workload.gpus_total
        yield Hit(
            ("metadata", "labels"),
            f"{count(gpus, 'GPU') if gpus else 'GPUs'} without a queue, though the namespace has "
            f"{_names(near)}",
        )


def _names(queues: list[Entry]) -> str:
    return ", ".join(sorted({one.name for one in queues})[:NAMES_SHOWN_MAX])


def check_cluster_queue(queue: Entry, world: World) -> Iterator[Hit]:
    """Find LocalQueues that lead to a ClusterQueue that is not there."""
    name = queue.text("spec", "clusterQueue")
    if name and world.knows(CLUSTER_QUEUE) and not world.cluster_wide(CLUSTER_QUEUE, name):
        yield Hit(
            ("spec", "clusterQueue"),
            f"LocalQueue {queue.name} leads to ClusterQueue {name}, which is none of "
            f"{count(len(world.of_kind(CLUSTER_QUEUE)), 'ClusterQueue')} given",
            of="value",
        )


def check_priority(workload: Workload, world: World) -> Iterator[Hit]:
    """Find workloads with a priority class of Kueue's that is not there."""
    name = workload.labels.get(PRIORITY_LABEL, "")
    if name and world.knows(PRIORITY) and world.cluster_wide(PRIORITY, name) is None:
        yield Hit(
            ("metadata", "labels", PRIORITY_LABEL),
            f"WorkloadPriorityClass {name} is none of {len(world.of_kind(PRIORITY))} given",
            of="value",
        )


_LOCAL = """\
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata:
  name: research
spec:
  clusterQueue: gpus
"""
_CLUSTER = """\
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata:
  name: gpus
"""
_PRIORITY = """\
apiVersion: kueue.x-k8s.io/v1beta2
kind: WorkloadPriorityClass
metadata:
  name: urgent
value: 1000
"""
_IN_QUEUE = "    kueue.x-k8s.io/queue-name: research\n"
_URGENT = changed(TRAIN, _IN_QUEUE, f"{_IN_QUEUE}    kueue.x-k8s.io/priority-class: urgent\n")

RULES = (
    Rule(
        id="QUEUE-UNKNOWN",
        severity="warning",
        title="The queue of a workload exists in its namespace",
        why="Kueue holds the job back until its queue admits it. A queue that is not there never "
        "does: the job has no pods, and only its Workload says why.",
        remedy="correct the label, or make a LocalQueue of that name in the namespace",
        source="Kueue v0.20, concepts, Local Queue; tasks, Troubleshooting Jobs",
        scope="workload",
        check=check_unknown,
        failing=together(
            _LOCAL, changed(TRAIN, "queue-name: research", "queue-name: reserch # <- here")
        ),
        passing=together(_LOCAL, TRAIN),
    ),
    Rule(
        id="QUEUE-MISSING",
        severity="warning",
        title="A job stands in a queue where there are queues",
        why="A job without the label is started at once, outside all quotas. It takes the GPUs "
        "that the queues count on, and admitted jobs find no room.",
        remedy="add the label kueue.x-k8s.io/queue-name, or a LocalQueue named default",
        source="Kueue v0.20, concepts, Local Queue; local queue defaulting",
        scope="workload",
        check=check_missing,
        failing=together(
            _LOCAL,
            changed(TRAIN, "  labels:\n" + _IN_QUEUE, "  labels: # <- here\n    app: train\n"),
        ),
        passing=together(_LOCAL, TRAIN),
    ),
    Rule(
        id="QUEUE-NO-CLUSTER-QUEUE",
        severity="warning",
        title="A LocalQueue leads to a ClusterQueue that exists",
        why="A LocalQueue without its ClusterQueue is inactive: what is submitted to it waits "
        "without an end.",
        remedy="correct spec.clusterQueue",
        source="Kueue v0.20, concepts, Local Queue",
        scope="object",
        kinds=(LOCAL_QUEUE,),
        check=check_cluster_queue,
        failing=together(
            changed(_LOCAL, "clusterQueue: gpus", "clusterQueue: gpu # <- here"), _CLUSTER
        ),
        passing=together(_LOCAL, _CLUSTER),
    ),
    Rule(
        id="QUEUE-PRIORITY",
        severity="warning",
        title="The priority class of a queued workload exists",
        why="Kueue makes no Workload for a job whose class it cannot find, and the job stays "
        "suspended.",
        remedy="correct the label kueue.x-k8s.io/priority-class",
        source="Kueue v0.20, concepts, Workload Priority Class",
        scope="workload",
        check=check_priority,
        failing=together(
            _PRIORITY, changed(_URGENT, "class: urgent", "class: important # <- here")
        ),
        passing=together(_PRIORITY, _URGENT),
    ),
)
