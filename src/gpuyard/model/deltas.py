"""The one way in: everything that can happen to a `Snapshot`.

A watch event, a step of the twin, a line of a snapshot file and an undone trial all arrive as the
same few deltas. Each carries the time at which its fact was observed (0 where time has no meaning).
"""

import msgspec

from gpuyard.model.constraints import Labels
from gpuyard.model.nodes import Node
from gpuyard.model.workloads import Assignment, Request


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
