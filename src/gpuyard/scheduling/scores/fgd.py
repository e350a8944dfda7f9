"""FGD: take the node, and the device on it, whose fragment grows least.

Score = trunc(100 · sigmoid((fragment before − after) / 1000)), for a share of one device the best
over the devices that could give it, the first device among equals. Source: Weng et al., "Beware of
Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX
ATC'23; hkust-adsl/kubernetes-scheduler-simulator, pkg/simulator/plugin/fgd_score.go. The measure is
`gpuyard.scheduling.fragmentation`.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.model.resources import CPU
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, DeviceRequest
from gpuyard.scheduling.feasibility.devices import suffices
from gpuyard.scheduling.fleet import CPU_COLUMN, IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,  # noqa: ARG001  every score has this signature
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001
) -> IntArray:
    """Return the score of each of `slots`; all of them must be feasible."""
    if not len(slots):
        return np.empty(0, dtype=np.int64)
    which, _, score = _tries(snapshot, shape, slots)
    if len(which) == len(slots):
        return score
    starts = np.flatnonzero(np.diff(which, prepend=-1))
    return np.maximum.reduceat(score, starts)


def choose_devices(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[int, ...]:
    """Return the device that makes the score of `slot`, for a share of one device."""
    _, device, score = _tries(snapshot, shape, np.array([slot]))
    return (int(device[score.argmax()]),)


def shares_a_device(devices: DeviceRequest | None) -> bool:
    """Tell whether the choice of a device is open: a share of one device was asked for."""
    return devices is not None and devices.count == 1 and devices.milli < WHOLE_DEVICE_MILLI


def _tries(
    snapshot: "Snapshot", shape: Shape, slots: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return what could be tried: index into `slots` (ascending), device (-1: any), score."""
    fragments, fleet = snapshot.fragments, snapshot.fleet
    fragments.refresh()
    devices = shape.request.devices
    which = np.arange(len(slots))
    device = np.full(len(slots), -1)
    left, model = fleet.device_free[slots], fleet.device_model[slots]
    before = after = fragments.table.rows(model, left)
    if devices is not None:
        taken = suffices(snapshot, devices, slots)
        if shares_a_device(devices):
            idle = taken & (left == WHOLE_DEVICE_MILLI)
            first_model = model[np.arange(len(slots)), idle.argmax(axis=1)]
            # Idle ones of one model are alike: the first will do.
            taken &= ~idle | (idle.cumsum(axis=1) == 1) | (model != first_model[:, None])
            which, device = np.nonzero(taken)
            after = before[which]
            after[np.arange(len(which)), device] -= devices.milli
        else:
            taken &= taken.cumsum(axis=1) <= devices.count
            after = before - devices.milli * taken
    cpu_free = fleet.free[slots, CPU_COLUMN]
    cpu_left = cpu_free - shape.request.resources.get(CPU)
    milli = fragments.of(
        np.concatenate([before, after]), np.concatenate([cpu_free, cpu_left[which]])
    )
    gain = (milli[: len(slots)][which] - milli[len(slots) :]) / 1000
    score = (1.0 / (1.0 + np.exp(-gain)) * SCORE_MAX).astype(np.int64)
    return which, device, score
