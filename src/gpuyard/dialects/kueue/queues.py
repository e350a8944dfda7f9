"""ResourceFlavors, ClusterQueues, Cohorts and LocalQueues."""

from collections.abc import Sequence

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import labels
from gpuyard.dialects.kueue import objects
from gpuyard.dialects.kueue.parts import amount_of, name_of, selector, tolerations_of, weight_nano
from gpuyard.model import constraints as words, queues


def resource_flavor(source: wire.Source) -> queues.ResourceFlavor:
    """Return a ResourceFlavor. Raises DialectError."""
    read = wire.decode(objects.ResourceFlavor, source)
    return queues.ResourceFlavor(
        name=name_of("ResourceFlavor", read.metadata),
        node_labels=labels(read.spec.node_labels),
        node_taints=tuple(
            words.Taint(taint.key, taint.value or "", taint.effect)
            for taint in read.spec.node_taints or ()
        ),
        tolerations=tolerations_of(read.spec.tolerations),
        topology=read.spec.topology_name or "",
    )


def cluster_queue(source: wire.Source) -> queues.ClusterQueue:
    """Return a ClusterQueue. Raises DialectError."""
    read = wire.decode(objects.ClusterQueue, source)
    name = name_of("ClusterQueue", read.metadata)
    spec, place = read.spec, f"ClusterQueue {name}: spec"
    return queues.ClusterQueue(
        name=name,
        cohort=spec.cohort_name or spec.cohort,
        resource_groups=_resource_groups(spec.resource_groups, place),
        queueing_strategy=spec.queueing_strategy or "BestEffortFIFO",
        namespace_selector=selector(spec.namespace_selector),
        fungibility=_fungibility(spec.flavor_fungibility or objects.FlavorFungibility()),
        preemption=_preemption(spec.preemption or objects.Preemption()),
        stop_policy=spec.stop_policy or "None",
        fair_weight_nano=weight_nano(spec.fair_sharing, place),
        admission_mode=(spec.admission_scope or objects.AdmissionScope()).admission_mode
        or "NoAdmissionFairSharing",
        is_terminating=read.metadata.deletion_timestamp is not None,
    )


def cohort(source: wire.Source) -> queues.Cohort:
    """Return a Cohort. Raises DialectError."""
    read = wire.decode(objects.Cohort, source)
    name = name_of("Cohort", read.metadata)
    place = f"Cohort {name}: spec"
    return queues.Cohort(
        name=name,
        parent=read.spec.parent_name,
        resource_groups=_resource_groups(read.spec.resource_groups, place),
        fair_weight_nano=weight_nano(read.spec.fair_sharing, place),
    )


def local_queue(source: wire.Source) -> queues.LocalQueue:
    """Return a LocalQueue. Raises DialectError."""
    read = wire.decode(objects.LocalQueue, source)
    name = name_of("LocalQueue", read.metadata)
    return queues.LocalQueue(
        namespace=read.metadata.namespace,
        name=name,
        cluster_queue=read.spec.cluster_queue,
        stop_policy=read.spec.stop_policy or "None",
        fair_weight_nano=weight_nano(
            read.spec.fair_sharing, wire.describe("LocalQueue", read.metadata) + ": spec"
        ),
    )


def _fungibility(read: objects.FlavorFungibility) -> queues.FlavorFungibility:
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


def _preemption(read: objects.Preemption) -> queues.QueuePreemption:
    borrow = read.borrow_within_cohort or objects.BorrowWithinCohort()
    return queues.QueuePreemption(
        within_cluster_queue=read.within_cluster_queue or "Never",
        reclaim_within_cohort=read.reclaim_within_cohort or "Never",
        borrow_within_cohort=queues.BorrowWithinCohort(
            policy=borrow.policy or "Never", max_priority_threshold=borrow.max_priority_threshold
        ),
    )


def _resource_groups(
    given: Sequence[objects.ResourceGroup] | None, place: str
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


def _quota(read: objects.ResourceQuota, place: str) -> queues.ResourceQuota:
    def limit(given: wire.Quantity | None, field: str) -> int | None:
        return None if given is None else amount_of(read.name, given, f"{place}: {field}")

    return queues.ResourceQuota(
        resource=read.name,
        nominal=amount_of(read.name, read.nominal_quota, f"{place}: nominalQuota"),
        borrowing_limit=limit(read.borrowing_limit, "borrowingLimit"),
        lending_limit=limit(read.lending_limit, "lendingLimit"),
    )
