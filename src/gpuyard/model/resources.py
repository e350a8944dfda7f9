"""Amounts by resource name, as exact integers.

Kubernetes names its resources by strings and counts them in quantities; the scheduler works in
one integer unit per resource: CPU in millicores, everything else in its base unit (bytes, pieces).
The same convention as kube-scheduler's ``framework.Resource`` (k8s.io/kubernetes v1.36.3,
pkg/scheduler/framework/types.go).
"""

from collections.abc import Iterable, Mapping

import msgspec

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"
EPHEMERAL_STORAGE = "ephemeral-storage"


class Resources(msgspec.Struct, frozen=True, cache_hash=True):
    """Amounts by resource name, sorted by name; a missing name is zero, an explicit zero is kept.

    ``cpu`` is in millicores, memory and storage in bytes, extended resources in pieces.
    """

    amounts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, amounts: Mapping[str, int] | Iterable[tuple[str, int]]) -> "Resources":
        """Return `amounts` in canonical order."""
        return cls(tuple(sorted(dict(amounts).items())))

    def get(self, name: str) -> int:
        """Return the amount of `name`, 0 where it is not mentioned."""
        for known, amount in self.amounts:
            if known == name:
                return amount
        return 0

    def as_dict(self) -> dict[str, int]:
        """Return the amounts as a new dictionary."""
        return dict(self.amounts)

    def plus(self, other: "Resources") -> "Resources":
        """Return the sum, name by name."""
        total = self.as_dict()
        for name, amount in other.amounts:
            total[name] = total.get(name, 0) + amount
        return Resources.of(total)

    def divided_by(self, count: int) -> "Resources":
        """Return one of `count` equal parts, rounded down; nothing where there is no part."""
        return Resources(tuple((name, amount // count) for name, amount in self.amounts if count))

    def at_least(self, other: "Resources") -> "Resources":
        """Return the larger of both, name by name."""
        largest = self.as_dict()
        for name, amount in other.amounts:
            largest[name] = max(largest.get(name, 0), amount)
        return Resources.of(largest)


NOTHING = Resources()
