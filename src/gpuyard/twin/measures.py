"""What is measured while the yard lives.

All amounts are thousandths of a device unless their name says otherwise. *Allocated* devices are
held by pods, *useful* ones by workloads that are complete and so do work; the difference is what
incomplete gangs hold. *Fragment* is the paper's measure (`gpuyard.scheduling.fragmentation`).
*Unreachable* is idle and would do for a class of the trace's pods as far as devices go, but the
node's CPU or memory would not: the mean over the classes that ask for devices, weighted by how many
pods are of each, so that it can be read beside the fragment.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.model.resources import CPU, MEMORY
from gpuyard.model.workloads import PodTemplate, Request, Workload
from gpuyard.scheduling.fleet import CPU_COLUMN, MEMORY_COLUMN
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.snapshot import Snapshot

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NEVER_NS = -1
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
    waited_ns: IntArray  # until the start, or until the end of the trace
    attempts: IntArray

    def waited_by_kind(self) -> dict[str, IntArray]:
        """Return the waits of every class of workload, classes sorted by name."""
        kinds = np.array(self.kind)
        return {kind: self.waited_ns[kinds == kind] for kind in sorted(set(self.kind))}


class Reach:
    """How much idle device capacity CPU and memory put out of reach, kept current per node."""

    def __init__(self, snapshot: Snapshot, requests: Sequence[Request]) -> None:
        """Weigh the classes of `requests` that ask for devices."""
        counts = Counter(
            (
                request.resources.get(CPU),
                request.resources.get(MEMORY),
                request.devices.count,
                request.devices.milli,
            )
            for request in requests
            if request.devices
        )
        classes = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:CLASSES_MAX]
        asked = np.array([key for key, _ in classes], dtype=np.int64).reshape(-1, 4)
        self._cpu, self._memory, self._count, self._milli = asked.T
        weights = np.array([count for _, count in classes], dtype=np.float64)
        self._weights = weights / max(weights.sum(), 1.0)
        self._snapshot = snapshot
        self._position = -1
        self._milli_of = np.zeros(0)

    def unreachable_milli(self) -> float:
        """Return the idle thousandths that lack nothing but CPU or memory."""
        snapshot = self._snapshot
        fleet, changes = snapshot.fleet, snapshot.use_changes
        if len(self._milli_of) != fleet.size:
            self._milli_of = np.zeros(fleet.size)
            self._position = -1
        slots = changes.since(self._position, fleet.size)
        self._position = changes.position
        if len(slots):
            left = fleet.device_free[slots]
            fits = (left[:, :, None] >= self._milli).sum(axis=1) >= self._count  # [slot, class]
            has_cpu = fleet.free[slots, CPU_COLUMN, None] >= self._cpu
            has_memory = fleet.free[slots, MEMORY_COLUMN, None] >= self._memory
            lacking = (fits & ~(has_cpu & has_memory)) @ self._weights
            self._milli_of[slots] = lacking * left.sum(axis=1)
        return float(self._milli_of.sum())


class Meter:
    """Takes notes for one run."""

    def __init__(
        self, placer: Placer, workloads: Sequence[Workload], probe: PodTemplate | None
    ) -> None:
        """Prepare a row for each of `workloads`."""
        self._placer = placer
        self._workloads = workloads
        self._probe = probe
        self._reach = Reach(
            placer.snapshot,
            [
                pod_set.template.request
                for workload in workloads
                for pod_set in workload.pod_sets
                for _ in range(pod_set.count)
            ]
        )
        count = len(workloads)
        self._devices = np.array([one.device_milli for one in workloads], dtype=np.int64)
        self._created = np.array([one.created_ns for one in workloads], dtype=np.int64)
        self._started = np.full(count, NEVER_NS, dtype=np.int64)
        self._ended = np.full(count, NEVER_NS, dtype=np.int64)
        self._attempts = np.zeros(count, dtype=np.int64)
        self._allocated = 0
        self._useful = 0
        self._rows: list[tuple[int, int, int, int, float, float, int]] = []

    def took(self, milli: int) -> None:
        """Note that pods were bound to `milli` thousandths."""
        self._allocated += milli

    def gave_back(self, milli: int) -> None:
        """Note that pods left `milli` thousandths."""
        self._allocated -= milli

    def started(self, index: int, now_ns: int) -> None:
        """Note that workload `index` is complete."""
        self._started[index] = now_ns
        self._useful += int(self._devices[index])

    def ended(self, index: int, now_ns: int) -> None:
        """Note that workload `index` is done."""
        self._ended[index] = now_ns
        self._useful -= int(self._devices[index])

    def gave_up(self, index: int) -> None:
        """Note that workload `index` was put back before it was complete."""
        self._attempts[index] += 1

    def note(self, now_ns: int, waiting: Mapping[int, object]) -> None:
        """Note the state of the yard as it is from `now_ns` on."""
        snapshot = self._placer.snapshot
        snapshot.fragments.refresh()
        asked = int(self._devices[list(waiting)].sum()) if waiting else 0
        held = self._allocated - self._useful
        gang = 0
        if self._probe is not None:
            gang = int(self._placer.room(snapshot.shape(self._probe)).sum())
        self._rows.append(
            (
                now_ns,
                self._allocated,
                self._useful,
                asked - held,
                float(snapshot.fragments.milli.sum()),
                self._reach.unreachable_milli(),
                gang,
            )
        )

    def timeline(self, end_ns: int) -> Timeline:
        """Return the notes, closed by a row at `end_ns`."""
        rows = self._rows or [(0, 0, 0, 0, 0.0, 0.0, 0)]
        columns = list(zip(*rows, (end_ns, *rows[-1][1:]), strict=True))
        whole = [np.array(column, dtype=np.int64) for column in (*columns[:4], columns[6])]
        return Timeline(
            at_ns=whole[0],
            allocated_milli=whole[1],
            useful_milli=whole[2],
            waiting_milli=whole[3],
            fragment_milli=np.array(columns[4]),
            unreachable_milli=np.array(columns[5]),
            largest_gang=whole[4],
        )

    def jobs(self, end_ns: int) -> Jobs:
        """Return a row per workload."""
        until = np.where(self._started == NEVER_NS, end_ns, self._started)
        return Jobs(
            key=tuple(one.key for one in self._workloads),
            kind=tuple(one.kind for one in self._workloads),
            devices_milli=self._devices,
            created_ns=self._created,
            started_ns=self._started,
            ended_ns=self._ended,
            waited_ns=np.maximum(until - self._created, 0),
            attempts=self._attempts,
        )
