"""From values to pixels along one axis.

A linear axis ends at round values where asked to; a log axis ends at decades. Zero has no place on
a log axis, and a wait of zero is the best there is: it gets a slot of its own before the axis
begins, labelled 0, rather than being dropped or drawn as if it were small.
"""

import math
from collections.abc import Iterable

import msgspec

from gpuyard.twin.page.content import Unit
from gpuyard.twin.page.numbers import evenly, log_ticks, rounded_range, ticks, written

DISTINCT = 1e-9  # values that differ by a smaller share are one value and some rounding
ZERO_SLOT_PX = 44.0  # between the slot for zero and the first decade


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """What an axis spans, in values; `has_zero_slot` only with `log`."""

    low: float
    high: float
    unit: Unit = "number"
    log: bool = False
    has_zero_slot: bool = False


class Tick(msgspec.Struct, frozen=True):
    """A round value, where it stands, and what is written there."""

    value: float
    at: float
    label: str


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """A range laid over pixels; `start` may be larger than `end`, as on a y axis."""

    range: Range
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of `value`; a value beyond the range sits at its end."""
        spanned = self.range
        if not spanned.log:
            share = (value - spanned.low) / (spanned.high - spanned.low)
            return self._between(self.start, share)
        if value <= 0:
            return self.start
        share = math.log(value / spanned.low) / math.log(spanned.high / spanned.low)
        return self._between(self._log_start(), share)

    def ticks(self, *, at_most: int) -> tuple[Tick, ...]:
        """Return about as many ticks as there is room for, and no more than `at_most` + 1."""
        spanned = self.range
        if spanned.log:
            decades = log_ticks(spanned.low, spanned.high, unit=spanned.unit)
            values = evenly(decades, at_most=at_most)
        else:
            values = ticks(spanned.low, spanned.high, at_most=at_most, unit=spanned.unit)
        if spanned.has_zero_slot:
            values = (0.0, *values)
        return tuple(Tick(value, self.at(value), written(value, spanned.unit)) for value in values)

    def _log_start(self) -> float:
        if not self.range.has_zero_slot:
            return self.start
        return self.start + math.copysign(ZERO_SLOT_PX, self.end - self.start)

    def _between(self, start: float, share: float) -> float:
        return start + min(1.0, max(0.0, share)) * (self.end - start)


def linear_range(
    values: Iterable[float],
    *,
    unit: Unit = "number",
    from_zero: bool = False,
    high: float | None = None,
    at_most: int = 5,
) -> Range:
    """Return a range of round ends around the finite values; never an empty one."""
    finite = [value for value in values if math.isfinite(value)]
    if from_zero:
        finite.append(0.0)
    least, most = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if high is not None:
        most = max(high, most)
    least, most = _widened(least, most)
    least, rounded = rounded_range(least, most, at_most=at_most, unit=unit)
    return Range(low=least, high=rounded if high is None or most > high else high, unit=unit)


def exact_range(values: Iterable[float], *, unit: Unit = "number") -> Range:
    """Return the range from the least to the largest finite value, as a time axis wants it."""
    finite = [value for value in values if math.isfinite(value)]
    least, most = _widened(min(finite), max(finite)) if finite else (0.0, 1.0)
    return Range(low=least, high=most, unit=unit)


def log_range(values: Iterable[float], *, unit: Unit = "number") -> Range:
    """Return whole decades around the positive values, with a slot for zero if any is not."""
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0] or [1.0, 10.0]
    decades = log_ticks(min(positive), max(positive), unit=unit)
    return Range(
        low=decades[0],
        high=decades[-1],
        unit=unit,
        log=True,
        has_zero_slot=any(value <= 0 for value in finite),
    )


def _widened(least: float, most: float) -> tuple[float, float]:
    """Give a constant some room, so that it lies in the middle of something."""
    if most - least > DISTINCT * max(abs(least), abs(most)):
        return least, most
    room = abs(least) * 0.1 or 1.0
    return (least, least + room) if least == 0 else (least - room, most + room)
