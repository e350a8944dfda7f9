"""What a queue shows of itself: usage, waiting, where it stands, and why nobody is admitted.

Everything is read from `Queues`, and nothing is remembered. Codes and sentences are Kueue's, so
that a condition that we write and one that Kueue wrote read alike.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/cache.go (Usage, LocalQueueUsage,
ClusterQueuesUsingFlavor, ClusterQueueReadiness) and clusterqueue.go (inactiveReason).
"""

from collections.abc import Iterator
from typing import NamedTuple

from gpuyard.model.queues import ClusterQueue, FlavorResource, ResourceQuota
from gpuyard.scheduling.queues import Inactive, Queues


class Used(NamedTuple):
    """What is used of one resource in one flavor, and how much of that is borrowed."""

    total: int
    borrowed: int


class Readiness(NamedTuple):
    """Whether a queue admits: a code and a sentence."""

    code: Inactive | str
    sentence: str


def usage(queues: Queues, queue: str) -> dict[FlavorResource, Used]:
    """Return what a ClusterQueue uses of each of its quotas, in their order."""
    node = queues.node(queue)
    found = {}
    for key, quota in _quotas(queues.specs[queue]):
        total = node.usage.get(key, 0)
        borrowed = max(0, total - quota.nominal) if node.parent is not None else 0
        found[key] = Used(total, borrowed)
    return found


def local_usage(queues: Queues, local_queue: str) -> dict[FlavorResource, int]:
    """Return what a LocalQueue uses of each quota of its ClusterQueue, `{}` where it has none."""
    door = queues.local_queues.get(local_queue)
    if door is None or door.cluster_queue not in queues.specs:
        return {}
    found = {key: 0 for key, _ in _quotas(queues.specs[door.cluster_queue])}
    for held in queues.holders[door.cluster_queue].values():
        if held.workload.queue == local_queue:
            for key, amount in held.admission.usage().quota:
                found[key] = found.get(key, 0) + amount
    return found


def using_flavor(queues: Queues, flavor: str) -> list[str]:
    """Return the ClusterQueues that have a quota in a flavor, by name."""
    return sorted(
        name
        for name, spec in queues.specs.items()
        if any(key.flavor == flavor for key, _ in _quotas(spec))
    )


def ancestors(queues: Queues, queue: str) -> list[str]:
    """Return the names of the Cohorts above a ClusterQueue, the nearest first."""
    return [node.name for node in queues.node(queue).to_root() if node.is_cohort]


def readiness(queues: Queues, queue: str) -> Readiness:
    """Tell whether a ClusterQueue admits, and if not, everything that keeps it from that."""
    why = queues.inactive.get(queue, ())
    if not why:
        return Readiness("Ready", "Can admit new workloads")
    if why[0] == "Terminating":
        return Readiness(why[0], "Can't admit new workloads; clusterQueue is terminating")
    said = ", ".join(_complaint(queues, queue, each) for each in why)
    return Readiness(why[0], f"Can't admit new workloads: {said}.")


def _complaint(queues: Queues, queue: str, why: Inactive) -> str:
    if why == "Stopped":
        return "is stopped"
    if why == "CohortCycle":
        return "its Cohort is its own ancestor"
    flavors = queues.flavors_of(queue)
    if why == "FlavorNotFound":
        missing = ",".join(name for name in flavors if name not in queues.flavors)
        return f"references missing ResourceFlavor(s): {missing}"
    return ", ".join(
        f'there is no Topology "{queues.flavors[name].topology}" for TAS flavor "{name}"'
        for name in flavors
        if queues.lacks_topology(name)
    )


def _quotas(spec: ClusterQueue) -> Iterator[tuple[FlavorResource, ResourceQuota]]:
    for group in spec.resource_groups:
        for flavor in group.flavors:
            for quota in flavor.resources:
                yield FlavorResource(flavor.flavor, quota.resource), quota
