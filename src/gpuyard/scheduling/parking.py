"""Workloads that did not fit wait here, and an event wakes only those that it could help.

Whoever found no room is parked under the shapes of the pods it misses and how many of each. When
nodes changed, such a row is worth another try only if one of those nodes could now hold a pod of
its shape, and then only for as many workloads as pods could newly be held; for all rows at once
that is a few comparisons per changed node, so a cycle costs the same however many workloads are
parked. This is what kube-scheduler's queueing hints are for (v1.36.3, ``QueueingHintFn``), asked of
nodes instead of events.

The test may wake in vain and never fails to wake: it looks at labels, resources and devices, which
are necessary for every shape. A shape that depends on pods elsewhere (affinity, spread) and a gang
of several shapes, for which it matters where the first land, wake at every change and are tried
again after every start; everybody wakes when a node appeared, went or changed its labels.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable

import numpy as np

from gpuyard.scheduling.cycle import Turn
from gpuyard.scheduling.fleet import UNLIMITED, BoolArray, IntArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.shapes import Shape

FIRST_ROWS = 16
PODS_MAX = 1 << 20  # of one shape on one node; a bound that keeps sums far from overflow
NO_TURN: Turn = (0, 0, "")


Key = tuple[Shape, int]  # a shape and how many pods of it a workload misses


class Parking:
    """Parked workloads by what they miss; in each row those whose turn comes first come first."""

    def __init__(self, placer: Placer) -> None:
        """Start with nobody parked."""
        self._placer = placer
        self._parked: dict[str, tuple[Turn, dict[Shape, int]]] = {}
        self._dependents: dict[str, None] = {}
        self._rows: list[list[tuple[Turn, str]]] = []
        self._row_of: dict[Key, int] = {}
        self._free_rows: list[int] = []
        self._needed: IntArray = np.ones((FIRST_ROWS, 0), dtype=np.int64)
        self._devices: IntArray = np.zeros((FIRST_ROWS, 2), dtype=np.int64)  # count, milli
        self._by_labels: BoolArray = np.zeros((FIRST_ROWS, 0), dtype=np.bool_)
        self._use_position = placer.snapshot.use_changes.position  # of the last `woken`
        self._woken_from = self._use_position  # where the changes begin that last woke somebody
        self._held_at = -1  # the position for which `_held` is true
        self._held: IntArray = np.zeros(0, dtype=np.int64)
        self._node_position = placer.snapshot.node_changes.position

    def park(self, workload: str, turn: Turn, shapes: Iterable[Shape]) -> None:
        """Park `workload`, one shape for each pod it misses; `turn` is its place in the order."""
        missing = dict(Counter(shapes))
        if workload in self._parked:
            if self._parked[workload][1] == missing:
                return
            self.leave(workload)
        self._parked[workload] = turn, missing
        if len(missing) > 1 or any(map(self._placer.depends_on_pods, missing)):
            self._dependents[workload] = None
        for key in missing.items():
            insort(self._rows[self._row(key)], (turn, workload))

    def leave(self, workload: str) -> None:
        """Forget `workload`; nothing happens where it is not parked."""
        turn, missing = self._parked.pop(workload, (NO_TURN, {}))
        self._dependents.pop(workload, None)
        for key in missing.items():
            row = self._row_of[key]
            self._rows[row].remove((turn, workload))
            if not self._rows[row]:
                del self._row_of[key]
                self._free_rows.append(row)
                self._by_labels[row] = False

    def woken(self) -> list[str]:
        """Return the workloads that what changed since the last call could help."""
        snapshot = self._placer.snapshot
        self._woken_from, self._use_position = self._use_position, snapshot.use_changes.position
        if self._node_position != snapshot.node_changes.position:
            self._node_position = snapshot.node_changes.position
            for key, row in self._row_of.items():
                self._write(row, key[0])
            self._woken_from = -1
            return list(self._parked)
        if self._woken_from == self._use_position or not self._row_of:
            return []
        held = self._held_now()
        woken: dict[str, None] = {}
        for row in np.flatnonzero(held).tolist():
            left = int(held[row])
            for _, workload in self._rows[row]:
                if not left:
                    break
                woken[workload] = None
                # Whoever misses other shapes as well may leave these places to the next.
                left -= len(self._parked[workload][1]) == 1
        return list(woken)

    def dependents(self) -> list[str]:
        """Return the workloads that a start may help.

        Pods elsewhere decide where they may go; or they miss several shapes, and where the first
        ones land decides whether the others fit.
        """
        return list(self._dependents)

    def may_fit(self, workload: str) -> bool:
        """Tell whether what woke `workload` could still help it, after all that started since."""
        if workload not in self._parked:
            return True
        held = self._held_now()
        return any(held[self._row_of[key]] for key in self._parked[workload][1].items())

    def _held_now(self) -> IntArray:
        """Return for each row at most how many pods the nodes that woke somebody could hold."""
        changes = self._placer.snapshot.use_changes
        if self._held_at != changes.position or len(self._held) != len(self._rows):
            self._held_at = changes.position
            slots = changes.since(self._woken_from, self._placer.snapshot.fleet.size)
            self._held = self._could_hold(slots)
        return self._held

    def _could_hold(self, slots: IntArray) -> IntArray:
        """Return for each row at most how many pods of its shape `slots` could hold."""
        fleet = self._placer.snapshot.fleet
        used = len(self._rows)
        free = np.maximum(fleet.free[slots, : self._needed.shape[1]], 0)
        holds = np.where(
            self._needed[:used, None] > 0,
            free // np.maximum(self._needed[:used, None], 1),
            UNLIMITED,
        ).min(axis=2, initial=UNLIMITED)
        count, milli = self._devices[:used, 0, None], self._devices[:used, 1, None, None]
        left = np.maximum(fleet.device_free[slots], 0)  # below zero where facts contradict
        shares = np.where(milli > 0, left // np.maximum(milli, 1), 0).sum(axis=2)
        holds = np.where(count > 0, np.minimum(holds, shares // np.maximum(count, 1)), holds)
        holds *= self._by_labels[:used, slots]
        held: IntArray = np.minimum(holds, PODS_MAX).sum(axis=1)
        return held

    def _row(self, key: Key) -> int:
        row = self._row_of.get(key)
        if row is not None:
            return row
        if self._free_rows:
            row = self._free_rows.pop()
        else:
            row = len(self._rows)
            self._rows.append([])
        self._row_of[key] = row
        self._write(row, key[0])
        return row

    def _write(self, row: int, shape: Shape) -> None:
        snapshot = self._placer.snapshot
        vector = snapshot.vector(shape.request)
        self._held_at = -1
        self._fit_arrays(row + 1, len(snapshot.fleet.resources), snapshot.fleet.size)
        self._needed[row] = 0
        self._devices[row] = 0
        if self._placer.depends_on_pods(shape):
            self._by_labels[row] = True  # and nothing needed: any change wakes it
            return
        self._needed[row, vector.needed_columns] = vector.needed
        self._by_labels[row] = self._placer.allowed_by_labels(shape)
        if shape.request.devices:
            self._devices[row] = shape.request.devices.count, shape.request.devices.milli

    def _fit_arrays(self, rows: int, columns: int, slots: int) -> None:
        """Make room for so many rows, resources and slots."""
        held, width, size = *self._needed.shape, self._by_labels.shape[1]
        if rows > held or columns > width or slots > size:
            grow = max(held, 2 * held if rows > held else 0) - held
            self._needed = np.pad(self._needed, ((0, grow), (0, max(0, columns - width))))
            self._devices = np.pad(self._devices, ((0, grow), (0, 0)))
            self._by_labels = np.pad(self._by_labels, ((0, grow), (0, max(0, slots - size))))
