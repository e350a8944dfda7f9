"""Taking as few domains as possible, and of the last one the tightest.

Two packings, both over domains in an order of their own:

- *best fit*: the domains that hold most come first, so that few are needed; for what is left at the
  end the smallest domain is taken that still holds it;
- *least free capacity*: the domains that hold least come first, so that gaps are filled up.

Below the level of the slices no domain holds a whole slice, all are equal in this, and the domain
with the fewest pods comes first in both. Where nodes are preferred their points come before all
that; of equals the smaller number counts, which is the order of the names.

A leader is placed first. Its domain is one where taking it leaves enough room for all workers, for
on the way down nobody can go back and choose another.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go (sortedDomains,
sortedDomainsWithLeader, prioritizeLeaderDomain, findBestFitDomainBy, consumeWithLeadersGeneric,
updateCountsToMinimumGeneric; KEP-2724 for the packings).
"""

from typing import NamedTuple

import numpy as np

from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.topology.counts import LevelCounts


class Portion(NamedTuple):
    """What is to be taken from some domains of one level: `units` slices of `size` pods.

    With `in_slices` false a unit is a pod, wherever slices begin and end.
    """

    units: int
    leaders: int
    size: int
    in_slices: bool
    best_fit: bool

    def alone(self, counts: LevelCounts) -> IntArray:
        """Return how many units fit where no leader goes."""
        return counts.slices if self.in_slices else counts.pods

    def beside(self, counts: LevelCounts) -> IntArray:
        """Return how many units fit beside the leader."""
        return counts.slices_with_leader if self.in_slices else counts.pods_with_leader


def portion(pods: int, leaders: int, size: int, *, in_slices: bool, best_fit: bool) -> Portion:
    """Return `pods` in slices of `size`, or one by one."""
    size = size if in_slices else 1
    return Portion(pods // size, leaders, size, in_slices, best_fit)


def in_order(counts: LevelCounts, domains: IntArray, *, best_fit: bool) -> IntArray:
    """Return `domains` as workers alone fill them."""
    slices = counts.slices[domains]
    keys = (domains, counts.pods[domains], -slices if best_fit else slices)
    return domains[np.lexsort((*keys, -counts.affinity[domains]))]


def in_order_with_leader(counts: LevelCounts, domains: IntArray, *, best_fit: bool) -> IntArray:
    """Return `domains` as a group fills them: those that can take its leader come first."""
    slices = counts.slices_with_leader[domains]
    keys = (domains, counts.pods_with_leader[domains], -slices if best_fit else slices)
    return domains[np.lexsort((*keys, -counts.affinity[domains], -counts.leaders[domains]))]


def leader_first(counts: LevelCounts, domains: IntArray, want: Portion) -> IntArray:
    """Return `domains` with the first one in front that can take the leader and leaves enough."""
    if not want.leaders or len(domains) < 2:  # noqa: PLR2004  there is nothing to reorder
        return domains
    alone = want.alone(counts)[domains]
    lost = alone - want.beside(counts)[domains]
    able = (counts.leaders[domains] >= want.leaders) & (alone.sum() - lost >= want.units)
    if not able.any():
        return domains
    first = int(able.argmax())
    return np.concatenate([domains[first : first + 1], domains[:first], domains[first + 1 :]])


def tightest(counts: LevelCounts, domains: IntArray, want: Portion) -> int:
    """Return the domain with the least room of those that hold all that is wanted.

    Only those are looked at whose nodes are preferred as much as those of the first; where none
    holds it all it is the first.
    """
    points = counts.affinity[domains]
    others = np.flatnonzero(points != points[0])
    tier = domains[: int(others[0])] if len(others) else domains
    room = (want.beside(counts) if want.leaders else want.alone(counts))[tier]
    holds = (room >= want.units) & (counts.leaders[tier] >= want.leaders)
    if not holds.any():
        return int(domains[0])
    return int(tier[np.where(holds, room, np.iinfo(np.int64).max).argmin()])


def take(counts: LevelCounts, domains: IntArray, want: Portion) -> IntArray | None:
    """Take what is wanted from `domains`, in their order, and return those that give something.

    `counts` of the returned domains become what each gives. `None` where all do not suffice.
    """
    domains = leader_first(counts, domains, want)
    begin = 0
    while want.leaders and begin < len(domains):
        domain = int(domains[begin])
        if _holds(counts, domain, want):
            if want.best_fit:
                domain = tightest(counts, domains[begin:], want)
            _give(counts, domain, want, want.units, want.leaders)
            return np.append(domains[:begin], domain)
        units = min(int(want.beside(counts)[domain]), want.units)
        leaders = min(int(counts.leaders[domain]), want.leaders)
        _give(counts, domain, want, units, leaders)
        want = want._replace(units=want.units - units, leaders=want.leaders - leaders)
        begin += 1
    return None if want.leaders else _take_workers(counts, domains, begin, want)


def _holds(counts: LevelCounts, domain: int, want: Portion) -> bool:
    return bool(
        want.beside(counts)[domain] >= want.units and counts.leaders[domain] >= want.leaders
    )


def _give(counts: LevelCounts, domain: int, want: Portion, units: int, leaders: int) -> None:
    want.alone(counts)[domain] = units
    counts.pods[domain] = units * want.size
    counts.leaders[domain] = leaders


def _take_workers(
    counts: LevelCounts, domains: IntArray, begin: int, want: Portion
) -> IntArray | None:
    """Take workers from ``domains[begin:]``; those before have given what they have."""
    rest = domains[begin:]
    alone = want.alone(counts)
    given = np.cumsum(alone[rest])
    last = int(np.searchsorted(given, want.units))
    if last == len(rest):
        return None
    emptied = rest[:last]
    counts.leaders[emptied] = 0
    counts.pods[emptied] = alone[emptied] * want.size
    left = want._replace(units=want.units - (int(given[last - 1]) if last else 0))
    domain = tightest(counts, rest[last:], left) if want.best_fit else int(rest[last])
    _give(counts, domain, want, left.units, 0)
    return np.append(domains[: begin + last], domain)
