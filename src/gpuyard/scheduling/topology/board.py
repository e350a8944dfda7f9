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
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.topology.assignments import usage_of
from gpuyard.scheduling.topology.capacity import TopologyCapacity
from gpuyard.scheduling.topology.counts import LevelCounts, count_leaves, sum_up
from gpuyard.scheduling.topology.matching import Match
from gpuyard.scheduling.topology.refusals import Exclusions, Refusal, counted
from gpuyard.scheduling.topology.requests import Ask, Group, PodSetRequest, resolve
from gpuyard.scheduling.topology.rows import LeafRow
from gpuyard.scheduling.topology.search import Shortage, find_places


class Domain(NamedTuple):
    """A domain by its level and number."""

    level: int
    number: int


class Placed(NamedTuple):
    """The places of a group."""

    workers: TopologyAssignment
    leader: TopologyAssignment | None = None


class Leaves(NamedTuple):
    """What fits on each leaf of those that come into question, `inside`.

    `short` has for each that holds no pod the place in `names` of the resource that is short.
    """

    match: Match
    inside: BoolArray
    counts: LevelCounts
    short: IntArray
    names: Sequence[str]


def _excluded(leaves: Leaves) -> Exclusions:
    """Return what keeps all pods from some leaves."""
    numbers = np.bincount(leaves.short, minlength=len(leaves.names)).tolist()
    by_name = zip(leaves.names, numbers, strict=True)
    return replace(
        leaves.match.excluded,
        topology_domain=int(leaves.match.takes.sum() - leaves.inside.sum()),
        resources=counted(Counter({name: number for name, number in by_name if number})),
    )


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
        self._own: IntArray | None = None  # what is left, once it is not what the capacity says
        for usage in assumed:
            capacity.take(self._left, usage)

    @property
    def _left(self) -> IntArray:
        """What is left on each leaf, [leaf, resource], to take from."""
        if self._own is None:
            self._own = self.capacity.left(empty=self._empty)
        return self._own

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
        leaves = self._count_leaves(group, within)
        levels = sum_up(self.tree, ask, leaves.counts)
        found = find_places(self.tree, levels, ask, balance=self.rules.balances_preferred)
        if isinstance(found, Shortage):
            return self._refusal(group, ask, found, _excluded(leaves))
        alone_in = group.workers.topology.alone_in
        return Placed(
            self._assignment(found.leaves, found.workers, alone_in),
            self._assignment(found.leaves, found.leaders, alone_in) if group.leader else None,
        )

    def _count_leaves(self, group: Group, within: Domain | None) -> Leaves:
        """Return what fits on each leaf, and what keeps all pods from some."""
        capacity, workers, leader = self.capacity, group.workers, group.leader
        template, with_preferred = workers.pod_set.template, self.rules.respects_preferred_nodes
        match = capacity.match(template, with_preferred=with_preferred)
        inside = match.takes
        if within is not None:
            inside = inside & (self.tree.ancestors(within.level) == within.number)
        if workers.topology.alone_in and not self._empty:
            inside = inside & capacity.free_of_others(workers.topology.alone_in)
        if self._own is None and leader is None:
            row = capacity.row(
                template, workers.per_pod, with_preferred=with_preferred, empty=self._empty
            )
            return Leaves(match, inside, *_from_row(row, inside, match.points), row.names)
        names = sorted(capacity.resources)
        columns = [capacity.resources[name] for name in names]
        counts, short = count_leaves(
            inside,
            self._left[inside][:, columns],
            capacity.amounts(workers.per_pod)[columns],
            None if leader is None else capacity.amounts(leader.per_pod)[columns],
            match.points,
        )
        return Leaves(match, inside, counts, short, names)

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


def _from_row(row: LeafRow, inside: BoolArray, points: IntArray) -> tuple[LevelCounts, IntArray]:
    """Return what `count_leaves` would count, where nobody leads."""
    pods = row.counts * inside
    nothing = np.zeros(len(inside), dtype=np.int64)
    counts = LevelCounts(
        pods=pods,
        slices=nothing,
        pods_with_leader=pods.copy(),
        slices_with_leader=nothing.copy(),
        leaders=nothing.copy(),
        affinity=points.copy(),
    )
    return counts, row.limiting[inside & (pods == 0)]
