"""The layers between a GPU and a pod, in the order in which they build on each other."""

from typing import Final, Literal

import msgspec

Layer = Literal[
    "driver",
    "toolkit",
    "device-plugin",
    "labels",
    "exporter",
    "mig-manager",
    "nfd",
    "network",
    "dra-driver",
    "queue",
]
Severity = Literal["error", "warning", "info"]

LAYERS: Final[dict[Layer, str]] = {
    "driver": "driver",
    "toolkit": "container toolkit",
    "device-plugin": "device plugin",
    "labels": "GPU labels",
    "exporter": "DCGM exporter",
    "mig-manager": "MIG manager",
    "nfd": "node features",
    "network": "network, RDMA",
    "dra-driver": "DRA driver",
    "queue": "queue, scheduler",
}
"""What each is called in a table."""

NODE_LAYERS: Final[tuple[Layer, ...]] = tuple(one for one in LAYERS if one != "queue")
OPTIONAL: Final[frozenset[Layer]] = frozenset(
    {"mig-manager", "nfd", "network", "dra-driver", "queue"}
)
"""Layers that one may well do without."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or will be: where, what with numbers, and what to do."""

    check: str
    severity: Severity
    pool: str  # "" where it is about the whole cluster
    object: str  # "DaemonSet kube-system/x"; "" where it is about no object
    message: str
    remedy: str
    source: str
