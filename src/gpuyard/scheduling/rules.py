"""What a filter and a score look like, and when their answers go stale.

kube-scheduler's plugins have PreFilter, Filter, PreScore, Score and NormalizeScore; here each rule
is a row of two tables (`feasibility.FILTERS`, `scores.SCORES`) whose functions work on many nodes
at once. What a rule *reads* decides where its answers are kept:

========  ===================================================  =========================
reads     what it looks at                                     kept per shape, stale when
========  ===================================================  =========================
labels    the node itself: labels, taints, cordon, name        the node changed
use       what is left on the node: resources, devices, ports  a pod came or went there
pods      pods in other nodes' domains (affinity, spread)      never kept: asked at choice
nothing   chance                                               never kept
========  ===================================================  =========================
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuyard.model.policy import WeightedScore
from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

SCORE_MAX = 100  # kube-scheduler's MaxNodeScore


class Filter(NamedTuple):
    """A rule that turns nodes down.

    `passes(snapshot, shape, slots)` answers for each of `slots`. `reasons(snapshot, shape, slot)`
    explains one node that it turned down and is called only then.
    """

    name: str  # Kubernetes' plugin name where it has one
    reads: Literal["labels", "use", "pods"]
    concerns: Callable[[Shape], bool]  # False: everything passes and nobody needs to ask
    passes: "Callable[[Snapshot, Shape, IntArray], BoolArray]"
    reasons: "Callable[[Snapshot, Shape, int], tuple[Rejection, ...]]"


class Score(NamedTuple):
    """A rule that prefers nodes.

    `raw(snapshot, shape, term, slots, rng)` gives one int64 for each of `slots`;
    `normalise(raw)` brings those of all feasible nodes to 0..`SCORE_MAX` (`None`: they are).
    `rng` is touched only by a rule that reads nothing.
    """

    reads: Literal["labels", "use", "pods", "nothing"]
    concerns: "Callable[[Snapshot, Shape, WeightedScore], bool]"  # False: 0 on every node
    raw: "Callable[[Snapshot, Shape, WeightedScore, IntArray, np.random.Generator], IntArray]"
    normalise: Callable[[IntArray], IntArray] | None = None


def always(*_: object) -> bool:
    """Concern every shape."""
    return True


def saying(rejection: Rejection) -> Callable[..., tuple[Rejection, ...]]:
    """Return the `Filter.reasons` of a rule that has one thing to say."""

    def reasons(*_: object) -> tuple[Rejection, ...]:
        return (rejection,)

    return reasons


def share_of_largest(raw: IntArray, *, reverse: bool = False) -> IntArray:
    """Normalise like kube-scheduler's DefaultNormalizeScore: integer share of the largest value.

    `reverse` makes the smallest raw value the best; all zero stays zero (or all best, reversed).
    """
    largest = int(raw.max(initial=0))
    if largest == 0:
        return np.full_like(raw, SCORE_MAX) if reverse else raw
    shares: NDArray[np.int64] = raw * SCORE_MAX // largest
    return SCORE_MAX - shares if reverse else shares
