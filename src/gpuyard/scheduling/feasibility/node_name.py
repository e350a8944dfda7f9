"""A pod that names its node runs there or nowhere.

Semantics: k8s.io/kubernetes v1.36.3, plugins/nodename/node_name.go.
"""

from typing import TYPE_CHECKING

from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter, saying
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "NodeName"
REJECTION = Rejection(
    filter=NAME, text="node(s) didn't match the requested node name", resolvable=False
)


def concerns(shape: Shape) -> bool:
    """Tell whether `shape` names a node."""
    return bool(shape.constraints.node_name)


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether it is the node that `shape` names, if it names one."""
    named = shape.constraints.node_name
    is_named: BoolArray = slots == snapshot.slot_of.get(named, -1)
    return is_named if named else ~is_named


FILTER = Filter(NAME, reads="labels", concerns=concerns, passes=passes, reasons=saying(REJECTION))
