"""A week of a mixed cluster under what people really run, and under gpuyard.

The scenario is data: a fleet, loads, seeds and contenders. Every contender meets the same
generated weeks (`gpuyard.traces.generate`); for each (contender, load, seed) one `Week` of figures
comes back, and `Findings` puts them side by side. The contenders:

* kube-scheduler's default profile, as installed: spreads by CPU and memory, members of a gang one
  by one; incomplete gangs give up and come back as torchrun and the Job controller do;
* its bin-packing profile with all-or-nothing gangs: what a team that cares sets up today;
* gpuyard's placement. Queues and preemption are in the days of teams (`teams`), not in it.

With the first two a stock device plugin chooses the device, with ours the scheduler does.
"""

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from gpuyard.model.nodes import Chooser
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, DeviceRequest, Request
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import preset
from gpuyard.studies.cores import over_cores
from gpuyard.studies.notebook import mix_of
from gpuyard.traces.fleet import DEMO_FLEET_LINE, DEMO_SHARED_POOLS, parse_fleet, pools_of
from gpuyard.traces.generate import generate
from gpuyard.twin.page.content import Role
from gpuyard.twin.timed import Setting, TimedRun, run

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
GIB_BYTES = 2**30

# On-demand list prices per GPU-hour, AWS us-east-1, as generated into karpenter-provider-aws on
# 2026-07-20: p5.48xlarge 55.04 / 8, p4de.24xlarge 27.447 / 8, g6.xlarge 0.8048 / 1.
USD_PER_GPU_HOUR = {"h100": 6.88, "a100": 3.431, "l4": 0.8048}
SWEEP_SEEDS_MAX = 2  # at loads beside the main one: a sweep shows a trend, not a figure
PRICE_SOURCE = "AWS us-east-1 on-demand list prices per GPU, July 2026"

# A training pod as large as a node: eight H100 with part of the node's CPU and memory.
PROBE = Request(
    resources=Resources(((CPU, 64_000), (MEMORY, 512 * GIB_BYTES))),
    devices=DeviceRequest(count=8, models=("H100",)),
)


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A policy under the name that people know it by, and who picks the device."""

    name: str
    role: Role
    policy: Policy
    chooser: Chooser


CONTENDERS = (
    Contender(
        name="kube-scheduler default",
        role="peer-1",
        policy=preset("kube"),
        chooser="kubelet",
    ),
    Contender(
        name="MostAllocated + whole gangs",
        role="peer-2",
        policy=preset("kube-most-allocated"),
        chooser="kubelet",
    ),
    Contender(name="gpuyard", role="ours", policy=preset("gpuyard"), chooser="agent"),
)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: one fleet, several loads, the same seeds for everybody."""

    fleet: str = DEMO_FLEET_LINE
    days: float = 7.0
    loads: tuple[float, ...] = (0.5, 0.7, 0.9, 1.1, 1.3)
    main_load: float = 0.9
    seeds: tuple[int, ...] = (1, 2, 3)
    contenders: tuple[Contender, ...] = CONTENDERS

    def seeds_at(self, load: float) -> tuple[int, ...]:
        """Return the seeds for `load`: all at the main load, the first few in the sweep."""
        return self.seeds if load == self.main_load else self.seeds[:SWEEP_SEEDS_MAX]

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Return the device models of the fleet that have no price here, sorted."""
        nodes = (node for node in parse_fleet(self.fleet) if node.pool not in USD_PER_GPU_HOUR)
        return tuple(sorted({device.model for node in nodes for device in node.devices}))


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Waits of one class in one week, in seconds."""

    workloads: int
    mean_s: float
    p50_s: float
    p95_s: float
    never_started: int


def scenario(fleet: str | None, loads: tuple[float, ...], seeds: int) -> Scenario:
    """Return the demo with what was asked for instead of the defaults.

    The middle one of `loads` is shown in detail.
    """
    chosen = Scenario(seeds=tuple(range(1, seeds + 1)))
    if loads:
        swept = tuple(sorted(set(loads)))
        chosen = msgspec.structs.replace(chosen, loads=swept, main_load=swept[len(swept) // 2])
    return chosen if fleet is None else msgspec.structs.replace(chosen, fleet=fleet)


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender made of one week. Hourly columns have one value per hour of the week."""

    contender: str
    load: float
    seed: int
    gpus: int
    workloads: int
    useful_gpu_h: float
    held_gpu_h: float  # by members of gangs that were not complete
    given_up: int  # tries that ended because members were missing
    usd: float  # useful GPU-hours at list price
    waits: dict[str, Wait]
    wait: Wait  # of all classes together
    allocated: list[float]  # hourly, GPUs
    useful: list[float]
    held: list[float]
    fragment: list[float]  # GPUs that the typical pod cannot use
    unreachable: list[float]  # GPUs idle for lack of CPU or memory
    gang: list[float]  # pods of `PROBE` that could start at once


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One week to live through."""

    fleet: str
    days: float
    load: float
    seed: int
    contender: Contender


def weeks(scenario: Scenario) -> Iterator[Week]:
    """Live through every week of `scenario`, over all cores."""
    yield from over_cores(live, tasks(scenario))


def tasks(scenario: Scenario) -> list[Task]:
    """Return the weeks of `scenario`, the longest first so that cores finish together."""
    return [
        Task(
            fleet=scenario.fleet,
            days=scenario.days,
            load=load,
            seed=seed,
            contender=contender,
        )
        for load in sorted(scenario.loads, reverse=True)
        for contender in scenario.contenders
        for seed in scenario.seeds_at(load)
    ]


def live(task: Task) -> Week:
    """Live through one week."""
    nodes = parse_fleet(task.fleet)
    trace = generate(nodes, task.seed, days=task.days, load=task.load)
    pools = {
        pool.name: msgspec.structs.replace(pool, chooser=task.contender.chooser)
        for pool in pools_of(nodes, DEMO_SHARED_POOLS)
    }
    setting = Setting(
        nodes=nodes,
        arrivals=trace.workloads,
        mix=mix_of(trace.workloads),
        until_ns=round(task.days * DAY_NS),
        pools=pools,
        probe=PROBE,
    )
    done = run(setting, task.contender.policy, seed=task.seed)
    return _week(task, done)


def _week(task: Task, done: TimedRun) -> Week:
    line = done.timeline
    by_pool = done.jobs.useful_gpu_hours(done.until_ns)
    held = line.allocated_milli - line.useful_milli
    hourly = _Hourly(done)
    waited_s, never = done.jobs.waited_ns / 10**9, done.jobs.started_ns < 0
    return Week(
        contender=task.contender.name,
        load=task.load,
        seed=task.seed,
        gpus=done.devices,
        workloads=len(done.jobs.kind),
        useful_gpu_h=sum(by_pool.values()),
        held_gpu_h=line.mean(held) / WHOLE_DEVICE_MILLI * done.until_ns / HOUR_NS,
        given_up=int(done.jobs.attempts.sum()),
        usd=sum(hours * USD_PER_GPU_HOUR.get(pool, 0.0) for pool, hours in by_pool.items()),
        waits=waits_by_kind(done.jobs.kind, waited_s, never),
        wait=wait_of(waited_s, never),
        allocated=hourly.mean(line.allocated_milli / WHOLE_DEVICE_MILLI),
        useful=hourly.mean(line.useful_milli / WHOLE_DEVICE_MILLI),
        held=hourly.mean(held / WHOLE_DEVICE_MILLI),
        fragment=hourly.mean(line.fragment_milli / WHOLE_DEVICE_MILLI),
        unreachable=hourly.mean(line.unreachable_milli / WHOLE_DEVICE_MILLI),
        gang=hourly.mean(line.largest_gang.astype(np.float64)),
    )


def wait_of(waited_s: Floats, never: Flags) -> Wait:
    """Return the waits of some workloads, and how many of them `never` started."""
    if not len(waited_s):
        return Wait(workloads=0, mean_s=0.0, p50_s=0.0, p95_s=0.0, never_started=0)
    p50_s, p95_s = np.percentile(waited_s, (50, 95))
    return Wait(
        workloads=len(waited_s),
        mean_s=float(waited_s.mean()),
        p50_s=float(p50_s),
        p95_s=float(p95_s),
        never_started=int(never.sum()),
    )


def waits_by_kind(kinds: Iterable[str], waited_s: Floats, never: Flags) -> dict[str, Wait]:
    """Return the waits by class of workload, sorted by name."""
    listed = np.array(list(kinds))
    return {
        kind: wait_of(waited_s[listed == kind], never[listed == kind])
        for kind in sorted(set(listed.tolist()))
    }


class _Hourly:
    """Means of step functions over every hour of a run."""

    def __init__(self, done: TimedRun) -> None:
        """Cut the instants of `done` at full hours."""
        at_ns = done.timeline.at_ns
        hours = max(1, done.until_ns // HOUR_NS)
        cuts = np.arange(1, hours) * HOUR_NS
        edges = np.union1d(np.append(at_ns, 0), cuts)
        edges = edges[edges < hours * HOUR_NS]
        self._row = np.searchsorted(at_ns, edges, side="right") - 1
        self._spans = np.diff(np.append(edges, hours * HOUR_NS)).astype(np.float64)
        self._hour = edges // HOUR_NS

    def mean(self, column: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
        """Return the mean of `column` in each hour; nothing was there before the first instant."""
        value = np.where(self._row >= 0, column[self._row], 0.0)
        means: list[float] = (np.bincount(self._hour, value * self._spans) / HOUR_NS).tolist()
        return means
