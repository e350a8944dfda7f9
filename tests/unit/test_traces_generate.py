"""Generated weeks: what arrives, when, how much, and that it is the same each time."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from gpuyard.model.nodes import Node
from gpuyard.traces import habits
from gpuyard.traces.fits import fits_empty, offers
from gpuyard.traces.fleet import DEMO_FLEET, parse_fleet
from gpuyard.traces.generate import generate, groups_of, requested_load

HOUR_NS = 3600 * 10**9
WEEK = generate(DEMO_FLEET, 1)


def of_kind(kind, trace=WEEK):
    return [timed for timed in trace.workloads if timed.workload.kind == kind]


def request_of(timed):
    return timed.workload.pod_sets[0].template.request


def hours(timed, end_h=168):
    begins_h = timed.workload.created_ns / HOUR_NS
    return end_h - begins_h if timed.runtime_ns is None else timed.runtime_ns / HOUR_NS


# --- How much -----------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.3, 0.9, 1.3])
@pytest.mark.parametrize("fleet", ["24x8xH100+24x8xA100+16x8xL4", "4x8xA100", "1x1xL4", "3x4xT4"])
def test_the_load_is_what_was_asked(fleet, load):
    trace = generate(parse_fleet(fleet), 5, load=load)
    assert requested_load(trace) == pytest.approx(load, rel=0.02)


def test_each_class_has_its_share_of_the_gpu_hours():
    used = Counter()
    for timed in WEEK.workloads:
        begins_h = timed.workload.created_ns / HOUR_NS
        within_h = min(hours(timed), 168 - begins_h)
        used[timed.workload.kind] += timed.workload.device_milli * within_h
    part = {kind: amount / used.total() for kind, amount in used.items()}
    expected = {
        "training": 0.41,
        "inference": 0.23,
        "fine-tuning": 0.20,
        "batch": 0.11,
        "notebook": 0.05,
    }
    assert part == pytest.approx(expected, abs=0.02)


def test_the_shares_of_each_role_make_a_whole():
    for shares in habits.SHARES.values():
        assert sum(part for _, part in shares) == pytest.approx(1)
        assert shares[-1][0] == "batch"  # the finest comes last and fills the rest


# --- Who ----------------------------------------------------------------------------------------


def test_gangs_are_whole_nodes_of_one_training_model():
    for timed in of_kind("training"):
        devices = request_of(timed).devices
        assert devices.count == 8
        assert devices.models in {("H100",), ("A100",)}
        assert timed.workload.pod_count in {2, 4, 8, 16}


def test_notebooks_take_a_part_of_a_gpu_in_the_pool_that_shares():
    milli = Counter(request_of(timed).devices.milli for timed in of_kind("notebook"))
    assert set(milli) == {250, 500}
    assert {request_of(timed).devices.models for timed in of_kind("notebook")} == {("L4",)}


def test_services_run_for_ever_and_grow_by_day():
    night = [timed for timed in of_kind("inference") if timed.runtime_ns is None]
    extras = [timed for timed in of_kind("inference") if timed.runtime_ns is not None]
    assert {timed.workload.created_ns for timed in night} == {0}
    assert all(8 <= timed.workload.created_ns / HOUR_NS % 24 < 11 for timed in extras)
    ends = [(timed.workload.created_ns + timed.runtime_ns) / HOUR_NS % 24 for timed in extras]
    assert all(20 <= end_h < 23 for end_h in ends)
    on_day = Counter(int(timed.workload.created_ns / HOUR_NS // 24) for timed in extras)
    assert on_day[5] < on_day[4]


def test_some_batch_pods_take_cpu_only():
    cpu_only = [timed for timed in of_kind("batch") if request_of(timed).devices is None]
    assert len(cpu_only) / len(of_kind("batch")) == pytest.approx(habits.CPU_ONLY_PART, abs=0.03)


def test_fine_tuning_stays_on_one_node():
    assert {timed.workload.pod_count for timed in of_kind("fine-tuning")} == {1}
    assert {request_of(timed).devices.count for timed in of_kind("fine-tuning")} == {1, 2, 4, 8}


def test_cpu_beside_the_gpus_can_run_out_first():
    """The reason why idle GPUs become unreachable: many pods ask for more than their share."""
    share = 224_000 / 8
    whole = [
        request_of(timed)
        for timed in WEEK.workloads
        if request_of(timed).devices
        and request_of(timed).devices.models == ("H100",)
        and request_of(timed).devices.count < 8
    ]
    greedy = [one for one in whole if one.resources.get("cpu") > share * one.devices.count]
    assert 0.05 < len(greedy) / len(whole) < 0.4


# --- When ---------------------------------------------------------------------------------------


def test_workloads_come_in_order_of_arrival_and_have_different_names():
    created = [timed.workload.created_ns for timed in WEEK.workloads]
    assert created == sorted(created)
    assert created[0] >= 0
    assert created[-1] < 168 * HOUR_NS
    assert len({timed.workload.key for timed in WEEK.workloads}) == len(created)


def test_notebooks_open_in_office_hours():
    opened = [timed.workload.created_ns / HOUR_NS for timed in of_kind("notebook")]
    in_office = [at_h for at_h in opened if at_h < 120 and 9 <= at_h % 24 < 19]
    assert len(in_office) / len(opened) > 0.85


def test_run_times_have_the_stated_median_and_a_long_tail():
    runtimes_h = sorted(hours(timed) for timed in of_kind("batch") if timed.workload.created_ns)
    median_s = runtimes_h[len(runtimes_h) // 2] * 3600
    assert median_s == pytest.approx(616, rel=0.1)
    assert runtimes_h[-1] > 100 * median_s / 3600
    assert runtimes_h[-1] <= 48


def test_the_cluster_is_busy_from_the_first_minute():
    at_once = [timed for timed in WEEK.workloads if timed.workload.created_ns == 0]
    gpus = sum(timed.workload.device_milli for timed in at_once) / 1000
    assert 0.25 * 512 < gpus < 1.3 * 512


# --- The same each time -------------------------------------------------------------------------


def test_a_seed_gives_one_week():
    assert generate(DEMO_FLEET, 1) == WEEK
    assert generate(DEMO_FLEET, 2).workloads != WEEK.workloads


def digest(trace):
    return hashlib.sha256(msgspec.json.encode(trace)).hexdigest()


def test_the_hash_seed_does_not_matter():
    program = (
        "import hashlib, msgspec\n"
        "from gpuyard.traces.fleet import DEMO_FLEET\n"
        "from gpuyard.traces.generate import generate\n"
        "print(hashlib.sha256(msgspec.json.encode(generate(DEMO_FLEET, 1))).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert run.stdout.strip() == digest(WEEK)


def test_each_workload_fits_the_empty_fleet():
    assert_feasible(WEEK)


def assert_feasible(trace):
    nodes_of_offer = Counter(next(iter(offers([node]))) for node in trace.nodes)
    for timed in trace.workloads:
        for pod_set in timed.workload.pod_sets:
            request = pod_set.template.request
            room = sum(
                count for offer, count in nodes_of_offer.items() if fits_empty(offer, request)
            )
            assert room >= pod_set.count, timed


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "asked", "words"),
    [
        pytest.param((Node(name="n"),), {}, "no GPUs", id="no GPUs"),
        pytest.param((), {}, "no GPUs", id="no nodes"),
        pytest.param(DEMO_FLEET, {"days": 0}, "0 days", id="no time"),
        pytest.param(DEMO_FLEET, {"days": float("nan")}, "nan days", id="not a number"),
        pytest.param(DEMO_FLEET, {"days": 367}, "at most 366", id="too long"),
        pytest.param(DEMO_FLEET, {"load": 0}, "load of 0", id="no load"),
        pytest.param(DEMO_FLEET, {"load": 11}, "at most 10", id="too much"),
        pytest.param(DEMO_FLEET, {"seed": -1}, "seed is -1", id="negative seed"),
    ],
)
def test_a_bad_wish_is_one_sentence(nodes, asked, words):
    with pytest.raises(ValueError, match=words):
        generate(nodes, **{"seed": 1, **asked})


@pytest.mark.parametrize(
    ("fleet", "roles"),
    [
        pytest.param("2x8xH100", ["only"], id="the only pool does all"),
        pytest.param("2x8xH100+2x8xL4", ["training", "small"], id="NVLink trains"),
        pytest.param("1x8xH100+2x8xL4", ["small", "small"], id="one node holds no gang"),
        pytest.param("2x8xG2+2x4xG3", ["training", "small"], id="unknown models: by GPU count"),
    ],
)
def test_roles(fleet, roles):
    assert [group.role for group in groups_of(parse_fleet(fleet))] == roles
