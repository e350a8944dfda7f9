"""Fewer points draw the same line."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from gpuyard.twin.page.thin import thin


def week(count=100_000):
    x = np.linspace(0, 1, count)
    return x, np.sin(40 * x)


def test_few_points_are_all_kept():
    x = np.arange(5.0)
    assert thin(x, x, 600).tolist() == [0, 1, 2, 3, 4]


def test_a_single_peak_survives():
    x, y = week()
    y[54_321], y[77_777] = 99, -99
    kept = thin(x, y, 600)
    assert len(kept) <= 600
    assert {54_321, 77_777} <= set(kept.tolist())


def test_a_gap_survives():
    x, y = week()
    y[40_000:40_010] = np.nan
    assert np.isnan(y[thin(x, y, 600)]).any()


def test_unevenly_spaced_points_are_thinned_by_place_not_by_count():
    x = np.concatenate([np.linspace(0, 1e-6, 10_000), np.linspace(1, 100, 100)])
    kept = thin(x, np.arange(len(x), dtype=float), 600)
    assert (x[kept] >= 1).sum() == 100


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(np.full(5000, 7.0), id="constant"),
        pytest.param(np.full(5000, np.nan), id="nothing measured"),
        pytest.param(np.where(np.arange(5000) % 2, np.nan, 1.0), id="every other point missing"),
        pytest.param(np.where(np.arange(5000) % 2, np.inf, 1.0), id="infinite points"),
    ],
)
def test_odd_series_stay_bounded_and_keep_their_ends(y):
    kept = thin(np.arange(5000.0), y, 90)
    assert len(kept) <= 90
    assert (kept[0], kept[-1]) == (0, 4999)


def test_points_at_one_place_are_one_column():
    y = np.arange(1000.0)
    assert thin(np.zeros(1000), y, 30).tolist() == [0, 999]


@given(
    arrays.arrays(np.float64, st.integers(0, 400), elements=st.floats(allow_nan=True)),
    st.integers(8, 60),
)
def test_thinning_keeps_extremes_order_and_its_bound(y, points_max):
    kept = thin(np.arange(len(y), dtype=float), y, points_max)
    assert len(kept) <= max(points_max, 0)
    assert np.all(np.diff(kept) > 0)
    finite = y[np.isfinite(y)]
    if len(finite):
        shown = y[kept][np.isfinite(y[kept])]
        assert (shown.min(), shown.max()) == (finite.min(), finite.max())
