"""The fleet as arrays: one row per node slot, one column per resource or device.

Vectorised rules read these arrays; only `snapshot` writes them. A slot is a small integer that a
node keeps for life; slots of removed nodes are used again, the last freed first, so that undoing a
removal gives the same slot back. Arrays grow by doubling; the public ones are views of the part in
use, taken anew whenever a row or a column is added.

Amounts are int64. A node that states no ``pods`` has no pod limit (every kubelet states one;
published traces do not), which is written as `UNLIMITED` so that no rule needs a special case.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuyard.model.nodes import Node
from gpuyard.model.resources import CPU, MEMORY, PODS
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, DeviceRequest

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNLIMITED = 2**61  # far above any real amount; sums of two still fit in int64
NO_MODEL = -1  # in `device_model`: there is no such device, or it is unhealthy
FIRST_ROWS = 16
CPU_COLUMN, MEMORY_COLUMN, PODS_COLUMN = 0, 1, 2


class Fleet:
    """Per-node arrays, indexed by slot; see the attributes below for shapes and units."""

    present: BoolArray  # [slot]
    allocatable: IntArray  # [slot, resource] in the resource's unit
    free: IntArray  # [slot, resource] allocatable minus requested; may be negative
    scored: IntArray  # [slot, resource] requested as Kubernetes' scores count it
    device_free: IntArray  # [slot, device] milli of a device; 0 where there is none
    device_model: IntArray  # [slot, device] code of the model, or NO_MODEL
    device_pods: IntArray  # [slot, kind] pods by kind of device request, see `device_kind`

    def __init__(self) -> None:
        """Start with no nodes and the resources that every node has."""
        self.size = 0
        self.resources: dict[str, int] = {
            CPU: CPU_COLUMN,
            MEMORY: MEMORY_COLUMN,
            PODS: PODS_COLUMN,
        }
        self.models: dict[str, int] = {}
        self.kinds: dict[int, int] = {}
        self._rank: dict[int, tuple[int, str]] = {}
        self._order: IntArray = np.empty(0, dtype=np.int64)
        self._order_is_stale = False
        self._rows = FIRST_ROWS
        self._all: dict[str, NDArray[Any]] = {
            "present": np.zeros(FIRST_ROWS, dtype=np.bool_),
            "allocatable": np.zeros((FIRST_ROWS, 3), dtype=np.int64),
            "free": np.zeros((FIRST_ROWS, 3), dtype=np.int64),
            "scored": np.zeros((FIRST_ROWS, 3), dtype=np.int64),
            "device_free": np.zeros((FIRST_ROWS, 0), dtype=np.int64),
            "device_model": np.full((FIRST_ROWS, 0), NO_MODEL, dtype=np.int64),
            "device_pods": np.zeros((FIRST_ROWS, 0), dtype=np.int64),
        }
        self._free_slots: list[int] = []
        self._expose()

    @property
    def order(self) -> IntArray:
        """Return for each slot its place in the order (rank, name): ties go to the smallest."""
        if self._order_is_stale:
            self._order = np.full(self.size, self.size, dtype=np.int64)
            for place, slot in enumerate(sorted(self._rank, key=self._rank.__getitem__)):
                self._order[slot] = place
            self._order_is_stale = False
        return self._order

    def take_slot(self) -> int:
        """Return a slot for a new node: the last one freed, else a new one."""
        if self._free_slots:
            return self._free_slots.pop()
        if self.size == self._rows:
            self._grow_rows(2 * self._rows)
        self.size += 1
        self._expose()
        return self.size - 1

    def free_slot(self, slot: int) -> None:
        """Give `slot` back and blank its row."""
        self._blank(slot)
        del self._rank[slot]
        self._free_slots.append(slot)

    def write_node(self, slot: int, node: Node) -> None:
        """Write what `node` offers into `slot`, as if nothing ran on it."""
        for name, _ in node.allocatable.amounts:
            self.resource_column(name)
        self.widen_devices(len(node.devices))
        self._blank(slot)
        self.present[slot] = True
        if self._rank.get(slot) != (node.rank, node.name):
            self._rank[slot] = (node.rank, node.name)
            self._order_is_stale = True
        self.allocatable[slot, PODS_COLUMN] = UNLIMITED
        for name, amount in node.allocatable.amounts:
            self.allocatable[slot, self.resources[name]] = amount
        self.free[slot] = self.allocatable[slot]
        for index, device in enumerate(node.devices):
            if device.healthy:
                self.device_free[slot, index] = WHOLE_DEVICE_MILLI
                self.device_model[slot, index] = self.model_code(device.model)

    def resource_column(self, name: str) -> int:
        """Return the column of resource `name`, added where it is new."""
        if name not in self.resources:
            self.resources[name] = len(self.resources)
            for array in ("allocatable", "free", "scored"):
                self._add_column(array, 0)
        return self.resources[name]

    def model_code(self, model: str) -> int:
        """Return the code of a device model, given out in the order of appearance."""
        return self.models.setdefault(model, len(self.models))

    def device_kind(self, devices: DeviceRequest) -> int:
        """Return the column of a kind of device request: a share of one, or so many whole ones."""
        kind = 0 if devices.milli < WHOLE_DEVICE_MILLI else devices.count
        if kind not in self.kinds:
            self.kinds[kind] = len(self.kinds)
            self._add_column("device_pods", 0)
        return self.kinds[kind]

    def widen_devices(self, count: int) -> None:
        """Make room for `count` devices on every node."""
        while self.device_free.shape[1] < count:
            self._add_column("device_free", 0)
            self._add_column("device_model", NO_MODEL)

    def _blank(self, slot: int) -> None:
        for name, array in self._all.items():
            array[slot] = NO_MODEL if name == "device_model" else 0

    def _grow_rows(self, rows: int) -> None:
        for name, array in self._all.items():
            grown = np.full((rows, *array.shape[1:]), 0, dtype=array.dtype)
            if name == "device_model":
                grown[:] = NO_MODEL
            grown[: array.shape[0]] = array
            self._all[name] = grown
        self._rows = rows

    def _add_column(self, name: str, value: int) -> None:
        array = self._all[name]
        column = np.full((array.shape[0], 1), value, dtype=array.dtype)
        self._all[name] = np.concatenate([array, column], axis=1)
        self._expose()

    def _expose(self) -> None:
        for name, array in self._all.items():
            setattr(self, name, array[: self.size])
