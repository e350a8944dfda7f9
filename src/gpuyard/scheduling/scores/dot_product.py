"""Dot product: keep the request's direction away from what is left in abundance.

Score = trunc(100 · (1 − (CPU left · CPU asked + devices left · devices asked) / 2)), all four as
shares of the largest node: the smaller the alignment, the better the node. Source: the "DotProd"
policy of FGD's evaluation, after Tetris (SIGCOMM'14); hkust-adsl/kubernetes-scheduler-simulator,
dot_product_score.go with ``dimExtMethod: merge, normMethod: max``.
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

DIMENSIONS = 2  # CPU and devices


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001  every score has this signature
) -> IntArray:
    """Return 100 where request and remainder have nothing in common."""
    fleet, request = snapshot.fleet, shape.request
    cpu_asked = request.resources.get(CPU) / term.largest_cpu_milli
    devices_milli = request.devices.total_milli if request.devices else 0
    devices_asked = devices_milli / term.largest_device_milli
    cpu_left = fleet.free[slots, CPU_COLUMN] / term.largest_cpu_milli
    devices_left = fleet.device_free[slots].sum(axis=1) / term.largest_device_milli
    product = cpu_left * cpu_asked + devices_left * devices_asked
    score: IntArray = ((1.0 - product / DIMENSIONS) * SCORE_MAX).astype(np.int64)
    return score
