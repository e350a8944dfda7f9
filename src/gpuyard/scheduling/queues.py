"""Who holds quota in which queue, and where: the queues' side of what a decision sees.

Quota is counted in trees (`quota`), places in topologies are counted in domains
(`topology.TopologyCapacity`, one for each flavor that has a topology). Flavors may share nodes:
what is taken on a host counts in all of them. A workload that was admitted holds both until it is
gone. This module keeps the two and the list of holders together, so that a trial takes a workload
out or lets one in with a single call. Every change has its exact inverse: whoever tries something
out puts it back (`without`), in any order.

A queue may be *inactive*: nobody is admitted there. Its quota still counts in its tree, and so does
what its holders use. Only where Cohorts are their own ancestors there is no tree: these Cohorts and
the queues below them are left out (not in `specs`), and nobody else is disturbed.

What Kueue calls a snapshot of its cache; semantics: Kueue v0.19.2,
pkg/cache/scheduler/snapshot.go, clusterqueue_snapshot.go (Fits, AddUsage, RemoveUsage) and
clusterqueue.go (inactiveReason).
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Set as AbstractSet
from contextlib import contextmanager
from itertools import count
from typing import Literal, NamedTuple

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
Inactive = Literal["CohortCycle", "FlavorNotFound", "Stopped", "Terminating", "TopologyNotFound"]


class Loss(NamedTuple):
    """What an eviction now would throw away: the time since work was saved, and that by devices."""

    time_ns: int
    device_ns: int


NOTHING_LOST = Loss(0, 0)


class Held(NamedTuple):
    """What is kept in a ClusterQueue for a workload that does not hold it yet."""

    queue: str
    usage: Usage


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
        topologies: Iterable[str] | None = None,
    ) -> None:
        """Start with nobody admitted; `places` by flavor.

        `topologies` are the names of those that exist; a queue with a flavor of another one is
        inactive. `None`: nobody looks.

        Raises
        ------
        quota.QuotaError
            where queues, cohorts and flavors contradict each other.

        """
        self.flavors = {flavor.name: flavor for flavor in flavors}
        groups = list(cohorts)
        self.cohorts = {cohort.name: cohort for cohort in groups}
        self.endless = _without_root(self.cohorts)
        self.topologies = None if topologies is None else frozenset(topologies)
        everyone = list(cluster_queues)
        self.inactive: dict[str, tuple[Inactive, ...]] = {
            queue.name: why for queue in everyone if (why := tuple(self._why_inactive(queue)))
        }
        in_trees = [queue for queue in everyone if queue.cohort not in self.endless]
        rooted = [cohort for cohort in groups if cohort.name not in self.endless]
        self.specs: dict[str, ClusterQueue] = {queue.name: queue for queue in in_trees}
        members: list[ClusterQueue | Cohort] = [*in_trees, *rooted]
        named = {flavor for spec in members for flavor in _flavors_of(spec)}
        self.tree = quota.build(in_trees, rooted, flavors=named | self.flavors.keys())
        self.local_queues = {_key(each): each for each in local_queues}
        self.places = dict(places or {})
        self.admitted: dict[str, Admitted] = {}
        self.holders: dict[str, dict[str, Admitted]] = {name: {} for name in self.specs}
        self.losses: Mapping[str, Loss] = {}  # of the admitted, where anybody knows
        self.spared: Container[str] = ()  # of the admitted, whom nobody may evict now
        self.gave_way: dict[str, set[str]] = {}  # for whom a workload was evicted
        self.holds: dict[str, Held] = {}  # what is kept for a workload until it starts
        self.displaced: dict[str, Admitted] = {}  # of the admitted, who seeks another place
        self.state = 0  # names what is used: another number after each change, the same undone
        self._states = count(1)
        self.holders_changed = 0  # how often anybody was admitted or removed
        self._usages: dict[str, Usage] = {}  # of the admitted, of those who were asked about

    def node(self, queue: str) -> QuotaNode:
        """Return the leaf of a ClusterQueue."""
        return self.tree.cluster_queues[queue]

    def admit(self, admitted: Admitted) -> None:
        """Count a workload that holds quota, whether it fits or not."""
        queue, key = admitted.admission.cluster_queue, admitted.workload.key
        self.holders_changed += 1
        self._usages.pop(key, None)
        self.admitted[key] = self.holders[queue][key] = admitted
        if admitted.unhealthy_nodes and not admitted.evicted:
            self.displaced[key] = admitted
        self.use(queue, admitted.admission.usage())

    def remove(self, key: str) -> Admitted:
        """Forget a workload and return what it was; the inverse of `admit`."""
        admitted = self.admitted.pop(key)
        self.holders_changed += 1
        self._usages.pop(key, None)
        queue = admitted.admission.cluster_queue
        del self.holders[queue][key]
        self.displaced.pop(key, None)
        self.release(queue, admitted.admission.usage())
        return admitted

    def usage_of(self, key: str) -> Usage:
        """Return what an admitted workload uses."""
        usage = self._usages.get(key)
        if usage is None:
            usage = self._usages[key] = self.admitted[key].admission.usage()
        return usage

    def not_evicted_by(self, key: str) -> AbstractSet[str]:
        """Return whom `key` may not evict: for whom it was evicted, and for whom those were."""
        found: set[str] = set()
        left = [key] if key in self.gave_way else []
        while left:
            more = self.gave_way.get(left.pop(), set()) - found
            found |= more
            left += more
        return found

    def hold(self, key: str, held: Held) -> None:
        """Keep `held` for a workload: to all others it is used. It replaces an earlier hold."""
        self.drop_hold(key)
        self.holds[key] = held
        self.use(*held)

    def drop_hold(self, key: str) -> Held | None:
        """Give back what was kept for a workload and return it, `None` where nothing was."""
        held = self.holds.pop(key, None)
        if held is not None:
            self.release(*held)
        return held

    @contextmanager
    def without_hold(self, key: str) -> Iterator[None]:
        """Let a workload see what is kept for it as free, for as long as the block lasts."""
        with self._without_holds([key] if key in self.holds else []):
            yield

    @contextmanager
    def without_holds(self) -> Iterator[None]:
        """Count only what is held by who has it, for as long as the block lasts."""
        with self._without_holds(list(self.holds)):
            yield

    @contextmanager
    def _without_holds(self, keys: Iterable[str]) -> Iterator[None]:
        state = self.state
        dropped = [(key, self.holds.pop(key)) for key in keys]
        for _, held in dropped:
            self.release(*held)
        try:
            yield
        finally:
            for key, held in dropped:
                self.hold(key, held)
            self.state = state

    @contextmanager
    def without(self, keys: Iterable[str]) -> Iterator[None]:
        """Take workloads out for as long as the block lasts."""
        state = self.state
        removed = [self.remove(key) for key in keys]
        try:
            yield
        finally:
            for admitted in removed:
                self.admit(admitted)
            self.state = state

    @contextmanager
    def without_usage(self, keys: Iterable[str]) -> Iterator[None]:
        """Take out what workloads use for as long as the block lasts; they stay holders."""
        state = self.state
        usages = [(self.admitted[key].admission.cluster_queue, self.usage_of(key)) for key in keys]
        for queue, usage in usages:
            self.release(queue, usage)
        try:
            yield
        finally:
            for queue, usage in usages:
                self.use(queue, usage)
            self.state = state

    @contextmanager
    def using(self, queue: str, usage: Usage) -> Iterator[None]:
        """Count `usage` in `queue` for as long as the block lasts."""
        state = self.state
        self.use(queue, usage)
        try:
            yield
        finally:
            self.release(queue, usage)
            self.state = state

    def use(self, queue: str, usage: Usage) -> None:
        """Count `usage` in `queue`, whether it fits or not."""
        self.state = next(self._states)
        quota.use(self.node(queue), dict(usage.quota))
        for place in usage.places:
            for capacity in self._counting(place.flavor):
                capacity.use(place)

    def release(self, queue: str, usage: Usage) -> None:
        """Undo `use`."""
        self.state = next(self._states)
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

    def _why_inactive(self, queue: ClusterQueue) -> Iterator[Inactive]:
        """Yield why nothing is admitted to `queue`, what counts most first."""
        named = _flavors_of(queue)
        if queue.is_terminating:
            yield "Terminating"
        if queue.stop_policy != "None":
            yield "Stopped"
        if queue.cohort in self.endless:
            yield "CohortCycle"
        if not named <= self.flavors.keys():
            yield "FlavorNotFound"
        if any(self.lacks_topology(flavor) for flavor in named):
            yield "TopologyNotFound"

    def flavors_of(self, queue: str) -> list[str]:
        """Return the flavors in which a ClusterQueue has quota, by name; none without a tree."""
        return sorted(_flavors_of(self.specs[queue])) if queue in self.specs else []

    def lacks_topology(self, flavor: str) -> bool:
        """Tell whether a flavor names a topology that does not exist."""
        known = self.flavors.get(flavor)
        if known is None or not known.topology or self.topologies is None:
            return False
        return known.topology not in self.topologies


def _key(queue: LocalQueue) -> str:
    return f"{queue.namespace}/{queue.name}" if queue.namespace else queue.name


def _flavors_of(spec: ClusterQueue | Cohort) -> set[str]:
    return {each.flavor for group in spec.resource_groups for each in group.flavors}


def _without_root(cohorts: Mapping[str, Cohort]) -> frozenset[str]:
    """Return the cohorts that are their own ancestors, and those below them."""
    endless: set[str] = set()
    rooted: set[str] = set()
    for start in cohorts:
        path: dict[str, None] = {}
        name = start
        while name in cohorts and not (name in path or name in endless or name in rooted):
            path[name] = None
            name = cohorts[name].parent
        (endless if name in path or name in endless else rooted).update(path)
    return frozenset(endless)
