"""Enough must be left on the node.

Every resource that the pod asks for must be left on the node, and a place for one more pod. A
request of zero asks for nothing, so it passes even where running pods hold more than the node has;
what is left may be negative there, after a node shrank or a pod was forced onto it.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/framework/plugins/noderesources/fit.go. A node
whose whole allocatable amount would not do is beyond what evicting pods could mend. Resource
claims (DRA) are no part of this rule.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpuyard.model.reasons import Rejection
from gpuyard.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter, always
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "NodeResourcesFit"
SPOKEN_FIRST = (PODS, CPU, MEMORY, EPHEMERAL_STORAGE)  # then the others, by name


class Shortage(NamedTuple):
    """A resource of which too little is left; `used` and `capacity` count the whole node."""

    resource: str
    requested: int
    used: int
    capacity: int

    @property
    def text(self) -> str:
        """Return what Kubernetes calls it."""
        return "Too many pods" if self.resource == PODS else f"Insufficient {self.resource}"

    @property
    def is_resolvable(self) -> bool:
        """Tell whether an empty node would have enough; the number of pods is always mended."""
        return self.resource == PODS or self.requested <= self.capacity


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether everything that `shape` asks for is left."""
    vector = snapshot.vector(shape.request)
    left = snapshot.fleet.free[slots[:, None], vector.needed_columns]
    fits: BoolArray = np.all(left >= vector.needed, axis=1)
    return fits


def shortages(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Shortage, ...]:
    """Return what the node lacks for one more pod of `shape`; empty when it fits."""
    fleet = snapshot.fleet
    vector = snapshot.vector(shape.request)
    needed = dict(zip(vector.needed_columns.tolist(), vector.needed.tolist(), strict=True))
    found = []
    for name in sorted(fleet.resources, key=_speaking_order):
        column = fleet.resources[name]
        free, capacity = int(fleet.free[slot, column]), int(fleet.allocatable[slot, column])
        if needed.get(column, 0) > 0 and needed[column] > free:
            found.append(Shortage(name, needed[column], capacity - free, capacity))
    return tuple(found)


def reasons(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    """Name every resource of which too little is left."""
    return tuple(
        Rejection(filter=NAME, text=shortage.text, resolvable=shortage.is_resolvable)
        for shortage in shortages(snapshot, shape, slot)
    )


def _speaking_order(name: str) -> tuple[int, str]:
    return (SPOKEN_FIRST.index(name) if name in SPOKEN_FIRST else len(SPOKEN_FIRST), name)


FILTER = Filter(name=NAME, reads="use", concerns=always, passes=passes, reasons=reasons)
