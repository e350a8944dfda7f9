"""Teams that contend for one fleet in virtual time: what has to add up, whoever decides."""

import math

import msgspec
import pytest

from gpuyard.studies.contested.contest import GPUYARD, KUEUE, generated
from gpuyard.twin import shared_fleet
from gpuyard.twin.shared_fleet import Habit
from verification.contested import BETTER, verdict

HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def contest():
    return generated(1.2, seed=3, days=0.2)


@pytest.fixture(scope="module", params=[KUEUE, GPUYARD], ids=lambda contender: contender.name)
def lived(request, contest):
    return shared_fleet.run(contest.fleet, request.param.queues, request.param.placement)


def test_every_device_is_useful_lost_or_idle(contest, lived):
    used_ns = sum(one.useful_device_ns + one.lost_device_ns for one in lived.outcomes)
    assert used_ns > 0
    assert used_ns + lived.idle_device_ns == lived.devices * lived.until_ns
    assert lived.devices == contest.gpus


def test_nobody_is_on_a_fleet_that_is_full(contest, lived):
    changes = sorted(
        (at_ns, sign * stay.devices_milli)
        for stay in lived.stays
        for at_ns, sign in ((stay.from_ns, 1), (stay.until_ns, -1))
    )
    held = 0
    for _, milli in changes:
        held += milli
        assert 0 <= held <= contest.gpus * 1000


def test_who_ended_did_all_his_work(contest, lived):
    runtimes = {one.workload.key: one.runtime_ns for one in contest.fleet.arrivals}
    ended = [one for one in lived.outcomes if one.ended_ns is not None]
    assert ended
    assert all(one.useful_ns == runtimes[one.key] for one in ended)


def test_only_evictions_lose_work(lived):
    told_to_go = {stay.workload for stay in lived.stays if stay.evicted}  # some still hold on
    assert {one.key for one in lived.outcomes if one.lost_ns} <= told_to_go


def test_the_same_contest_ends_the_same(contest):
    one, other = (
        shared_fleet.run(contest.fleet, GPUYARD.queues, GPUYARD.placement) for _ in range(2)
    )
    assert msgspec.json.encode(one) == msgspec.json.encode(other)


def test_half_hours_are_saved():
    habit = Habit(saved_every_ns=HOUR_NS // 2)
    assert habit.saved_ns(HOUR_NS - 1) == HOUR_NS // 2
    assert Habit(saved_every_ns=0).saved_ns(7) == 7
    assert Habit(saved_every_ns=None).saved_ns(HOUR_NS) == 0
    with pytest.raises(ValueError, match="at least 0"):
        Habit(grace_ns=-1)


def test_worse_on_one_does_not_pass():
    assert verdict({"wait": 0.0, "lost": BETTER}) == "met"
    assert verdict({"wait": -0.05, "lost": 0.5}) == "worse by 5% on wait"
    assert verdict({"wait": -math.inf, "lost": 0.5}) == "worse on wait"
    assert verdict({"wait": 0.0, "lost": 0.1}) == "better by 10% at most"
