"""What each candidate would set free, node by node, as arrays.

Seven hundred candidates on two thousand nodes cannot each be taken away on trial: a cycle has 200
milliseconds. So the question "how many pods of this shape would fit if these were gone" is answered
with arithmetic over *entries*, one for each candidate and node on which it holds something. The
arithmetic is the placer's own (`placement.room_in`), fed with what would be free instead of what
is. It looks neither at pods in other domains nor at host ports; where those matter it is an upper
bound, and the trial placement that follows every answer has the last word.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.feasibility.devices import allowed, side_by_side
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.placement import Placer, room_in
from gpuyard.scheduling.preemption.cheapest.cost import Candidate
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Booking


class Freed:
    """The entries of all candidates for one shape, sorted by place.

    A place is a node that the shape's labels allow and on which a candidate holds something; `who`
    and `place` tell for each entry the position of its candidate and of its place.
    """

    def __init__(
        self, placer: Placer, shape: Shape, count: int, candidates: Sequence[Candidate]
    ) -> None:
        """Look at the nodes as they are now; more than `count` pods are never of interest."""
        self.shape, self.count, self.size = shape, count, len(candidates)
        self._vector = placer.snapshot.vector(shape.request)
        allowed_slots = placer.allowed_by_labels(shape)
        who, booked = _held(placer, candidates, allowed_slots.tolist())
        slots, place = np.unique([booking.slot for booking in booked], return_inverse=True)
        self.slots: IntArray = slots.astype(np.int64)
        keys, entry = np.unique(place * self.size + who, return_inverse=True)
        self.who: IntArray = (keys % max(1, self.size)).astype(np.int64)
        self.place: IntArray = (keys // max(1, self.size)).astype(np.int64)
        self._look_at(placer, booked, entry)
        self.of: list[IntArray] = _positions(self.who, self.size)
        self.at: list[IntArray] = _positions(self.place, len(self.slots))
        room = np.minimum(placer.room(shape), count)
        room[self.slots] = 0
        self.elsewhere = int(room.sum())  # room on nodes where no candidate holds anything

    def _look_at(self, placer: Placer, booked: list[Booking], entry: IntArray) -> None:
        """Set what is free at each place, and what each entry would add."""
        snapshot, devices = placer.snapshot, self.shape.request.devices
        columns = self._vector.needed_columns
        self.free: IntArray = snapshot.fleet.free[self.slots][:, columns]
        self.left: IntArray = snapshot.fleet.device_free[self.slots]
        self.freed: IntArray = np.zeros((len(self.who), len(columns)), dtype=np.int64)
        self.freed_left: IntArray = np.zeros((len(self.who), self.left.shape[1]), dtype=np.int64)
        np.add.at(self.freed, entry, _amounts(placer, booked, columns))
        if devices is None:
            return
        given = [
            (position, device, booking.assignment.template.request.devices.milli)
            for position, booking in zip(entry.tolist(), booked, strict=True)
            if booking.assignment.template.request.devices
            for device in booking.devices
        ]
        if given:
            at, device, milli = np.array(given, dtype=np.int64).T
            np.add.at(self.freed_left, (at, device), milli)
        will_do = allowed(snapshot, devices, self.slots)
        self.left = self.left * will_do
        self.freed_left *= will_do[self.place]

    def room(self, free: IntArray, left: IntArray) -> IntArray:
        """Return how many pods would fit, at most as many as are asked for, row by row."""
        room = room_in(self.shape, free, left, self._vector.needed)
        bounded: IntArray = np.minimum(np.maximum(room, 0), self.count)
        return bounded

    def without(self, gone: BoolArray) -> tuple[IntArray, IntArray]:
        """Return what is free at each place, of resources and of devices, once `gone` have left."""
        free, left = self.free.copy(), self.left.copy()
        entries = np.flatnonzero(gone[self.who])
        np.add.at(free, self.place[entries], self.freed[entries])
        np.add.at(left, self.place[entries], self.freed_left[entries])
        return free, left

    def total(self, gone: BoolArray) -> int:
        """Return how many pods fit in all once `gone` have left."""
        return self.elsewhere + int(self.room(*self.without(gone)).sum())

    def bounds(self) -> Iterator[tuple[int, IntArray]]:
        """Yield for each thing that a pod needs for how many it is enough, and what entries add.

        The first number counts all places as they are; each entry raises it by at most its own,
        whoever else leaves: what is added to a node opens so many places there, rounded up.
        """
        for column, needed in enumerate(self._vector.needed.tolist()):
            base = np.clip(self.free[:, column] // needed, 0, self.count)
            yield int(base.sum()), -(-self.freed[:, column] // needed)
        devices = self.shape.request.devices
        if devices is None:
            return
        base = np.minimum(side_by_side(self.left, devices), self.count)
        if devices.milli == WHOLE_DEVICE_MILLI:
            touched = (self.freed_left > 0).sum(axis=1)
            yield int(base.sum()), -(-touched // devices.count)
        else:
            yield int(base.sum()), (-(-self.freed_left // devices.milli)).sum(axis=1)

    def entries_of(self, who: Sequence[int]) -> IntArray:
        """Return the positions of all entries of the candidates `who`."""
        return np.concatenate([self.of[one] for one in who]) if who else NO_ENTRIES

    def gains(
        self, sets: Sequence[Sequence[int]], free: IntArray, left: IntArray, room: IntArray
    ) -> list[int]:
        """Return for each of `sets` how many more pods would fit if all of it left as well."""
        if not sets:
            return []
        by_set = [self.entries_of(who) for who in sets]
        which = np.repeat(np.arange(len(sets)), [len(entries) for entries in by_set])
        entries = np.concatenate(by_set)
        keys, row = np.unique(which * len(self.slots) + self.place[entries], return_inverse=True)
        places = keys % len(self.slots)
        more_free, more_left = free[places], left[places]
        np.add.at(more_free, row, self.freed[entries])
        np.add.at(more_left, row, self.freed_left[entries])
        gains = np.zeros(len(sets), dtype=np.int64)
        more = self.room(more_free, more_left) - room[places]
        np.add.at(gains, keys // len(self.slots), more)
        return gains.tolist()


NO_ENTRIES: IntArray = np.empty(0, dtype=np.int64)


def _held(
    placer: Placer, candidates: Sequence[Candidate], is_allowed: list[bool]
) -> tuple[IntArray, list[Booking]]:
    """Return every booking of a candidate on a node that will do, and whose it is."""
    bookings = placer.snapshot.bookings
    who: list[int] = []
    booked: list[Booking] = []
    for position, candidate in enumerate(candidates):
        for pod in candidate.running.pods:
            booking = bookings.get(pod)
            if booking is not None and is_allowed[booking.slot]:
                who.append(position)
                booked.append(booking)
    return np.array(who, dtype=np.int64), booked


def _amounts(placer: Placer, booked: list[Booking], columns: IntArray) -> IntArray:
    """Return what each booking takes of `columns`: [booking, column]."""
    requests = [booking.assignment.template.request for booking in booked]
    distinct = {request: position for position, request in enumerate(dict.fromkeys(requests))}
    amounts = np.zeros((len(distinct), int(columns.max()) + 1), dtype=np.int64)
    for request, position in distinct.items():
        taken = placer.snapshot.vector(request).amounts[: amounts.shape[1]]
        amounts[position, : len(taken)] = taken
    which = np.array([distinct[request] for request in requests], dtype=np.int64)
    chosen: IntArray = amounts[which][:, columns]
    return chosen


def _positions(codes: IntArray, size: int) -> list[IntArray]:
    """Return for each code below `size` the positions in `codes` where it stands."""
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(size + 1))
    return [order[start:end] for start, end in pairwise(ends.tolist())]
