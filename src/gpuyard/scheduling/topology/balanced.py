"""Spreading pods evenly over as few domains as hold them.

Twelve pods on two domains with room for ten each: filled up they stand 10 and 2, balanced 6 and 6.
Only for pods with a preferred level. Among the domains around it (all that is inside one domain of
the next wider level) the search is for the largest *threshold* so that every used domain gets at
least so many slices:

1. the greedy choice tells how many domains are needed; the threshold is the even share, or what the
   last of them holds, whatever is less;
2. what holds less than the threshold is left out; if then all of it still fits, the threshold
   stands, else a smaller one that leaves room for the leader is tried;
3. of the sets of that many domains one with the least room to spare is chosen (`least_room`), each
   gets the threshold, and what is left goes to the first ones.

Whatever fails on the way: there is no balanced answer, and the greedy one counts.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_balanced_placement.go. It keeps every way to fill
a set as a list of domains; here sets are bits of an integer, and of each the last domain is known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.topology.counts import LevelCounts, sum_up
from gpuyard.scheduling.topology.greedy import in_order, in_order_with_leader
from gpuyard.scheduling.topology.requests import Ask
from gpuyard.scheduling.topology.tree import DomainTree

ENTROPY_DIGITS = 12  # what is further behind the point is rounding, not disorder


class Spread(NamedTuple):
    """The domains that share the group evenly, with counts in which what they get is written."""

    levels: list[LevelCounts]
    level: int
    domains: IntArray


class Candidates(NamedTuple):
    """Domains of the wanted level that hold the group with at least `threshold` slices each."""

    threshold: int
    levels: list[LevelCounts]
    domains: IntArray


class Greedy(NamedTuple):
    """What the greedy choice would use: how many domains, and the last with and without leader."""

    used: int
    last_with_leader: int | None
    last: int | None


def spread(tree: DomainTree, levels: Sequence[LevelCounts], ask: Ask) -> Spread | None:
    """Return how to balance the group, `None` where it cannot be."""
    best = best_candidates(tree, levels, ask)
    if best is None:
        return None
    level, domains = ask.level, best.domains
    if ask.level < ask.slice_level:
        order = by_room_and_entropy(tree, best.levels, ask.level, domains)
        chosen = least_room(best.levels[level], domains, order, ask)
        if chosen is None:
            return None
        domains, level = tree.children(level, chosen), level + 1
    even = share_out(best.levels[level], domains, ask, best.threshold)
    return None if even is None else Spread(best.levels, level, even)


# -- which domains, and how many slices at least


def best_candidates(tree: DomainTree, levels: Sequence[LevelCounts], ask: Ask) -> Candidates | None:
    """Return the siblings that allow the largest threshold; of equals those that need fewest."""
    best: Candidates | None = None
    fewest = 0
    for siblings in _siblings(tree, ask.level):
        floor = 0 if best is None else best.threshold
        found = _candidates(tree, levels, ask, siblings, floor)
        if found is None:
            continue
        candidates, used = found
        if candidates.threshold > floor or used < fewest:
            best, fewest = candidates, used
    return best


def _siblings(tree: DomainTree, level: int) -> list[IntArray]:
    everyone = np.arange(tree.count(level))
    return [everyone] if level == 0 else np.split(everyone, tree.first_child[level - 1][1:-1])


def _candidates(
    tree: DomainTree, levels: Sequence[LevelCounts], ask: Ask, siblings: IntArray, floor: int
) -> tuple[Candidates, int] | None:
    """Return `siblings` with the largest threshold that is not below `floor`, and how many of them.

    Where a threshold leaves no room for the leader, one that does is tried.
    """
    below = ask.level < ask.slice_level
    counts = levels[ask.level + below]
    parts = tree.children(ask.level, siblings) if below else siblings
    greedy = evaluate(counts, parts, ask)
    if greedy is None or not greedy.used:
        return None
    threshold = _threshold(counts, greedy, ask)
    reserved = threshold
    if ask.leaders and greedy.last is not None:
        reserved = min(threshold, int(counts.slices_with_leader[greedy.last]))
    for attempt in dict.fromkeys((threshold, reserved)):
        if attempt < max(floor, 1):
            return None
        pruned = prune(tree, levels, ask, siblings, attempt)
        after = evaluate(pruned[ask.level], siblings, ask)
        if after is not None:
            return Candidates(attempt, pruned, siblings), after.used
    return None


def _threshold(counts: LevelCounts, greedy: Greedy, ask: Ask) -> int:
    """Return the most slices that each of the domains could have at least."""
    threshold = ask.slices // greedy.used
    if greedy.last_with_leader is not None:
        threshold = min(threshold, int(counts.slices_with_leader[greedy.last_with_leader]))
    if greedy.last is not None:
        threshold = min(threshold, int(counts.slices[greedy.last]))
    return threshold


def evaluate(counts: LevelCounts, domains: IntArray, ask: Ask) -> Greedy | None:
    """Return what a greedy choice among `domains` would use, `None` where they do not suffice."""
    units, leaders, used = ask.slices, ask.leaders, 0
    last_with_leader: int | None = None
    order = domains
    if leaders:
        order = in_order_with_leader(counts, domains, best_fit=True)
    while leaders and len(order) and counts.leaders[order[0]] > 0:
        last_with_leader = int(order[0])
        leaders -= int(counts.leaders[last_with_leader])
        units -= int(counts.slices_with_leader[last_with_leader])
        order, used = order[1:], used + 1
    if leaders:
        return None
    if units <= 0:
        return Greedy(used, last_with_leader, None)
    order = in_order(counts, order, best_fit=True)
    empty = np.flatnonzero(counts.slices[order] == 0)
    order = order[: int(empty[0])] if len(empty) else order
    last = int(np.searchsorted(np.cumsum(counts.slices[order]), units))
    if last == len(order):
        return None
    return Greedy(used + last + 1, last_with_leader, int(order[last]))


def prune(
    tree: DomainTree, levels: Sequence[LevelCounts], ask: Ask, siblings: IntArray, threshold: int
) -> list[LevelCounts]:
    """Return the counts without what holds less than `threshold` slices, for `siblings`.

    Their children are looked at first and they themselves when these are gone. Who holds enough,
    but not beside the leader, keeps its place without him.
    """
    pruned = [counts.copy() for counts in levels]
    if ask.level < tree.last:
        _prune_level(
            tree, pruned, ask, ask.level + 1, tree.children(ask.level, siblings), threshold
        )
    single_layer = ask._replace(inner_sizes=(0,) * len(tree.levels))
    pruned = [*pruned[: ask.level], *sum_up(tree, single_layer, pruned[-1])[ask.level :]]
    _prune_level(tree, pruned, ask, ask.level, siblings, threshold)
    return pruned


def _prune_level(
    tree: DomainTree,
    levels: Sequence[LevelCounts],
    ask: Ask,
    level: int,
    domains: IntArray,
    threshold: int,
) -> None:
    """Clear what holds too little among `domains`, with all that is inside."""
    counts = levels[level]
    looked_at = np.zeros(tree.count(level), dtype=np.bool_)
    looked_at[domains] = True
    too_little = looked_at & (counts.slices < threshold)
    no_leader = looked_at & (counts.leaders > 0) & (counts.slices_with_leader < threshold)
    for below in range(level, len(levels)):
        around = tree.ancestors(level, below)
        levels[below].clear(too_little[around])
        if ask.leaders:
            levels[below].clear_leaders(no_leader[around])


# -- which set of them


def by_room_and_entropy(
    tree: DomainTree, levels: Sequence[LevelCounts], level: int, domains: IntArray
) -> IntArray:
    """Return `domains`: with leader, with most room, with the most even parts, by name."""
    counts = levels[level]
    entropy = _entropy(tree, levels, level)[domains]
    keys = (domains, -entropy, -counts.slices_with_leader[domains], -counts.leaders[domains])
    return domains[np.lexsort(keys)]


def _entropy(tree: DomainTree, levels: Sequence[LevelCounts], level: int) -> NDArray[np.float64]:
    """Return for each domain of `level` how evenly its pods are spread over its children."""
    if level == tree.last:
        return np.zeros(tree.count(level))
    pods = levels[level + 1].pods
    begin = tree.first_child[level][:-1]
    total = np.add.reduceat(pods, begin)[tree.parents[level + 1]]
    share = np.divide(pods, total, out=np.ones(len(pods)), where=pods > 0)
    entropy: NDArray[np.float64] = np.add.reduceat(-share * np.log2(share), begin)
    return entropy.round(ENTROPY_DIGITS)


def least_room(
    counts: LevelCounts, domains: IntArray, order: IntArray, ask: Ask
) -> IntArray | None:
    """Return the smallest set that holds the group and of those the one with least to spare.

    `order` are the same domains: of sets with the same room the first found in it counts.
    """
    greedy = evaluate(counts, domains, ask)
    if greedy is None:
        return None
    most = max(counts.pods[domains].max(initial=0), counts.pods_with_leader[domains].max(initial=0))
    sets = _Sets(ask, greedy.used, int(most))
    for domain in order.tolist():
        alone, beside = int(counts.pods[domain]), int(counts.pods_with_leader[domain])
        sets.offer(
            domain,
            alone=alone if counts.slices[domain] > 0 else None,
            beside=beside if counts.leaders[domain] > 0 else None,
        )
    return sets.best()


class _Step(NamedTuple):
    """A domain was added to sets that leave what `leaves` says."""

    domain: int
    pods: int
    leaders: int
    leaves: int


class _Sets:
    """Every amount that sets of domains can leave of the group, and how they come about.

    ``leaves[size][leaders]`` has the bit ``p + shift`` where some set of `size` domains leaves `p`
    pods (below zero: has room to spare) and `leaders` leaders. The first set found for a bit stays:
    ``steps[size][leaders]`` tells which domain was its last.
    """

    def __init__(self, ask: Ask, used: int, most: int) -> None:
        """Start with the empty set; no domain holds more than `most` pods."""
        self.used = used
        self.shift = used * most
        sizes, leaders = range(used + 1), range(ask.leaders + 1)
        self.leaves = [[0 for _ in leaders] for _ in sizes]
        self.steps: list[list[list[_Step]]] = [[[] for _ in leaders] for _ in sizes]
        self.leaves[0][ask.leaders] = 1 << (ask.slices * ask.slice_size + self.shift)

    def offer(self, domain: int, *, alone: int | None, beside: int | None) -> None:
        """Add `domain`, which holds so many pods `alone` or `beside` the leader, to every set."""
        needy = self.shift + 1  # a set that leaves nothing of the group needs no more domains
        for size in range(self.used, 0, -1):
            smaller = self.leaves[size - 1]
            if alone is not None:
                self._add(size, 0, smaller[0] >> needy << needy, _Step(domain, alone, 0, 0))
            if smaller[-1] and len(smaller) > 1:
                if beside is not None:
                    self._add(size, 0, smaller[1], _Step(domain, beside, 1, 0))
                if alone is not None:
                    self._add(size, 1, smaller[1], _Step(domain, alone, 0, 0))

    def _add(self, size: int, leaders: int, before: int, step: _Step) -> None:
        new = (before >> step.pods) & ~self.leaves[size][leaders]
        if new:
            self.leaves[size][leaders] |= new
            self.steps[size][leaders].append(step._replace(leaves=new))

    def best(self) -> IntArray | None:
        """Return the set that holds everything with the least to spare."""
        full = self.leaves[self.used][0] & ((1 << (self.shift + 1)) - 1)
        if not full:
            return None
        chosen: list[int] = []
        bit, leaders = full.bit_length() - 1, 0
        for size in range(self.used, 0, -1):
            step = next(one for one in self.steps[size][leaders] if one.leaves >> bit & 1)
            chosen.append(step.domain)
            bit += step.pods
            leaders += step.leaders
        return np.array(chosen[::-1], dtype=np.int64)


# -- who gets how much


def share_out(counts: LevelCounts, domains: IntArray, ask: Ask, threshold: int) -> IntArray | None:
    """Give each of the best of `domains` the threshold, and the rest in order; write it down."""
    chosen = least_room(counts, domains, np.sort(domains), ask)
    if chosen is None or ask.slices < len(chosen) * threshold:
        return None
    chosen = in_order_with_leader(counts, chosen, best_fit=True)
    extra, leaders = ask.slices - len(chosen) * threshold, ask.leaders
    for domain in chosen.tolist():
        room = counts.slices_with_leader if leaders else counts.slices
        more = min(int(room[domain]) - threshold, extra) if leaders or extra > 0 else 0
        slices = threshold + more
        counts.leaders[domain] = min(leaders, 1)
        counts.slices[domain] = counts.slices_with_leader[domain] = slices
        counts.pods[domain] = slices * ask.slice_size
        counts.pods_with_leader[domain] = counts.pods[domain] - counts.leaders[domain]
        extra -= more
        leaders = max(leaders - 1, 0)
    return chosen if extra <= 0 and not leaders else None
