"""Words find room."""

import itertools

import pytest
from hypothesis import given, strategies as st

from gpuyard.twin.page.labels import shortened, spread, text_width, wrap


@pytest.mark.parametrize(
    ("wanted", "heights", "expected"),
    [
        pytest.param([], [], (), id="nothing"),
        pytest.param([50], [10], (50,), id="one stays"),
        pytest.param([20, 80], [10, 10], (20, 80), id="far apart, nobody moves"),
        pytest.param([50, 50], [10, 10], (45, 55), id="the same place: each gives half"),
        pytest.param([52, 50], [10, 10], (56, 46), id="order of lines is order of names"),
        pytest.param([2, 2], [10, 10], (5, 15), id="pushed off the upper edge"),
        pytest.param([99, 99], [10, 10], (85, 95), id="pushed off the lower edge"),
        pytest.param([50, 50, 50], [10, 20, 10], (35, 50, 65), id="heights differ"),
        pytest.param([30, 50, 52], [10, 10, 10], (30, 46, 56), id="only who collides moves"),
    ],
)
def test_names_move_apart_as_little_as_they_can(wanted, heights, expected):
    assert spread(wanted, heights, 0, 100) == pytest.approx(expected)


boxes = st.lists(st.tuples(st.floats(-50, 150), st.floats(1, 12)), max_size=8)


@given(boxes)
def test_names_never_overlap_and_never_leave(drawn):
    wanted, heights = [w for w, _ in drawn], [h for _, h in drawn]
    placed = sorted(zip(spread(wanted, heights, 0, 100), heights, strict=True))
    assert all(middle - height / 2 >= -1e-6 for middle, height in placed)
    assert all(middle + height / 2 <= 100 + 1e-6 for middle, height in placed)
    for (above, height), (below, lower) in itertools.pairwise(placed):
        assert above + height / 2 <= below - lower / 2 + 1e-6


def test_more_names_than_room_share_it():
    placed = spread([50] * 30, [10] * 30, 0, 100)
    assert (min(placed), max(placed)) == pytest.approx((100 / 60, 100 - 100 / 60))


@pytest.mark.parametrize(
    ("text", "width_px", "expected"),
    [
        pytest.param("gpuyard", 100, ("gpuyard",), id="fits"),
        pytest.param(
            "MostAllocated, whole gangs", 110, ("MostAllocated,", "whole gangs"), id="even"
        ),
        pytest.param("Fine-tuning, 1 node", 90, ("Fine-tuning,", "1 node"), id="no widow"),
        pytest.param(
            "kube-most-allocated", 90, ("kube-most-", "allocated"), id="one word, at a hyphen"
        ),
        pytest.param("", 50, ("",), id="empty"),
    ],
)
def test_wrap_breaks_where_both_lines_are_short(text, width_px, expected):
    assert wrap(text, width_px, 13) == expected


def test_what_does_not_fit_says_so():
    assert shortened("a" * 100, 60, 13).endswith("a…")
    assert text_width(shortened("W" * 100, 60, 13), 13) <= 60
    assert all(line.endswith("…") for line in wrap(f"{'x' * 50} {'y' * 50}", 60, 13))
