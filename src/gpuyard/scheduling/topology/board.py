"""What is left while the pod sets of one workload are placed, and places for one group.

Each group sees what those before it have taken; nothing is counted in the capacity itself. A group
is matched to nodes, counted on the leaves, summed up, searched for, and named again.

Only the workers' selectors, tolerations and preferred nodes decide which hosts are looked at, for
their leader too. Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go
(findTopologyAssignment, fillLeafCounts).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from gpuyard.model.topology import (
    DomainCount,
    TopologyAssignment,
    TopologyRules,
    TopologyUsage,
)
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.topology.assignments import usage_of
from gpuyard.scheduling.topology.capacity import TopologyCapacity
from gpuyard.scheduling.topology.counts import LevelCounts, count_leaves, sum_up
from gpuyard.scheduling.topology.refusals import Exclusions, Refusal, counted
from gpuyard.scheduling.topology.requests import Ask, Group, PodSetRequest, resolve
from gpuyard.scheduling.topology.search import Shortage, find_places


class Domain(NamedTuple):
    """A domain by its level and number."""

    level: int
    number: int


class Placed(NamedTuple):
    """The places of a group."""

    workers: TopologyAssignment
    leader: TopologyAssignment | None = None


class Board:
    """What is left of a capacity for the pod sets that are still to be placed."""

    def __init__(
        self,
        capacity: TopologyCapacity,
        requests: Iterable[PodSetRequest],
        rules: TopologyRules,
        *,
        empty: bool = False,
        assumed: Sequence[TopologyUsage] = (),
    ) -> None:
        """Start with what is left in `capacity`, or would be if it were `empty`, minus `assumed`.

        `requests` are all that will be asked for.
        """
        self.capacity = capacity
        self.tree = capacity.tree
        self.rules = rules
        self._empty = empty
        for request in requests:
            capacity.know(request.per_pod)
        for usage in assumed:
            capacity.know(usage.per_pod)
        self._left = capacity.left(empty=empty)
        for usage in assumed:
            capacity.take(self._left, usage)

    def assume(self, group: Group, placed: Placed) -> None:
        """Take from what is left what the pods of `group` need in these places."""
        for request, places in ((group.workers, placed.workers), (group.leader, placed.leader)):
            if request is not None and places is not None:
                usage = usage_of(self.capacity.flavor.name, request.per_pod, places)
                self.capacity.take(self._left, usage)

    def place(self, group: Group, within: Domain | None = None) -> Placed | Refusal:
        """Return places for a group, all of them inside `within`."""
        ask = resolve(self.tree, self.capacity.topology.name, group, self.rules)
        if isinstance(ask, Refusal):
            return ask
        leaves, excluded = self._count_leaves(group, within)
        levels = sum_up(self.tree, ask, leaves)
        found = find_places(self.tree, levels, ask, balance=self.rules.balances_preferred)
        if isinstance(found, Shortage):
            return self._refusal(group, ask, found, excluded)
        alone_in = group.workers.topology.alone_in
        return Placed(
            self._assignment(found.leaves, found.workers, alone_in),
            self._assignment(found.leaves, found.leaders, alone_in) if group.leader else None,
        )

    def _count_leaves(self, group: Group, within: Domain | None) -> tuple[LevelCounts, Exclusions]:
        """Return what fits on each leaf, and what keeps all pods from some."""
        capacity, workers, leader = self.capacity, group.workers, group.leader
        match = capacity.match(
            workers.pod_set.template, with_preferred=self.rules.respects_preferred_nodes
        )
        inside = match.takes
        if within is not None:
            inside = inside & (self.tree.ancestors(within.level) == within.number)
        if workers.topology.alone_in and not self._empty:
            inside = inside & capacity.free_of_others(workers.topology.alone_in)
        names = sorted(capacity.resources)
        columns = [capacity.resources[name] for name in names]
        counts, short = count_leaves(
            inside,
            self._left[inside][:, columns],
            capacity.amounts(workers.per_pod)[columns],
            None if leader is None else capacity.amounts(leader.per_pod)[columns],
            match.points,
        )
        by_column = zip(names, np.bincount(short, minlength=len(names)).tolist(), strict=True)
        excluded = replace(
            match.excluded,
            topology_domain=int(match.takes.sum() - inside.sum()),
            resources=counted(Counter({name: number for name, number in by_column if number})),
        )
        return counts, excluded

    def _assignment(self, leaves: IntArray, counts: IntArray, alone_in: str) -> TopologyAssignment:
        return TopologyAssignment(
            self.tree.assigned_levels,
            tuple(
                DomainCount(self.tree.leaf_values(leaf), count)
                for leaf, count in zip(leaves.tolist(), counts.tolist(), strict=True)
                if count
            ),
            alone_in,
        )

    def _refusal(self, group: Group, ask: Ask, shortage: Shortage, excluded: Exclusions) -> Refusal:
        return Refusal(
            code=shortage.code,
            pod_sets=group.names,
            topology=self.capacity.topology.name,
            level=self.tree.levels[shortage.level],
            needed=ask.pods if shortage.code == "no-way-down" else ask.slices,
            have=shortage.have,
            in_slices=ask.slice_size > 1,
            layers=shortage.layers,
            excluded=excluded,
        )
