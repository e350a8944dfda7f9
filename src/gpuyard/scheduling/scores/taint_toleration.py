"""Taints: prefer nodes with fewer ``PreferNoSchedule`` taints that the pod does not tolerate.

The raw value counts them; the node with most gets 0, a node with none 100.
Semantics: k8s.io/kubernetes v1.36.3, plugins/tainttoleration/taint_toleration.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.constraints import Taint
from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.feasibility.taint_toleration import is_tolerated
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.node_facts import TAINTS
from gpuyard.scheduling.rules import share_of_largest
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001  every score has this signature
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return for each of `slots` how many taints speak against it."""
    tolerations = shape.constraints.tolerations

    def resented(taints: tuple[Taint, ...] | None) -> int:
        discouraging = (taint for taint in taints or () if taint.effect == "PreferNoSchedule")
        return sum(not is_tolerated(taint, tolerations) for taint in discouraging)

    return snapshot.facts.measure(TAINTS, slots, resented)


def normalise(raw: IntArray) -> IntArray:
    """Make fewest taints best."""
    return share_of_largest(raw, reverse=True)
