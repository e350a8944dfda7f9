"""A cordoned node takes no new pods.

Except those that tolerate the taint with which Kubernetes marks such nodes, whether or not it is
set. Semantics: k8s.io/kubernetes v1.36.3, plugins/nodeunschedulable/node_unschedulable.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.constraints import Taint
from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.feasibility.taint_toleration import is_tolerated
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.node_facts import UNSCHEDULABLE
from gpuyard.scheduling.rules import Filter, saying
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "NodeUnschedulable"
CORDONED = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
REJECTION = Rejection(filter=NAME, text="node(s) were unschedulable", resolvable=False)


def concerns(shape: Shape) -> bool:
    """Tell whether cordoning a node would keep `shape` away."""
    return not is_tolerated(CORDONED, shape.constraints.tolerations)


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether the node is open to `shape`."""
    if not concerns(shape):
        return np.ones(len(slots), dtype=np.bool_)
    return snapshot.facts.ask(UNSCHEDULABLE, slots, lambda is_cordoned: not is_cordoned)


FILTER = Filter(NAME, reads="labels", concerns=concerns, passes=passes, reasons=saying(REJECTION))
