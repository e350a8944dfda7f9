"""Queues that are there and will not admit: stopped, inactive, or without the resource.

A ClusterQueue has quota for the resources it covers. A workload that asks for another one is never
admitted; which resource it is stands in a condition of its Workload. A queue that is stopped, or
whose flavors are missing, takes nothing.

How the head of a queue is treated is a choice with two prices. ``StrictFIFO`` lets nobody pass a
workload that does not fit, even when GPUs of another kind are free. ``BestEffortFIFO``, the
default, lets the small ones pass, and a large gang may wait for ever.

Source: Kueue v0.20, apis/kueue/v1beta2 (queueingStrategy, stopPolicy), concepts Cluster Queue,
pkg/scheduler/flavorassigner; kueue #8309.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.queues.chain import (
    CLUSTER_QUEUE,
    LOCAL_QUEUE,
    cluster_queue_of,
    flavor_names,
    is_active,
    resources,
)
from gpuyard.lint.rules.samples import TRAIN, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

STOPS = frozenset({"Hold", "HoldAndDrain"})
GPU = "nvidia.com/gpu"
SEVERAL = 2


def check_covered(workload: Workload, world: World) -> Iterator[Hit]:
    """Find GPU resources for which the queue of a workload has no quota."""
    queue = cluster_queue_of(workload, world)
    if queue is None or not resources(queue):
        return
    asked = sorted({name for pod in workload.pods for name in pod.devices})
    for name in asked:
        if name not in resources(queue):
            covered = sorted(one for one in resources(queue) if "/" in one)
            yield Hit(
                workload.gpu_pods[0].gpu_asks[0].path,
                f"{name} is not covered by ClusterQueue {queue.name}"
                + (f", which has quota for {', '.join(covered[:3])}" if covered else ""),
            )


def check_stopped(queue: Entry, _world: World) -> Iterator[Hit]:
    """Find queues with GPUs that were stopped."""
    policy = queue.text("spec", "stopPolicy")
    if policy in STOPS and (queue.kind == LOCAL_QUEUE or _has_gpus(queue)):
        yield Hit(
            ("spec", "stopPolicy"),
            f"{queue.title} is stopped ({policy}) and admits nothing",
            of="value",
        )


def check_active(queue: Entry, _world: World) -> Iterator[Hit]:
    """Find queues that Kueue says are inactive."""
    if is_active(queue) or queue.text("spec", "stopPolicy") in STOPS:
        return
    for index, condition in queue.mappings("status", "conditions"):
        if condition.get("type") == "Active":
            why = plain.text(condition, "reason") or "no reason is given"
            yield Hit(
                ("status", "conditions", index),
                f"{queue.title} is inactive and admits nothing: {why}",
            )


def check_strict(queue: Entry, _world: World) -> Iterator[Hit]:
    """Find strict queues over several kinds of GPUs."""
    if queue.text("spec", "queueingStrategy") != "StrictFIFO":
        return
    flavors = [name for one in _gpu_resources(queue) for name in flavor_names(queue, one)]
    if len(flavors) >= SEVERAL:
        yield Hit(
            ("spec", "queueingStrategy"),
            f"StrictFIFO over {count(len(flavors), 'flavor')} of GPUs: the first that does not fit "
            "holds back all others",
            of="value",
        )


def _gpu_resources(queue: Entry) -> list[str]:
    return sorted(name for name in resources(queue) if "gpu" in name or "mig-" in name)


def _has_gpus(queue: Entry) -> bool:
    return bool(_gpu_resources(queue))


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
spec:
  stopPolicy: None
  queueingStrategy: BestEffortFIFO
  resourceGroups:
    - coveredResources: [nvidia.com/gpu]
      flavors:
        - name: h100
          resources:
            - {name: nvidia.com/gpu, nominalQuota: 64}
        - name: a100
          resources:
            - {name: nvidia.com/gpu, nominalQuota: 64}
status:
  conditions:
    - type: Active
      status: "True"
"""

RULES = (
    Rule(
        id="QUEUE-RESOURCE",
        severity="error",
        title="A queue has quota for the GPUs that its workloads ask for",
        why="Kueue admits a workload only if its ClusterQueue covers each resource it asks for. "
        "One that is not covered keeps the job suspended without an end.",
        remedy="ask for a resource the queue covers, or add it to coveredResources with a quota",
        source="Kueue v0.20, concepts, Cluster Queue, Resource groups",
        scope="workload",
        check=check_covered,
        failing=together(
            _LOCAL,
            _CLUSTER,
            changed(TRAIN, "nvidia.com/gpu: 8", "nvidia.com/mig-3g.40gb: 8 # <- here"),
        ),
        passing=together(_LOCAL, _CLUSTER, TRAIN),
    ),
    Rule(
        id="QUEUE-STOPPED",
        severity="warning",
        title="A queue with GPUs is not stopped",
        why="A stopped queue admits nothing; with HoldAndDrain it evicts what runs. It is set for "
        "an upkeep and easily forgotten.",
        remedy="remove stopPolicy, or set it to None, when the upkeep is over",
        source="Kueue v0.20, concepts, Cluster Queue, StopPolicy",
        scope="object",
        kinds=(CLUSTER_QUEUE, LOCAL_QUEUE),
        check=check_stopped,
        failing=changed(_CLUSTER, "stopPolicy: None", "stopPolicy: Hold # <- here"),
        passing=_CLUSTER,
    ),
    Rule(
        id="QUEUE-INACTIVE",
        severity="warning",
        title="A queue is active",
        why="A ClusterQueue is inactive while a flavor, topology or admission check it names is "
        "missing. All that is submitted to it waits.",
        remedy="read the message of the condition Active, and make the object it names",
        source="Kueue v0.20, apis/kueue/v1beta2 ClusterQueueActive; tasks, Troubleshooting Queues",
        scope="object",
        kinds=(CLUSTER_QUEUE, LOCAL_QUEUE),
        check=check_active,
        failing=changed(_CLUSTER, "    - type: Active\n", "    - type: Active # <- here\n").replace(
            'status: "True"', 'status: "False"\n      reason: FlavorNotFound'
        ),
        passing=_CLUSTER,
    ),
    Rule(
        id="QUEUE-STRICT",
        severity="info",
        title="A strict queue is for one kind of GPU",
        why="With StrictFIFO the first workload holds back all behind it until it fits, also those "
        "that want other GPUs, which are free meanwhile.",
        remedy="use BestEffortFIFO, or a ClusterQueue for each kind",
        source="Kueue v0.20, concepts, Cluster Queue, Queueing strategy; kueue #8309",
        scope="object",
        kinds=(CLUSTER_QUEUE,),
        check=check_strict,
        failing=changed(_CLUSTER, "BestEffortFIFO", "StrictFIFO # <- here"),
        passing=_CLUSTER,
    ),
)
