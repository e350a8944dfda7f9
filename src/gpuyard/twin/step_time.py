"""How long one training step takes, from measured tables.

Somebody measured an application on some placements (pods per node) and batch sizes; the twin asks
about others. Three answers, from the surest to the least sure:

1. the placement was measured: linear between its batch sizes. Placements that differ by a rotation
   (pods are a ring) count as one;
2. so many nodes with so many pods were measured, as other placements or at scale: linear between
   the batch sizes of their mean;
3. neither was: linear between the nearest fewer and the nearest more nodes with as many pods.

Outside of what was measured there is no answer (`NotMeasuredError`); more nodes than the largest
measured number count as that number.

Semantics: petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/applications.py
(`get_throughput`), which asks scipy's ``interp1d`` and, for 2 and 3, ``LinearNDInterpolator``: a
Delaunay triangulation of all measured (nodes, pods, batch). Columns of measurements one above the
other make every cell of it a prism over a triangle of columns, so 2 is what it gives. So is 3
wherever no other column lies as near to the middle of the two as they do themselves, and the batch
size is a measured one. Between batch sizes four measured points form a rectangle, a Delaunay
triangulation may cut it along either diagonal, and the answers differ: in the middle of the 1,085
rectangles of Pollux' tables each is off their mean by 1 % (median; at most 13 %). Which one Qhull
takes (about half go either way) depends on the order in which it met the points, not on the shape
of the rectangle. We take the mean of both unless told (`Cut`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from gpuyard.twin.progress import Spread


class StepTime(NamedTuple):
    """Seconds that one step takes, and how many of them go into exchanging gradients."""

    step_s: float
    sync_s: float


class Rectangle(NamedTuple):
    """Four measured points: two numbers of nodes with as many pods, two batch sizes per pod."""

    nodes_low: int
    nodes_high: int
    pods: int
    batch_low: int
    batch_high: int


Cut = Literal["rising", "falling"]  # the diagonal from (few nodes, small batch), or the other one
Curve = dict[int, StepTime]  # by batch size per pod


class NotMeasuredError(ValueError):
    """The tables do not reach this far."""


class StepTimes:
    """The measured step times of one application."""

    def __init__(
        self,
        placements: Mapping[Spread, Curve],
        at_scale: Mapping[tuple[int, int], Curve],
        cuts: Mapping[Rectangle, Cut] | None = None,
    ) -> None:
        """Take `placements` by spread and `at_scale` by nodes and pods."""
        self._by_rotation = dict(placements)
        self._columns = {**_means(placements), **at_scale}
        self._nodes_max = max((nodes for nodes, _ in self._columns), default=0)
        self._cuts = cuts or {}

    def at(self, spread: Spread, local_batch: int) -> StepTime:
        """Return the step time with `local_batch` samples per pod and step.

        Raises
        ------
        NotMeasuredError
            where the tables do not reach.

        """
        rotation = first_rotation(spread)
        curve = self._by_rotation.get(rotation)
        nodes, pods = min(len(spread), self._nodes_max), sum(spread)
        if curve is None:
            curve = self._columns.get((nodes, pods))
        if curve is not None:
            return _along(curve, local_batch)
        return self._between_columns(nodes, pods, local_batch)

    def _between_columns(self, nodes: int, pods: int, local_batch: int) -> StepTime:
        fewer = [known for known, as_many in self._columns if as_many == pods and known < nodes]
        more = [known for known, as_many in self._columns if as_many == pods and known > nodes]
        if not fewer or not more:
            msg = f"{pods} pods on {nodes} nodes lie outside of what was measured"
            raise NotMeasuredError(msg)
        low, high = max(fewer), min(more)
        left, right = self._columns[low, pods], self._columns[high, pods]
        batch_low, batch_high = _neighbours(left.keys() & right.keys(), local_batch)
        across = (nodes - low) / (high - low)
        up = (local_batch - batch_low) / max(batch_high - batch_low, 1)
        corners = (left[batch_low], right[batch_low], left[batch_high], right[batch_high])
        if not up:
            return _mix(corners, (1 - across, across, 0.0, 0.0))
        cut = self._cuts.get(Rectangle(low, high, pods, batch_low, batch_high))
        return _mix(corners, _weights(across, up, cut))


def first_rotation(spread: Spread) -> Spread:
    """Return the smallest rotation of `spread`."""
    return min(spread[start:] + spread[:start] for start in range(len(spread)))


def _means(placements: Mapping[Spread, Curve]) -> dict[tuple[int, int], Curve]:
    """Return the mean over all placements with as many nodes and pods, batch by batch."""
    grouped: dict[tuple[int, int], dict[int, list[StepTime]]] = {}
    for spread, curve in placements.items():
        column = grouped.setdefault((len(spread), sum(spread)), {})
        for batch, time in curve.items():
            column.setdefault(batch, []).append(time)
    return {
        where: {batch: _mix(times, [1 / len(times)] * len(times)) for batch, times in curve.items()}
        for where, curve in grouped.items()
    }


def _neighbours(batches: Iterable[int], local_batch: int) -> tuple[int, int]:
    """Return the measured sizes next below and next above, the same one twice on a hit."""
    measured = sorted(batches)
    above = bisect_left(measured, local_batch)
    below = bisect_right(measured, local_batch) - 1
    if below < 0 or above == len(measured):
        msg = f"{local_batch} samples per pod lie outside of what was measured"
        raise NotMeasuredError(msg)
    return measured[below], measured[above]


def _along(curve: Curve, local_batch: int) -> StepTime:
    low, high = _neighbours(curve, local_batch)
    up = (local_batch - low) / max(high - low, 1)
    return _mix((curve[low], curve[high]), (1 - up, up))


def _weights(across: float, up: float, cut: Cut | None) -> tuple[float, float, float, float]:
    """Return the weights of (few, small), (many, small), (few, large) and (many, large)."""
    if cut is None:
        rising, falling = _weights(across, up, "rising"), _weights(across, up, "falling")
        few_small, many_small, few_large, many_large = (
            (one + other) / 2 for one, other in zip(rising, falling, strict=True)
        )
        return few_small, many_small, few_large, many_large
    if cut == "rising":
        shared = min(across, up)
        return 1 - max(across, up), across - shared, up - shared, shared
    # The other diagonal is the rising one of the mirror image.
    many_small, few_small, many_large, few_large = _weights(1 - across, up, "rising")
    return few_small, many_small, few_large, many_large


def _mix(times: Iterable[StepTime], weights: Iterable[float]) -> StepTime:
    pairs = list(zip(times, weights, strict=True))
    return StepTime(
        sum(weight * time.step_s for time, weight in pairs),
        sum(weight * time.sync_s for time, weight in pairs),
    )
