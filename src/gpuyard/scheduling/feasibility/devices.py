"""There must be devices of the right model, and enough must be left of enough of them.

`DeviceModel` looks at what the node has, `DeviceFit` at what is left: a request for `count` devices
with `milli` of each fits where that many devices of an allowed model have that much left.
Kubernetes knows neither; its extended resources are counted by ``NodeResourcesFit``.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.reasons import Rejection
from gpuyard.model.workloads import DeviceRequest
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def suffices(snapshot: "Snapshot", devices: DeviceRequest, slots: IntArray) -> BoolArray:
    """Tell for each device of `slots` whether it could be one of those asked for.

    [slot, device]; absent and unhealthy devices never are.
    """
    fleet = snapshot.fleet
    enough: BoolArray = fleet.device_free[slots] >= devices.milli
    if devices.models:
        enough &= allowed(snapshot, devices, slots)
    return enough


def allowed(snapshot: "Snapshot", devices: DeviceRequest, slots: IntArray) -> BoolArray:
    """Tell for each device of `slots` whether it exists and is of an allowed model."""
    fleet = snapshot.fleet
    model = fleet.device_model[slots]
    if not devices.models:
        return model >= 0
    is_allowed = np.zeros(len(fleet.models) + 1, dtype=np.bool_)  # the last: NO_MODEL
    for name in devices.models:
        if name in fleet.models:
            is_allowed[fleet.models[name]] = True
    return is_allowed[model]


def side_by_side(left: IntArray, devices: DeviceRequest) -> IntArray:
    """Return how many requests like `devices` the devices of each row could hold together.

    `left` is [row, device] in milli, 0 where a device will not do. One request takes its shares of
    different devices, so of `n` requests a device serves at most `n`.
    """
    shares = np.maximum(left, 0) // devices.milli
    held: IntArray = shares.sum(axis=1) // devices.count
    while devices.count > 1:
        fewer = np.minimum(shares, held[:, None]).sum(axis=1) // devices.count
        if (fewer == held).all():
            break
        held = fewer
    return held


def _asks_for_devices(shape: Shape) -> bool:
    return shape.request.devices is not None


def _has_model(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    devices = shape.request.devices
    if devices is None:
        return np.ones(len(slots), dtype=np.bool_)
    enough: BoolArray = allowed(snapshot, devices, slots).sum(axis=1) >= devices.count
    return enough


def _fits(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    devices = shape.request.devices
    if devices is None:
        return np.ones(len(slots), dtype=np.bool_)
    enough: BoolArray = suffices(snapshot, devices, slots).sum(axis=1) >= devices.count
    return enough


def _why_no_model(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    devices = shape.request.devices
    names = "|".join(devices.models) if devices and devices.models else "GPU"
    count = devices.count if devices else 0
    have = len(snapshot.nodes[slot].devices)
    text = f"node(s) had fewer than {count} {names}" if have else "node(s) had no GPU"
    return (Rejection(filter="DeviceModel", text=text, resolvable=False),)


def _why_no_fit(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    devices = shape.request.devices
    if devices is None:
        return ()
    free = int(suffices(snapshot, devices, np.array([slot])).sum())
    text = f"{free} GPUs with {devices.milli} milli left, {devices.count} needed"
    return (Rejection(filter="DeviceFit", text=text),)


DEVICE_MODEL = Filter("DeviceModel", "labels", _asks_for_devices, _has_model, _why_no_model)
DEVICE_FIT = Filter("DeviceFit", "use", _asks_for_devices, _fits, _why_no_fit)
