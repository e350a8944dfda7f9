"""Workloads: what they ask for, and the quota they hold.

A PodSet's topology request and an admission's topology assignment are read by `topology`. Of the
conditions only those are read that change a turn: quota reserved since when, evicted, sent back,
requeued. Whom a controller told to wait (Requeued is false) is held back until it says otherwise.

Pods that a workload has given back (``reclaimablePods``) no longer count. Kueue divides the usage
of a pod set by its pods, rounding down, and multiplies with those that are left.
"""

import re
from typing import Literal

from gpuyard.dialects import wire
from gpuyard.dialects.core import pod_template
from gpuyard.dialects.kueue import objects
from gpuyard.dialects.kueue.parts import amount_of, key_of, name_of, nanoseconds
from gpuyard.dialects.kueue.topology import topology_assignment, topology_request
from gpuyard.model import queues, workloads
from gpuyard.model.resources import Resources

PRIORITY_BOOST = "kueue.x-k8s.io/priority-boost"
ELASTIC = "kueue.x-k8s.io/elastic-job"
REPLACEMENT_FOR = "kueue.x-k8s.io/workload-slice-replacement-for"

# condition type, reason → who sent the workload back
SENT_BACK: dict[tuple[str, str], Literal["readiness", "check", "borrower"]] = {
    ("Evicted", "PodsReadyTimeout"): "readiness",
    ("Evicted", "AdmissionCheck"): "check",
    ("Preempted", "InCohortReclaimWhileBorrowing"): "borrower",
}


def workload(source: wire.Source) -> workloads.Workload:
    """Return what a Workload asks for; `queue` is "namespace/name" of its LocalQueue.

    Raises DialectError.
    """
    return _workload(wire.decode(objects.Workload, source))


def is_waiting(source: wire.Source) -> bool:
    """Tell whether a Workload wants quota: it has none, did not finish and is active.

    Raises DialectError.
    """
    read = wire.decode(objects.Workload, source)
    holds = read.status is not None and read.status.admission is not None
    over = {one.type for one in _true_conditions(read)} & {"Finished", "QuotaReserved"}
    return not (holds or over or read.spec.active is False)


def admission(source: wire.Source) -> queues.Admission | None:
    """Return the quota that a Workload holds, `None` where it holds none. Raises DialectError."""
    return _admission(wire.decode(objects.Workload, source))


def admitted(source: wire.Source) -> queues.Admitted | None:
    """Return a Workload with the quota that it holds, `None` where it holds none.

    Raises DialectError.
    """
    read = wire.decode(objects.Workload, source)
    held = _admission(read)
    if held is None or read.status is None:
        return None
    reserved = _since(read, "QuotaReserved")
    return queues.Admitted(
        workload=_workload(read),
        admission=held,
        reserved_ns=reserved,
        evicted=_since(read, "Evicted") is not None,
        unhealthy_nodes=tuple(node.name for node in read.status.unhealthy_nodes or ()),
    )


def _workload(read: objects.Workload) -> workloads.Workload:
    namespace = read.metadata.namespace
    created = read.metadata.creation_timestamp
    left = _left(read)
    return workloads.Workload(
        key=key_of(namespace, name_of("Workload", read.metadata)),
        pod_sets=tuple(
            _pod_set(one, left[one.name], namespace) for one in read.spec.pod_sets or ()
        ),
        created_ns=0 if created is None else nanoseconds(created),
        priority=read.spec.priority or 0,
        priority_boost=_boost(read.metadata),
        queue=key_of(namespace, read.spec.queue_name) if read.spec.queue_name else "",
        uid=read.metadata.uid,
        sent_back=tuple(
            workloads.SentBack(SENT_BACK[one.type, one.reason], _at_ns(one))
            for one in _true_conditions(read)
            if (one.type, one.reason) in SENT_BACK
        ),
        elastic=(read.metadata.annotations or {}).get(ELASTIC) == "true",
        replaces=(read.metadata.annotations or {}).get(REPLACEMENT_FOR, ""),
        not_before_ns=_requeue_at_ns(read),
        held_back=any((one.type, one.status) == ("Requeued", "False") for one in _conditions(read)),
    )


def _boost(metadata: objects.WorkloadMeta) -> int:
    """Return what is added to the priority; Kueue ignores what is not a 32-bit number."""
    given = (metadata.annotations or {}).get(PRIORITY_BOOST, "")
    if not re.fullmatch(r"[+-]?[0-9]{1,11}", given):
        return 0
    boost = int(given)
    return boost if -(2**31) <= boost < 2**31 else 0


def _requeue_at_ns(read: objects.Workload) -> int:
    """Return when its back-off ends, 0 where none runs."""
    state = read.status.requeue_state if read.status else None
    return 0 if state is None or state.requeue_at is None else nanoseconds(state.requeue_at)


def _conditions(read: objects.Workload) -> list[objects.Condition]:
    return (read.status.conditions if read.status else None) or []


def _true_conditions(read: objects.Workload) -> list[objects.Condition]:
    return [one for one in _conditions(read) if one.status == "True"]


def _since(read: objects.Workload, condition: str) -> int | None:
    """Return since when a condition is true, `None` where it is not."""
    return next((_at_ns(one) for one in _true_conditions(read) if one.type == condition), None)


def _at_ns(condition: objects.Condition) -> int:
    at = condition.last_transition_time
    return 0 if at is None else nanoseconds(at)


def _left(read: objects.Workload) -> dict[str, int]:
    """Return how many pods of each pod set are still asked for."""
    left = {one.name: one.count for one in read.spec.pod_sets or ()}
    for given_back in (read.status.reclaimable_pods if read.status else None) or ():
        if given_back.name in left:
            left[given_back.name] = max(0, left[given_back.name] - given_back.count)
    return left


def _admission(read: objects.Workload) -> queues.Admission | None:
    if read.status is None or read.status.admission is None:
        return None
    place = wire.describe("Workload", read.metadata) + ": status.admission"
    counts = {one.name: one.count for one in read.spec.pod_sets or ()}
    left = _left(read)
    return queues.Admission(
        read.status.admission.cluster_queue,
        tuple(
            _assignment(one, counts.get(one.name, 0), left.get(one.name, 0), place)
            for one in read.status.admission.pod_set_assignments or ()
        ),
    )


def _pod_set(read: objects.PodSet, count: int, namespace: str) -> workloads.PodSet:
    metadata = {"name": read.name, "namespace": namespace, "labels": read.template.metadata.labels}
    return workloads.PodSet(
        name=read.name,
        count=count,
        template=pod_template(
            wire.Pod(metadata=wire.decode(wire.ObjectMeta, metadata), spec=read.template.spec)
        ),
        min_count=read.min_count,
        topology=topology_request(read.topology_request),
        reclaimed=read.count - count,
    )


def _assignment(
    read: objects.PodSetAssignment, asked: int, left: int, place: str
) -> queues.PodSetAssignment:
    """Return what a pod set holds: it was admitted with a count of its own, `left` still need it.

    More pods left than were admitted is partial admission; then the admitted count stands.
    """
    count = asked if read.count is None else read.count
    at = f"{place}: pod set {read.name}: resourceUsage"
    usage = {
        resource: amount_of(resource, quantity, at)
        for resource, quantity in (read.resource_usage or {}).items()
    }
    if left < count:
        usage = {resource: amount // count * left for resource, amount in usage.items()}
    return queues.PodSetAssignment(
        name=read.name,
        count=min(count, left),
        flavors=tuple(sorted((read.flavors or {}).items())),
        usage=Resources.of(usage),
        topology=topology_assignment(read.topology_assignment),
    )
