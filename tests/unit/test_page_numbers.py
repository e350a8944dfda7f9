"""Round numbers: where ticks stand, and how values read."""

import math

import pytest
from hypothesis import given, strategies as st

from gpuyard.twin.page.numbers import (
    DAY,
    HOUR,
    MINUTE,
    evenly,
    log_ticks,
    rounded_range,
    step,
    ticks,
    written,
)


@pytest.mark.parametrize(
    ("low", "high", "at_most", "unit", "expected"),
    [
        pytest.param(0, 512, 6, "number", (0, 100, 200, 300, 400, 500), id="hundreds"),
        pytest.param(0, 1, 5, "number", (0, 0.2, 0.4, 0.6, 0.8, 1), id="fractions"),
        pytest.param(0.5, 1.3, 8, "number", tuple(n / 10 for n in range(5, 14)), id="off zero"),
        pytest.param(-3, 7, 5, "number", (-2, 0, 2, 4, 6), id="through zero"),
        pytest.param(13, 17, 2, "number", (14, 16), id="only round values"),
        pytest.param(0, 7 * DAY, 8, "seconds", tuple(n * DAY for n in range(8)), id="a week"),
        pytest.param(0, DAY, 4, "seconds", tuple(6 * n * HOUR for n in range(5)), id="a day"),
        pytest.param(0, 90 * MINUTE, 4, "seconds", (0, 1800, 3600, 5400), id="half hours"),
        pytest.param(0, 0.5, 5, "seconds", (0, 0.1, 0.2, 0.3, 0.4, 0.5), id="below a second"),
        pytest.param(0, 90 * DAY, 5, "seconds", tuple(20 * n * DAY for n in range(5)), id="months"),
    ],
)
def test_ticks_stand_at_round_values(low, high, at_most, unit, expected):
    assert ticks(low, high, at_most=at_most, unit=unit) == pytest.approx(expected)


ranges = st.tuples(
    st.floats(-1e9, 1e9),
    st.floats(1e-6, 1e9),
    st.integers(1, 12),
    st.sampled_from(["number", "seconds"]),
)


@given(ranges)
def test_ticks_are_few_and_within_the_range(drawn):
    low, span, at_most, unit = drawn
    high = low + span
    if not high > low or span < 1e-9 * max(abs(low), abs(high)):
        return  # a float has no digits left for ticks
    found = ticks(low, high, at_most=at_most, unit=unit)
    slack = step(low, high, at_most=at_most, unit=unit) * 1e-6
    assert len(found) <= at_most + 1
    assert all(low - slack <= tick <= high + slack for tick in found)
    assert list(found) == sorted(set(found))


@given(ranges)
def test_a_rounded_range_holds_what_it_rounds(drawn):
    low, span, at_most, unit = drawn
    if span < 1e-6 * abs(low):
        return
    start, end = rounded_range(low, low + span, at_most=at_most, unit=unit)
    slack = (end - start) * 1e-6
    assert start - slack <= low < low + span <= end + slack


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)])
def test_a_range_without_width_has_no_step(low, high):
    with pytest.raises(ValueError, match="no step divides"):
        step(low, high, at_most=5)


@pytest.mark.parametrize(
    ("low", "high", "unit", "expected"),
    [
        pytest.param(3, 800, "number", (1, 10, 100, 1000), id="decades"),
        pytest.param(3, 20, "number", (2, 5, 10, 20), id="less than two decades: 1-2-5"),
        pytest.param(5, 5, "number", (5, 10), id="a constant gets room"),
        pytest.param(2, 7200, "seconds", (1, 10, 60, 600, 3600, 21_600), id="a clock's decades"),
        pytest.param(
            0.2, 50, "seconds", (0.1, 1, 10, 100), id="below a minute seconds count in tens"
        ),
        pytest.param(
            DAY, 400 * DAY, "seconds", (DAY, 7 * DAY, 30 * DAY, 100 * DAY, 1000 * DAY), id="years"
        ),
    ],
)
def test_log_ticks_enclose_the_values(low, high, unit, expected):
    assert log_ticks(low, high, unit=unit) == pytest.approx(expected)


@given(st.floats(1e-6, 1e12), st.floats(1, 1e9), st.sampled_from(["number", "seconds"]))
def test_log_ticks_always_enclose(low, ratio, unit):
    found = log_ticks(low, low * ratio, unit=unit)
    assert len(found) >= 2
    assert found[0] <= low * (1 + 1e-9)
    assert found[-1] >= low * ratio * (1 - 1e-9)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 1), (1, math.inf), (math.nan, 1)])
def test_a_log_axis_needs_positive_ends(low, high):
    with pytest.raises(ValueError, match="no log axis"):
        log_ticks(low, high)


def test_evenly_keeps_the_first_and_equal_distances():
    assert evenly(range(10), at_most=4) == (0, 3, 6, 9)
    assert evenly(range(3), at_most=9) == (0, 1, 2)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        pytest.param(0, "number", "0", id="zero"),
        pytest.param(1250, "number", "1,250", id="thousands"),
        pytest.param(12.345, "number", "12.3", id="three digits"),
        pytest.param(100.4, "number", "100", id="three digits, none of them decimal"),
        pytest.param(0.04567, "number", "0.0457", id="small"),
        pytest.param(-2.5, "number", "−2.5", id="a real minus"),
        pytest.param(-1e-15, "number", "0", id="no minus zero"),
        pytest.param(40, "percent", "40 %", id="percent"),
        pytest.param(math.nan, "seconds", "not measured", id="missing"),
        pytest.param(-math.inf, "number", "−∞", id="minus infinity"),
        pytest.param(0, "seconds", "0", id="no wait at all"),
        pytest.param(4.2, "seconds", "4.2 s", id="seconds"),
        pytest.param(59.7, "seconds", "1 min", id="rounds up into the next unit"),
        pytest.param(125, "seconds", "2 min 5 s", id="minutes and seconds"),
        pytest.param(599.9, "seconds", "10 min", id="never 9 min 60 s"),
        pytest.param(15 * MINUTE, "seconds", "15 min", id="no hours, no zero"),
        pytest.param(HOUR + 50 * MINUTE, "seconds", "1 h 50 min", id="hours and minutes"),
        pytest.param(DAY - 10, "seconds", "1 d", id="never 23 h 60 min"),
        pytest.param(3 * DAY + 4.4 * HOUR, "seconds", "3 d 4 h", id="days and hours"),
        pytest.param(2000 * DAY, "seconds", "2,000 d", id="many days"),
        pytest.param(-90, "seconds", "−1 min 30 s", id="negative time"),
    ],
)
def test_values_read_as_people_write_them(value, unit, expected):
    assert written(value, unit).replace("\u00a0", " ") == expected


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["number", "percent", "seconds"]),
)
def test_any_float_reads_as_something(value, unit):
    assert written(value, unit)
