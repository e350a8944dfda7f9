"""Which nodes could take a pod if everything of lower priority left: a quick no for the others.

A dry run of preemption on one node costs many steps in Python, and most nodes are full of pods of
the same or higher priority. So first the arrays are asked once for the whole fleet: what is free
and what pods of lower priority hold must together be enough of every resource and of enough
devices. This is a bound, not a verdict: what it lets through still has to pass the filters, and
what it holds back could not (ports, affinity and spread only ever make it worse).
"""

from collections import Counter, defaultdict

import numpy as np

from gpuyard.model.workloads import Request
from gpuyard.scheduling.feasibility.devices import allowed
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Booking, Snapshot


def within_reach(
    snapshot: Snapshot, shape: Shape, below_priority: int, slots: IntArray
) -> BoolArray:
    """Tell for each of `slots` whether there are pods of lower priority, and enough if they left.

    `shape` is what would come in their place.
    """
    vector = snapshot.vector(shape.request)  # first: it may add columns
    leaving = [
        booking
        for booking in snapshot.bookings.values()
        if booking.assignment.priority < below_priority
    ]
    held, is_held = _held(snapshot, leaving)
    columns = vector.needed_columns
    left = snapshot.fleet.free[slots[:, None], columns] + held[slots[:, None], columns]
    reachable: BoolArray = is_held[slots] & np.all(left >= vector.needed, axis=1)
    asked = shape.request.devices
    if asked is not None:
        device_left = snapshot.fleet.device_free[slots] + _devices_held(snapshot, leaving)[slots]
        usable = (device_left >= asked.milli) & allowed(snapshot, asked, slots)
        reachable &= usable.sum(axis=1) >= asked.count
    return reachable


def _held(snapshot: Snapshot, leaving: list[Booking]) -> tuple[IntArray, BoolArray]:
    """Return [slot, resource] what `leaving` hold, and for each slot whether any of them is there.

    Requests are few where pods are many, so each is multiplied once.
    """
    slots_by_request: defaultdict[Request, list[int]] = defaultdict(list)
    for booking in leaving:
        slots_by_request[booking.assignment.template.request].append(booking.slot)
    vectors = {request: snapshot.vector(request) for request in slots_by_request}
    held = np.zeros_like(snapshot.fleet.free)
    for request, slots in slots_by_request.items():
        counts = np.bincount(np.array(slots), minlength=len(held))
        amounts = vectors[request].amounts
        held[:, : len(amounts)] += counts[:, None] * amounts
    is_held = np.zeros(len(held), dtype=np.bool_)
    is_held[[booking.slot for booking in leaving]] = True
    return held, is_held


def _devices_held(snapshot: Snapshot, leaving: list[Booking]) -> IntArray:
    """Return [slot, device] how many thousandths `leaving` hold."""
    held = np.zeros_like(snapshot.fleet.device_free)
    given: Counter[tuple[int, int]] = Counter()
    for booking in leaving:
        asked = booking.assignment.template.request.devices
        if asked is not None:
            for device in booking.devices:
                given[booking.slot, device] += asked.milli
    for (slot, device), milli in given.items():
        held[slot, device] = milli
    return held
