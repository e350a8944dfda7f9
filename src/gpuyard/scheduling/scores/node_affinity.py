"""Preferred node affinity: the weights of the terms that a node meets, as a share of the best.

Semantics: k8s.io/kubernetes v1.36.3, plugins/nodeaffinity/node_affinity.go. What the scheduler's
own configuration prefers for every pod stands among the pod's preferred terms.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.feasibility.node_affinity import term_holds
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import share_of_largest
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

normalise = share_of_largest


def concerns(snapshot: "Snapshot", shape: Shape, term: WeightedScore) -> bool:  # noqa: ARG001
    """Tell whether `shape` prefers any nodes."""
    return bool(shape.constraints.preferred_nodes)


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001  every score has this signature
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return for each of `slots` the sum of the weights of the terms that hold there."""
    total = np.zeros(len(slots), dtype=np.int64)
    for preferred in shape.constraints.preferred_nodes:
        total += preferred.weight * term_holds(snapshot, preferred.term, slots)
    return total
