"""A demo's week on a tiny fleet: its figures agree with each other, and with every rerun."""

import sys

import msgspec
import numpy as np
import pytest

from gpuyard.studies.demo import weeks as demo
from gpuyard.studies.demo.weeks import CONTENDERS, Scenario, Task, Week, scenario, tasks, weeks
from gpuyard.traces.fleet import parse_fleet
from gpuyard.traces.generate import generate
from tests.program import run

FLEET = "2x8xH100+1x8xL4"
GPUS = 24
DAYS = 0.2  # 4.8 hours: the last hour of the columns is the fourth
TINY = Scenario(fleet=FLEET, days=DAYS, loads=(0.6, 1.2), main_load=1.2, seeds=(1, 2))
PRINT_WEEKS = """
import sys, msgspec
from gpuyard.studies.demo.weeks import Scenario, weeks
tiny = Scenario(fleet="2x8xH100+1x8xL4", days=0.2, loads=(1.2,), main_load=1.2, seeds=(1,))
sys.stdout.write(msgspec.json.encode(list(weeks(tiny))).decode())
"""


@pytest.fixture(scope="module")
def lived():
    return [demo.live(task) for task in tasks(TINY)]


def test_everybody_meets_the_same_weeks(lived):
    assert len(lived) == 12
    for load in TINY.loads:
        for seed in TINY.seeds:
            same = [one for one in lived if (one.load, one.seed) == (load, seed)]
            assert [one.contender for one in same] == [one.name for one in CONTENDERS]
            assert len({one.workloads for one in same}) == 1
            counts = [{kind: wait.workloads for kind, wait in one.waits.items()} for one in same]
            assert counts[0] == counts[1] == counts[2]
            assert sum(counts[0].values()) == same[0].workloads
            arrived = generate(parse_fleet(FLEET), seed, days=DAYS, load=load).workloads
            assert len(arrived) == same[0].workloads


def test_the_longest_weeks_come_first():
    loads = [task.load for task in tasks(TINY)]
    assert loads == sorted(loads, reverse=True)


def test_beside_the_main_load_two_seeds_will_do():
    thin = msgspec.structs.replace(TINY, seeds=(1, 2, 3, 4))
    seeds = {(task.load, task.seed) for task in tasks(thin)}
    assert seeds == {(1.2, 1), (1.2, 2), (1.2, 3), (1.2, 4), (0.6, 1), (0.6, 2)}
    assert len(tasks(thin)) == 3 * len(seeds)


def test_hourly_columns_stay_within_the_fleet(lived):
    for one in lived:
        assert one.gpus == GPUS
        columns = [one.allocated, one.useful, one.held, one.fragment, one.unreachable, one.gang]
        assert {len(column) for column in columns} == {4}
        allocated, useful, held, fragment, unreachable, gang = map(np.array, columns)
        assert (useful >= 0).all()
        assert (useful <= allocated + 1e-9).all()
        assert (allocated <= GPUS).all()
        np.testing.assert_allclose(held, allocated - useful, atol=1e-9)
        assert (fragment <= GPUS - allocated + 1e-9).all()
        assert (fragment >= 0).all()
        assert (unreachable >= 0).all()
        assert ((gang >= 0) & (gang <= 2)).all()  # two nodes of eight H100


def test_only_pod_by_pod_holds_devices_for_nothing(lived):
    assert {one.contender for one in lived if one.held_gpu_h > 0} == {"kube-scheduler default"}
    for one in lived:
        assert one.held_gpu_h >= 0
        assert one.given_up >= 0
        assert one.given_up == 0 or one.contender == "kube-scheduler default"


def test_waits_are_ordered_and_no_longer_than_the_week(lived):
    for one in lived:
        for wait in (*one.waits.values(), one.wait):
            assert 0 <= wait.p50_s <= wait.p95_s <= DAYS * 86_400
            assert 0 <= wait.mean_s <= DAYS * 86_400
            assert 0 <= wait.never_started <= wait.workloads
        assert one.wait.workloads == one.workloads
        assert one.wait.never_started == sum(kind.never_started for kind in one.waits.values())
        total_s = sum(kind.mean_s * kind.workloads for kind in one.waits.values())
        assert one.wait.mean_s * one.workloads == pytest.approx(total_s)


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda one: one.name)
def test_hours_integrate_to_the_totals(contender):
    whole = demo.live(Task(fleet=FLEET, days=0.25, load=1.2, seed=3, contender=contender))
    assert len(whole.useful) == 6
    assert sum(whole.useful) == pytest.approx(whole.useful_gpu_h)
    assert sum(whole.held) == pytest.approx(whole.held_gpu_h, abs=1e-6)
    per_gpu_h = whole.usd / whole.useful_gpu_h
    assert demo.USD_PER_GPU_HOUR["l4"] < per_gpu_h < demo.USD_PER_GPU_HOUR["h100"]


def test_a_higher_load_means_more_workloads(lived):
    low, high = (sum(one.workloads for one in lived if one.load == load) for load in TINY.loads)
    assert high > low


def test_over_cores_the_weeks_are_the_same(lived):
    scenario = msgspec.structs.replace(TINY, loads=(1.2,), seeds=(1,))
    assert list(weeks(scenario)) == [one for one in lived if (one.load, one.seed) == (1.2, 1)]


def test_the_same_bytes_whatever_the_hash_seed(tmp_path, lived):
    program = (sys.executable, "-c", PRINT_WEEKS)
    texts = {
        run(cwd=tmp_path, program=program, PYTHONHASHSEED=hash_seed).stdout
        for hash_seed in ("1", "2")
    }
    (text,) = texts
    assert msgspec.json.decode(text, type=list[Week]) == [
        one for one in lived if (one.load, one.seed) == (1.2, 1)
    ]


@pytest.mark.parametrize(
    ("loads", "swept", "main"),
    [
        pytest.param((), (0.5, 0.7, 0.9, 1.1, 1.3), 0.9, id="default"),
        pytest.param((0.8,), (0.8,), 0.8, id="one"),
        pytest.param((1.2, 0.4), (0.4, 1.2), 1.2, id="of two the higher"),
        pytest.param((1.0, 0.5, 1.0, 0.7), (0.5, 0.7, 1.0), 0.7, id="the middle, each once"),
    ],
)
def test_the_loads_asked_for_are_swept(loads, swept, main):
    asked = scenario(None, loads, 2)
    assert (asked.loads, asked.main_load) == (swept, main)
    assert asked.seeds == (1, 2)
    assert asked.fleet == "24x8xH100+24x8xA100+16x8xL4"
    assert scenario(FLEET, loads, 1).fleet == FLEET
