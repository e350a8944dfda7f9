"""Topology spread as a wish: prefer domains with fewer pods of the same kind.

For each ``ScheduleAnyway`` constraint a node gets (pods in its domain) · log(domains + 2) +
(maxSkew − 1): many small domains weigh as much as few large ones, and a larger skew waters
differences down. Pods are counted as for the filter (`feasibility.topology_spread`), but per
hostname they are those on the node itself, whatever the inclusion policies say. The sum, rounded,
becomes 100 · (largest + smallest − sum) / largest.

A node that lacks one of the labels gets 0 and has no part in the rest; `raw` gives `NO_PART` for
it. The cluster's default constraints (`SpreadConstraint.is_default`) are lenient: there the node is
scored by the labels that it has. All of this is about the feasible nodes, so `raw` must be asked
about all of them at once.

Semantics: k8s.io/kubernetes v1.36.3, plugins/podtopologyspread/scoring.go.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpuyard.model.constraints import SpreadConstraint
from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.feasibility.topology_spread import (
    has_all_keys,
    matching_pods,
    spread_now,
)
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

HOSTNAME = "kubernetes.io/hostname"
NO_PART = -1


def concerns(snapshot: "Snapshot", shape: Shape, term: WeightedScore) -> bool:  # noqa: ARG001
    """Tell whether `shape` wishes to be spread."""
    return bool(soft_constraints(shape))


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001  every score has this signature
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return for each of `slots`, which are all feasible nodes, how crowded its domains are."""
    constraints = soft_constraints(shape)
    eligible = taking_part(snapshot, constraints)
    scored = slots[eligible[slots]]
    crowding = np.zeros(len(slots))
    for constraint in constraints:
        has_label = snapshot.facts.domains(constraint.topology_key)[slots] >= 0
        pods = pods_nearby(snapshot, shape, constraint, eligible, slots)
        weight = normalising_weight(snapshot, constraint, scored)
        crowding += np.where(has_label, pods * weight + (constraint.max_skew - 1), 0.0)
    return np.where(eligible[slots], _rounded(crowding), NO_PART)


def normalise(raw: IntArray) -> IntArray:
    """Turn the least crowded node into the best; nodes without a part get 0."""
    has_part = raw != NO_PART
    if not has_part.any():
        return np.zeros_like(raw)
    smallest, largest = int(raw[has_part].min()), int(raw[has_part].max())
    if largest == 0:
        return np.where(has_part, SCORE_MAX, 0)
    shares = SCORE_MAX * (largest + smallest - raw) // largest
    return np.where(has_part, shares, 0)


def soft_constraints(shape: Shape) -> tuple[SpreadConstraint, ...]:
    """Return the constraints that only cost points, in their order."""
    spread = shape.constraints.spread
    return tuple(each for each in spread if each.when_unsatisfiable == "ScheduleAnyway")


def taking_part(snapshot: "Snapshot", constraints: tuple[SpreadConstraint, ...]) -> BoolArray:
    """Tell for every slot whether its node is scored and its pods count."""
    return has_all_keys(snapshot, tuple(each for each in constraints if not each.is_default))


def pods_nearby(
    snapshot: "Snapshot",
    shape: Shape,
    constraint: SpreadConstraint,
    eligible: BoolArray,
    slots: IntArray,
) -> IntArray:
    """Return for each of `slots` the matching pods in its domain."""
    if constraint.topology_key == HOSTNAME:
        return matching_pods(snapshot, shape, constraint)[slots]
    domains = snapshot.facts.domains(constraint.topology_key)
    return spread_now(snapshot, shape, constraint, eligible).pods[domains[slots]]


def normalising_weight(
    snapshot: "Snapshot", constraint: SpreadConstraint, scored: IntArray
) -> float:
    """Return log(domains + 2) of the nodes that are scored; no label counts as one domain."""
    if constraint.topology_key == HOSTNAME:
        return math.log(len(scored) + 2)
    domains = snapshot.facts.domains(constraint.topology_key)[scored]
    return math.log(len(np.unique(domains)) + 2)


def _rounded(amounts: NDArray[np.float64]) -> IntArray:
    """Round half up; the amounts are not negative."""
    whole = np.floor(amounts)
    return (whole + (amounts - whole >= 0.5)).astype(np.int64)  # noqa: PLR2004
