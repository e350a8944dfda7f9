"""A pod runs only where all of its volumes can be reached.

A bound volume is where it is; one that is provisioned after the choice of a node (late binding)
can be made where its storage class reaches. Both come as node terms, of which one must hold; a
volume without any is reached from everywhere. How much storage is left is not looked at.

Words: k8s.io/kubernetes v1.36.3, plugins/volumebinding/binder.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.feasibility.node_affinity import any_term_holds
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "VolumeBinding"
OUT_OF_REACH = Rejection(
    filter=NAME, text="node(s) didn't match PersistentVolume's node affinity", resolvable=False
)
CANNOT_BE_MADE = Rejection(
    filter=NAME,
    text="node(s) didn't find available persistent volumes to bind",
    resolvable=False,
)


def concerns(shape: Shape) -> bool:
    """Tell whether a volume of `shape` is not reached from everywhere."""
    return any(volume.nodes is not None for volume in shape.constraints.volumes)


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether every volume is reached from there."""
    reached = np.ones(len(slots), dtype=np.bool_)
    for volume in shape.constraints.volumes:
        reached &= any_term_holds(snapshot, volume.nodes, slots)
    return reached


def reasons(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    """Say for each kind of volume, bound or late, that one is out of reach."""
    missing = {
        OUT_OF_REACH if volume.bound else CANNOT_BE_MADE
        for volume in shape.constraints.volumes
        if not any_term_holds(snapshot, volume.nodes, np.array([slot])).all()
    }
    return tuple(sorted(missing, key=lambda rejection: rejection.text, reverse=True))


FILTER = Filter(NAME, reads="labels", concerns=concerns, passes=passes, reasons=reasons)
