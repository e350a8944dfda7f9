"""Clustering: put pods that ask for devices in the same way beside each other.

Kinds of requests are: a share of one device, one whole device, two, … A node scores
25 · (8 − devices left)/8 plus 75 where only the pod's own kind runs there, 50 where others run
beside it, 25 where no device is asked for, 0 where only others run. A pod without devices scores
0 everywhere. Source: the "GpuClustering" policy of FGD's evaluation, after Gandiva (OSDI'18);
hkust-adsl/kubernetes-scheduler-simulator, gpu_clustering_score.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

QUARTER = SCORE_MAX // 4


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001  every score has this signature
) -> IntArray:
    """Return the sum above for each of `slots`."""
    vector = snapshot.vector(shape.request)
    if vector.kind is None:
        return np.zeros(len(slots), dtype=np.int64)
    fleet = snapshot.fleet
    runs = fleet.device_pods[slots] > 0
    kinds = runs.sum(axis=1)
    own = runs[:, vector.kind]
    company = np.where(own, np.where(kinds == 1, 3, 2), np.where(kinds == 0, 1, 0))
    largest = term.largest_device_milli
    taken = largest - fleet.device_free[slots].sum(axis=1)
    score: IntArray = QUARTER * taken // largest + QUARTER * company
    return score
