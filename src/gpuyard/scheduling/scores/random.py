"""Random: one feasible node gets 100, the others 0. A baseline, not a proposal."""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def raw(
    snapshot: "Snapshot",
    shape: Shape,  # noqa: ARG001  every score has this signature
    term: WeightedScore,  # noqa: ARG001
    slots: IntArray,
    rng: np.random.Generator,
) -> IntArray:
    """Draw one of `slots` by its place in the order of ranks, each as likely as any other."""
    score = np.zeros(len(slots), dtype=np.int64)
    by_rank = snapshot.fleet.order[slots].argsort()  # slots depend on history, ranks do not
    score[by_rank[rng.integers(len(slots))]] = SCORE_MAX
    return score
