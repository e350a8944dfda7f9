"""How near one pod is to each lot of a node: the part of the order that looks at a node alone.

Of a lot that the pod could use, were the node empty: is what is left of it enough, are there enough
like it on the node; and is there enough of everything else? A lot that the node, its labels or its
size keep away from the pod for good is none of its business, and neither is one that pods elsewhere
(affinity, spread) keep it from: then it does not fit there, whatever is free.
"""

import numpy as np

from gpuyard.model.reasons import Constraint
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.feasibility import FILTERS, devices, node_resources_fit
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.idle.lots import Lots
from gpuyard.scheduling.idle.steps import Step
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import RequestVector, Snapshot

FITS = Step.NOT_TOGETHER  # the first step that asks about more than this pod
OF_DEVICES = {devices.DEVICE_FIT.name, node_resources_fit.NAME}


def reach(placer: Placer, lots: Lots, shape: Shape) -> IntArray:
    """Return for each lot, [slot, lot], how far a pod of `shape` comes, at most to `FITS`."""
    snapshot = placer.snapshot
    near = np.full(lots.milli.shape, Step.NOBODY_ASKS, dtype=np.int64)
    slots = np.flatnonzero(placer.allowed_by_labels(shape))
    vector = snapshot.vector(shape.request)
    whole = snapshot.fleet.allocatable[slots[:, None], vector.needed_columns]
    slots = slots[np.all(whole >= vector.needed, axis=1)]
    for rule in FILTERS:
        if rule.reads == "pods" and rule.concerns(shape):
            slots = slots[rule.passes(snapshot, shape, slots)]
    fits = _suffices(snapshot, lots, shape, vector, slots)
    has_others = others_suffice(snapshot, lots, shape, slots)
    by_slot = np.where(has_others, int(FITS), int(Step.LACKS_OTHERS))[:, None]
    there = np.where(fits, by_slot, int(Step.IN_PIECES))
    there[~_concerned(lots, shape, vector, slots)] = Step.NOBODY_ASKS
    near[slots] = there
    near[:, : lots.devices][~_of_right_model(snapshot, shape)] = Step.NOBODY_ASKS
    return near


def _suffices(
    snapshot: Snapshot, lots: Lots, shape: Shape, vector: RequestVector, slots: IntArray
) -> BoolArray:
    """Tell for each lot of `slots` whether the devices of a pod could be taken from it."""
    asked = shape.request.devices
    enough = np.ones((len(slots), lots.milli.shape[1]), dtype=np.bool_)
    if asked is not None:
        fitting = devices.suffices(snapshot, asked, slots)
        enough[:, : lots.devices] = fitting
        enough &= (fitting.sum(axis=1) >= asked.count)[:, None]
    needed = _pieces_needed(lots, vector)
    has_pieces = (snapshot.fleet.free[slots[:, None], lots.columns] >= needed) | (needed <= 0)
    enough &= np.all(has_pieces, axis=1, keepdims=True)
    return enough


def others_suffice(snapshot: Snapshot, lots: Lots, shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether everything but devices is left for a pod."""
    enough = np.ones(len(slots), dtype=np.bool_)
    for column, needed in _others(snapshot, lots, shape):
        enough &= snapshot.fleet.free[slots, column] >= needed
    for rule in FILTERS:
        if rule.reads == "use" and rule.name not in OF_DEVICES and rule.concerns(shape):
            enough &= rule.passes(snapshot, shape, slots)
    return enough


def scarcest(snapshot: Snapshot, lots: Lots, shape: Shape, slots: IntArray) -> Constraint | None:
    """Return what most of `slots` lack for a pod of `shape`; `None` where it is no amount."""
    names = list(snapshot.fleet.resources)
    found: Constraint | None = None
    most = 0
    for column, needed in _others(snapshot, lots, shape):
        free = snapshot.fleet.free[slots, column]
        short = int((free < needed).sum())
        if short > most:
            most = short
            found = Constraint(
                name=names[column],
                needed=needed,
                have=int(free[free < needed].max()),
                where=f"{short} nodes",
            )
    return found


def _others(snapshot: Snapshot, lots: Lots, shape: Shape) -> list[tuple[int, int]]:
    """Return columns and amounts that are asked for beside devices."""
    vector = snapshot.vector(shape.request)
    pairs = zip(vector.needed_columns.tolist(), vector.needed.tolist(), strict=True)
    return [(column, needed) for column, needed in pairs if column not in lots.columns]


def _pieces_needed(lots: Lots, vector: RequestVector) -> IntArray:
    """Return what is asked for of each device resource."""
    needed = np.zeros(len(lots.columns), dtype=np.int64)
    known = lots.columns < len(vector.amounts)
    needed[known] = vector.amounts[lots.columns[known]]
    return needed


def _concerned(lots: Lots, shape: Shape, vector: RequestVector, slots: IntArray) -> BoolArray:
    """Tell for each lot of `slots` whether it is what such a pod takes."""
    concerned = np.zeros((len(slots), lots.milli.shape[1]), dtype=np.bool_)
    by_devices = shape.request.devices is not None
    needed = _pieces_needed(lots, vector)
    concerned[:, : lots.devices] = by_devices
    concerned[:, lots.devices :] = (needed > 0) | (by_devices and not (needed > 0).any())
    return concerned


def _of_right_model(snapshot: Snapshot, shape: Shape) -> BoolArray:
    """Tell for each device, [slot, device], whether it is of a model that is asked for."""
    everyone = np.arange(snapshot.fleet.size)
    if shape.request.devices is None:
        return np.ones_like(snapshot.fleet.device_model, dtype=np.bool_)
    return devices.allowed(snapshot, shape.request.devices, everyone)


def wish(shape: Shape, device_resources: tuple[str, ...]) -> str:
    """Return what devices a pod of `shape` asks for, in words."""
    asked = shape.request.devices
    if asked is not None:
        share = "" if asked.milli == WHOLE_DEVICE_MILLI else f" with {asked.milli} milli of each"
        return f"{asked.count} devices{share}"
    amounts = shape.request.resources
    return ", ".join(
        f"{amounts.get(name)} {name}" for name in device_resources if amounts.get(name)
    )
