"""Requested to capacity ratio: a score drawn by hand over utilisation.

The policy gives points (utilisation in percent, score 0..10); between them the score is linear,
outside it is that of the nearest point. A resource whose score is zero counts neither above nor
below the line of the weighted mean, which is rounded to the nearest. All in integers.

Semantics: k8s.io/kubernetes v1.36.3, plugins/noderesources/requested_to_capacity_ratio.go and
plugins/helper/shape_score.go.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import ShapePoint, WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.scores import allocation
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

UTILIZATION_MAX = 100
POINT_SCORE_MAX = 10  # what a point says, 0..10, stands for 0..100


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001  every score has this signature
) -> IntArray:
    """Return the weighted mean of what the drawn function says of each resource's use."""
    use = allocation.scored(snapshot, shape, term.resources, slots)
    utilization = np.minimum(use.requested * UTILIZATION_MAX // use.divisor, UTILIZATION_MAX)
    scores = piecewise_linear(scaled(term.shape), utilization)
    weights = np.where(scores > 0, allocation.weights(term.resources, use), 0)
    total, divisor = (scores * weights).sum(axis=1), np.maximum(weights.sum(axis=1), 1)
    rounded: IntArray = (2 * total + divisor) // (2 * divisor)
    return rounded


def scaled(points: tuple[ShapePoint, ...]) -> tuple[ShapePoint, ...]:
    """Return `points` with their scores on the scale of all other scores."""
    factor = SCORE_MAX // POINT_SCORE_MAX
    return tuple(ShapePoint(point.utilization, point.score * factor) for point in points)


def piecewise_linear(points: tuple[ShapePoint, ...], utilization: IntArray) -> IntArray:
    """Return the function through `points` (ascending) at each `utilization`.

    Between two points it is linear and rounded towards the score of the left one.
    """
    value = np.full_like(utilization, points[-1].score)
    for left, right in reversed(tuple(pairwise(points))):
        rise, run = right.score - left.score, right.utilization - left.utilization
        steps = abs(rise) * (utilization - left.utilization) // run
        inside = left.score + (steps if rise >= 0 else -steps)
        value = np.where(utilization <= right.utilization, inside, value)
    return np.where(utilization <= points[0].utilization, points[0].score, value)
