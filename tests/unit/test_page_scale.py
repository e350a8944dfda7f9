"""From values to pixels."""

import math

import pytest

from gpuyard.twin.page.scale import ZERO_SLOT_PX, Scale, exact_range, linear_range, log_range

nan = math.nan


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        pytest.param([3, 97], {}, (0, 100), id="ends at ticks"),
        pytest.param([80, 97], {"from_zero": True}, (0, 100), id="from zero"),
        pytest.param([], {}, (0, 1), id="nothing"),
        pytest.param([nan, math.inf], {}, (0, 1), id="nothing finite"),
        pytest.param([0, 0], {}, (0, 1), id="constant zero"),
        pytest.param([5, 5], {}, (4.4, 5.6), id="a constant lies in the middle"),
        pytest.param([5, 5 + 1e-12], {}, (4.4, 5.6), id="rounding is no difference"),
        pytest.param([5], {"from_zero": True}, (0, 5), id="a constant over zero"),
        pytest.param([-8, -2], {"from_zero": True}, (-8, 0), id="below zero"),
        pytest.param([40, 60], {"from_zero": True, "high": 512}, (0, 512), id="a fixed end"),
        pytest.param(
            [40, 600], {"from_zero": True, "high": 512}, (0, 600), id="never cuts data off"
        ),
    ],
)
def test_linear_ranges(values, options, expected):
    found = linear_range(values, **options)
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_time_axis_spans_exactly_the_data():
    found = exact_range([3.3, 9.9, nan])
    assert (found.low, found.high) == (3.3, 9.9)
    assert exact_range([]).high == 1
    assert exact_range([7]).low < 7 < exact_range([7]).high


def test_zero_has_a_slot_of_its_own_on_a_log_axis():
    scale = Scale(range=log_range([0, 1, 1000]), start=0, end=300)
    assert scale.at(0) == 0
    assert scale.at(1) == ZERO_SLOT_PX
    assert scale.at(1000) == 300
    assert [tick.label for tick in scale.ticks(at_most=5)] == ["0", "1", "10", "100", "1,000"]


def test_without_zeros_there_is_no_slot():
    scale = Scale(range=log_range([1, 1000]), start=0, end=300)
    assert (scale.at(1), scale.at(10)) == pytest.approx((0, 100))


@pytest.mark.parametrize("values", [[], [nan], [0, 0], [-5, nan]])
def test_a_log_axis_without_positive_values_still_stands(values):
    assert log_range(values).low > 0


def test_a_y_axis_runs_upwards():
    scale = Scale(range=log_range([0, 1, 1000]), start=300, end=0)
    assert scale.at(0) == 300
    assert scale.at(1) == 300 - ZERO_SLOT_PX
    assert scale.at(1000) == 0


def test_a_value_beyond_the_range_sits_at_its_end():
    scale = Scale(range=linear_range([0, 10]), start=0, end=100)
    assert (scale.at(-5), scale.at(50)) == (0, 100)
