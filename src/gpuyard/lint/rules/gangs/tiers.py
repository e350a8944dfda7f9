"""The keys by which clusters label how near two nodes are.

There is no standard; each cloud and tool has names of its own. They are listed here from the
nearest tier to the farthest, so that a rule need not know whose they are.

Sources: topograph v1.0 (``fabric.topograph.run/tier-N``) and 0.5 (``network.topology.nvidia.com``),
AWS (highest layer is nearest), GKE, OCI, GFD (``gpu.clique``).
"""

from collections.abc import Iterable
from typing import Final

CLIQUE = "nvidia.com/gpu.clique"
TOPOGRAPH_NEW = "fabric.topograph.run/tier-"
TOPOGRAPH_OLD = "network.topology.nvidia.com/"
TIERS: Final = (
    CLIQUE,
    *(f"{TOPOGRAPH_NEW}{number}" for number in range(4)),
    *(f"{TOPOGRAPH_OLD}{name}" for name in ("leaf", "block", "spine", "core")),
    *(f"topology.k8s.aws/network-node-layer-{number}" for number in (4, 3, 2, 1)),
    *("cloud.google.com/gce-topology-subblock", "cloud.google.com/gce-topology-block"),
    *("topology.gke.io/rack", "topology.gke.io/cluster"),
    *("oci.oraclecloud.com/host.network_block_id", "oci.oraclecloud.com/host.rack_id"),
)


def tiers_of(labels: Iterable[str]) -> list[str]:
    """Return the known tier keys among labels, the nearest first."""
    given = set(labels)
    return [key for key in TIERS if key in given]
