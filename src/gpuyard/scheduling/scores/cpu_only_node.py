"""CPU-only node: who asks for no device should not stand where devices are.

Semantics: KAI Scheduler v0.17, plugins/resourcetype. A node that offers MIG instances has devices.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

MIG_PREFIX = "nvidia.com/mig-"


def concerns(
    snapshot: "Snapshot",  # noqa: ARG001  every score has this signature
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001
) -> bool:
    """Concern pods that ask for neither devices nor instances."""
    return shape.request.devices is None and not any(
        name.startswith(MIG_PREFIX) and amount for name, amount in shape.request.resources.amounts
    )


def raw(
    snapshot: "Snapshot",
    shape: Shape,  # noqa: ARG001
    term: WeightedScore,  # noqa: ARG001
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return 100 for a node without devices, else 0."""
    fleet = snapshot.fleet
    offers = (fleet.device_model[slots] >= 0).any(axis=1)
    for name, column in fleet.resources.items():
        if name.startswith(MIG_PREFIX):
            offers |= fleet.allocatable[slots, column] > 0
    return np.where(offers, 0, SCORE_MAX)
