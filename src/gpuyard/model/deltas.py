"""The one way in: everything that can happen to a `Snapshot`, and to the queues beside it.

A watch event, a step of the twin, a line of a snapshot file and an undone trial all arrive as the
same few deltas. Each carries the time at which its fact was observed (0 where time has no meaning).
`Delta` is about nodes and pods, `YardDelta` about these and those who wait and hold quota.
"""

import msgspec

from gpuyard.model.constraints import Labels
from gpuyard.model.ledger import LedgerChange
from gpuyard.model.nodes import Node
from gpuyard.model.queues import Admitted, ClusterQueue, Cohort, LocalQueue, ResourceFlavor
from gpuyard.model.running import Running
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import Assignment, Request, Workload


class NodeObserved(msgspec.Struct, frozen=True, tag=True):
    """A node appeared, or any of its facts changed."""

    node: Node
    observed_ns: int = 0


class NodeRemoved(msgspec.Struct, frozen=True, tag=True):
    """A node is gone; pods on it must have gone before."""

    name: str
    observed_ns: int = 0


class PodBound(msgspec.Struct, frozen=True, tag=True):
    """A pod occupies its node from now on."""

    assignment: Assignment
    observed_ns: int = 0


class PodGone(msgspec.Struct, frozen=True, tag=True):
    """A pod no longer occupies its node."""

    pod: str
    observed_ns: int = 0


class NamespaceObserved(msgspec.Struct, frozen=True, tag=True):
    """A namespace has these labels; `None` means the namespace is gone."""

    name: str
    labels: Labels | None
    observed_ns: int = 0


class MixEntry(msgspec.Struct, frozen=True):
    """A class of requests and the share (0..1) of all pods that are of it."""

    request: Request
    frequency: float


class MixObserved(msgspec.Struct, frozen=True, tag=True):
    """The typical pods against which fragmentation is measured, most frequent first."""

    mix: tuple[MixEntry, ...]
    observed_ns: int = 0


Delta = NodeObserved | NodeRemoved | PodBound | PodGone | NamespaceObserved | MixObserved


class QueuesObserved(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """These are the queues, flavors and topologies from now on, all of them."""

    cluster_queues: tuple[ClusterQueue, ...]
    local_queues: tuple[LocalQueue, ...]
    flavors: tuple[ResourceFlavor, ...]
    cohorts: tuple[Cohort, ...] = ()
    topologies: tuple[Topology, ...] = ()
    observed_ns: int = 0


class WorkloadWaits(msgspec.Struct, frozen=True, tag=True):
    """A workload wants to start: it is new, was changed, or lost its place."""

    workload: Workload
    observed_ns: int = 0


class WorkloadHolds(msgspec.Struct, frozen=True, tag=True):
    """A workload holds quota, as its own object says; plans say it of those that they start."""

    admitted: Admitted
    observed_ns: int = 0


class WorkloadRuns(msgspec.Struct, frozen=True, tag=True):
    """How far the work of one that holds quota is saved, and what a restart would cost it."""

    running: Running
    observed_ns: int = 0


class WorkloadGone(msgspec.Struct, frozen=True, tag=True):
    """A workload neither waits nor holds quota any more; its pods go by deltas of their own."""

    workload: str
    observed_ns: int = 0


class QueuesWoken(msgspec.Struct, frozen=True, tag=True):
    """Something happened that could help those who wait in the trees of these ClusterQueues."""

    queues: tuple[str, ...]
    observed_ns: int = 0


class WorkloadRipe(msgspec.Struct, frozen=True, tag=True):
    """A workload has waited long enough to do what it might not do before, or for its back-off."""

    workload: str
    observed_ns: int = 0


class LedgerChanged(msgspec.Struct, frozen=True, tag=True):
    """Somebody beside the cycle changed the ledger: what became of a start, a decayed sum."""

    changes: tuple[LedgerChange, ...]
    observed_ns: int = 0


YardDelta = (
    Delta
    | QueuesObserved
    | WorkloadWaits
    | WorkloadHolds
    | WorkloadRuns
    | WorkloadGone
    | QueuesWoken
    | WorkloadRipe
    | LedgerChanged
)
