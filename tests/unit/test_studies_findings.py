"""What the weeks say side by side: means, ranges, pairs of seeds, gains and losses."""

import pytest

from gpuyard.studies.demo.findings import Spread, mean_gang, spread, useful, waits_of
from tests.small_weeks import DEFAULT, OURS, WHOLE, constant, findings, week


def test_a_spread_is_mean_smallest_largest():
    assert spread([3.0, 1.0, 8.0]) == Spread(4.0, 1.0, 8.0)
    assert spread(iter([5.0])) == Spread(5.0, 5.0, 5.0)


def test_contenders_are_told_apart_by_their_role():
    found = findings(*constant())
    assert found.ours == OURS
    assert found.peers == (DEFAULT, WHOLE)


def test_weeks_are_found_by_contender_and_load_in_the_order_of_seeds():
    weeks = [week(OURS, seed=seed, load=load) for seed in (3, 1, 2) for load in (0.5, 0.9)]
    found = findings(*weeks, week(DEFAULT), loads=(0.5, 0.9), seeds=(1, 2, 3))
    assert [one.seed for one in found.of(OURS)] == [1, 2, 3]
    assert {one.load for one in found.of(OURS)} == {0.9}  # the main load
    assert [(one.seed, one.load) for one in found.of(OURS, 0.5)] == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_a_gain_is_taken_seed_by_seed():
    # Seeds differ by far more than contenders: only pairs show that each week gained 10 or 30.
    weeks = [
        week(OURS, seed=2, useful=5010.0),
        week(OURS, seed=1, useful=1030.0),
        week(WHOLE, seed=1, useful=1000.0),
        week(WHOLE, seed=2, useful=5000.0),
    ]
    assert findings(*weeks, seeds=(1, 2)).gain(WHOLE, useful) == Spread(20.0, 10.0, 30.0)


def test_a_gain_needs_the_same_seeds_on_both_sides():
    with pytest.raises(ValueError, match="zip"):
        findings(week(OURS, seed=1), seeds=(1, 2)).gain(WHOLE, useful)


def test_losers_wait_more_than_a_minute_longer_the_worst_first():
    before = {"batch": 100.0, "inference": 0.0, "notebook": 500.0, "training": 9000.0}
    after = {"batch": 161.0, "inference": 60.0, "notebook": 900.0, "training": 10.0}
    found = findings(week(DEFAULT, waits=before), week(OURS, waits=after))
    assert [(one.kind, one.before_s, one.after_s) for one in found.losers(DEFAULT)] == [
        ("notebook", 500.0, 900.0),
        ("batch", 100.0, 161.0),
    ]


def test_losers_are_judged_by_the_mean_over_the_seeds():
    weeks = [
        week(contender, seed=seed, waits={"batch": wait_s})
        for contender, waits_s in ((DEFAULT, (0.0, 1000.0)), (OURS, (500.0, 400.0)))
        for seed, wait_s in enumerate(waits_s, start=1)
    ]
    assert findings(*weeks, seeds=(1, 2)).losers(DEFAULT) == ()


@pytest.mark.parametrize(
    ("ours", "without_gain", "with_loss"),
    [
        pytest.param(1011.0, (), (), id="more than one percent is a gain"),
        pytest.param(1010.0, (0.9,), (), id="one percent is none"),
        pytest.param(1000.0, (0.9,), (), id="nothing is none"),
        pytest.param(990.0, (0.9,), (), id="one percent less is no loss"),
        pytest.param(900.0, (0.9,), (0.9,), id="a loss is no gain"),
    ],
)
def test_gains_and_losses_begin_beyond_one_percent(ours, without_gain, with_loss):
    found = findings(*constant(ours=ours))
    assert found.loads_without_gain(WHOLE) == without_gain
    assert found.loads_with_loss(WHOLE) == with_loss


def test_each_load_is_judged_by_itself():
    weeks = constant(ours=1200.0, load=1.1) + constant(load=0.5) + constant(ours=800.0, load=0.9)
    found = findings(*weeks, loads=(1.1, 0.5, 0.9))
    assert found.loads_without_gain(WHOLE) == (0.5, 0.9)
    assert found.loads_with_loss(WHOLE) == (0.9,)


def test_nothing_against_nothing_is_neither():
    found = findings(*constant(default=0.0, whole=0.0, ours=0.0))
    assert found.loads_without_gain(WHOLE) == (0.9,)
    assert found.loads_with_loss(WHOLE) == ()


def test_figures_of_a_week():
    one = week(OURS, waits={"batch": 30.0}, gang=1.5)
    assert waits_of("batch")(one) == 30.0
    assert waits_of("training")(one) == 0.0  # no such class that week
    assert mean_gang(one) == 1.5
    assert findings(one, week(WHOLE, waits={"training": 1.0})).kinds == ("batch", "training")
