"""All kinds that a server serves, found by group and kind.

Versions of a group stand in the server's order of preference, so the first that has a kind is the
one to use. An aggregated API (metrics, custom apiservers) may be down while the rest is fine: its
kinds are then unknown, not absent, and `unknown` says why.
"""

from collections.abc import Iterable, Mapping

import msgspec

from gpuyard.kube.resources import Resource


class Served(msgspec.Struct, frozen=True):
    """Every resource, in order of preference; and the group/versions that gave no answer."""

    resources: tuple[Resource, ...]
    unknown: Mapping[str, str] = {}

    def find(self, group: str, kind: str, *, version: str = "") -> Resource | None:
        """Return a kind in the preferred version that has it, or in the one that is named."""
        for one in self.resources:
            if (one.group, one.kind) == (group, kind) and version in {"", one.version}:
                return one
        return None

    def find_plural(self, group: str, plural: str) -> Resource | None:
        """Return a kind by the name that roles use."""
        for one in self.resources:
            if (one.group, one.plural) == (group, plural):
                return one
        return None

    def versions(self, group: str) -> tuple[str, ...]:
        """Return the versions of a group, the preferred one first; none where it is not served."""
        return tuple(dict.fromkeys(one.version for one in self.resources if one.group == group))

    def why_unknown(self, group: str) -> str:
        """Return why a group's kinds are not known, or ``""``."""
        for group_version, why in self.unknown.items():
            if group_version.partition("/")[0] == group:
                return why
        return ""


def in_preferred_order(
    resources: Iterable[Resource], preferred: Mapping[str, str]
) -> tuple[Resource, ...]:
    """Return resources with each group's preferred version before its others, order kept else."""
    return tuple(
        sorted(resources, key=lambda one: preferred.get(one.group, one.version) != one.version)
    )
