"""Packing: shared devices first, then free devices of used nodes, empty nodes last.

=====================================  =====================================================
node                                   score
=====================================  =====================================================
the chosen devices are all in use      100 − (sum of what is left of them, in %) / 10, at least 50
some chosen devices are free           50 − free devices taken, at least 33
every device of the node is free       33 − devices of the node, at least their number
=====================================  =====================================================

The devices looked at are those that a best fit would take. A pod without devices scores 0
everywhere. Source: the "GpuPacking" policy of FGD's evaluation, after MLaaS (NSDI'22);
hkust-adsl/kubernetes-scheduler-simulator, gpu_packing_score.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.feasibility.devices import suffices
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NEVER = 2 * WHOLE_DEVICE_MILLI  # sorts behind every device that could be taken


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001  every score has this signature
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return the table above for each of `slots`; all of them must be feasible."""
    devices = shape.request.devices
    if devices is None:
        return np.zeros(len(slots), dtype=np.int64)
    fleet = snapshot.fleet
    left = fleet.device_free[slots]
    total = (fleet.device_model[slots] >= 0).sum(axis=1)
    is_free = left == WHOLE_DEVICE_MILLI
    free = is_free.sum(axis=1)
    could = np.where(suffices(snapshot, devices, slots), left, NEVER)
    could.sort(axis=1)
    chosen = could[:, : devices.count]
    free_taken = (chosen == WHOLE_DEVICE_MILLI).sum(axis=1)
    left_pct = (chosen * 100 // WHOLE_DEVICE_MILLI).sum(axis=1)
    shared = np.maximum(SCORE_MAX - left_pct // 10, SCORE_MAX // 2)
    used_node = np.maximum(SCORE_MAX // 2 - free_taken, SCORE_MAX // 3)
    empty_node = np.maximum(SCORE_MAX // 3 - total, total)
    partly_used = np.where(free_taken > 0, used_node, shared)
    score: IntArray = np.where(free == total, empty_node, partly_used)
    return score
