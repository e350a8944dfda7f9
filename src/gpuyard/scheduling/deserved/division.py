"""How much of a resource each queue of a level gets: its fair share.

First every queue gets what it deserves, as far as it asks for it, even where all together deserve
more than there is (who deserves without bound: all there is). The rest goes to the queues that
ask for more, those of the highest priority first; among equals in rounds, by weight. A round gives
whole units only (whole GPUs: half a GPU helps nobody), so crumbs remain; at the very end they go,
one unit at a time, to the queue with the largest fraction left over in its last round, then to the
oldest queue. A child level divides what its parent got.

With ``k`` above zero, who used more than its part lately gets less now: the weight ``w`` (as a part
of all weights) becomes ``w + k·(w − usage)``, never below zero.

Crumbs wait until every priority had its rounds: what one priority could not divide evenly goes to
the next lower one, if that one can use whole units of it.

Semantics: KAI Scheduler v0.17, plugins/proportion/resource_division. A queue that asks for less
than a whole unit may get the whole one at the end; that is KAI's rule, and ours. Parts are exact
fractions here, so no unit is lost to rounding.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.scheduling.deserved.shares import UNLIMITED, Amounts, Share, ShareTree

NANO = WEIGHT_ONE_NANO


class Claim(msgspec.Struct, kw_only=True):
    """One queue's part in one division; `granted` is the answer."""

    name: str
    deserved: int
    limit: int
    requested: int
    weight: Fraction
    usage: Fraction = Fraction(0)
    priority: int = 0
    created_ns: int = 0
    granted: int = 0

    @property
    def missing(self) -> int:
        """What the queue could still use."""
        return max(0, min(self.requested, self.limit) - self.granted)


def divide_tree(tree: ShareTree, total: Amounts, units: Mapping[str, int], k_nano: int) -> None:
    """Set the fair share of every queue; `total` is what the cluster has.

    `units` says in how large steps a resource is given, 1 where it is not mentioned.
    """
    levels = [(tree.roots, total)]
    while levels:
        shares, amounts = levels.pop()
        for resource in tree.resources:
            unit = units.get(resource, 1)
            claims = [_claim(share, resource) for share in shares]
            divide(amounts.get(resource, 0), claims, unit, Fraction(k_nano, NANO))
            for share, claim in zip(shares, claims, strict=True):
                share.fair[resource] = claim.granted
        levels += [(share.children, share.fair) for share in shares if share.children]


def _claim(share: Share, resource: str) -> Claim:
    quota = share.quotas[resource]
    return Claim(
        name=share.name,
        deserved=quota.deserved,
        limit=quota.limit,
        requested=share.requested[resource],
        weight=Fraction(quota.weight_nano, NANO),
        usage=Fraction(quota.usage_nano, NANO),
        priority=share.queue.priority,
        created_ns=share.queue.created_ns,
    )


def divide(total: int, claims: Sequence[Claim], unit: int = 1, k: Fraction = Fraction(0)) -> int:
    """Grant `total` to `claims`, and return what is left."""
    left = total
    for claim in claims:
        deserved = total if claim.deserved == UNLIMITED else claim.deserved
        claim.granted = min(deserved, claim.requested, claim.limit)
        left -= claim.granted
    if left <= 0:
        return 0
    crumbs: dict[int, dict[str, Fraction]] = {}
    priorities = sorted({claim.priority for claim in claims}, reverse=True)
    for priority in priorities:
        equals = [claim for claim in claims if claim.priority == priority]
        left, crumbs[priority] = _in_rounds(left, equals, unit, k)
    for priority in priorities:
        equals = [claim for claim in claims if claim.name in crumbs[priority]]
        left = _give_crumbs(left, equals, crumbs[priority], unit)
    return left


def _in_rounds(
    left: int, claims: Sequence[Claim], unit: int, k: Fraction
) -> tuple[int, dict[str, Fraction]]:
    """Give by weight until nobody can be given a whole unit; return what is left, and to whom."""
    crumbs: dict[str, Fraction] = {}
    while left:
        parts = _parts(claims, k)
        amount, somebody_is_full = left, False
        for claim in claims:
            if left == 0 or not claim.missing or not claim.weight:
                continue
            fair = amount * parts.get(claim.name, Fraction(0))
            missing = claim.missing
            grant = missing if missing <= fair else int(fair // unit) * unit
            if missing <= fair:
                crumbs.pop(claim.name, None)
            elif fair > grant:
                crumbs[claim.name] = fair - grant
            if grant:
                claim.granted += grant
                left -= grant
                somebody_is_full |= missing < fair
        if not somebody_is_full:
            break
    return left, crumbs


def _parts(claims: Sequence[Claim], k: Fraction) -> dict[str, Fraction]:
    """Return each hungry queue's part of a round; empty where none has any."""
    hungry = [claim for claim in claims if claim.missing]
    weights = sum((claim.weight for claim in hungry), Fraction(0))
    if weights <= 0:
        return {}
    corrected = {}
    for claim in hungry:
        weight = claim.weight / weights
        corrected[claim.name] = max(Fraction(0), weight + k * (weight - claim.usage))
    total = sum(corrected.values(), Fraction(0))
    return {name: weight / total for name, weight in corrected.items()} if total else {}


def _give_crumbs(
    left: int, claims: Sequence[Claim], crumbs: Mapping[str, Fraction], unit: int
) -> int:
    for claim in sorted(claims, key=lambda each: (-crumbs[each.name], each.created_ns, each.name)):
        grant = min(unit, left)
        claim.granted += grant
        left -= grant
    return left
