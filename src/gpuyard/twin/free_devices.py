"""How much of a fleet was free, and for how large a gang, integrated over time.

Idle device time is a sum of whole numbers and exact, so that it can be added to what workloads
used. A gang here is any number of pods like the *probe*; each node holds as many of them as fit
beside what runs there. Only nodes that changed are looked at.
"""

import numpy as np

from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Request
from gpuyard.scheduling.fleet import CPU_COLUMN, MEMORY_COLUMN
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin.measures import pods_that_fit


class FreeDevices:
    """Integrals over what `snapshot` has free; the nodes stay the same ones."""

    def __init__(self, snapshot: Snapshot, probe: Request) -> None:
        """Begin at instant 0 with the snapshot as it is."""
        self._snapshot = snapshot
        self._measure = pods_that_fit(probe, snapshot.fleet.models)
        self._position = -1
        self._at_ns = 0
        self._milli = np.zeros(snapshot.fleet.size, dtype=np.int64)
        self._pods = np.zeros(snapshot.fleet.size, dtype=np.int64)
        self._idle_milli_ns = 0
        self.devices = int((snapshot.fleet.device_model >= 0).sum())
        self.startable_pod_ns = 0
        self._look()

    @property
    def idle_device_ns(self) -> int:
        """Return the device time that nobody held."""
        return self._idle_milli_ns // WHOLE_DEVICE_MILLI

    def note(self, now_ns: int) -> None:
        """Count what was free until `now_ns`, then look at what is free from then on."""
        passed_ns = now_ns - self._at_ns
        self._idle_milli_ns += int(self._milli.sum()) * passed_ns
        self.startable_pod_ns += int(self._pods.sum()) * passed_ns
        self._at_ns = now_ns
        self._look()

    def _look(self) -> None:
        fleet, changes = self._snapshot.fleet, self._snapshot.use_changes
        slots = changes.since(self._position, fleet.size)
        self._position = changes.position
        if not len(slots):
            return
        left, model = fleet.device_free[slots], fleet.device_model[slots]
        self._milli[slots] = np.where(model >= 0, left, 0).sum(axis=1)
        self._pods[slots] = self._measure(
            fleet.free[slots, CPU_COLUMN], fleet.free[slots, MEMORY_COLUMN], left, model
        )
