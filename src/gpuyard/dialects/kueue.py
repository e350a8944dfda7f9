"""Kueue's objects as the model sees them.

One function per kind, each from one object to one struct: `resource_flavor`, `cluster_queue`,
`cohort`, `local_queue`, `workload` (what it asks for) and `admission` (the quota it holds). An
object comes as JSON, as a decoded mapping, or as one of the structs below. Versions v1beta1 and
v1beta2 are both read; where the older one has another word, it is translated: ``cohort`` is
``cohortName``, the fungibility policies ``Borrow`` and ``Preempt`` are ``MayStopSearch``.

What the API leaves to defaults is filled in. What is contradictory but can be read (a negative
quota, a flavor that nobody defined) passes: it is refused where the quota tree is built, with all
objects in view.

Pods that a workload has given back (``reclaimablePods``) no longer count. Kueue divides the usage
of a pod set by its pods, rounding down, and multiplies with those that are left.

Semantics: Kueue v0.19.2: apis/kueue/v1beta1 and v1beta2, pkg/workload/workload.go,
pkg/resources/amount.go. Not read: admission checks, topology requests and assignments.

An object that cannot be read raises `DialectError`, one sentence that names the object and field.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from gpuyard.dialects import wire
from gpuyard.dialects.core import pod_template
from gpuyard.dialects.core.constraints import labels, pod_constraints
from gpuyard.dialects.wire import DialectError, Wire  # the base of all that `decode` reads
from gpuyard.model import constraints as words, queues, workloads
from gpuyard.model.quantity import NANO_PER_MILLI, NANO_PER_UNIT, parse_nano, round_up
from gpuyard.model.queues import QUOTA_MAX, WEIGHT_ONE_NANO
from gpuyard.model.resources import CPU, Resources

__all__ = [
    "DialectError",
    "admission",
    "cluster_queue",
    "cohort",
    "local_queue",
    "resource_flavor",
    "workload",
]

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
CPU_CORES_MAX = QUOTA_MAX // 1000  # from here on millicores are without bound

OlderFungibility = Literal["Borrow", "Preempt", ""]
Omitted = Literal[""]  # Go leaves out an empty text, or writes it
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]


# -- queues


def resource_flavor(source: wire.Source) -> queues.ResourceFlavor:
    """Return a ResourceFlavor. Raises DialectError."""
    read = wire.decode(ResourceFlavor, source)
    return queues.ResourceFlavor(
        name=_name("ResourceFlavor", read.metadata),
        node_labels=labels(read.spec.node_labels),
        node_taints=tuple(
            words.Taint(taint.key, taint.value or "", taint.effect)
            for taint in read.spec.node_taints or ()
        ),
        tolerations=_tolerations(read.spec.tolerations),
        topology=read.spec.topology_name or "",
    )


def cluster_queue(source: wire.Source) -> queues.ClusterQueue:
    """Return a ClusterQueue. Raises DialectError."""
    read = wire.decode(ClusterQueue, source)
    name = _name("ClusterQueue", read.metadata)
    spec, place = read.spec, f"ClusterQueue {name}: spec"
    return queues.ClusterQueue(
        name=name,
        cohort=spec.cohort_name or spec.cohort,
        resource_groups=_resource_groups(spec.resource_groups, place),
        queueing_strategy=spec.queueing_strategy or "BestEffortFIFO",
        namespace_selector=_selector(spec.namespace_selector),
        fungibility=_fungibility(spec.flavor_fungibility or FlavorFungibility()),
        preemption=_preemption(spec.preemption or Preemption()),
        stop_policy=spec.stop_policy or "None",
        fair_weight_nano=_weight_nano(spec.fair_sharing, place),
    )


def cohort(source: wire.Source) -> queues.Cohort:
    """Return a Cohort. Raises DialectError."""
    read = wire.decode(Cohort, source)
    name = _name("Cohort", read.metadata)
    place = f"Cohort {name}: spec"
    return queues.Cohort(
        name=name,
        parent=read.spec.parent_name,
        resource_groups=_resource_groups(read.spec.resource_groups, place),
        fair_weight_nano=_weight_nano(read.spec.fair_sharing, place),
    )


def local_queue(source: wire.Source) -> queues.LocalQueue:
    """Return a LocalQueue. Raises DialectError."""
    read = wire.decode(LocalQueue, source)
    name = _name("LocalQueue", read.metadata)
    return queues.LocalQueue(
        namespace=read.metadata.namespace,
        name=name,
        cluster_queue=read.spec.cluster_queue,
        stop_policy=read.spec.stop_policy or "None",
        fair_weight_nano=_weight_nano(
            read.spec.fair_sharing, wire.describe("LocalQueue", read.metadata) + ": spec"
        ),
    )


def _fungibility(read: "FlavorFungibility") -> queues.FlavorFungibility:
    return queues.FlavorFungibility(
        when_can_borrow=(
            "TryNextFlavor" if read.when_can_borrow == "TryNextFlavor" else "MayStopSearch"
        ),
        when_can_preempt=(
            "TryNextFlavor"
            if read.when_can_preempt in ("TryNextFlavor", "", None)
            else "MayStopSearch"
        ),
        preference=read.preference or "BorrowingOverPreemption",
    )


def _preemption(read: "Preemption") -> queues.QueuePreemption:
    borrow = read.borrow_within_cohort or BorrowWithinCohort()
    return queues.QueuePreemption(
        within_cluster_queue=read.within_cluster_queue or "Never",
        reclaim_within_cohort=read.reclaim_within_cohort or "Never",
        borrow_within_cohort=queues.BorrowWithinCohort(
            policy=borrow.policy or "Never", max_priority_threshold=borrow.max_priority_threshold
        ),
    )


def _resource_groups(
    given: "Sequence[ResourceGroup] | None", place: str
) -> tuple[queues.ResourceGroup, ...]:
    return tuple(
        queues.ResourceGroup(
            covered_resources=tuple(group.covered_resources or ()),
            flavors=tuple(
                queues.FlavorQuotas(
                    flavor.name,
                    tuple(
                        _quota(quota, f"{place}.resourceGroups[{index}]: flavor {flavor.name}")
                        for quota in flavor.resources or ()
                    ),
                )
                for flavor in group.flavors or ()
            ),
        )
        for index, group in enumerate(given or ())
    )


def _quota(read: "ResourceQuota", place: str) -> queues.ResourceQuota:
    def limit(given: wire.Quantity | None, field: str) -> int | None:
        return None if given is None else _amount(read.name, given, f"{place}: {field}")

    return queues.ResourceQuota(
        resource=read.name,
        nominal=_amount(read.name, read.nominal_quota, f"{place}: nominalQuota"),
        borrowing_limit=limit(read.borrowing_limit, "borrowingLimit"),
        lending_limit=limit(read.lending_limit, "lendingLimit"),
    )


# -- workloads


def workload(source: wire.Source) -> workloads.Workload:
    """Return what a Workload asks for; `queue` is "namespace/name" of its LocalQueue.

    Raises DialectError.
    """
    read = wire.decode(Workload, source)
    namespace = read.metadata.namespace
    created = read.metadata.creation_timestamp
    return workloads.Workload(
        key=_key(namespace, _name("Workload", read.metadata)),
        pod_sets=tuple(_pod_set(one, namespace) for one in read.spec.pod_sets or ()),
        created_ns=0 if created is None else _nanoseconds(created),
        priority=read.spec.priority or 0,
        queue=_key(namespace, read.spec.queue_name) if read.spec.queue_name else "",
    )


def admission(source: wire.Source) -> queues.Admission | None:
    """Return the quota that a Workload holds, `None` where it holds none. Raises DialectError."""
    read = wire.decode(Workload, source)
    if read.status is None or read.status.admission is None:
        return None
    place = wire.describe("Workload", read.metadata) + ": status.admission"
    counts = {one.name: one.count for one in read.spec.pod_sets or ()}
    left = dict(counts)
    for given_back in read.status.reclaimable_pods or ():
        if given_back.name in left:
            left[given_back.name] = max(0, left[given_back.name] - given_back.count)
    return queues.Admission(
        read.status.admission.cluster_queue,
        tuple(
            _assignment(one, counts.get(one.name, 0), left.get(one.name, 0), place)
            for one in read.status.admission.pod_set_assignments or ()
        ),
    )


def _pod_set(read: "PodSet", namespace: str) -> workloads.PodSet:
    metadata = {"name": read.name, "namespace": namespace, "labels": read.template.metadata.labels}
    return workloads.PodSet(
        name=read.name,
        count=read.count,
        template=pod_template(
            wire.Pod(metadata=wire.decode(wire.ObjectMeta, metadata), spec=read.template.spec)
        ),
        min_count=read.min_count,
    )


def _assignment(
    read: "PodSetAssignment", asked: int, left: int, place: str
) -> queues.PodSetAssignment:
    """Return what a pod set holds: it was admitted with a count of its own, `left` still need it.

    More pods left than were admitted is partial admission; then the admitted count stands.
    """
    count = asked if read.count is None else read.count
    at = f"{place}: pod set {read.name}: resourceUsage"
    usage = {
        resource: _amount(resource, quantity, at)
        for resource, quantity in (read.resource_usage or {}).items()
    }
    if left < count:
        usage = {resource: amount // count * left for resource, amount in usage.items()}
    return queues.PodSetAssignment(
        name=read.name,
        count=min(count, left),
        flavors=tuple(sorted((read.flavors or {}).items())),
        usage=Resources.of(usage),
    )


# -- parts


def _name(kind: str, metadata: wire.ObjectMeta) -> str:
    if not metadata.name:
        raise DialectError(f"{kind}: metadata.name: it has no name")
    return metadata.name


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _nanoseconds(instant: dt.datetime) -> int:
    return (instant - EPOCH) // dt.timedelta(microseconds=1) * 1000


def _amount(resource: str, quantity: wire.Quantity, place: str) -> int:
    """Return an amount in the resource's unit; ``QUOTA_MAX`` for what 64 bits cannot count."""
    try:
        nano = parse_nano(quantity)
    except ValueError as error:
        raise DialectError(f"{place}: {resource}: {error}") from None
    if resource != CPU:
        return round_up(nano, NANO_PER_UNIT)
    if nano >= CPU_CORES_MAX * NANO_PER_UNIT:
        return QUOTA_MAX
    return round_up(nano, NANO_PER_MILLI)


def _weight_nano(given: "FairSharing | None", place: str) -> int:
    if given is None or given.weight is None:
        return WEIGHT_ONE_NANO
    try:
        return parse_nano(given.weight)
    except ValueError as error:
        raise DialectError(f"{place}.fairSharing.weight: {error}") from None


def _selector(given: wire.LabelSelector | None) -> words.LabelSelector | None:
    if given is None:
        return None
    return words.LabelSelector(
        (
            *(words.Requirement(key, "In", (value,)) for key, value in labels(given.match_labels)),
            *(
                words.Requirement(one.key, one.operator, tuple(one.values or ()))
                for one in given.match_expressions or ()
            ),
        )
    )


def _tolerations(given: list[wire.Toleration] | None) -> tuple[words.Toleration, ...]:
    """Return tolerations with the defaults that they have in a Pod."""
    return pod_constraints(wire.Pod(spec=wire.PodSpec(tolerations=given))).tolerations


# -- the fields that are read, as they are on the wire


class ResourceFlavorSpec(Wire, frozen=True):
    """ResourceFlavorSpec."""

    node_labels: dict[str, str] | None = None
    node_taints: list[wire.Taint] | None = None
    tolerations: list[wire.Toleration] | None = None
    topology_name: str | None = None


class ResourceFlavor(Wire, frozen=True):
    """ResourceFlavor."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: ResourceFlavorSpec = ResourceFlavorSpec()


class ResourceQuota(Wire, frozen=True):
    """ResourceQuota."""

    name: str
    nominal_quota: wire.Quantity = 0
    borrowing_limit: wire.Quantity | None = None
    lending_limit: wire.Quantity | None = None


class FlavorQuotas(Wire, frozen=True):
    """FlavorQuotas."""

    name: str
    resources: list[ResourceQuota] | None = None


class ResourceGroup(Wire, frozen=True):
    """ResourceGroup."""

    covered_resources: list[str] | None = None
    flavors: list[FlavorQuotas] | None = None


class FlavorFungibility(Wire, frozen=True):
    """FlavorFungibility, with the words of v1beta1 that v1beta2 has given up."""

    when_can_borrow: queues.FungibilityPolicy | OlderFungibility | None = None
    when_can_preempt: queues.FungibilityPolicy | OlderFungibility | None = None
    preference: queues.FungibilityPreference | Omitted | None = None


class BorrowWithinCohort(Wire, frozen=True):
    """BorrowWithinCohort."""

    policy: queues.BorrowWithinCohortPolicy | Omitted = ""
    max_priority_threshold: int | None = None


class Preemption(Wire, frozen=True):
    """ClusterQueuePreemption."""

    within_cluster_queue: queues.WithinClusterQueue | Omitted = ""
    reclaim_within_cohort: queues.ReclaimWithinCohort | Omitted = ""
    borrow_within_cohort: BorrowWithinCohort | None = None


class FairSharing(Wire, frozen=True):
    """FairSharing."""

    weight: wire.Quantity | None = None


class ClusterQueueSpec(Wire, frozen=True):
    """ClusterQueueSpec; `cohort` is the word of v1beta1."""

    cohort_name: str = ""
    cohort: str = ""
    resource_groups: list[ResourceGroup] | None = None
    queueing_strategy: queues.QueueingStrategy | Omitted = ""
    namespace_selector: wire.LabelSelector | None = None
    flavor_fungibility: FlavorFungibility | None = None
    preemption: Preemption | None = None
    stop_policy: queues.StopPolicy | Omitted | None = None
    fair_sharing: FairSharing | None = None


class ClusterQueue(Wire, frozen=True):
    """ClusterQueue."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: ClusterQueueSpec = ClusterQueueSpec()


class CohortSpec(Wire, frozen=True):
    """CohortSpec."""

    parent_name: str = ""
    resource_groups: list[ResourceGroup] | None = None
    fair_sharing: FairSharing | None = None


class Cohort(Wire, frozen=True):
    """Cohort."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: CohortSpec = CohortSpec()


class LocalQueueSpec(Wire, frozen=True):
    """LocalQueueSpec."""

    cluster_queue: str = ""
    stop_policy: queues.StopPolicy | Omitted | None = None
    fair_sharing: FairSharing | None = None


class LocalQueue(Wire, frozen=True):
    """LocalQueue."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: LocalQueueSpec = LocalQueueSpec()


class WorkloadMeta(wire.ObjectMeta, frozen=True):
    """ObjectMeta with the time that orders a queue."""

    creation_timestamp: Instant | None = None


class PodTemplate(Wire, frozen=True):
    """PodTemplateSpec."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: wire.PodSpec = wire.PodSpec()


class PodSet(Wire, frozen=True):
    """PodSet."""

    name: str = "main"
    count: int = 1
    template: PodTemplate = PodTemplate()
    min_count: int | None = None


class WorkloadSpec(Wire, frozen=True):
    """WorkloadSpec."""

    pod_sets: list[PodSet] | None = None
    queue_name: str = ""
    priority: int | None = None


class PodSetAssignment(Wire, frozen=True):
    """PodSetAssignment."""

    name: str = "main"
    flavors: dict[str, str] | None = None
    resource_usage: wire.ResourceList | None = None
    count: int | None = None


class Admission(Wire, frozen=True):
    """Admission."""

    cluster_queue: str = ""
    pod_set_assignments: list[PodSetAssignment] | None = None


class ReclaimablePod(Wire, frozen=True):
    """ReclaimablePod."""

    name: str
    count: int


class WorkloadStatus(Wire, frozen=True):
    """WorkloadStatus."""

    admission: Admission | None = None
    reclaimable_pods: list[ReclaimablePod] | None = None


class Workload(Wire, frozen=True):
    """Workload."""

    metadata: WorkloadMeta = WorkloadMeta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus | None = None
