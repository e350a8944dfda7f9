"""Most allocated: prefer the node that is fullest with the pod on it. Kubernetes' bin packing.

Per resource 100 · requested / capacity, at most 100; then the weighted mean; each step rounded
down.

Semantics: k8s.io/kubernetes v1.36.3, plugins/noderesources/most_allocated.go.
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
    """Return 0 for an empty node, 100 for one that is left with nothing."""
    return of(term, allocation.scored(snapshot, shape, term.resources, slots))


def of(term: WeightedScore, use: allocation.Allocation) -> IntArray:
    """Return the score of each row of `use`, be it a node or many nodes taken together."""
    shares = np.minimum(use.requested, use.capacity) * SCORE_MAX // use.divisor
    return allocation.weighted_mean(shares, allocation.weights(term.resources, use))
