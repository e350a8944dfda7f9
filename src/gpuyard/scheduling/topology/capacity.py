"""What is free in the domains of one flavor, and what its workloads have been promised.

`survey` takes a picture of a `Snapshot`: the nodes that carry the flavor's labels and all labels of
the topology, that are ready and not cordoned. Of each leaf (a host, or all nodes with the same
labels together) it counts what they can hand out, minus what *foreign* pods use: pods that run
there but belong to no workload with a promise. What workloads were promised counts through `use`,
whether or not their pods run yet; so the pods of a promise must be named to `survey`, or they count
twice. A picture does not change with the snapshot; take a new one when nodes or foreign pods did.

`use` and `release` are exact inverses in any order: preemption takes workloads out and puts them
back. Usage in domains that this flavor does not have is passed over; so the usage of another flavor
can be counted as well, where both end in hosts and may share some. Pods count as ``pods`` too.

Semantics: Kueue v0.19.2, pkg/cache/scheduler: tas_nodes_cache.go, tas_non_tas_pod_cache.go,
tas_flavor.go, and Fits in tas_flavor_snapshot.go. Where we differ, on purpose: there `Fits` looks
at each pod set by itself and not at the limit of pods, here usages fit if they fit together; there
a node that states no limit of pods takes none, here any number, as everywhere in this scheduler.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from gpuyard.model.constraints import Constraints
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.resources import PODS, Resources
from gpuyard.model.topology import Topology, TopologyAssignment, TopologyRules, TopologyUsage
from gpuyard.model.workloads import PodTemplate, Request
from gpuyard.scheduling.changes import ChangeLog
from gpuyard.scheduling.feasibility import node_affinity
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.node_facts import ABSENT, Fact
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology.counts import COUNT_MAX
from gpuyard.scheduling.topology.matching import Match, match, match_all
from gpuyard.scheduling.topology.refusals import Refusal
from gpuyard.scheduling.topology.requests import PodSetRequest
from gpuyard.scheduling.topology.rows import LeafRow
from gpuyard.scheduling.topology.tree import DomainTree, grow_coded

MATCHES_KEPT_MAX = 1024  # shapes whose leaves are remembered; beyond it they are matched anew
ROWS_KEPT_MAX = 1024  # requests whose numbers are kept; beyond it they are counted anew
AMOUNTS_KEPT_MAX = 4096  # requests whose columns are remembered; beyond it they are looked up anew


Asked = tuple[tuple[PodSetRequest, ...], TopologyRules]
Answer = tuple[TopologyAssignment, ...] | Refusal


class TopologyCapacity:
    """The free capacity of one flavor's leaves; made by `survey`."""

    def __init__(
        self,
        flavor: ResourceFlavor,
        topology: Topology,
        tree: DomainTree,
        free: Mapping[str, IntArray],
        hosts: tuple[Snapshot, IntArray] | None = None,
    ) -> None:
        """Take what is free on each leaf by resource; `hosts`: where to find each leaf's node."""
        self.flavor = flavor
        self.topology = topology
        self.tree = tree
        leaves = tree.count(tree.last)
        self.resources = {name: column for column, name in enumerate(sorted(free))}
        self.free: IntArray = np.zeros((leaves, len(free)), dtype=np.int64)  # [leaf, resource]
        for name, column in self.resources.items():
            self.free[:, column] = free[name]
        self.used: IntArray = np.zeros_like(self.free)
        self._alone: dict[str, IntArray] = {}  # by level: [domain] how many stand alone there
        self.if_empty: dict[Asked, Answer] = {}  # what `assign.place` said; it does not change
        self._hosts = hosts
        self._matches: dict[Shape, Match] = {}
        self._match_of: dict[tuple[PodTemplate, bool], Match] = {}
        self._rows: dict[tuple[PodTemplate, Resources, bool, bool], LeafRow] = {}
        self._amounts: dict[Resources, IntArray] = {}
        self._changes = ChangeLog()  # of leaves on which more or less is used
        self._no_changes = ChangeLog()  # of leaves on which nothing is

    # -- usage

    def use(self, usage: TopologyUsage) -> None:
        """Count what a pod set was promised, whether it fits or not."""
        self._count(usage, -1)
        self._stand_alone(usage, 1)

    def release(self, usage: TopologyUsage) -> None:
        """Undo `use`."""
        self._count(usage, 1)
        self._stand_alone(usage, -1)

    def _count(self, usage: TopologyUsage, sign: int) -> None:
        self.know(usage.per_pod)
        for leaf in self.take(self.used, usage, sign):
            self._changes.append(leaf)

    def fits(self, usages: Sequence[TopologyUsage]) -> bool:
        """Tell whether all of `usages` fit together now; in a domain that is gone nothing does.

        Only amounts that are asked for count: a resource that is short already hinders nobody else.
        """
        leaf_of = self.tree.leaf_of
        for usage in usages:
            if any(domain.values not in leaf_of for domain in usage.domains):
                return False
            self.know(usage.per_pod)
        if not all(map(self._is_alone, usages)):
            return False
        left = self.left()
        for usage in usages:
            self.take(left, usage)
        for usage in usages:
            leaves = [leaf_of[domain.values] for domain in usage.domains if domain.count]
            asked = np.flatnonzero(self.amounts(usage.per_pod))
            if (left[leaves][:, asked] < 0).any():
                return False
        return True

    def left(self, *, empty: bool = False) -> IntArray:
        """Return what is left on each leaf, [leaf, resource]; `empty`: as if nothing was promised.

        The array is the caller's own. It may be negative.
        """
        return self.free.copy() if empty else self.free - self.used

    def take(self, amounts: IntArray, usage: TopologyUsage, sign: int = 1) -> list[int]:
        """Take a `usage` of known resources from `amounts`, an array like `free`.

        With a `sign` of -1 it is given back. Domains that are not here are passed over; return the
        others.
        """
        leaf_of = self.tree.leaf_of
        here = [(leaf_of[one.values], one.count) for one in usage.domains if one.values in leaf_of]
        if len(here) == 1:
            amounts[here[0][0]] -= sign * here[0][1] * self.amounts(usage.per_pod)
        elif here:
            leaves, counts = np.array(here, dtype=np.int64).T
            taken = sign * counts[:, None] * self.amounts(usage.per_pod)
            np.subtract.at(amounts, leaves, taken)
        return [leaf for leaf, _ in here]

    # -- who stands alone

    def free_of_others(self, level: str) -> BoolArray:
        """Tell for each leaf whether nobody stands alone in its domain of `level`."""
        number = self.tree.level_of(level)
        if number is None:
            return np.zeros(len(self.free), dtype=np.bool_)
        alone = self._alone.get(level)
        if alone is None:
            return np.ones(len(self.free), dtype=np.bool_)
        free: BoolArray = alone[self.tree.ancestors(number)] == 0
        return free

    def _is_alone(self, usage: TopologyUsage) -> bool:
        if not usage.alone_in:
            return True
        leaves = [self.tree.leaf_of[domain.values] for domain in usage.domains]
        return bool(self.free_of_others(usage.alone_in)[leaves].all())

    def _stand_alone(self, usage: TopologyUsage, change: int) -> None:
        number = self.tree.level_of(usage.alone_in) if usage.alone_in else None
        if number is None:
            return
        nobody = np.zeros(self.tree.count(number), dtype=np.int64)
        alone = self._alone.setdefault(usage.alone_in, nobody)
        leaf_of = self.tree.leaf_of
        leaves = [leaf_of[each.values] for each in usage.domains if each.values in leaf_of]
        alone[np.unique(self.tree.ancestors(number)[leaves])] += change

    # -- resources

    def know(self, per_pod: Resources) -> None:
        """Give each resource of `per_pod` a column; of what no node offers nothing is free."""
        if per_pod in self._amounts:
            return
        for name, _ in (*per_pod.amounts, (PODS, 1)):
            if name not in self.resources:
                self.resources[name] = len(self.resources)
                nothing = np.zeros((len(self.free), 1), dtype=np.int64)
                self.free = np.hstack([self.free, nothing])
                self.used = np.hstack([self.used, nothing])
                self._amounts.clear()

    def amounts(self, per_pod: Resources) -> IntArray:
        """Return what one pod takes, by column; it counts as one of ``pods`` itself.

        The array is not the caller's own.
        """
        row = self._amounts.get(per_pod)
        if row is None:
            row = np.zeros(len(self.resources), dtype=np.int64)
            for name, amount in per_pod.amounts:
                row[self.resources[name]] += amount
            row[self.resources[PODS]] += 1
            if len(self._amounts) >= AMOUNTS_KEPT_MAX:
                self._amounts.clear()
            self._amounts[per_pod] = row
        return row

    def row(
        self, template: PodTemplate, per_pod: Resources, *, with_preferred: bool, empty: bool
    ) -> LeafRow:
        """Return how many such pods fit on each leaf now, or if nothing were promised."""
        key = template, per_pod, with_preferred, empty
        row = self._rows.get(key)
        if row is None:
            self.know(per_pod)
            takes = self.match(template, with_preferred=with_preferred).takes
            asked = self.amounts(per_pod)
            names = [name for name in sorted(self.resources) if asked[self.resources[name]] > 0]
            columns = np.array([self.resources[name] for name in names], dtype=np.int64)
            if len(self._rows) >= ROWS_KEPT_MAX:
                self._rows.clear()
            row = self._rows[key] = LeafRow(takes, names, columns, asked[columns])
        if empty:
            row.refresh(self.free, None, self._no_changes)
        else:
            row.refresh(self.free, self.used, self._changes)
        return row

    # -- nodes

    def match(self, template: PodTemplate, *, with_preferred: bool) -> Match:
        """Return which leaves take pods of `template`, which tolerates what the flavor tolerates.

        `with_preferred`: count the points of nodes that it prefers.
        """
        key = template, with_preferred
        found = self._match_of.get(key)
        if found is None:
            if len(self._match_of) >= MATCHES_KEPT_MAX:
                self._match_of.clear()
            found = self._match_of[key] = self._matched(template, with_preferred=with_preferred)
        return found

    def _matched(self, template: PodTemplate, *, with_preferred: bool) -> Match:
        """Return the match of the template's shape: templates that differ in amounts share one."""
        if self._hosts is None:
            return match_all(len(self.free))
        asked = template.constraints
        constraints = replace(
            asked,
            tolerations=asked.tolerations + self.flavor.tolerations,
            preferred_nodes=asked.preferred_nodes if with_preferred else (),
        )
        shape = Shape(request=Request(devices=template.request.devices), constraints=constraints)
        if shape not in self._matches:
            if len(self._matches) >= MATCHES_KEPT_MAX:
                self._matches.clear()
            self._matches[shape] = match(*self._hosts, shape)
        return self._matches[shape]


def survey(
    snapshot: Snapshot,
    flavor: ResourceFlavor,
    topology: Topology,
    *,
    promised_pods: Collection[str] = (),
) -> TopologyCapacity:
    """Return the capacity of `flavor` in `topology` with nothing promised yet.

    `promised_pods` are pods of workloads whose promise will count through `use`.
    """
    slots = _nodes_of(snapshot, flavor, topology)
    tree, leaf_of_row, first = _grow(snapshot, topology, slots)
    left = _left_on(snapshot, slots, promised_pods)
    leaves = tree.count(tree.last)
    free: dict[str, IntArray] = {}
    for name, column in snapshot.fleet.resources.items():
        free[name] = np.zeros(leaves, dtype=np.int64)
        np.add.at(free[name], leaf_of_row, left[:, column])
    hosts = (snapshot, slots[first]) if tree.ends_in_hosts else None
    return TopologyCapacity(flavor, topology, tree, free, hosts)


def _nodes_of(snapshot: Snapshot, flavor: ResourceFlavor, topology: Topology) -> IntArray:
    """Return the slots of nodes that are capacity of `flavor`, by name."""
    slots = np.flatnonzero(snapshot.fleet.present)
    carries = node_affinity.suits(snapshot, Constraints(node_selector=flavor.node_labels), slots)
    for level in topology.levels:
        carries &= snapshot.facts.domains(level)[slots] != ABSENT
    nodes = [(snapshot.nodes[slot], slot) for slot in slots[carries].tolist()]
    usable = [(node.name, slot) for node, slot in nodes if node.ready and not node.unschedulable]
    return np.array([slot for _, slot in sorted(usable)], dtype=np.int64)


def _grow(
    snapshot: Snapshot, topology: Topology, slots: IntArray
) -> tuple[DomainTree, IntArray, IntArray]:
    """Return the tree, the leaf of each slot, and for each leaf its first row in `slots`."""
    columns: list[IntArray] = []
    values: list[list[str]] = []
    for level in topology.levels:
        codes = snapshot.facts.domains(level)[slots]
        names, ranks = _ranked(snapshot, level, codes)
        columns.append(ranks)
        values.append(names)
    rows = np.stack(columns, axis=1)
    _, first, same = np.unique(rows[:, -1], return_index=True, return_inverse=True)
    tree, leaf_of_row = grow_coded(topology.levels, rows, values)
    if tree.ends_in_hosts and len(first) < len(rows):  # one host name twice: its first node counts
        tree, leaf_of_host = grow_coded(topology.levels, rows[first], values)
        leaf_of_row = leaf_of_host[same]
    _, first = np.unique(leaf_of_row, return_index=True)
    return tree, leaf_of_row, first


def _ranked(snapshot: Snapshot, label: str, codes: IntArray) -> tuple[list[str], IntArray]:
    """Return the sorted values of a label, and for each of `codes` the place of its value."""
    known = snapshot.facts.column(Fact("label", label)).values
    present, inverse = np.unique(codes, return_inverse=True)
    names = [known[code] for code in present.tolist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return [names[index] for index in order], rank[inverse]


def _left_on(snapshot: Snapshot, slots: IntArray, promised_pods: Iterable[str]) -> IntArray:
    """Return what each node offers minus what foreign pods use, [row of `slots`, resource]."""
    left = snapshot.fleet.free.copy()
    for pod in promised_pods:
        booking = snapshot.bookings.get(pod)
        if booking is not None:
            amounts = snapshot.vector(booking.assignment.template.request).amounts
            left[booking.slot, : len(amounts)] += amounts
    pods = snapshot.fleet.resources[PODS]
    left[:, pods] = np.minimum(left[:, pods], COUNT_MAX)  # without a limit; its sum must not wrap
    kept: IntArray = left[slots]
    return kept
