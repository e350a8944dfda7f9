"""Balanced allocation: prefer nodes whose resources are used up evenly, and get more even by it.

A node is as even as 100 · (1 − d), where d is the standard deviation of the shares of its resources
that are in use. The score is 75 plus half of what the pod adds to that, so between 50 and 100. A
pod that asks for none of the resources says nothing, or all such pods would go to the same node.

Semantics: k8s.io/kubernetes v1.36.3, plugins/noderesources/balanced_allocation.go. Sums are taken
resource by resource in the given order: truncated floats would show any other.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.scores import allocation
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

PAIR = 2


def concerns(snapshot: "Snapshot", shape: Shape, term: WeightedScore) -> bool:  # noqa: ARG001
    """Tell whether `shape` asks for any of the resources."""
    return bool(allocation.pod_amounts(shape, term.resources, plain=True).any())


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001  every score has this signature
) -> IntArray:
    """Return 50..100: how much more even each node would be."""
    use = allocation.plain(snapshot, shape, term.resources, slots)
    after = evenness(use.requested, use.capacity)
    before = evenness(use.held, use.capacity)
    half = SCORE_MAX // 2
    score: IntArray = half + (half + after - before) // 2
    return score


def evenness(used: IntArray, capacity: IntArray) -> IntArray:
    """Return how even each slot is, 0..100; `used` and `capacity` are [slot, resource]."""
    counted = capacity != 0
    shares = np.minimum(used / np.maximum(capacity, 1), 1.0)
    number = counted.sum(axis=1)
    mean = _sum(np.where(counted, shares, 0.0)) / np.maximum(number, 1)
    squares = np.where(counted, (shares - mean[:, None]) * (shares - mean[:, None]), 0.0)
    deviation = np.sqrt(_sum(squares) / np.maximum(number, 1))
    largest = np.where(counted, shares, 0.0).max(axis=1, initial=0.0)
    smallest = np.where(counted, shares, 1.0).min(axis=1, initial=1.0)
    deviation = np.where(number == PAIR, (largest - smallest) / 2, deviation)
    deviation[number < PAIR] = 0.0
    even: IntArray = ((1.0 - deviation) * SCORE_MAX).astype(np.int64)
    return even


def _sum(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(len(columns))
    for column in columns.T:
        total = total + column
    return total
