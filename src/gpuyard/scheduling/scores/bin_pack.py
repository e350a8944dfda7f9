"""Bin-pack and spread: by what is free of the one kind of resource that the pod needs.

For a pod that asks for devices that is the number of whole free devices, for any other pod CPU;
nothing else counts. ``bin-pack`` prefers the node with the fewest free, in absolute numbers: a node
with one of eight GPUs free goes before one with two of two. ``spread`` prefers the node with the
largest part free.

Semantics: KAI Scheduler v0.17, plugins/nodeplacement. KAI scales to 0..9 without rounding, here it
is 0..100 in whole numbers.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.fleet import CPU_COLUMN, IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def free(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001  every score has this signature
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return the number of whole free devices, or the CPU that is free."""
    fleet = snapshot.fleet
    if shape.request.devices is None:
        cpu: IntArray = np.maximum(fleet.free[slots, CPU_COLUMN], 0)
        return cpu
    whole: IntArray = (fleet.device_free[slots] >= WHOLE_DEVICE_MILLI).sum(axis=1)
    return whole


def fewest_free(raw: IntArray) -> IntArray:
    """Give the node with the fewest free the most; where all are alike, all the most."""
    if not len(raw) or raw.min() == raw.max():
        return np.full_like(raw, SCORE_MAX)
    scores: IntArray = SCORE_MAX * (raw.max() - raw) // (raw.max() - raw.min())
    return scores


def free_share(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,
) -> IntArray:
    """Return the part that is free of all the node has, in percent."""
    fleet = snapshot.fleet
    if shape.request.devices is None:
        has = fleet.allocatable[slots, CPU_COLUMN]
    else:
        has = (fleet.device_model[slots] >= 0).sum(axis=1)
    share: IntArray = SCORE_MAX * free(snapshot, shape, term, slots, rng) // np.maximum(has, 1)
    return share
