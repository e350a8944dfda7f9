"""A realistic week for a given fleet, from a seed.

In: nodes, a seed, a number of days, a load. Out: a `Trace` of services that scale with the day,
notebooks on shares of a GPU in office hours, fine-tuning on one node, training gangs over whole
nodes, and batch with long tails. The numbers, each with its source, stand in
`gpuyard.traces.habits`; this module only draws.

*Load* is the GPU-hours that would be used within the days if every workload started as it arrived,
over the GPU-hours of the fleet. It is met by how many arrive: for each pool and class, workloads
are drawn until the class has its share; one that would go beyond it is passed over and the next
smaller one taken; batch comes last, and its last job is cut short to meet the load of the pool. A
higher load with the same seed draws from the same candidates and takes more of them.

Arrivals are a thinned Poisson process. It begins before the first day, as long as the longest run
time: what would still be running then arrives at 0 with the rest of its run time, so that the
cluster is as full on the first morning as on the last.

The same arguments give the same trace, whatever the hash seed or the order of nodes' labels. Every
workload fits the fleet when it is empty. Not modelled: workloads that fail and are sent again,
owners who give up waiting, services that scale by their queues.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count as counting

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.model.catalogue import UnknownDeviceModel, device_model
from gpuyard.model.nodes import Node
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import (
    WHOLE_DEVICE_MILLI,
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    TimedWorkload,
    Workload,
    WorkloadClass,
)
from gpuyard.traces import habits
from gpuyard.traces.fits import MIB_BYTES
from gpuyard.traces.habits import DAY_S, HOUR_S, WEEK_HOURS, Ask, Role
from gpuyard.traces.rows import SECOND_NS
from gpuyard.traces.trace import Trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAYS_MIN = 1 / 24
DAYS_MAX = 366.0
LOAD_MAX = 10.0
WORKLOADS_MAX = 1_000_000
BLOCK = 1024  # candidates drawn at once
PASSED_OVER_MAX = 64  # candidates too large for what is left, before a class gives up
CLASSES: tuple[WorkloadClass, ...] = (
    "training",
    "inference",
    "fine-tuning",
    "notebook",
    "batch",
)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of one GPU model and one number of GPUs, with the least CPU and memory among them."""

    model: str
    gpus: int
    nodes: int
    cpu_milli: int
    memory_mib: int
    role: Role

    @property
    def device_count(self) -> int:
        """All GPUs of the group."""
        return self.gpus * self.nodes


class Yard(msgspec.Struct, frozen=True, kw_only=True):
    """Where workloads are drawn for: one group, the models that train, the end of the days."""

    group: Group
    training_models: tuple[str, ...]
    end_s: int


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A workload before it gets its name; one that began before 0 runs already.

    `service` is the number of the service whose replica it is, 0 for all other workloads.
    """

    kind: WorkloadClass
    begins_s: int
    runtime_s: int | None
    request: Request
    pods: int = 1
    service: int = 0


def generate(nodes: Sequence[Node], seed: int, *, days: float = 7.0, load: float = 0.9) -> Trace:
    """Return a trace of `days` that asks for `load` of the GPU-hours of `nodes`.

    Raise ValueError, in one sentence, for a fleet without GPUs or figures that make no sense.
    """
    groups = groups_of(nodes)
    _check(groups, seed, days, load)
    end_s = round(days * DAY_S)
    services = counting(1)
    drawn: list[Drawn] = []
    for position, group in enumerate(groups):
        left = 0.0  # GPU-seconds that the classes before could not use
        for kind, part in habits.SHARES[group.role]:
            rng = np.random.Generator(np.random.PCG64([seed, position, CLASSES.index(kind)]))
            target = left + part * load * group.device_count * end_s
            yard = Yard(group=group, training_models=_training_models(groups), end_s=end_s)
            if kind == "inference":
                found, used = _services(rng, yard, target, services)
            else:
                found, used = _jobs(rng, yard, kind, target)
            drawn += found
            left = target - used
            if len(drawn) > WORKLOADS_MAX:
                raise ValueError(f"more than {WORKLOADS_MAX} workloads; ask for fewer days")
    named = _named(np.random.Generator(np.random.PCG64([seed])), drawn)
    return Trace(f"generated-{seed}", tuple(nodes), named)


def requested_load(trace: Trace, days: float = 7.0) -> float:
    """Return the load of `trace`: GPU-hours within `days` over those of its fleet."""
    end_ns = round(days * DAY_S) * SECOND_NS
    used = 0
    for timed in trace.workloads:
        begins_ns = timed.workload.created_ns
        until_ns = end_ns if timed.runtime_ns is None else begins_ns + timed.runtime_ns
        used += timed.workload.device_milli * max(0, min(until_ns, end_ns) - begins_ns)
    devices = sum(len(node.devices) for node in trace.nodes)
    return used / (WHOLE_DEVICE_MILLI * devices * end_ns)


def groups_of(nodes: Sequence[Node]) -> tuple[Group, ...]:
    """Return the groups of like nodes with GPUs, in the order in which they appear."""
    members: dict[tuple[str, int], list[Node]] = {}
    for node in nodes:
        models = Counter(device.model for device in node.devices)
        if models:
            model, gpus = models.most_common(1)[0]
            members.setdefault((model, gpus), []).append(node)
    return tuple(
        Group(
            model=model,
            gpus=gpus,
            nodes=len(like),
            cpu_milli=min(node.allocatable.get(CPU) for node in like),
            memory_mib=min(node.allocatable.get(MEMORY) for node in like) // MIB_BYTES,
            role="only" if len(members) == 1 else _role(model, gpus, len(like)),
        )
        for (model, gpus), like in members.items()
    )


def _role(model: str, gpus: int, nodes: int) -> Role:
    """Return what a group is for: training needs several nodes whose GPUs are joined by NVLink."""
    try:
        joined = device_model(model).nvlink
    except UnknownDeviceModel:
        joined = None
    if joined is None:
        joined = gpus >= 8  # noqa: PLR2004  the usual training server, where the model says nothing
    return "training" if joined and gpus > 1 and nodes > 1 else "small"


def _check(groups: Sequence[Group], seed: int, days: float, load: float) -> None:
    if not groups:
        raise ValueError("the fleet has no GPUs; give at least one node with a GPU")
    if seed < 0:
        raise ValueError(f"the seed is {seed}; give a whole number from 0")
    if not DAYS_MIN <= days <= DAYS_MAX:
        raise ValueError(f"{days} days; give at least an hour and at most {DAYS_MAX:.0f} days")
    if not 0 < load <= LOAD_MAX:
        raise ValueError(f"a load of {load}; give more than 0 and at most {LOAD_MAX:.0f}")


# --- Jobs: they arrive, run and end -------------------------------------------------------------


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """A block of jobs as columns, still to be taken or not."""

    begins_s: Ints
    runtime_s: Ints
    pods: Ints
    gpus: Ints  # of one pod
    milli: Ints
    ask: Floats  # 0..1: which of the pairs of CPU and memory
    is_flexible: NDArray[np.bool_]

    def running_s(self, end_s: int) -> Ints:
        """Return how long each would run between 0 and `end_s`; 0 or less: not at all."""
        until_s = np.minimum(self.begins_s + self.runtime_s, end_s)
        running: Ints = until_s - np.maximum(self.begins_s, 0)
        return running


def _jobs(
    rng: np.random.Generator, yard: Yard, kind: WorkloadClass, target: float
) -> tuple[list[Drawn], float]:
    """Return jobs of one class that use at most `target` GPU-seconds, and what they use.

    Batch uses exactly that: its last job is cut short.
    """
    found: list[Drawn] = []
    used = 0.0
    passed_over = 0
    requests: dict[tuple[object, ...], Request] = {}
    sizes = _sizes(kind, yard.group)
    while sizes and used < target and passed_over < PASSED_OVER_MAX:
        block = _candidates(rng, yard, kind, sizes)
        running_s = block.running_s(yard.end_s)
        rates = block.pods * block.gpus * block.milli / WHOLE_DEVICE_MILLI
        for index in np.flatnonzero(running_s > 0).tolist():
            rate, lasts_s = float(rates[index]), int(running_s[index])
            cut_s = 0
            if used + rate * lasts_s > target:
                if kind != "batch":
                    passed_over += 1
                    continue
                cut_s = lasts_s - int((target - used) / rate)
                if cut_s == lasts_s:
                    return found, used
            found.append(_job(yard, kind, block, index, cut_s, requests))
            used += rate * (lasts_s - cut_s)
            if cut_s:
                return found, used
    return found, used


def _candidates(
    rng: np.random.Generator, yard: Yard, kind: WorkloadClass, sizes: Sequence[tuple[int, float]]
) -> Candidates:
    """Return a block of jobs of one class."""
    is_gang = kind == "training"
    size = _draw(rng, sizes)
    gpus = np.full(BLOCK, yard.group.gpus) if is_gang else size
    if kind == "batch":
        gpus = np.where(rng.random(BLOCK) < habits.CPU_ONLY_PART, 0, gpus)
    milli = np.full(BLOCK, WHOLE_DEVICE_MILLI)
    return Candidates(
        begins_s=_arrivals(rng, kind, yard.end_s),
        runtime_s=_runtimes(rng, kind),
        pods=size if is_gang else np.ones(BLOCK, dtype=np.int64),
        gpus=gpus,
        milli=_draw(rng, habits.NOTEBOOK_MILLI) if kind == "notebook" else milli,
        ask=rng.random(BLOCK),
        is_flexible=rng.random(BLOCK) < habits.FLEXIBLE_PART,
    )


def _job(
    yard: Yard,
    kind: WorkloadClass,
    block: Candidates,
    index: int,
    cut_s: int,
    requests: dict[tuple[object, ...], Request],
) -> Drawn:
    """Return one job of a block, `cut_s` shorter than it would run within the days."""
    begins_s, runtime_s = int(block.begins_s[index]), int(block.runtime_s[index])
    if cut_s:
        runtime_s = min(begins_s + runtime_s, yard.end_s) - cut_s - begins_s
    gpus, milli = int(block.gpus[index]), int(block.milli[index])
    ask = _ask(yard.group, gpus, milli, float(block.ask[index]))
    models = _models(yard, kind, is_flexible=bool(block.is_flexible[index]))
    key = (gpus, milli, ask, models)
    if key not in requests:  # jobs that ask for the same share one object
        requests[key] = _request(yard.group, gpus, milli, ask, models)
    return Drawn(
        kind=kind,
        begins_s=begins_s,
        runtime_s=runtime_s,
        request=requests[key],
        pods=int(block.pods[index]),
    )


def _sizes(kind: WorkloadClass, group: Group) -> Sequence[tuple[int, float]]:
    """Return the sizes of a class that the group can hold: nodes of a gang, GPUs of a pod."""
    if kind == "training":
        return [(nodes, part) for nodes, part in habits.GANG_NODES if nodes <= group.nodes]
    table = {"fine-tuning": habits.FINE_TUNING_GPUS, "batch": habits.BATCH_GPUS}
    return [(gpus, part) for gpus, part in table.get(kind, ((1, 1.0),)) if gpus <= group.gpus]


def _arrivals(rng: np.random.Generator, kind: WorkloadClass, end_s: int) -> Ints:
    """Return a block of instants: uniform, thinned by the rate of their hour of the week.

    They begin as long before 0 as the class runs at most.
    """
    rates = np.array(habits.RATES[kind])
    early_s = habits.RUNTIMES[kind].max_s
    kept: list[Ints] = []
    while sum(map(len, kept)) < BLOCK:
        at_s = np.floor(rng.random(4 * BLOCK) * (early_s + end_s)).astype(np.int64) - early_s
        kept.append(at_s[rng.random(len(at_s)) < rates[at_s // HOUR_S % WEEK_HOURS]])
    return np.concatenate(kept)[:BLOCK]


def _runtimes(rng: np.random.Generator, kind: WorkloadClass) -> Ints:
    """Return a block of run times in seconds; what lies beyond a bound lies on it."""
    law = habits.RUNTIMES[kind]
    drawn = law.median_s * np.exp(law.sigma * rng.standard_normal(BLOCK))
    return np.clip(np.rint(drawn), law.min_s, law.max_s).astype(np.int64)


def _draw(rng: np.random.Generator, table: Sequence[tuple[int, float]]) -> Ints:
    """Return a block of values, each as often as its weight says."""
    weights = np.array([weight for _, weight in table]).cumsum()
    chosen = np.searchsorted(weights, rng.random(BLOCK) * weights[-1], side="right")
    values: Ints = np.array([value for value, _ in table], dtype=np.int64)[chosen]
    return values


# --- Services: replicas for ever, and more of them by day ---------------------------------------


def _services(
    rng: np.random.Generator, yard: Yard, target: float, numbers: Iterator[int]
) -> tuple[list[Drawn], float]:
    """Return replicas of services that use at most `target` GPU-seconds, and what they use."""
    group = yard.group
    sizes = [size for size in habits.REPLICA_GPUS[group.role] if size[0] <= group.gpus]
    gpus, night = _draw(rng, sizes).tolist(), _draw(rng, habits.NIGHT_REPLICAS).tolist()
    asks = rng.random(BLOCK).tolist()
    found: list[Drawn] = []
    used = 0.0
    passed_over = 0
    for index in range(BLOCK):
        extras = round((habits.DAY_TO_NIGHT - 1) * night[index])
        days = list(_daytimes(rng, extras, yard.end_s))
        lasting_s = night[index] * yard.end_s + sum(
            min(until_s, yard.end_s) - begins_s for begins_s, until_s in days
        )
        cost = float(gpus[index] * lasting_s)
        if used + cost > target or cost > habits.SERVICE_SHARE_MAX * target:
            passed_over += 1
            if passed_over == PASSED_OVER_MAX:
                break
            continue
        used += cost
        ask = _ask(group, gpus[index], WHOLE_DEVICE_MILLI, asks[index])
        request = _request(group, gpus[index], WHOLE_DEVICE_MILLI, ask, (group.model,))
        found += _replicas(next(numbers), night[index], days, request)
    return found, used


def _replicas(
    service: int, night: int, days: Sequence[tuple[int, int]], request: Request
) -> Iterator[Drawn]:
    """Yield the replicas of a service: those of the night run since before the first day."""
    spans: list[tuple[int, int | None]] = [(-habits.LONGEST_S, None)] * night
    spans += [(begins_s, until_s - begins_s) for begins_s, until_s in days]
    for begins_s, runtime_s in spans:
        yield Drawn(
            kind="inference",
            begins_s=begins_s,
            runtime_s=runtime_s,
            request=request,
            service=service,
        )


def _daytimes(rng: np.random.Generator, extras: int, end_s: int) -> Iterator[tuple[int, int]]:
    """Yield when the extra replicas of one service come and go, day by day."""
    for day in range(-(-end_s // DAY_S)):
        is_workday = day % habits.WEEK_DAYS < habits.WORKDAYS
        replicas = extras if is_workday else round(extras * habits.WEEKEND_EXTRAS)
        mornings = rng.uniform(*habits.MORNING_H, replicas).tolist()
        evenings = rng.uniform(*habits.EVENING_H, replicas).tolist()
        for morning_h, evening_h in zip(mornings, evenings, strict=True):
            begins_s = day * DAY_S + int(morning_h * HOUR_S)
            if begins_s < end_s:
                yield begins_s, day * DAY_S + int(evening_h * HOUR_S)


# --- What one pod asks for ----------------------------------------------------------------------


def _training_models(groups: Sequence[Group]) -> tuple[str, ...]:
    return tuple(sorted({group.model for group in groups if group.role == "training"}))


def _models(yard: Yard, kind: WorkloadClass, *, is_flexible: bool) -> tuple[str, ...]:
    """Return the models that will do: batch may take any, fine-tuning any that trains."""
    if is_flexible and kind == "batch":
        return ()
    if is_flexible and kind == "fine-tuning" and yard.group.role == "training":
        return yard.training_models
    return (yard.group.model,)


def _ask(group: Group, gpus: int, milli: int, place: float) -> Ask:
    """Return the pair of CPU and memory at `place` (0..1) of the table for such a pod."""
    if gpus == 0:
        table = habits.CPU_ONLY_ASKS
    elif milli < WHOLE_DEVICE_MILLI:
        table = habits.SHARED_GPU_ASKS
    elif gpus == group.gpus > 1:
        table = habits.WHOLE_NODE_ASKS
    else:
        table = habits.WHOLE_GPU_ASKS
    beyond = place * sum(ask[2] for ask in table)
    for ask in table:
        beyond -= ask[2]
        if beyond < 0:
            return ask
    return table[-1]


def _request(group: Group, gpus: int, milli: int, ask: Ask, models: tuple[str, ...]) -> Request:
    """Return the request of a pod: its parts of a G2's share become parts of this group's share."""
    cpu_milli, memory_mib = (
        min(
            round(asked * max(gpus, 1) * whole / (share * group.gpus)),
            int(habits.NODE_PART_MAX * whole),
        )
        for asked, share, whole in zip(
            ask[:2], habits.G2_SHARE, (group.cpu_milli, group.memory_mib), strict=True
        )
    )
    resources = Resources(((CPU, cpu_milli), (MEMORY, memory_mib * MIB_BYTES)))
    if gpus == 0:
        return Request(resources=resources)
    return Request(
        resources=resources, devices=DeviceRequest(count=gpus, milli=milli, models=models)
    )


# --- Names --------------------------------------------------------------------------------------


def _named(rng: np.random.Generator, drawn: Sequence[Drawn]) -> tuple[TimedWorkload, ...]:
    """Return the workloads in order of arrival, numbered within their class or service."""
    weights = (1 / np.arange(1, habits.USERS + 1)).cumsum()
    users = np.searchsorted(weights, rng.random(len(drawn)) * weights[-1], side="right").tolist()
    numbers: Counter[str] = Counter()
    templates: dict[Request, PodTemplate] = {}
    named = []
    order = sorted(range(len(drawn)), key=lambda index: drawn[index].begins_s)
    for index in order:
        entry = drawn[index]
        series = f"{entry.kind}-{entry.service:03}" if entry.service else entry.kind
        numbers[series] += 1
        user = entry.service % habits.USERS if entry.service else users[index]
        if entry.request not in templates:
            templates[entry.request] = PodTemplate(request=entry.request)
        named.append(
            _timed(entry, f"{series}-{numbers[series]:05}", user, templates[entry.request])
        )
    return tuple(named)


def _timed(entry: Drawn, key: str, user: int, template: PodTemplate) -> TimedWorkload:
    arrives_s = max(0, entry.begins_s)
    workload = Workload(
        key=key,
        pod_sets=(PodSet(name="worker", count=entry.pods, template=template),),
        created_ns=arrives_s * SECOND_NS,
        kind=entry.kind,
        priority=habits.PRIORITIES.get(entry.kind, 0),
        user=f"user-{user:02}",
        queue=f"team-{user % habits.TEAMS}",
    )
    if entry.runtime_s is None:
        return TimedWorkload(workload, None)
    return TimedWorkload(workload, (entry.begins_s + entry.runtime_s - arrives_s) * SECOND_NS)
