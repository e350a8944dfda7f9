"""What is idle, in lots: a device, or on nodes that only count their devices, all of them.

On a node that offers a device resource (``nvidia.com/gpu``) the count of free pieces is the truth:
the kubelet's plugin picks the device, and pods need not say more. Elsewhere (traces, fractions,
DRA) the devices themselves are. Columns are the devices by index, then one for each device
resource; what a node does not have is 0 there. Thousandths that are overdrawn count as nothing.
"""

from typing import NamedTuple

import numpy as np

from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.fleet import BoolArray, Fleet, IntArray
from gpuyard.scheduling.snapshot import Snapshot


class Lots(NamedTuple):
    """Idle thousandths by lot, and how to read them.

    `milli` is [slot, lot]. The first `devices` columns are devices, the others stand for the
    columns `columns` of `Fleet.free`. `is_counted` tells for each slot which kind it has.
    """

    milli: IntArray
    devices: int
    columns: IntArray
    is_counted: BoolArray

    @property
    def pieces(self) -> IntArray:
        """Return how many devices each lot stands for, those begun included."""
        return -(-self.milli // WHOLE_DEVICE_MILLI)


def idle_lots(snapshot: Snapshot, device_resources: tuple[str, ...]) -> Lots:
    """Return what is idle now on every node."""
    fleet = snapshot.fleet
    names = [name for name in device_resources if name in fleet.resources]
    columns = np.array([fleet.resources[name] for name in names], dtype=np.int64)
    is_counted: BoolArray = np.any(fleet.allocatable[:, columns] > 0, axis=1)
    by_device = np.where(_exists(fleet), np.maximum(fleet.device_free, 0), 0)
    by_count = np.maximum(fleet.free[:, columns], 0) * WHOLE_DEVICE_MILLI
    # Where a node tells both, pods may have taken shares without asking for pieces.
    has_both = is_counted & _exists(fleet).any(axis=1)
    by_count[has_both] = np.minimum(by_count, by_device.sum(axis=1)[:, None])[has_both]
    by_device[is_counted] = 0
    return Lots(
        np.concatenate([by_device, by_count], axis=1), by_device.shape[1], columns, is_counted
    )


def contradicts_itself(snapshot: Snapshot, lots: Lots) -> BoolArray:
    """Tell for each slot whether more of its devices is taken than there is."""
    fleet = snapshot.fleet
    overdrawn: BoolArray = np.any(fleet.device_free < 0, axis=1)
    overdrawn |= np.any(fleet.free[:, lots.columns] < 0, axis=1)
    return overdrawn


def _exists(fleet: Fleet) -> BoolArray:
    exists: BoolArray = fleet.device_model >= 0
    return exists
