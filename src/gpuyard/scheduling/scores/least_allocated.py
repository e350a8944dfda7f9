"""Least allocated: prefer the node with the largest share left. kube-scheduler's default.

Per resource 100 · (capacity − requested) / capacity, zero where the pod would not fit; then the
weighted mean; each step rounded down. It spreads pods thinly over the fleet, which suits web
services and breaks GPU nodes into fragments.

Semantics: k8s.io/kubernetes v1.36.3, plugins/noderesources/least_allocated.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.scores import allocation
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001  every score has this signature
) -> IntArray:
    """Return 100 for an empty node, 0 for one that is left with nothing."""
    use = allocation.scored(snapshot, shape, term.resources, slots)
    left = np.maximum(use.capacity - use.requested, 0)
    shares = left * SCORE_MAX // use.divisor
    return allocation.weighted_mean(shares, allocation.weights(term.resources, use))
