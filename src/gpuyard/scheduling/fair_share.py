"""Who has had more than its part: the dominant resource share of a queue or cohort.

A node's share is what it borrows of a resource, over all flavors, in thousandths of what its parent
could lend of it; of all resources the one with the largest share dominates. The share is divided by
the node's fair weight. Who has the smaller share goes first, who has the larger one gives back
first. Weight 0 means: whoever borrows with it comes behind everybody else; among themselves such
nodes compare without weights. A root borrows from nobody, its share is zero.

Shares are exact fractions, so that nothing depends on how a quotient was rounded. Kueue compares
64-bit floats: it may tell equal shares apart, or not tell apart two that differ by less than a
float can hold. Everywhere else the order is the same.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/fair_sharing.go. A node may borrow what nobody could
lend (quota was lowered under it): then it is borrowing, and its share is zero.
"""

from fractions import Fraction
from math import ceil

import msgspec

from gpuyard.model.queues import QUOTA_MAX, WEIGHT_ONE_NANO, FlavorResource
from gpuyard.scheduling.quota import QuotaNode, Usage, saturating_add, saturating_subtract

SHARE_INFINITE = QUOTA_MAX  # how a rounded share says infinity

_NO_SHARE = Fraction(0)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The dominant resource share of a node.

    `ratio` is in thousandths and without the weight; `borrowed` is what the node uses beyond its
    quota, sorted.
    """

    ratio: Fraction = _NO_SHARE
    weight_nano: int = WEIGHT_ONE_NANO
    resource: str = ""
    borrowed: tuple[FlavorResource, ...] = ()

    @property
    def is_borrowing(self) -> bool:
        """Tell whether the node uses more of anything than its subtree owns."""
        return bool(self.borrowed)

    @property
    def is_infinite(self) -> bool:
        """Tell whether the node borrows with weight 0."""
        return self.weight_nano == 0 and self.ratio != 0

    def is_borrowing_on(self, requests: Usage) -> bool:
        """Tell whether the node borrows any of what is asked for."""
        return any(requests.get(key, 0) > 0 for key in self.borrowed)


def dominant_share(node: QuotaNode, extra: Usage | None = None) -> Share:
    """Return the share of `node` as it is, or with `extra` usage on top."""
    if node.parent is None:
        return Share(weight_nano=node.weight_nano)
    borrowed: list[FlavorResource] = []
    by_resource: dict[str, int] = {}
    for key, quota in node.subtree.items():
        used = saturating_add(node.usage.get(key, 0), (extra or {}).get(key, 0))
        beyond = saturating_subtract(used, quota)
        if beyond > 0:
            borrowed.append(key)
            by_resource[key.resource] = saturating_add(by_resource.get(key.resource, 0), beyond)
    ratio, resource = _dominant(by_resource, node.parent.lendable)
    return Share(
        ratio=ratio,
        weight_nano=node.weight_nano,
        resource=resource,
        borrowed=tuple(sorted(borrowed)),
    )


def _dominant(borrowed: dict[str, int], lendable: dict[str, int]) -> tuple[Fraction, str]:
    """Return the largest ratio and its resource; of equal ones the first by name."""
    ratio, resource = _NO_SHARE, ""
    for name in sorted(borrowed):
        if lendable.get(name, 0) > 0:
            share = Fraction(borrowed[name] * 1000, lendable[name])
            if share > ratio:
                ratio, resource = share, name
    return ratio, resource


def order(share: Share) -> tuple[bool, Fraction]:
    """Return a sort key: who should be served first has the smallest, preempted first the largest.

    A finite share stands with its weight, an infinite one without.
    """
    if share.weight_nano == 0:
        return share.is_infinite, share.ratio
    return False, share.ratio * WEIGHT_ONE_NANO / share.weight_nano


def compare(left: Share, right: Share) -> int:
    """Return -1, 0 or 1 as the `left` share is smaller than, equal to or larger than `right`."""
    mine, other = order(left), order(right)
    return (mine > other) - (mine < other)


def rounded(share: Share) -> int:
    """Return the weighted share in whole thousandths, rounded up; ``SHARE_INFINITE`` for infinity.

    This is what Kueue shows in a status and as a metric; decisions use `compare`.
    """
    is_infinite, weighted = order(share)
    return SHARE_INFINITE if is_infinite else ceil(weighted)
