"""Measures over time: each against a direct look at the nodes at that instant."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.deltas import MixEntry
from gpuyard.scheduling.fragmentation import MixTable
from gpuyard.scheduling.presets import PRESETS
from gpuyard.twin import measures, timed
from gpuyard.twin.measures import Timeline, fragment, pods_that_fit, unreachable
from tests.small_fleet import arrival, node, request, snapshot_of, template

MODELS = {"A": 0, "B": 1}


def ask(measure, cpu, devices, memory=1000):
    """Return a measure of one node; `devices` are (model, left)."""
    left = np.array([[amount for _, amount in devices]], dtype=np.int64).reshape(1, -1)
    model = np.array([[MODELS.get(name, -1) for name, _ in devices]], dtype=np.int64).reshape(1, -1)
    return float(measure(np.array([cpu]), np.array([memory]), left, model)[0])


@pytest.mark.parametrize(
    ("classes", "cpu", "memory", "devices", "expected"),
    [
        pytest.param([request(1000, 1)], 1000, 9, [("A", 1000)], 0, id="CPU suffices"),
        pytest.param([request(1000, 1)], 999, 9, [("A", 1000)], 1000, id="it does not"),
        pytest.param([request(0, 1, memory=10)], 0, 9, [("A", 1000)], 1000, id="memory lacks"),
        pytest.param([request(1000, 2)], 0, 9, [("A", 1000)], 0, id="devices would not do either"),
        pytest.param([request(1000, 1)], 0, 9, [("A", 999)], 0, id="too little of the device"),
        pytest.param([request(1000)], 0, 9, [("A", 1000)], 0, id="asks for no device"),
        pytest.param([], 0, 9, [("A", 1000)], 0, id="no classes"),
        pytest.param(
            [request(1000, 1), request(0, 1)], 500, 9, [("A", 1000)], 500, id="half of the pods"
        ),
        pytest.param(
            [request(1000, 1)] * 3 + [request(0, 1)], 5, 9, [("A", 1000)], 750, id="weighted"
        ),
        pytest.param(
            [request(1000, 1)], 0, 9, [("A", 1000), ("A", 300)], 1300, id="all that is idle there"
        ),
        pytest.param(
            [request(1000, 1, models="B")], 0, 9, [("A", 1000)], 0, id="the model would not do"
        ),
        pytest.param(
            [request(1000, 1, models="B")], 0, 9, [("B", 1000)], 1000, id="the model would do"
        ),
        pytest.param(
            [request(1000, 2, models="B")], 0, 9, [("A", 1000), ("B", 1000)], 0, id="one of each"
        ),
        pytest.param(
            [request(1000, 1, models="Z")], 0, 9, [("A", 1000), ("", 0)], 0, id="unheard-of model"
        ),
    ],
)
def test_unreachable(classes, cpu, memory, devices, expected):
    assert ask(unreachable(classes, MODELS), cpu, devices, memory) == expected


def test_unreachable_looks_at_the_most_frequent_classes(monkeypatch):
    monkeypatch.setattr(measures, "CLASSES_MAX", 1)
    often, seldom = request(10, 1), request(10**9, 1)
    assert ask(unreachable([seldom, often, often], MODELS), 10, [("A", 1000)]) == 0


@pytest.mark.parametrize(
    ("probe", "cpu", "devices", "expected"),
    [
        pytest.param(request(0, 1), 0, [("A", 1000), ("A", 999)], 1, id="whole devices"),
        pytest.param(request(0, 2), 0, [("A", 1000)] * 5, 2, id="pairs"),
        pytest.param(request(0, 1, milli=400), 0, [("A", 1000), ("A", 500)], 3, id="shares"),
        pytest.param(request(0, 1, models="B"), 0, [("A", 1000), ("B", 1000)], 1, id="a model"),
        pytest.param(request(0, 1, models="Z"), 0, [("A", 1000)], 0, id="unheard-of model"),
        pytest.param(request(300, 1), 1000, [("A", 1000)] * 8, 3, id="CPU"),
        pytest.param(request(0, 1, memory=501), 0, [("A", 1000)] * 8, 1, id="memory"),
        pytest.param(request(100), 1000, [], 10, id="no device asked"),
    ],
)
def test_pods_that_fit(probe, cpu, devices, expected):
    assert ask(pods_that_fit(probe, MODELS), cpu, devices) == expected


def test_fragment_is_the_sum_over_nodes():
    mix = (MixEntry(request(0, 1), 1.0),)
    measure = fragment(MixTable(mix, MODELS))
    assert ask(measure, 0, [("A", 1000), ("B", 400)]) == 400
    assert ask(measure, 0, [("A", 900), ("", 0)]) == 900


def timeline(at_ns, allocated):
    zero = np.zeros(len(at_ns), dtype=np.int64)
    return Timeline(
        at_ns=np.array(at_ns, dtype=np.int64),
        allocated_milli=np.array(allocated, dtype=np.int64),
        useful_milli=zero,
        waiting_milli=zero,
        fragment_milli=zero.astype(float),
        unreachable_milli=zero.astype(float),
        largest_gang=zero,
    )


@pytest.mark.parametrize(
    ("at_ns", "values", "expected"),
    [
        pytest.param([0, 10], [5, 5], 5, id="constant"),
        pytest.param([0, 10, 40], [0, 4, 4], 3, id="weighted by time"),
        pytest.param([5, 5, 15], [100, 2, 2], 2, id="an instant weighs nothing"),
        pytest.param([7, 7], [3, 3], 0, id="no time at all"),
        pytest.param([7], [3], 0, id="one row"),
        pytest.param([0, 2**60], [6 * 10**6] * 2, 6e6, id="thirty years of a large fleet"),
    ],
)
def test_mean(at_ns, values, expected):
    line = timeline(at_ns, values)
    assert line.mean(line.allocated_milli) == pytest.approx(expected, rel=1e-12)


# --- A whole run, against a direct look at every instant -----------------------------------------


def week(rng):
    templates = [
        template(
            int(rng.choice([200, 900, 2500])),
            int(rng.integers(0, 3)),
            milli=int(rng.choice([300, 500, 1000])),
            models=str(rng.choice(["", "", "B"])),
            memory=int(rng.choice([0, 300])),
        )
        for _ in range(5)
    ]
    return [
        arrival(
            f"w{index}",
            (int(rng.integers(1, 4)), templates[rng.integers(len(templates))]),
            at=int(rng.integers(0, 60)),
            runs=int(rng.integers(1, 20)),
        )
        for index in range(40)
    ]


PROBE = request(500, 1, milli=400, memory=100)


def look(snapshot, asked):
    """Return fragment, unreachable and largest gang, node by node and class by class."""
    lost = gang = 0.0
    with_devices = [one for one in asked if one.devices]
    for slot, of in snapshot.nodes.items():
        cpu, memory = snapshot.fleet.free[slot, :2].tolist()
        left = snapshot.fleet.device_free[slot].tolist()[: len(of.devices)]
        models = [device.model for device in of.devices]
        for one in with_devices:
            wanted = one.devices
            will_do = [
                amount >= wanted.milli and (not wanted.models or model in wanted.models)
                for amount, model in zip(left, models, strict=True)
            ]
            fits = sum(will_do) >= wanted.count
            has_rest = one.resources.get("cpu") <= cpu and one.resources.get("memory") <= memory
            lost += sum(left) * (fits and not has_rest) / len(with_devices)
        gang += min(cpu // 500, memory // 100, sum(amount // 400 for amount in left))
    return float(snapshot.fragments.milli.sum()), lost, gang


@pytest.mark.parametrize("policy", ["fgd", "kube", "best-fit"])
@pytest.mark.parametrize("seed", range(3))
def test_every_row_of_the_timeline(monkeypatch, policy, seed):
    monkeypatch.setattr(measures, "BLOCK", 5)
    rng = np.random.default_rng(seed)
    arrivals = week(rng)
    asked = [
        one.template.request
        for each in arrivals
        for one in each.workload.pod_sets
        for _ in range(one.count)
    ]
    direct = []
    note = measures.Meter.note

    def note_and_look(meter, now_ns):
        note(meter, now_ns)
        snapshot = meter._snapshot
        given = sum(each.assignment.device_milli for each in snapshot.bookings.values())
        direct.append((now_ns, given, *look(snapshot, asked)))

    monkeypatch.setattr(measures.Meter, "note", note_and_look)
    setting = timed.Setting(
        nodes=tuple(
            node(f"n{index}", 4000, gpus, memory=1000)
            for index, gpus in enumerate(["AAA", "B", "AB"])
        ),
        arrivals=tuple(arrivals),
        mix=tuple(MixEntry(one, 0.25) for one in sorted(set(asked), key=repr)[:4]),
        probe=PROBE,
        until_ns=90,
        world=timed.World(rendezvous_timeout_ns=5, retry_first_ns=2, retry_longest_ns=9),
    )
    run = timed.run(setting, PRESETS[policy])
    line = run.timeline
    at_ns, given, fragments, lost, gang = (list(column) for column in zip(*direct, strict=True))
    assert line.at_ns.tolist() == [*at_ns, 90]
    assert line.allocated_milli.tolist() == [*given, given[-1]]
    assert line.fragment_milli.tolist() == pytest.approx([*fragments, fragments[-1]], abs=1e-6)
    assert line.unreachable_milli.tolist() == pytest.approx([*lost, lost[-1]], abs=1e-6)
    assert line.largest_gang.tolist() == [*gang, gang[-1]]
    assert max(lost) > 0
    assert max(gang) > 0
    jobs = run.jobs
    works = [
        int(
            jobs.devices_milli[
                (jobs.started_ns >= 0)
                & (jobs.started_ns <= now)
                & ((jobs.ended_ns < 0) | (jobs.ended_ns > now))
            ].sum()
        )
        for now in at_ns
    ]
    assert line.useful_milli.tolist() == [*works, works[-1]]
    assert (line.useful_milli <= line.allocated_milli).all()
    arrived = [int(jobs.devices_milli[(jobs.created_ns <= now)].sum()) for now in at_ns]
    begun = [
        int(jobs.devices_milli[(jobs.started_ns >= 0) & (jobs.started_ns <= now)].sum())
        for now in at_ns
    ]
    held = [all_ - work for all_, work in zip(given, works, strict=True)]
    waiting = [a - b - h for a, b, h in zip(arrived, begun, held, strict=True)]
    assert line.waiting_milli.tolist() == [*waiting, waiting[-1]]


def test_without_a_probe_no_gang_is_measured():
    snapshot = snapshot_of(node("n", gpus="A"))
    meter = measures.Meter(snapshot, [], None)
    meter.note(0)
    assert meter.timeline(5).largest_gang.tolist() == [0, 0]


def test_a_timeline_can_be_sent():
    """Between processes a run travels as plain arrays and structs."""
    line = timeline([0, 1], [2, 2])
    assert msgspec.structs.asdict(line)["allocated_milli"].tolist() == [2, 2]
