"""The topologies of flavors, as flavor assignment asks for them.

Places for the pod sets of one workload are sought flavor by flavor, in the order of their names.
Where two flavors end in hosts they may share some, so what one flavor is about to take is taken
from the next as well. For a workload that runs and lost a host, other places are sought only for
the pods that stood there.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/clusterqueue_snapshot.go
(FindTopologyAssignmentsForWorkload).
"""

from collections.abc import Mapping, Sequence

from gpuyard.model.topology import TopologyAssignment, TopologyRules, TopologyUsage
from gpuyard.scheduling.flavors.question import NotPlaced
from gpuyard.scheduling.topology.assign import may_hold, place, place_again
from gpuyard.scheduling.topology.assignments import usage_of
from gpuyard.scheduling.topology.capacity import TopologyCapacity
from gpuyard.scheduling.topology.refusals import Refusal
from gpuyard.scheduling.topology.requests import PodSetRequest


class FlavorTopologies:
    """Where the pods of one workload can stand: the capacity of each flavor with a topology."""

    def __init__(
        self,
        capacities: Mapping[str, TopologyCapacity],
        rules: TopologyRules,
        *,
        failed_host: str = "",
    ) -> None:
        """Take the capacities by flavor; `failed_host` is to be left by a workload that runs."""
        self.capacities = capacities
        self.rules = rules
        self.failed_host = failed_host

    def levels(self, flavor: str, /) -> Sequence[str] | None:
        """Return the levels of a flavor's topology, `None` where none is known."""
        capacity = self.capacities.get(flavor)
        return None if capacity is None else capacity.topology.levels

    def may_place(self, requests: Mapping[str, Sequence[PodSetRequest]]) -> bool:
        """Tell whether so many pods fit anywhere at all; where not, `place` finds no places."""
        return bool(self.failed_host) or all(
            may_hold(self.capacities[flavor], asked, self.rules)
            for flavor, asked in requests.items()
        )

    def place(
        self, requests: Mapping[str, Sequence[PodSetRequest]], /, *, empty: bool
    ) -> Mapping[str, TopologyAssignment] | NotPlaced:
        """Return places by pod set name for `requests` by flavor, all together or none."""
        found: dict[str, TopologyAssignment] = {}
        taken: list[TopologyUsage] = []
        for flavor, asked in sorted(requests.items()):
            capacity = self.capacities[flavor]
            assumed = taken if capacity.tree.ends_in_hosts else ()
            answer = self._ask(capacity, asked, assumed, empty=empty)
            if isinstance(answer, Refusal):
                return NotPlaced(flavor, answer)
            for request, places in zip(asked, answer, strict=True):
                found[request.name] = places
                if capacity.tree.ends_in_hosts:
                    taken.append(usage_of(flavor, request.per_pod, places))
        return found

    def _ask(
        self,
        capacity: TopologyCapacity,
        asked: Sequence[PodSetRequest],
        assumed: Sequence[TopologyUsage],
        *,
        empty: bool,
    ) -> tuple[TopologyAssignment, ...] | Refusal:
        if self.failed_host:
            return place_again(
                capacity, asked, failed_host=self.failed_host, rules=self.rules, assumed=assumed
            )
        return place(capacity, asked, rules=self.rules, empty=empty, assumed=assumed)
