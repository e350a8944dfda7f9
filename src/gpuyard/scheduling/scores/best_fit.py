"""Best-fit: leave the least behind, CPU and devices counting the same.

Score = trunc(100 · (1 − ½·CPU left after/largest CPU − ½·devices left after/largest devices)),
then stretched so that the worst feasible node has 0 and the best 100. Source: the "BestFit" policy
of FGD's evaluation (hkust-adsl/kubernetes-scheduler-simulator, best_fit_score.go); the largest
node is 128 cores and 8 devices there (`WeightedScore.largest_cpu_milli`, `largest_device_milli`).
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.model.resources import CPU
from gpuyard.scheduling.fleet import CPU_COLUMN, IntArray
from gpuyard.scheduling.rules import SCORE_MAX
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
    """Return 0 for the emptiest node there could be, 100 for one that is left with nothing."""
    fleet, request = snapshot.fleet, shape.request
    devices_milli = request.devices.total_milli if request.devices else 0
    cpu_left = fleet.free[slots, CPU_COLUMN] - request.resources.get(CPU)
    devices_left = fleet.device_free[slots].sum(axis=1) - devices_milli
    left = cpu_left / term.largest_cpu_milli * 0.5 + devices_left / term.largest_device_milli * 0.5
    score: IntArray = ((1.0 - left) * SCORE_MAX).astype(np.int64)
    return score


def normalise(raw: IntArray) -> IntArray:
    """Stretch to 0..100 between the smallest and the largest; all equal gives all 0."""
    smallest, largest = int(raw.min()), int(raw.max())
    if smallest == largest:
        return np.zeros_like(raw)
    return (raw - smallest) * SCORE_MAX // (largest - smallest)
