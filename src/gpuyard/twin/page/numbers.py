"""Numbers as people read them, and ticks where people expect them.

Ticks stand at 1, 2 or 5 times a power of ten (Heckbert, "Nice Numbers for Graph Labels", Graphics
Gems, 1990); on an axis of seconds they stand at whole seconds, minutes, hours or days, because
nobody thinks in units of 20,000 s. Log axes take decades, or 1-2-5 steps when decades are too few.
"""

import math
from collections.abc import Callable, Sequence

from gpuyard.twin.page.content import Unit

MINUTE, HOUR, DAY = 60, 3_600, 86_400
NO_BREAK, MINUS = "\u00a0", "\u2212"
ENOUGH_DECADES = 100  # from this ratio on, powers of ten alone make a good log axis

# Steps a clock has; finer and coarser ones follow the decimal rule, in seconds or in days.
_CLOCK_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR),
    DAY,
)
_CLOCK_DECADES = (1, 10, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY)


def ticks(low: float, high: float, *, at_most: int, unit: Unit = "number") -> tuple[float, ...]:
    """Return round values within [low, high], ascending, no more than `at_most` + 1 of them."""
    size = step(low, high, at_most=at_most, unit=unit)
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return tuple(count * size for count in range(first, last + 1))


def rounded_range(
    low: float, high: float, *, at_most: int, unit: Unit = "number"
) -> tuple[float, float]:
    """Return the smallest range that holds [low, high] and ends at ticks."""
    size = step(low, high, at_most=at_most, unit=unit)
    return math.floor(low / size + 1e-9) * size, math.ceil(high / size - 1e-9) * size


def step(low: float, high: float, *, at_most: int, unit: Unit = "number") -> float:
    """Return the smallest round step that cuts [low, high] into at most `at_most` pieces."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        raise ValueError(f"no step divides the range {low}..{high}")
    least = span / max(1, at_most)
    if unit == "seconds":
        return _clock_step(least)
    return _decimal_step(least)


def log_ticks(low: float, high: float, *, unit: Unit = "number") -> tuple[float, ...]:
    """Return round positive values that enclose `low` and `high` as closely as they can."""
    if not 0 < low <= high < math.inf:
        raise ValueError(f"no log axis runs from {low} to {high}")
    candidates = _log_candidates(low, high, unit)
    first = max(index for index, value in enumerate(candidates) if value <= low * (1 + 1e-9))
    last = min(index for index, value in enumerate(candidates) if value >= high * (1 - 1e-9))
    return candidates[first : max(last, first + 1) + 1]


def evenly(values: Sequence[float], *, at_most: int) -> tuple[float, ...]:
    """Return at most `at_most` of the values at equal distances, the first among them."""
    return tuple(values[:: max(1, math.ceil(len(values) / max(1, at_most)))])


def written(value: float, unit: Unit = "number") -> str:
    """Return a value as text with about three digits: 1,250 · 12.5 · 40 % · 3 d 4 h."""
    if math.isnan(value):
        return "not measured"
    if math.isinf(value):
        return f"{MINUS}∞" if value < 0 else "∞"
    text = _WRITERS[unit](abs(value))
    is_zero = not text.strip(f"0. %s{NO_BREAK}")
    return MINUS + text if value < 0 and not is_zero else text


def _decimal_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least) + 1e-12)
    for factor in (1, 2, 5):
        if factor * power >= least * (1 - 1e-9):
            return factor * power
    return 10 * power


def _clock_step(least: float) -> float:
    if least <= _CLOCK_STEPS[0]:
        return _decimal_step(least)
    for candidate in _CLOCK_STEPS:
        if candidate >= least * (1 - 1e-9):
            return float(candidate)
    return DAY * _decimal_step(least / DAY)


def _log_candidates(low: float, high: float, unit: Unit) -> tuple[float, ...]:
    bottom, top = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    if unit == "seconds" and high >= MINUTE:
        finer = [10.0**power for power in range(bottom, 0)]
        coarser = [DAY * 10.0**power for power in range(2, max(3, top))]
        return tuple(finer + [float(value) for value in _CLOCK_DECADES] + coarser)
    factors = (1,) if high / low >= ENOUGH_DECADES else (1, 2, 5)
    return tuple(factor * 10.0**power for power in range(bottom, top + 1) for factor in factors)


def _number(size: float) -> str:
    if size == 0:
        return "0"
    decimals = min(12, max(0, 2 - math.floor(math.log10(size) + 1e-12)))
    text = f"{size:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(size: float) -> str:
    return f"{_number(size)}{NO_BREAK}%"


def _duration(size: float) -> str:
    """Write the two largest parts: a wait of three days is not known to the second."""
    if size < MINUTE - 0.5:
        return "0" if size == 0 else f"{_number(size)}{NO_BREAK}s"
    grain, unit = next(
        (grain, unit) for grain, unit, below in _DURATIONS if round(size / grain) * grain < below
    )
    rounded = round(size / grain) * grain
    major, minor = divmod(rounded, unit)
    parts = [(major, _UNIT_NAMES[unit]), (minor // grain, _UNIT_NAMES[grain])]
    return " ".join(f"{count:,}{NO_BREAK}{name}" for count, name in parts if count)


_UNIT_NAMES = {1: "s", MINUTE: "min", HOUR: "h", DAY: "d"}
# Rounded to · counted in · while shorter than.
_DURATIONS = (
    (1, MINUTE, 10 * MINUTE),
    (MINUTE, HOUR, DAY),
    (HOUR, DAY, math.inf),
)
_WRITERS: dict[Unit, Callable[[float], str]] = {
    "number": _number,
    "percent": _percent,
    "seconds": _duration,
}
