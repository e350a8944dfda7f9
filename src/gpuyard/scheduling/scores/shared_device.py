"""Shared device: prefer a node where a device that others share already has room for the pod.

For pods that ask for a part of a device: whoever joins a shared one leaves whole devices whole.

Semantics: KAI Scheduler v0.17, plugins/gpusharingorder.
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


def concerns(
    snapshot: "Snapshot",  # noqa: ARG001  every score has this signature
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001
) -> bool:
    """Concern pods that ask for a part of a device."""
    asked = shape.request.devices
    return asked is not None and asked.milli < WHOLE_DEVICE_MILLI


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return 100 where a shared device suffices, else 0."""
    asked = shape.request.devices
    if asked is None:
        return np.zeros(len(slots), dtype=np.int64)
    left = snapshot.fleet.device_free[slots]
    fits = suffices(snapshot, asked, slots) & (left < WHOLE_DEVICE_MILLI)
    return np.where(fits.any(axis=1), SCORE_MAX, 0)
