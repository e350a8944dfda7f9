"""The objects that were listed of a cluster, and which kinds that was.

Kinds are written with their group and without a version, ``apps/DaemonSet``; core kinds are bare.
A kind may have been listed everywhere, in one namespace only, or not at all. Absence is evidence
only in the first case.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

Object = Mapping[str, object]

DAEMON_SET: Final = "apps/DaemonSet"
DEPLOYMENT: Final = "apps/Deployment"
POLICY: Final = "nvidia.com/ClusterPolicy"

KINDS: Final = (
    "Node",
    "Pod",
    "ResourceQuota",
    DAEMON_SET,
    DEPLOYMENT,
    POLICY,
    "nvidia.com/GPUCluster",
    "resource.k8s.io/ResourceSlice",
)
"""What `examine` looks at; Node and DaemonSet are what it cannot do without."""

NEEDED: Final = frozenset({"Node", DAEMON_SET})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a cluster."""

    listed: Mapping[str, Sequence[Object]]
    absent: frozenset[str] = frozenset()
    """Kinds that the cluster does not have."""
    only_here: frozenset[str] = frozenset()
    """Kinds that were listed in one namespace only."""
    now_ns: int | None = None
    """When they were seen; `None` where that is not known, as in a bundle."""

    def of(self, kind: str) -> Sequence[Object]:
        """Return the objects of a kind, as far as they were listed."""
        return self.listed.get(kind, ())

    def sees(self, kind: str) -> bool:
        """Tell whether every object of a kind was listed, or there is none."""
        return (kind in self.listed and kind not in self.only_here) or kind in self.absent

    @property
    def unseen(self) -> tuple[str, ...]:
        """Return the kinds that were not listed everywhere."""
        return tuple(kind for kind in KINDS if not self.sees(kind))
