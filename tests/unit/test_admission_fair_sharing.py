"""Decayed usage: how it follows what is held, what an admission costs, and who goes first."""

from fractions import Fraction

import pytest

from gpuyard.model.admission_fair_sharing import AdmissionFairSharing
from gpuyard.model.ledger import Account, DecayedUsage, EntryPenalty
from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.model.resources import Resources
from gpuyard.scheduling.admission_fair_sharing import (
    LAST,
    NO_SHARE,
    decayed,
    dropped,
    entry_penalty,
    in_nano,
    owes_entry_penalty,
    pending_penalties,
    pushed,
    sampled,
    settled,
    share,
    shares,
)
from gpuyard.scheduling.ledger import Ledger

SECOND = 10**9
HOUR = 3600 * SECOND
WEEK = 168 * HOUR
SAMPLE = 300 * SECOND

TEAM = Account("queue", "ml/team")
OTHER = Account("queue", "ml/other")
CORES = (("cpu", 2 * 10**9),)


def knobs(half_life_ns=HOUR, sampling_interval_ns=HOUR, **weights):
    weighed = tuple((name, int(weight * WEIGHT_ONE_NANO)) for name, weight in weights.items())
    return AdmissionFairSharing(
        half_life_ns=half_life_ns,
        sampling_interval_ns=sampling_interval_ns,
        resource_weights_nano=weighed,
    )


# -- decay


@pytest.mark.parametrize(
    ("consumed", "usage", "elapsed_ns", "expected"),
    [
        pytest.param({}, {"gpu": 8}, HOUR, {"gpu": 4}, id="after a half-life half of the usage"),
        pytest.param({"gpu": 8}, {}, HOUR, {"gpu": 4}, id="and half of the past"),
        pytest.param({"gpu": 8}, {"gpu": 8}, HOUR, {"gpu": 8}, id="a steady usage stays"),
        pytest.param({"gpu": 8}, {"gpu": 4}, 0, {"gpu": 8}, id="no time, no change"),
        pytest.param({"gpu": 8}, {"gpu": 4}, -HOUR, {"gpu": 8}, id="time does not run backwards"),
        pytest.param(
            {"gpu": 8}, {"cpu": 4}, HOUR, {"cpu": 2, "gpu": 4}, id="each resource for itself"
        ),
        pytest.param({}, {"gpu": 8}, 2 * HOUR, {"gpu": 6}, id="two half-lives, three quarters"),
    ],
)
def test_consumed_follows_usage(consumed, usage, elapsed_ns, expected):
    got = decayed(nano(consumed), nano(usage), elapsed_ns=elapsed_ns, half_life_ns=HOUR)
    assert {name: amount for name, amount in got if amount} == dict(nano(expected))


def nano(amounts):
    return tuple(sorted((name, amount * 10**9) for name, amount in amounts.items()))


def test_what_is_below_a_thousandth_adds_up():
    consumed, amounts = (), []
    for _ in range(3):
        consumed = decayed(consumed, CORES, elapsed_ns=SAMPLE, half_life_ns=WEEK)
        amounts.append(dict(consumed)["cpu"])
    assert 0 < amounts[0] < 10**6  # less than one millicore
    assert amounts[0] < amounts[1] < amounts[2]
    assert 3 * amounts[0] - amounts[2] < 10**3


def test_it_approaches_usage_on_the_half_life_curve_and_never_exceeds_it():
    consumed = ()
    for half_lives in (1, 2, 3):
        for _ in range(WEEK // SAMPLE):
            consumed = decayed(consumed, CORES, elapsed_ns=SAMPLE, half_life_ns=WEEK)
        wanted = 2 * 10**9 - 2 * 10**9 // 2**half_lives
        assert abs(dict(consumed)["cpu"] - wanted) <= 10**6  # one millicore, after 6048 roundings
        assert dict(consumed)["cpu"] <= 2 * 10**9


def test_what_decays_ends_at_zero():
    consumed = (("gpu", 1000),)
    for _ in range(20):
        consumed = decayed(consumed, (), elapsed_ns=HOUR, half_life_ns=HOUR)
    assert consumed == (("gpu", 0),)


def test_a_petabyte_is_no_problem():
    held = (("memory", 2**50 * 10**9),)
    half = decayed((), held, elapsed_ns=HOUR, half_life_ns=HOUR)
    assert half == (("memory", 2**49 * 10**9),)


# -- the entry penalty


def test_an_admission_costs_what_one_sample_would_count():
    cost = entry_penalty(Resources.of({"cpu": 4000, "gpu": 2}), knobs())
    assert cost == (("cpu", 2 * 10**9), ("gpu", 10**9))


def test_units_are_cores_bytes_and_pieces():
    assert in_nano(Resources.of({"cpu": 1500, "memory": 3})) == (
        ("cpu", 1_500_000_000),
        ("memory", 3_000_000_000),
    )


def test_without_a_half_life_an_admission_costs_nothing():
    assert entry_penalty(Resources.of({"gpu": 2}), knobs(half_life_ns=0)) == (("gpu", 0),)


@pytest.mark.parametrize(
    ("configured", "mode", "holds_quota", "expected"),
    [
        (True, "UsageBasedAdmissionFairSharing", False, True),
        (True, "UsageBasedAdmissionFairSharing", True, False),
        (True, "NoAdmissionFairSharing", False, False),
        (False, "UsageBasedAdmissionFairSharing", False, False),
    ],
)
def test_who_is_charged(configured, mode, holds_quota, expected):
    given = knobs() if configured else None
    assert owes_entry_penalty(given, mode, holds_quota=holds_quota) is expected


def push(ledger, workload, amounts, now_ns=0, account=TEAM):
    changes = pushed(ledger, account, workload, nano(amounts), now_ns=now_ns, half_life_ns=HOUR)
    return ledger.after(changes)


def test_charged_again_it_is_charged_the_latest_amount():
    ledger = push(push(Ledger(), "w", {"gpu": 2}), "w", {"gpu": 3})
    assert pending_penalties(ledger) == {TEAM: nano({"gpu": 3})}


def test_only_the_first_charge_starts_the_clock():
    ledger = push(push(Ledger(), "a", {"gpu": 1}, now_ns=5), "b", {"gpu": 1}, now_ns=9)
    assert ledger.get(DecayedUsage, TEAM).sampled_ns == 5
    assert pending_penalties(ledger) == {TEAM: nano({"gpu": 2})}


def test_a_charge_taken_back_leaves_the_others():
    ledger = push(push(Ledger(), "a", {"gpu": 1}), "b", {"cpu": 1})
    ledger = ledger.after(dropped(ledger, TEAM, "a"))
    assert pending_penalties(ledger) == {TEAM: nano({"cpu": 1})}
    assert dropped(ledger, TEAM, "a") == ()


def test_nothing_is_made_for_an_account_that_was_never_charged():
    assert dropped(Ledger(), TEAM, "w") == ()


def test_a_charge_is_folded_into_what_is_consumed_once():
    ledger = push(push(Ledger(), "a", {"gpu": 1}), "b", {"gpu": 5})
    for _ in range(2):
        ledger = ledger.after(settled(ledger, TEAM, "a", (), now_ns=0, half_life_ns=HOUR))
    assert ledger.get(DecayedUsage, TEAM).amounts_nano == nano({"gpu": 1})
    assert set(ledger.of(EntryPenalty)) == {(TEAM, "b")}


def test_settling_decays_what_was_there_first():
    ledger = push(Ledger(), "a", {"gpu": 1})
    changes = settled(ledger, TEAM, "a", nano({"gpu": 8}), now_ns=HOUR, half_life_ns=HOUR)
    ledger = ledger.after(changes)
    assert ledger.get(DecayedUsage, TEAM).amounts_nano == nano({"gpu": 5})
    assert ledger.get(DecayedUsage, TEAM).sampled_ns == HOUR


def test_settling_without_a_charge_is_a_sample():
    ledger = Ledger([DecayedUsage(account=TEAM, amounts_nano=(), sampled_ns=0, half_life_ns=HOUR)])
    held = nano({"gpu": 8})
    settling = settled(ledger, TEAM, "w", held, now_ns=HOUR, half_life_ns=HOUR)
    assert settling == sampled(ledger, TEAM, held, now_ns=HOUR, half_life_ns=HOUR)


# -- samples


def sample(ledger, now_ns, held, half_life_ns=HOUR):
    changes = sampled(ledger, TEAM, nano(held), now_ns=now_ns, half_life_ns=half_life_ns)
    return ledger.after(changes)


def test_the_first_sample_starts_the_clock_and_counts_nothing():
    ledger = sample(Ledger(), HOUR, {"gpu": 8})
    assert ledger.rows() == ()
    later = sample(ledger, 2 * HOUR, {"gpu": 8})
    assert [row.amount_nano for row in later.rows()] == [4 * 10**9]


def test_a_clock_that_went_back_is_a_clock_that_stood_still():
    ledger = sample(sample(Ledger(), 0, {}), 2 * HOUR, {"gpu": 8})
    assert sample(ledger, HOUR, {"gpu": 8}) == ledger


def test_without_a_half_life_a_sample_forgets_everything():
    ledger = sample(sample(Ledger(), 0, {}), HOUR, {"gpu": 8})
    assert sample(ledger, HOUR, {"gpu": 8}, half_life_ns=0).rows() == ()


# -- the order


def test_weights_of_resources_default_to_one_per_core_byte_and_piece():
    assert share(nano({"cpu": 2, "gpu": 3}), WEIGHT_ONE_NANO, knobs()) == (False, 5)
    assert share(nano({"cpu": 2, "gpu": 3}), WEIGHT_ONE_NANO, knobs(gpu=10, cpu=0)) == (False, 30)


def test_the_weight_of_a_queue_divides():
    assert share(nano({"gpu": 3}), 2 * WEIGHT_ONE_NANO, knobs()) == (False, Fraction(3, 2))


@pytest.mark.parametrize("weight_nano", [0, -1])
@pytest.mark.parametrize("consumed", [{}, {"gpu": 4}], ids=["idle", "busy"])
def test_weight_zero_comes_last_even_when_idle(weight_nano, consumed):
    assert share(nano(consumed), weight_nano, knobs()) == LAST
    assert share(nano({"gpu": 10**9}), 1, knobs()) < LAST


def test_pending_charges_count_as_consumed():
    usage = DecayedUsage(
        account=TEAM, amounts_nano=nano({"gpu": 2}), sampled_ns=0, half_life_ns=HOUR
    )
    ledger = push(Ledger([usage]), "w", {"gpu": 1})
    weights = {TEAM: WEIGHT_ONE_NANO, OTHER: WEIGHT_ONE_NANO}
    assert shares(ledger, weights, knobs()) == {TEAM: (False, 3), OTHER: NO_SHARE}
