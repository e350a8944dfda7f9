"""Kubernetes Pods, Nodes and what limits their disruption, as the model sees them.

Functions, each from one object to one struct: `pod_template` (what a Pod asks for and where it may
go), `assignment` (a Pod that has its node), `pending_pod` (one that waits for it), `node`,
`disruption_budget`, `pod_group`. An object comes as JSON, as a decoded
mapping, or as a struct of `gpuyard.dialects.wire`. `requests`, `constraints` and `storage` beside
this file explain the rules and name their sources.

An object that cannot be read raises `DialectError`, one sentence that names the object and field.
"""

from msgspec.structs import replace

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import labels, pod_constraints
from gpuyard.dialects.core.disruption import disruption_budget
from gpuyard.dialects.core.instants import nanoseconds
from gpuyard.dialects.core.pod_groups import group_key, group_of, pod_group
from gpuyard.dialects.core.requests import effective_request, node_allocatable
from gpuyard.dialects.core.storage import StorageFacts, pod_volumes
from gpuyard.dialects.wire import DialectError
from gpuyard.model import constraints as words, nodes, workloads

__all__ = [
    "DialectError",
    "StorageFacts",
    "assignment",
    "disruption_budget",
    "group_key",
    "node",
    "pending_pod",
    "pod_group",
    "pod_key",
    "pod_template",
]


def pod_template(
    pod: wire.Source,
    *,
    storage: StorageFacts | None = None,
    pod_level_resources: bool = True,
) -> workloads.PodTemplate:
    """Return `pod` as placement sees it.

    The namespace stays as written, empty where a manifest gives none. Without `storage`, volumes
    are not looked at: the caller decides without them. `pod_level_resources` is the feature gate of
    that name. Raises DialectError.
    """
    read = wire.decode(wire.Pod, pod)
    return workloads.PodTemplate(
        request=effective_request(read, pod_level_resources=pod_level_resources),
        constraints=pod_constraints(read, () if storage is None else pod_volumes(read, storage)),
        namespace=read.metadata.namespace,
        labels=labels(read.metadata.labels),
    )


def assignment(
    pod: wire.Source, *, key: str = "", pod_level_resources: bool = True
) -> workloads.Assignment:
    """Return a Pod that has its node, under `key` or else its `pod_key`.

    Its template names no node: the assignment does, and Pods of one template stay one shape.
    Volumes are left out: they have been decided. Which devices it got, a Pod does not say.
    Raises DialectError, also for a Pod without a node or without anything to be called by.
    """
    read = wire.decode(wire.Pod, pod)
    if not read.spec.node_name:
        raise DialectError(f"{wire.describe('Pod', read.metadata)}: spec.nodeName: it has no node")
    template = pod_template(_without_node(read), pod_level_resources=pod_level_resources)
    return workloads.Assignment(
        pod=key or pod_key(read),
        template=template,
        node=read.spec.node_name,
        terminating=read.metadata.deletion_timestamp is not None,
        preempted=_is_preempted(read),
        priority=read.spec.priority or 0,
        start_ns=_start_ns(read),
        group=group_of(read),
    )


def pending_pod(
    pod: wire.Source, *, storage: StorageFacts | None = None, pod_level_resources: bool = True
) -> workloads.PendingPod:
    """Return a Pod that waits for a node. Raises DialectError."""
    read = wire.decode(wire.Pod, pod)
    return workloads.PendingPod(
        key=pod_key(read),
        template=pod_template(read, storage=storage, pod_level_resources=pod_level_resources),
        priority=read.spec.priority or 0,
        preempts=read.spec.preemption_policy != "Never",
        nominated_node=(read.status and read.status.nominated_node_name) or "",
        group=group_of(read),
    )


def pod_key(pod: wire.Source) -> str:
    """Return "namespace/name"; the name alone without a namespace, the UID without a name.

    Raises DialectError when there is none of them.
    """
    metadata = wire.decode(wire.Pod, pod).metadata
    if metadata.name:
        return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
    if metadata.uid:
        return metadata.uid
    raise DialectError("Pod: metadata.name: it has neither a name nor a UID")


def node(source: wire.Source, *, rank: int = 0) -> nodes.Node:
    """Return a Node with its allocatable amounts.

    Where allocatable is missing nothing is allocatable: capacity is never taken in its place. Which
    devices a node has is the agent's to say, not the Node's: `devices` stays empty. A Node that
    says nothing about being ready (every kubelet does) counts as ready.
    Raises DialectError.
    """
    read = wire.decode(wire.Node, source)
    spec = read.spec or wire.NodeSpec()
    status = read.status or wire.NodeStatus()
    place = wire.describe("Node", read.metadata)
    return nodes.Node(
        name=read.metadata.name,
        allocatable=node_allocatable(status.allocatable, f"{place}: status.allocatable"),
        rank=rank,
        labels=labels(read.metadata.labels),
        taints=tuple(
            words.Taint(taint.key, taint.value or "", taint.effect) for taint in spec.taints or ()
        ),
        unschedulable=spec.unschedulable,
        ready=all(
            condition.status == "True"
            for condition in status.conditions or ()
            if condition.type == "Ready"
        ),
    )


def _start_ns(pod: wire.Pod) -> int | None:
    if pod.status is None or pod.status.start_time is None:
        return None
    place = f"{wire.describe('Pod', pod.metadata)}: status.startTime"
    return nanoseconds(pod.status.start_time, place)


def _is_preempted(pod: wire.Pod) -> bool:
    """Tell whether a Pod is on its way out because a scheduler took its place away."""
    if pod.metadata.deletion_timestamp is None or pod.status is None:
        return False
    conditions = (each for each in pod.status.conditions or () if each.type == "DisruptionTarget")
    found = next(conditions, None)
    return found is not None and (found.status, found.reason) == ("True", "PreemptionByScheduler")


def _without_node(pod: wire.Pod) -> wire.Pod:
    return replace(pod, spec=replace(pod.spec, node_name=""))
