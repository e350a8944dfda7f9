"""How many pods fit into each domain: counted on the leaves, summed up level by level.

Besides plain pods each domain knows how many it holds *with a leader* beside them (a group is one
leader and its workers, and the leader takes room), and how many whole *slices*. A slice lies inside
one domain of its level: there its number is pods divided by size, rounded down; above, slices add
up; below there are none. With several layers of slices a domain of an inner layer offers only
multiples of the inner size.

A leader is one pod, so of all leaves inside a domain the one is assumed where it costs least. That
is a promise which the way down has to keep (`greedy.leader_first`).

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go (fillInCounts, fillLeafCounts,
fillInCountsHelper) and pkg/resources/requests.go (CountInWithLimitingResource).
"""

from typing import NamedTuple

import numpy as np

from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.topology.requests import Ask
from gpuyard.scheduling.topology.tree import DomainTree

COUNT_MAX = 2**31 - 1  # of what asks for nothing, so many fit
NEVER = 2**62  # no domain loses as much to a leader


class LevelCounts:
    """What fits into each domain of one level.

    After placement has been through the level, `pods`, `slices` and `leaders` of the chosen domains
    are what they were given.
    """

    __slots__ = (
        "affinity",
        "leaders",
        "pods",
        "pods_with_leader",
        "slices",
        "slices_with_leader",
    )

    def __init__(
        self,
        *,
        pods: IntArray,
        slices: IntArray,
        pods_with_leader: IntArray,
        slices_with_leader: IntArray,
        leaders: IntArray,
        affinity: IntArray,
    ) -> None:
        """Take one number for each domain."""
        self.pods = pods
        self.slices = slices
        self.pods_with_leader = pods_with_leader
        self.slices_with_leader = slices_with_leader
        self.leaders = leaders  # 0 or 1: whether the leader fits
        self.affinity = affinity  # points of the nodes that the pods prefer

    def copy(self) -> "LevelCounts":
        """Return the same numbers in arrays of their own."""
        return LevelCounts(**{name: getattr(self, name).copy() for name in self.__slots__})

    def clear(self, domains: BoolArray) -> None:
        """Let nothing fit into `domains`; the points of their nodes stay."""
        self.pods[domains] = 0
        self.slices[domains] = 0
        self.clear_leaders(domains)

    def clear_leaders(self, domains: BoolArray) -> None:
        """Let no leader fit into `domains`."""
        self.pods_with_leader[domains] = 0
        self.slices_with_leader[domains] = 0
        self.leaders[domains] = 0


class Fitting(NamedTuple):
    """How many of one request fit on each leaf, and which resource it is that runs out first."""

    counts: IntArray
    limiting: IntArray  # a column of the request


def how_many(free: IntArray, request: IntArray) -> Fitting:
    """Return how many of `request` fit into each row of `free`; both have the same columns.

    Free amounts may be negative, `request` asks for something. Of two resources that run out
    together the first column counts.
    """
    asked = np.flatnonzero(request > 0)
    counts = np.clip(free[:, asked] // request[asked], 0, COUNT_MAX)
    limiting = counts.argmin(axis=1)
    return Fitting(counts[np.arange(len(free)), limiting], asked[limiting])


def count_leaves(
    inside: BoolArray, left: IntArray, worker: IntArray, leader: IntArray | None, points: IntArray
) -> tuple[LevelCounts, IntArray]:
    """Return what fits on each leaf, and for each that holds no worker the column that is short.

    `inside` are the leaves that come into question, and `left` what is left on each of them, with
    the columns of `worker` and `leader`. `points` are of every leaf, also of those that do not come
    into question: preferred nodes go first, and then have no room (as in Kueue).
    """
    alone = how_many(left, worker)
    leads = np.zeros(len(left), dtype=np.bool_)
    if leader is not None:
        leads = how_many(left, leader).counts > 0
        left = left - leads[:, None] * leader
    beside = how_many(left, worker).counts if leads.any() else alone.counts

    def everywhere(counts: IntArray) -> IntArray:
        spread = np.zeros(len(inside), dtype=np.int64)
        spread[inside] = counts
        return spread

    nothing = np.zeros(len(inside), dtype=np.int64)
    counts = LevelCounts(
        pods=everywhere(alone.counts),
        slices=nothing,
        pods_with_leader=everywhere(beside),
        slices_with_leader=nothing.copy(),
        leaders=everywhere(leads.astype(np.int64)),
        affinity=points.copy(),
    )
    return counts, alone.limiting[alone.counts == 0]


def sum_up(tree: DomainTree, ask: Ask, leaves: LevelCounts) -> list[LevelCounts]:
    """Return what fits into each domain of each level, from what fits on the leaves."""
    levels = [leaves]
    _count_slices(leaves, ask, tree.last)
    for level in range(tree.last - 1, -1, -1):
        levels.insert(0, _around(tree, ask, level, levels[0]))
    return levels


def _count_slices(counts: LevelCounts, ask: Ask, level: int) -> None:
    if level == ask.slice_level:
        counts.slices = counts.pods // ask.slice_size
        counts.slices_with_leader = counts.pods_with_leader // ask.slice_size


def _around(tree: DomainTree, ask: Ask, level: int, below: LevelCounts) -> LevelCounts:
    """Return what fits into the domains of `level`, from what fits into their children."""
    begin = tree.first_child[level][:-1]
    inner = ask.inner_sizes[level + 1] or 1
    pods_below = below.pods // inner * inner
    lost_pods = pods_below - below.pods_with_leader // inner * inner
    lost_slices = below.slices - below.slices_with_leader
    if ask.leaders:
        lost_pods = np.where(below.leaders > 0, lost_pods, NEVER)
        lost_slices = np.where(below.leaders > 0, lost_slices, NEVER)
    pods = np.add.reduceat(pods_below, begin)
    slices = np.add.reduceat(below.slices, begin)
    counts = LevelCounts(
        pods=pods,
        slices=slices,
        pods_with_leader=_with_leader(pods, np.minimum.reduceat(lost_pods, begin)),
        slices_with_leader=_with_leader(slices, np.minimum.reduceat(lost_slices, begin)),
        leaders=np.maximum.reduceat(below.leaders, begin),
        affinity=np.add.reduceat(below.affinity, begin),
    )
    _count_slices(counts, ask, level)
    return counts


def _with_leader(total: IntArray, least_lost: IntArray) -> IntArray:
    """Return what is left of `total` with a leader; nothing where no child can take one."""
    return np.where(least_lost == NEVER, 0, total - least_lost)
