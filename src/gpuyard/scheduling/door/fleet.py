"""Whether a workload would fit if all nodes were empty.

A pod may stand on the nodes of any flavor of its queue that its labels and tolerations allow, or
anywhere where it asks for nothing that the queue counts. Each shape is counted alone, exactly; for
all of them together only sums are compared, so what passes may still not fit: a gang of several
shapes that fits by sums waits and hears of it in its turn.

A cordoned node counts, and of one that is not ready its taints do not: they come back.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gpuyard.model.reasons import Constraint, Reason
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, PodSet, PodTemplate, Workload
from gpuyard.scheduling.feasibility import (
    FILTERS,
    devices,
    node_unschedulable,
    taint_toleration,
)
from gpuyard.scheduling.fleet import UNLIMITED, BoolArray, IntArray
from gpuyard.scheduling.landing import in_flavors
from gpuyard.scheduling.placement import room_in
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot


class Room(NamedTuple):
    """Where a pod set could stand: pods by slot were they empty, and which slots labels allow."""

    pod_set: PodSet
    pods: IntArray
    allowed: BoolArray


def too_large(snapshot: Snapshot, queues: Queues, queue: str, workload: Workload) -> Reason | None:
    """Return why empty nodes would not hold `workload`, `None` where they may or none is known."""
    if not snapshot.fleet.present.any():
        return None
    rooms = [_room(snapshot, queues, queue, each) for each in workload.pod_sets]
    for reason in _alone(snapshot, rooms):
        return reason
    return _together(snapshot, rooms)


def _room(snapshot: Snapshot, queues: Queues, queue: str, pod_set: PodSet) -> Room:
    pods = np.zeros(snapshot.fleet.size, dtype=np.int64)
    allowed = np.zeros(snapshot.fleet.size, dtype=np.bool_)
    for template in _templates(queues, queue, pod_set):
        shape = snapshot.shape(template)
        slots = _slots(snapshot, shape)
        allowed[slots] = True
        pods[slots] = np.maximum(pods[slots], _pods(snapshot, shape, slots))
    return Room(pod_set, pods, allowed)


def _templates(queues: Queues, queue: str, pod_set: PodSet) -> Iterator[PodTemplate]:
    """Yield the pods as they would stand in each flavor, or anywhere."""
    groups = queues.specs[queue].resource_groups
    covered = {name for group in groups for name in group.covered_resources}
    if not covered & {name for name, _ in pod_set.template.request.resources.amounts}:
        yield pod_set.template
    for name in queues.flavors_of(queue):
        if name in queues.flavors:
            yield in_flavors(pod_set.template, [queues.flavors[name]])


def _slots(snapshot: Snapshot, shape: Shape) -> IntArray:
    """Return the nodes whose labels, taints and devices suit `shape`."""
    slots = np.flatnonzero(snapshot.fleet.present)
    for rule in FILTERS:
        if rule.reads != "labels" or not rule.concerns(shape) or rule is node_unschedulable.FILTER:
            continue
        passing = rule.passes(snapshot, shape, slots)
        if rule is taint_toleration.FILTER:
            unready = [not snapshot.nodes[slot].ready for slot in slots[~passing].tolist()]
            passing[~passing] = unready
        slots = slots[passing]
    return slots


def _pods(snapshot: Snapshot, shape: Shape, slots: IntArray) -> IntArray:
    """Return how many pods of `shape` each of `slots` would hold, were it empty."""
    vector = snapshot.vector(shape.request)
    whole = snapshot.fleet.allocatable[slots][:, vector.needed_columns]
    left = np.zeros((len(slots), snapshot.fleet.device_free.shape[1]), dtype=np.int64)
    if shape.request.devices is not None:
        left[devices.allowed(snapshot, shape.request.devices, slots)] = WHOLE_DEVICE_MILLI
    pods: IntArray = np.maximum(0, room_in(shape, whole, left, vector.needed))
    return pods


# -- what is missing


def _alone(snapshot: Snapshot, rooms: Sequence[Room]) -> Iterator[Reason]:
    nodes = int(snapshot.fleet.present.sum())
    counts: dict[PodTemplate, int] = {}
    for room in rooms:
        name, template = room.pod_set.name, room.pod_set.template
        counts[template] = counts.get(template, 0) + room.pod_set.count
        have, needed = sum(room.pods.tolist()), counts[template]
        if have == 0 and needed:
            missing = _missing(snapshot, room)
            what = f", for want of {missing.name}" if missing else ""
            yield Reason(
                code="NoSuchNode",
                sentence=f"none of {nodes} nodes, were it empty, takes a pod of {name}{what}",
                binding=missing
                or Constraint(name="nodes", needed=1, have=0, where="the whole fleet"),
            )
        elif have < needed:
            yield Reason(
                code="ExceedsFleet",
                sentence=f"{have} of {needed} pods of {name} would fit on {nodes} empty nodes",
                binding=Constraint(
                    name="pods", needed=needed, have=have, where="the whole fleet, empty"
                ),
            )


def _missing(snapshot: Snapshot, room: Room) -> Constraint | None:
    """Return an amount that is larger than on any node that labels allow."""
    request = room.pod_set.template.request
    slots = np.flatnonzero(room.allowed)
    if not len(slots):
        return None
    for name, amount in request.resources.amounts:
        column = snapshot.fleet.resource_column(name)
        most = int(snapshot.fleet.allocatable[slots, column].max())
        if amount > most:
            return Constraint(name=name, needed=amount, have=most, where="the largest node")
    return None


def _together(snapshot: Snapshot, rooms: Sequence[Room]) -> Reason | None:
    """Compare what all pods ask for with what all nodes that take any of them have."""
    fleet = snapshot.fleet
    slots = np.flatnonzero(np.any([room.allowed for room in rooms], axis=0))
    needed: dict[str, int] = {}
    milli = 0
    for room in rooms:
        request, count = room.pod_set.template.request, room.pod_set.count
        for name, amount in request.resources.amounts:
            needed[name] = needed.get(name, 0) + amount * count
        milli += request.devices.total_milli * count if request.devices else 0
    for name, amount in sorted(needed.items()):
        have = sum(fleet.allocatable[slots, fleet.resource_column(name)].tolist())
        if amount > min(have, UNLIMITED):
            return _beyond(name, amount, have)
    have = int((fleet.device_model[slots] >= 0).sum()) * WHOLE_DEVICE_MILLI
    return _beyond("milli of devices", milli, have) if milli > have else None


def _beyond(name: str, needed: int, have: int) -> Reason:
    return Reason(
        code="ExceedsFleet",
        sentence=f"all pods together ask for {needed} {name}, and all empty nodes have {have}",
        binding=Constraint(name=name, needed=needed, have=have, where="the whole fleet, empty"),
    )
