"""What is asked when flavors are assigned: a workload's requests, a queue, and what binds the two.

`FlavorRequest` is what a caller hands in. `Question` puts it beside the state of the queues and the
rules; the steps of the assignment read it and change nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import msgspec

from gpuyard.model.queues import Admission, ClusterQueue, FlavorResource, ResourceGroup
from gpuyard.model.topology import TopologyAssignment
from gpuyard.model.workloads import PodSet
from gpuyard.scheduling.flavors.assignment import START_OVER, ScanPositions
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.preemption.queues.rules import Simulation
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.quota import QuotaNode
from gpuyard.scheduling.topology.refusals import Refusal
from gpuyard.scheduling.topology.requests import PodSetRequest


class Simulate(Protocol):
    """Who knows what preemption could do; it leaves the state as it found it."""

    def __call__(self, key: FlavorResource, amount: int, /) -> Simulation:
        """Return whether evicting others frees `amount` of `key` for the workload at hand."""


class NotPlaced(msgspec.Struct, frozen=True):
    """In the topology of which flavor no places are found, for whom, and why."""

    flavor: str
    refusal: Refusal

    @property
    def pod_set(self) -> str:
        """The pod set that is told; of a group the first."""
        return self.refusal.pod_sets[0]


class Topologies(Protocol):
    """Who knows the topologies of flavors and finds places in them."""

    def levels(self, flavor: str, /) -> Sequence[str] | None:
        """Return the levels of a flavor's topology, `None` where none is known."""

    def place(
        self, requests: Mapping[str, Sequence[PodSetRequest]], /, *, empty: bool
    ) -> Mapping[str, TopologyAssignment] | NotPlaced:
        """Return places by pod set name for `requests` by flavor, all together or none.

        With `empty` as if nobody held any.
        """


class FlavorRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A workload's requests to a queue.

    `replaced` is what the elastic slice holds whose quota is taken over, `held` what the workload
    itself holds. `tried` is where the search stopped last time, `None` to begin anew. `nominated`
    (by pod set and resource) and `allowed` are the only flavors that may be taken; the nodes of
    those in `closed` do not take the pods, whatever quota there is. Pods on `unhealthy_nodes` need
    another place. `is_elastic`: the workload may be replaced by a larger slice.
    """

    queue: str
    pod_sets: tuple[QuotaRequest, ...]
    replaced: Admission | None = None
    held: Admission | None = None
    tried: ScanPositions | None = None
    nominated: Mapping[str, Mapping[str, str]] | None = None
    allowed: frozenset[str] | None = None
    closed: frozenset[str] = frozenset()
    unhealthy_nodes: tuple[str, ...] = ()
    is_elastic: bool = False


class Question(msgspec.Struct, frozen=True, dict=True):
    """A request beside the state and the rules; what follows from them is worked out once."""

    queues: Queues
    request: FlavorRequest
    rules: FlavorRules
    simulate: Simulate
    topologies: Topologies

    @cached_property
    def spec(self) -> ClusterQueue:
        """Return the queue that is asked."""
        return self.queues.specs[self.request.queue]

    @cached_property
    def node(self) -> QuotaNode:
        """Return the queue's leaf in its quota tree."""
        return self.queues.node(self.request.queue)

    @property
    def replaced(self) -> Admission | None:
        """Return what the replaced slice holds, where slices are known at all."""
        return self.request.replaced if self.rules.elastic_slices else None

    def asked(self, pod_set: str) -> QuotaRequest:
        """Return what the pod set of that name asks for."""
        return next(each for each in self.request.pod_sets if each.pod_set.name == pod_set)

    def group_of(self, resource: str) -> ResourceGroup | None:
        """Return the queue's resource group that covers `resource`."""
        groups = self.spec.resource_groups
        return next((each for each in groups if resource in each.covered_resources), None)

    def first_to_try(self, pod_set: str, resource: str) -> int:
        """Return the position of the flavor at which the search goes on."""
        if self.request.tried is None or not self.rules.fungibility:
            return 0
        return self.request.tried.get(pod_set, {}).get(resource, START_OVER) + 1

    @cached_property
    def flavors(self) -> tuple[str, ...]:
        """Return all flavors of the queue, each once, in its order."""
        named = (each.flavor for group in self.spec.resource_groups for each in group.flavors)
        return tuple(dict.fromkeys(named))

    @cached_property
    def topology_flavors(self) -> frozenset[str]:
        """Return the queue's flavors whose topology is known."""
        return frozenset(each for each in self.flavors if self.topologies.levels(each) is not None)

    def implies_topology(self, pod_set: PodSet) -> bool:
        """Tell whether places are sought although `pod_set` did not ask for a topology.

        That is so in a queue all of whose flavors have one.
        """
        return not asks_for_topology(pod_set) and self._only_topologies

    @cached_property
    def _only_topologies(self) -> bool:
        """Tell whether all flavors of the queue have a topology."""
        return self.topology_flavors.issuperset(self.flavors)

    def wants_topology(self, pod_set: PodSet) -> bool:
        """Tell whether places are sought for `pod_set`."""
        return asks_for_topology(pod_set) or self.implies_topology(pod_set)


def asks_for_topology(pod_set: PodSet) -> bool:
    """Tell whether `pod_set` says itself how it wants to stand."""
    return pod_set.topology is not None and not pod_set.topology.only_groups
