"""Where a group goes: first the level and the domains that hold it, then down to the leaves.

*Up.* At the wanted level the best single domain that holds everything is taken. Where there is
none, ``required`` ends here; ``preferred`` asks the next wider level, and at the widest takes
several domains. Pods that may stand anywhere take several at once.

*Down.* As long as slices are whole in every domain, the children of all chosen domains are one pool
and the fewest are taken anew. From the level of the slices on, each domain hands what it got to its
own children: no slice is ever torn.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go (findLevelWithFitDomains,
findTopologyAssignment, multiLayerNotFitMessage). Where we differ, on purpose: where the children do
not hold what their domain was given (Kueue logs this and assigns fewer pods), it is a refusal.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.topology import balanced
from gpuyard.scheduling.topology.counts import LevelCounts
from gpuyard.scheduling.topology.greedy import (
    Portion,
    in_order,
    in_order_with_leader,
    leader_first,
    portion,
    take,
    tightest,
)
from gpuyard.scheduling.topology.refusals import LayerRoom
from gpuyard.scheduling.topology.requests import Ask
from gpuyard.scheduling.topology.tree import DomainTree

Levels = Sequence[LevelCounts]


class Shortage(NamedTuple):
    """Nothing holds the group: what was looked for, and how much of it there is."""

    code: Literal["no-room", "no-room-for-layers", "no-way-down", "no-domains"]
    level: int
    have: int = 0
    layers: tuple[LayerRoom, ...] = ()


class Found(NamedTuple):
    """Domains of one level that hold the group together."""

    level: int
    domains: IntArray


class Places(NamedTuple):
    """How many workers go to which leaf, and which leaf gets the leader; in the order of leaves."""

    leaves: IntArray
    workers: IntArray
    leaders: IntArray


def find_places(
    tree: DomainTree, levels: Levels, ask: Ask, *, balance: bool = False
) -> Places | Shortage:
    """Return where the group goes; the numbers in `levels` are used up on the way."""
    if balance and not ask.is_required and not ask.is_unconstrained:
        spread = balanced.spread(tree, levels, ask)
        if spread is not None:
            return _descend(
                tree, spread.levels, ask, Found(spread.level, spread.domains), pool=False
            )
    found = _holding(tree, levels, ask)
    return found if isinstance(found, Shortage) else _descend(tree, levels, ask, found, pool=True)


# -- up


def _holding(tree: DomainTree, levels: Levels, ask: Ask) -> Found | Shortage:
    """Return the narrowest domains, at the wanted level or above, that hold the group."""
    if not tree.count(ask.level):
        return Shortage("no-domains", ask.level)
    for level in range(ask.level, -1, -1):
        counts = levels[level]
        everyone = np.arange(tree.count(level))
        order = in_order_with_leader(counts, everyone, best_fit=ask.best_fit)
        one = _single(counts, order, ask)
        if one is not None:
            return Found(level, np.array([one]))
        if ask.is_required:
            return _shortage(tree, levels, ask, level, int(counts.slices[order[0]]))
        if level == 0 or ask.is_unconstrained:
            several = _several(counts, order, ask)
            if isinstance(several, int):
                return _shortage(tree, levels, ask, level, several)
            return Found(level, several)
    raise AssertionError("the widest level ends the search")


def _single(counts: LevelCounts, order: IntArray, ask: Ask) -> int | None:
    """Return the one domain that is to hold everything, `None` where none can.

    A required domain is looked for among the less preferred nodes too; otherwise several of the
    preferred nodes count more than one of the others.
    """
    want = Portion(ask.slices, ask.leaders, ask.slice_size, in_slices=True, best_fit=ask.best_fit)
    holds = (want.beside(counts)[order] >= want.units) & (counts.leaders[order] >= want.leaders)
    if not holds.any():
        return None
    first = int(holds.argmax())
    if not ask.best_fit:
        return int(order[first])
    if first and not ask.is_required:
        return None
    return tightest(counts, order[first:], want)


def _several(counts: LevelCounts, order: IntArray, ask: Ask) -> IntArray | int:
    """Return domains that hold the group together, or how many slices all of them would hold."""
    want = Portion(ask.slices, ask.leaders, ask.slice_size, in_slices=True, best_fit=ask.best_fit)
    order = leader_first(counts, order, want)
    chosen: list[int] = []
    while want.leaders and len(order) and counts.leaders[order[0]] > 0:
        domain = int(order[0])
        if want.best_fit and counts.slices_with_leader[domain] >= want.units:
            domain = tightest(counts, order, want)
        chosen.append(domain)
        want = want._replace(
            units=want.units - int(counts.slices_with_leader[domain]),
            leaders=want.leaders - int(counts.leaders[domain]),
        )
        order = order[1:]
    if want.leaders:
        return ask.leaders - want.leaders
    if want.units <= 0:
        return np.array(chosen)
    order = in_order(counts, order, best_fit=ask.best_fit)
    given = np.cumsum(counts.slices[order])
    last = int(np.searchsorted(given, want.units))
    if last == len(order):
        return ask.slices - want.units + int(given[-1] if len(given) else 0)
    left = want._replace(units=want.units - (int(given[last - 1]) if last else 0))
    domain = tightest(counts, order[last:], left) if want.best_fit else int(order[last])
    return np.array([*chosen, *order[:last].tolist(), domain])


def _shortage(tree: DomainTree, levels: Levels, ask: Ask, level: int, have: int) -> Shortage:
    if not ask.layers:
        return Shortage("no-room", level, have)
    return Shortage("no-room-for-layers", level, layers=_room_by_layer(tree, levels, ask, level))


def _room_by_layer(tree: DomainTree, levels: Levels, ask: Ask, level: int) -> tuple[LayerRoom, ...]:
    """Return how many slices of each layer the best domain of `level` holds."""
    slices = levels[level].slices
    most = np.flatnonzero(slices == slices.max())
    best = min(most.tolist(), key=lambda domain: _id(tree, level, domain))
    room: list[LayerRoom] = []
    for layer in ask.layers:
        target = tree.level_of(layer.level)
        if target is None:
            continue
        inside = tree.ancestors(level, target) == best
        fit = int((levels[target].pods[inside] // layer.size).sum())
        room.append(LayerRoom(layer.level, fit, ask.pods // layer.size))
    return tuple(room)


def _id(tree: DomainTree, level: int, domain: int) -> str:
    """Return what Kueue calls a domain's ID: its values, of a host its name alone."""
    if level == tree.last:
        return ",".join(tree.leaf_values(domain))
    return ",".join(tree.path(level, domain))


# -- down


def _descend(
    tree: DomainTree, levels: Levels, ask: Ask, found: Found, *, pool: bool
) -> Places | Shortage:
    """Return the leaves below `found`; with `pool`, choose anew among all down to the slices."""
    level, counts = found.level, levels[found.level]
    whole = portion(ask.pods, ask.leaders, ask.slice_size, in_slices=True, best_fit=ask.best_fit)
    chosen = take(counts, found.domains, whole)
    while pool and chosen is not None and level < ask.slice_level:
        below = tree.children(level, chosen)
        level, counts = level + 1, levels[level + 1]
        chosen = take(counts, in_order(counts, below, best_fit=ask.best_fit), whole)
    while chosen is not None and level < tree.last:
        chosen = _hand_down(tree, levels, ask, level, chosen)
        level, counts = level + 1, levels[level + 1]
    if chosen is None:
        return Shortage("no-way-down", level)
    leaves = np.sort(chosen)
    return Places(leaves, counts.pods[leaves], counts.leaders[leaves])


def _hand_down(
    tree: DomainTree, levels: Levels, ask: Ask, level: int, chosen: IntArray
) -> IntArray | None:
    """Let each of `chosen` hand what it got to its children; return those that got something."""
    above, counts = levels[level], levels[level + 1]
    size = ask.slice_size if level < ask.slice_level else ask.inner_sizes[level + 1] or 1
    taken: list[IntArray] = []
    for domain in chosen[(above.pods[chosen] > 0) | (above.leaders[chosen] > 0)].tolist():
        begin, end = tree.first_child[level][domain : domain + 2].tolist()
        children = in_order(counts, np.arange(begin, end), best_fit=ask.best_fit)
        if size > 1:  # inside a slice only pods have been counted, and above it not these slices
            counts.slices[children] = counts.pods[children] // size
            counts.slices_with_leader[children] = counts.pods_with_leader[children] // size
        got = take(
            counts,
            children,
            portion(
                int(above.pods[domain]),
                int(above.leaders[domain]),
                size,
                in_slices=size > 1,
                best_fit=ask.best_fit,
            ),
        )
        if got is None:
            return None
        taken.append(got)
    return np.concatenate(taken) if taken else np.empty(0, dtype=np.int64)
