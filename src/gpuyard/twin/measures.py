"""What is measured while the yard lives.

All amounts are thousandths of a device unless their name says otherwise. *Allocated* devices are
held by pods, *useful* ones by workloads that are complete and so do work; the difference is what
incomplete gangs hold. *Fragment* is the paper's measure (`gpuyard.scheduling.fragmentation`).
*Unreachable* is idle and would do for a class of the trace's pods as far as devices go, but the
node's CPU or memory would not: the mean over the classes that ask for devices, weighted by how many
pods are of each, so that it can be read beside the fragment.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.model.resources import CPU, MEMORY
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Request, Workload
from gpuyard.scheduling.feasibility.devices import side_by_side
from gpuyard.scheduling.fleet import CPU_COLUMN, MEMORY_COLUMN
from gpuyard.scheduling.fragmentation import MixTable
from gpuyard.scheduling.snapshot import Snapshot

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Free CPU and memory [row], what is left of each device [row, device], its model → one value a row.
Measure = Callable[[IntArray, IntArray, IntArray, IntArray], FloatArray]
Number = TypeVar("Number", np.int64, np.float64)

NEVER_NS = -1
HOUR_NS = 3600 * 10**9
MANY = 1 << 20  # pods on one node: more than anything that is measured
BLOCK = 4096  # rows measured at once
CLASSES_MAX = 64  # request classes that "unreachable" looks at, the most frequent first


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Step functions of time: row i holds from ``at_ns[i]`` until ``at_ns[i + 1]``."""

    at_ns: IntArray
    allocated_milli: IntArray
    useful_milli: IntArray
    waiting_milli: IntArray  # devices asked for by workloads that wait, less what they hold
    fragment_milli: FloatArray
    unreachable_milli: FloatArray
    largest_gang: IntArray  # pods of the probe that could start at once; 0 without a probe

    def mean(self, column: NDArray[np.int64] | FloatArray) -> float:
        """Return the mean of one of the columns over time."""
        spans = np.diff(self.at_ns).astype(np.float64)  # milli x ns would overflow int64
        if not len(spans) or not spans.sum():
            return 0.0
        return float((column[:-1] * spans).sum() / spans.sum())


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """One row per workload, in the order of arrival; an instant that never came is -1."""

    key: tuple[str, ...]
    kind: tuple[str, ...]
    devices_milli: IntArray
    created_ns: IntArray
    started_ns: IntArray
    ended_ns: IntArray
    given_up_ns: IntArray  # it failed too often and will not be tried again
    waited_ns: IntArray  # until the start, until it was given up, or until the end of the trace
    attempts: IntArray  # tries after which the whole of it was put back
    pool: tuple[str, ...]  # of the first pod's node; empty where it never started

    def useful_gpu_hours(self, until_ns: int) -> dict[str, float]:
        """Return the GPU-hours of complete workloads up to `until_ns`, by pool, sorted by name."""
        ended_ns = np.where(self.ended_ns == NEVER_NS, until_ns, self.ended_ns)
        ran_ns = np.where(self.started_ns == NEVER_NS, 0, ended_ns - self.started_ns)
        hours = ran_ns / HOUR_NS * self.devices_milli / WHOLE_DEVICE_MILLI
        pools = np.array(self.pool)
        return {name: float(hours[pools == name].sum()) for name in sorted(set(self.pool) - {""})}

    def waited_by_kind(self) -> dict[str, IntArray]:
        """Return the waits of every class of workload, classes sorted by name."""
        kinds = np.array(self.kind)
        return {kind: self.waited_ns[kinds == kind] for kind in sorted(set(self.kind))}


class NodeStates:
    """What was left on nodes whenever it changed, to be measured all at once.

    A measure that is a sum over nodes is computed from these rows in a few array operations at the
    end, instead of one by one at every instant.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Start with every node unseen."""
        self._snapshot = snapshot
        self._position = -1
        self._instants = 0
        self._instant: list[IntArray] = []
        self._slot: list[IntArray] = []
        self._free: list[IntArray] = []
        self._left: list[IntArray] = []

    def note(self) -> None:
        """Note the nodes that changed since the last instant."""
        fleet, changes = self._snapshot.fleet, self._snapshot.use_changes
        slots = changes.since(self._position, fleet.size)
        self._position = changes.position
        if len(slots):
            self._instant.append(np.full(len(slots), self._instants))
            self._slot.append(slots)
            self._free.append(fleet.free[slots, : MEMORY_COLUMN + 1])
            self._left.append(fleet.device_free[slots])
        self._instants += 1

    def totals(self, measure: Measure) -> FloatArray:
        """Return the sum of `measure` over the nodes at each instant."""
        total = np.zeros(self._instants)
        if not self._slot:
            return total
        slot, instant = np.concatenate(self._slot), np.concatenate(self._instant)
        free, left = np.concatenate(self._free), np.concatenate(self._left)
        model = self._snapshot.fleet.device_model
        value = np.concatenate(
            [
                measure(
                    free[rows, CPU_COLUMN],
                    free[rows, MEMORY_COLUMN],
                    left[rows],
                    model[slot[rows]],
                )
                for rows in np.array_split(np.arange(len(slot)), 1 + len(slot) // BLOCK)
            ]
        )
        order = np.argsort(slot, kind="stable")  # each node's own history, in time
        before = np.concatenate([[0.0], value[order][:-1]])
        is_first = np.diff(slot[order], prepend=-1) != 0
        change = np.where(is_first, value[order], value[order] - before)
        return np.bincount(instant[order], change, self._instants).cumsum()


def fragment(table: MixTable) -> Measure:
    """Return the measure of FGD's fragment, in milli."""

    def measure(cpu: IntArray, memory: IntArray, left: IntArray, model: IntArray) -> FloatArray:  # noqa: ARG001
        return table.fragment(table.table[table.rows(model, left)].sum(axis=1), cpu)

    return measure


def unreachable(requests: Iterable[Request], models: Mapping[str, int]) -> Measure:
    """Return the measure of what lacks nothing but CPU or memory, for pods like `requests`."""
    counts = Counter(
        (
            request.resources.get(CPU),
            request.resources.get(MEMORY),
            request.devices.count,
            request.devices.milli,
            request.devices.models,
        )
        for request in requests
        if request.devices
    )
    classes = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:CLASSES_MAX]
    asked = np.array([key[:4] for key, _ in classes], dtype=np.int64).reshape(-1, 4)
    allowed = np.array(  # [model, class]; the last row is NO_MODEL
        [
            [not names or model in names for (*_, names), _ in classes]
            for model in (*sorted(models, key=models.__getitem__), None)
        ],
        dtype=np.bool_,
    )
    asked_cpu, asked_memory, count, milli = asked.T
    weights = np.array([weight for _, weight in classes], dtype=np.float64)
    weights /= max(weights.sum(), 1.0)

    def measure(cpu: IntArray, memory: IntArray, left: IntArray, model: IntArray) -> FloatArray:
        will_do = (left[:, :, None] >= milli) & allowed[model]  # [row, device, class]
        fits = will_do.sum(axis=1) >= count  # [row, class]
        suffices = (cpu[:, None] >= asked_cpu) & (memory[:, None] >= asked_memory)
        lacking: FloatArray = ((fits & ~suffices) @ weights) * left.sum(axis=1)
        return lacking

    return measure


def pods_that_fit(request: Request, models: Mapping[str, int]) -> Measure:
    """Return the measure of how many pods of `request` could start side by side."""
    cpu_asked, memory_asked = request.resources.get(CPU), request.resources.get(MEMORY)
    devices = request.devices
    codes = [models[name] for name in devices.models if name in models] if devices else []

    def measure(cpu: IntArray, memory: IntArray, left: IntArray, model: IntArray) -> FloatArray:
        pods = np.full(len(cpu), MANY)
        if cpu_asked:
            pods = np.minimum(pods, cpu // cpu_asked)
        if memory_asked:
            pods = np.minimum(pods, memory // memory_asked)
        if devices:
            usable = np.where(np.isin(model, codes), left, 0) if devices.models else left
            pods = np.minimum(pods, side_by_side(usable, devices))
        return pods.astype(np.float64)

    return measure


class Meter:
    """Takes notes for one run."""

    def __init__(
        self, snapshot: Snapshot, workloads: Sequence[Workload], probe: Request | None
    ) -> None:
        """Prepare a row for each of `workloads`."""
        self._snapshot = snapshot
        self._workloads = workloads
        self._probe = probe
        self._states = NodeStates(snapshot)
        count = len(workloads)
        self._devices = np.array([one.device_milli for one in workloads], dtype=np.int64)
        self._created = np.array([one.created_ns for one in workloads], dtype=np.int64)
        self._started = np.full(count, NEVER_NS, dtype=np.int64)
        self._ended = np.full(count, NEVER_NS, dtype=np.int64)
        self._given_up = np.full(count, NEVER_NS, dtype=np.int64)
        self._attempts = np.zeros(count, dtype=np.int64)
        self._pool = [""] * count
        self._allocated = 0
        self._abandoned = 0  # of it, what is still held for workloads that were given up
        self._useful = 0
        self._asked = 0
        self._rows: list[tuple[int, int, int, int]] = []

    def took(self, milli: int) -> None:
        """Note that pods were bound to `milli` thousandths."""
        self._allocated += milli

    def gave_back(self, milli: int, *, is_abandoned: bool = False) -> None:
        """Note that pods left `milli` thousandths; `is_abandoned`: their workload was given up."""
        self._allocated -= milli
        if is_abandoned:
            self._abandoned -= milli

    def arrived(self, index: int) -> None:
        """Note that workload `index` wants to start from now on."""
        self._asked += int(self._devices[index])

    def started(self, index: int, now_ns: int, node: str) -> None:
        """Note that workload `index` is complete, its first pod on `node`."""
        self._pool[index] = self._snapshot.nodes[self._snapshot.slot_of[node]].pool
        self._started[index] = now_ns
        self._useful += int(self._devices[index])
        self._asked -= int(self._devices[index])

    def ended(self, index: int, now_ns: int) -> None:
        """Note that workload `index` is done."""
        self._ended[index] = now_ns
        self._useful -= int(self._devices[index])

    def put_back(self, index: int) -> None:
        """Note that workload `index` was put back before it was complete."""
        self._attempts[index] += 1

    def given_up(self, index: int, now_ns: int, held_milli: int) -> None:
        """Note that workload `index` will never start; its pods still hold `held_milli`."""
        self._given_up[index] = now_ns
        self._abandoned += held_milli
        self._asked -= int(self._devices[index])

    def note(self, now_ns: int) -> None:
        """Note the state of the yard as it is from `now_ns` on."""
        held = self._allocated - self._useful - self._abandoned  # by who is not complete
        self._rows.append((now_ns, self._allocated, self._useful, self._asked - held))
        self._states.note()

    def timeline(self, end_ns: int) -> Timeline:
        """Return the notes up to `end_ns`, closed by a row there."""
        snapshot, states = self._snapshot, self._states
        if not self._rows:  # nothing ever happened
            self.note(0)
        whole = np.array(self._rows, dtype=np.int64).T
        kept = int(np.searchsorted(whole[0], end_ns, side="right"))
        requests = (
            pod_set.template.request
            for workload in self._workloads
            for pod_set in workload.pod_sets
            for _ in range(pod_set.count)
        )
        gang = np.zeros(len(self._rows))
        if self._probe is not None:
            gang = states.totals(pods_that_fit(self._probe, snapshot.fleet.models))
        table = MixTable(snapshot.mix, snapshot.fleet.models)
        return Timeline(
            at_ns=np.append(whole[0, :kept], end_ns),
            allocated_milli=_closed(whole[1, :kept]),
            useful_milli=_closed(whole[2, :kept]),
            waiting_milli=_closed(whole[3, :kept]),
            fragment_milli=_closed(states.totals(fragment(table))[:kept]),
            unreachable_milli=_closed(
                states.totals(unreachable(requests, snapshot.fleet.models))[:kept]
            ),
            largest_gang=_closed(gang.astype(np.int64)[:kept]),
        )

    def jobs(self, end_ns: int) -> Jobs:
        """Return a row per workload."""
        until = np.where(self._given_up == NEVER_NS, end_ns, self._given_up)
        until = np.where(self._started == NEVER_NS, until, self._started)
        return Jobs(
            key=tuple(one.key for one in self._workloads),
            kind=tuple(one.kind for one in self._workloads),
            devices_milli=self._devices,
            created_ns=self._created,
            started_ns=self._started,
            ended_ns=self._ended,
            given_up_ns=self._given_up,
            waited_ns=np.maximum(until - self._created, 0),
            attempts=self._attempts,
            pool=tuple(self._pool),
        )


def _closed(column: NDArray[Number]) -> NDArray[Number]:
    """Repeat the last value: it holds until the end."""
    return np.append(column, column[-1:] if len(column) else np.zeros(1, column.dtype))
