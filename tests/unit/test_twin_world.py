"""Worlds: what is drawn belongs to what it is about, and to nothing else."""

import pytest

from gpuyard.twin.world import Delay, Fault, Try, World, drawn, fault, happens, lasts_ns

MANY = [f"pod-{index}" for index in range(2000)]
ONE = Try("w", "w/a-0", 1)


def test_a_draw_depends_on_its_name_and_on_the_seed_only():
    first, again, other = World(seed=1), World(seed=1, slow_share=0.5), World(seed=2)
    assert drawn(first, "start", "p", 1) == drawn(again, "start", "p", 1)
    assert drawn(first, "start", "p", 1) != drawn(other, "start", "p", 1)
    named = {drawn(first, *about) for about in [("a", 1), ("a", 2), ("b", 1), ("a1",), ("a", "1")]}
    assert len(named) == 5


def test_draws_are_spread_evenly():
    values = sorted(drawn(World(), pod) for pod in MANY)
    assert values[0] >= 0
    assert values[-1] < 1
    worst = max(abs(value - index / len(MANY)) for index, value in enumerate(values))
    assert worst < 1.63 / len(MANY) ** 0.5  # Kolmogorov-Smirnov, 1 in 100


def test_a_share_happens_as_often_as_it_says():
    assert sum(happens(World(), 0.25, pod) for pod in MANY) == pytest.approx(500, abs=60)
    assert not any(happens(World(), 0.0, pod) for pod in MANY)
    assert all(happens(World(), 1.0, pod) for pod in MANY)


def test_a_delay_is_never_shorter_than_its_least_and_has_its_mean():
    delay = Delay(least_ns=100, mean_extra_ns=1000)
    spans = [lasts_ns(World(), delay, pod) for pod in MANY]
    assert min(spans) >= 100
    assert sum(spans) / len(spans) == pytest.approx(1100, rel=0.08)
    assert lasts_ns(World(), Delay(least_ns=7), "anything") == 7


def hits(rule, tried=ONE, node="n", now_ns=50, at="start"):
    return fault(World(faults=(rule,)), at, tried, node, now_ns) is rule


@pytest.mark.parametrize(
    ("rule", "about", "expected"),
    [
        pytest.param({}, {}, True, id="whoever tries"),
        pytest.param({}, {"at": "write"}, False, id="at another stage"),
        pytest.param({"nodes": ("m",)}, {}, False, id="on another node"),
        pytest.param({"nodes": ("m", "n")}, {}, True, id="on one of its nodes"),
        pytest.param({"from_ns": 51}, {}, False, id="before it begins"),
        pytest.param({"from_ns": 50, "until_ns": 51}, {}, True, id="while it lasts"),
        pytest.param({"until_ns": 50}, {}, False, id="when it is over"),
        pytest.param({"share": 0.0}, {}, False, id="nobody"),
    ],
)
def test_a_fault_hits(rule, about, expected):
    assert hits(Fault(**{"reason": "r", "at": "start", "share": 1.0, **rule}), **about) is expected


def test_a_fault_of_tries_hits_some_tries_and_one_of_workloads_all_of_some():
    tries = [[Try(f"w{job}", f"w{job}/a-0", number) for number in range(6)] for job in range(300)]

    def hit(of):
        rule = Fault(reason="r", at="start", share=0.4, of=of)
        return [[hits(rule, tried) for tried in job] for job in tries]

    by_try, by_workload = hit("try"), hit("workload")
    assert sum(any(job) and not all(job) for job in by_try) > 200
    assert all(any(job) == all(job) for job in by_workload)
    assert sum(any(job) for job in by_workload) == pytest.approx(120, abs=35)


def test_the_first_fault_that_hits_is_the_one():
    first = Fault(reason="first", at="write", share=1.0, nodes=("m",))
    second = Fault(reason="second", at="write", share=1.0)
    world = World(faults=(first, second))
    assert fault(world, "write", ONE, "m", 0) is first
    assert fault(world, "write", ONE, "n", 0) is second


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: Delay(least_ns=-1), "less than 0", id="back in time"),
        pytest.param(lambda: Delay(mean_extra_ns=-1), "less than 0", id="a negative mean"),
        pytest.param(
            lambda: Fault(reason="r", at="start", share=1.5), "share of 1.5", id="more than all"
        ),
        pytest.param(lambda: World(slow_share=-0.1), "slow_share", id="less than none"),
        pytest.param(lambda: World(silent_share=2), "silent_share", id="twice all"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
