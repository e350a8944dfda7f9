"""Who holds quota in which queue, and where: the queues' side of what a decision sees.

Quota is counted in trees (`quota`), places in topologies are counted in domains
(`topology.TopologyCapacity`, one for each flavor that has a topology). Flavors may share nodes:
what is taken on a host counts in all of them. A workload that was admitted holds both until it is
gone. This module keeps the two and the list of holders together, so that a trial takes a workload
out or lets one in with a single call. Every change has its exact inverse: whoever tries something
out puts it back (`without`), in any order.

What Kueue calls a snapshot of its cache; semantics: Kueue v0.19.2,
pkg/cache/scheduler/snapshot.go and clusterqueue_snapshot.go (Fits, AddUsage, RemoveUsage).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from gpuyard.model.queues import (
    Admitted,
    ClusterQueue,
    Cohort,
    LocalQueue,
    ResourceFlavor,
    Usage,
)
from gpuyard.model.topology import TopologyUsage
from gpuyard.scheduling import quota
from gpuyard.scheduling.quota import QuotaNode
from gpuyard.scheduling.topology import TopologyCapacity

Fit = Literal["fits", "no-quota", "no-place"]
Inactive = Literal["FlavorNotFound", "Stopped"]


class Queues:
    """Queues with their quota, and the workloads that hold it."""

    def __init__(
        self,
        cluster_queues: Iterable[ClusterQueue],
        cohorts: Iterable[Cohort] = (),
        *,
        flavors: Iterable[ResourceFlavor],
        local_queues: Iterable[LocalQueue] = (),
        places: Mapping[str, TopologyCapacity] | None = None,
    ) -> None:
        """Start with nobody admitted; `places` by flavor.

        A queue that names an unknown flavor is `inactive`, and nobody's quota counts there; so is
        one that was stopped, and there it still counts.

        Raises
        ------
        quota.QuotaError
            where queues, cohorts and flavors contradict each other.

        """
        self.flavors = {flavor.name: flavor for flavor in flavors}
        self.specs: dict[str, ClusterQueue] = {}
        self.inactive: dict[str, Inactive] = {}
        for queue in cluster_queues:
            why = _why_inactive(queue, self.flavors)
            if why is not None:
                self.inactive[queue.name] = why
            if why != "FlavorNotFound":
                self.specs[queue.name] = queue
        self.tree = quota.build(self.specs.values(), cohorts, flavors=self.flavors)
        self.local_queues = {f"{each.namespace}/{each.name}": each for each in local_queues}
        self.places = dict(places or {})
        self.admitted: dict[str, Admitted] = {}
        self.holders: dict[str, dict[str, Admitted]] = {name: {} for name in self.specs}

    def node(self, queue: str) -> QuotaNode:
        """Return the leaf of a ClusterQueue."""
        return self.tree.cluster_queues[queue]

    def admit(self, admitted: Admitted) -> None:
        """Count a workload that holds quota, whether it fits or not."""
        queue, key = admitted.admission.cluster_queue, admitted.workload.key
        self.admitted[key] = self.holders[queue][key] = admitted
        self.use(queue, admitted.admission.usage())

    def remove(self, key: str) -> Admitted:
        """Forget a workload and return what it was; the inverse of `admit`."""
        admitted = self.admitted.pop(key)
        queue = admitted.admission.cluster_queue
        del self.holders[queue][key]
        self.release(queue, admitted.admission.usage())
        return admitted

    @contextmanager
    def without(self, keys: Iterable[str]) -> Iterator[None]:
        """Take workloads out for as long as the block lasts."""
        removed = [self.remove(key) for key in keys]
        try:
            yield
        finally:
            for admitted in removed:
                self.admit(admitted)

    @contextmanager
    def without_usage(self, keys: Iterable[str]) -> Iterator[None]:
        """Take out what workloads use for as long as the block lasts; they stay holders."""
        usages = [
            (admitted.admission.cluster_queue, admitted.admission.usage())
            for admitted in map(self.admitted.__getitem__, keys)
        ]
        for queue, usage in usages:
            self.release(queue, usage)
        try:
            yield
        finally:
            for queue, usage in usages:
                self.use(queue, usage)

    @contextmanager
    def using(self, queue: str, usage: Usage) -> Iterator[None]:
        """Count `usage` in `queue` for as long as the block lasts."""
        self.use(queue, usage)
        try:
            yield
        finally:
            self.release(queue, usage)

    def use(self, queue: str, usage: Usage) -> None:
        """Count `usage` in `queue`, whether it fits or not."""
        quota.use(self.node(queue), dict(usage.quota))
        for place in usage.places:
            for capacity in self._counting(place.flavor):
                capacity.use(place)

    def release(self, queue: str, usage: Usage) -> None:
        """Undo `use`."""
        quota.release(self.node(queue), dict(usage.quota))
        for place in usage.places:
            for capacity in self._counting(place.flavor):
                capacity.release(place)

    def _counting(self, flavor: str) -> list[TopologyCapacity]:
        """Return where places in `flavor` count."""
        own = self.places.get(flavor)
        if own is None or not own.tree.ends_in_hosts:
            return [] if own is None else [own]
        return [each for each in self.places.values() if each.tree.ends_in_hosts]

    def fits(self, queue: str, usage: Usage) -> Fit:
        """Tell whether `queue` has the quota and the topologies have the places for `usage`."""
        if not quota.fits(self.node(queue), dict(usage.quota)):
            return "no-quota"
        by_flavor: dict[str, list[TopologyUsage]] = {}
        for place in usage.places:
            by_flavor.setdefault(place.flavor, []).append(place)
        if all(self.places[flavor].fits(asked) for flavor, asked in by_flavor.items()):
            return "fits"
        return "no-place"


def _why_inactive(queue: ClusterQueue, flavors: Mapping[str, ResourceFlavor]) -> Inactive | None:
    """Return why nothing is admitted to `queue`, `None` where something is."""
    named = {each.flavor for group in queue.resource_groups for each in group.flavors}
    if not named <= flavors.keys():
        return "FlavorNotFound"
    return None if queue.stop_policy == "None" else "Stopped"
