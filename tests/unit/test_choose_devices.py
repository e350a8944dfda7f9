"""Which devices a request gets: four rules over what is left of each device."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gpuyard.sharing.choose_devices import any_fit, best_fit, distributed, first_fit


@pytest.mark.parametrize(
    ("left", "count", "milli", "best", "first", "spread"),
    [
        pytest.param([1000], 1, 1000, (0,), (0,), (0,), id="all that is left suffices"),
        pytest.param([999], 1, 1000, None, None, None, id="one thousandth too little"),
        pytest.param([1000, 400, 700], 1, 300, (1,), (0,), (0,), id="fullest, first, emptiest"),
        pytest.param([500, 500], 1, 300, (0,), (0,), (0,), id="the first among equals"),
        pytest.param([0, 1000, 1000], 2, 1000, (1, 2), (1, 2), (1, 2), id="whole ones"),
        pytest.param([1000, 600, 800], 2, 500, (1, 2), (0, 1), (0, 2), id="ascending positions"),
        pytest.param([1000, 200], 2, 500, None, None, None, id="one too few"),
        pytest.param([-300, -1, 300], 1, 300, (2,), (2,), (2,), id="over-full or not allowed"),
        pytest.param([], 1, 1, None, None, None, id="no devices"),
    ],
)
def test_choice(left, count, milli, best, first, spread):
    assert best_fit(left, count, milli) == best
    assert first_fit(left, count, milli) == first
    assert distributed(left, count, milli) == spread
    random = any_fit(left, count, milli, np.random.default_rng(0))
    assert (random is None) == (best is None)


def test_any_fit_is_fair():
    rng = np.random.default_rng(0)
    drawn = Counter(any_fit([1000, 100, 1000, 1000], 2, 500, rng) for _ in range(3000))
    assert set(drawn) == {(0, 2), (0, 3), (2, 3)}
    assert all(900 < times < 1100 for times in drawn.values())


def test_where_there_is_no_choice_chance_is_not_asked():
    rng = np.random.default_rng(0)
    assert any_fit([1000, 1000, 10], 2, 500, rng) == (0, 1)
    assert rng.integers(1 << 40) == np.random.default_rng(0).integers(1 << 40)


@given(
    left=st.lists(st.integers(-100, 1000), max_size=8),
    count=st.integers(1, 4),
    milli=st.integers(1, 1000),
    seed=st.integers(0, 99),
)
def test_every_rule_gives_what_was_asked_or_says_that_it_cannot(left, count, milli, seed):
    suffices = [index for index, amount in enumerate(left) if amount >= milli]
    choices = [rule(left, count, milli) for rule in (best_fit, first_fit, distributed)]
    choices.append(any_fit(left, count, milli, np.random.default_rng(seed)))
    for chosen in choices:
        if len(suffices) < count:
            assert chosen is None
        else:
            assert list(chosen) == sorted(set(chosen))
            assert len(chosen) == count
            assert set(chosen) <= set(suffices)
