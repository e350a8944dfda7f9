"""The generator's tables: they are whole, and what they count in openb is what openb's rows say."""

import csv
import gzip
from collections import Counter

import pytest

from gpuyard.traces import habits
from gpuyard.traces.openb import load_pods
from gpuyard.traces.read import runtime_ns


@pytest.mark.parametrize(
    "table",
    [
        habits.GANG_NODES,
        habits.FINE_TUNING_GPUS,
        habits.BATCH_GPUS,
        *habits.REPLICA_GPUS.values(),
        habits.NIGHT_REPLICAS,
        habits.NOTEBOOK_MILLI,
    ],
)
def test_each_table_of_sizes_makes_a_whole(table):
    assert sum(part for _, part in table) == pytest.approx(1)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param([(8 * nodes, part) for nodes, part in habits.GANG_NODES], 26.8, id="Kalos"),
        pytest.param(habits.FINE_TUNING_GPUS, 3.72, id="Helios"),
        pytest.param(habits.BATCH_GPUS, 1.93, id="Philly"),
    ],
)
def test_mean_gpus_are_near_the_published_ones(table, expected):
    assert sum(gpus * part for gpus, part in table) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("rates", habits.RATES.values(), ids=habits.RATES)
def test_rates_cover_a_week_and_reach_one(rates):
    assert len(rates) == habits.WEEK_HOURS
    assert max(rates) == pytest.approx(1)
    assert min(rates) > 0


def test_the_asks_are_those_of_openb(data_dir):
    with gzip.open(data_dir / "openb" / "openb_pod_list_default.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8152
    counts = {
        kind: Counter(
            (int(row["cpu_milli"]), int(row["memory_mib"])) for row in rows if is_kind(row)
        )
        for kind, is_kind in {
            "whole": lambda row: row["num_gpu"] == "1" and row["gpu_milli"] == "1000",
            "shared": lambda row: row["num_gpu"] == "1" and row["gpu_milli"] != "1000",
            "none": lambda row: row["num_gpu"] == "0",
            "node": lambda row: row["num_gpu"] == "8",
        }.items()
    }
    for kind, asks, scale in (
        ("whole", habits.WHOLE_GPU_ASKS, 1),
        ("shared", habits.SHARED_GPU_ASKS, 1),
        ("none", habits.CPU_ONLY_ASKS, 1),
        ("node", habits.WHOLE_NODE_ASKS, 8),
    ):
        expected = [((cpu * scale, memory * scale), pods) for cpu, memory, pods in asks]
        assert dict(counts[kind].most_common(len(asks))) == dict(expected), kind
    assert counts["none"].total() / len(rows) == habits.CPU_ONLY_PART


def test_batch_runs_as_long_as_openb_pods_did(data_dir):
    pods = load_pods(data_dir / "openb" / "openb_pod_list_default.csv.gz")
    ran = [pod for pod in pods if pod.scheduled_ns is not None]
    runtimes_s = sorted(runtime_ns(pod) // 10**9 for pod in ran)
    assert len(ran) == 7255
    assert runtimes_s[len(ran) // 2] == habits.RUNTIMES["batch"].median_s
    assert runtimes_s[len(ran) * 9 // 10] == 7764


def test_day_and_night_are_those_of_servegen(data_dir):
    with (data_dir / "servegen" / "language_rates.csv").open() as file:
        rates = [float(row["m-small_rps"]) for row in csv.DictReader(file)]
    by_hour = [0.0] * 24
    for window, rate in enumerate(rates):
        by_hour[window // 6 % 24] += rate
    assert max(by_hour) / min(by_hour) == pytest.approx(habits.DAY_TO_NIGHT, abs=0.05)
