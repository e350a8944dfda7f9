"""Everything observed about the cluster, and the one way in.

A `Snapshot` is the one mutable thing in the core. Whatever happens (a watch event, a step of the
twin, a line of a file, a trial placement and its undoing) arrives through `apply`, so there is one
place where facts turn into arrays, and one where caches learn what became stale. It holds only
facts; what a policy makes of them is kept by whoever asks (`placement.Placer`).

A trial writes the inverse of every change into a journal; undoing plays it backwards. All amounts
are integers, so what was taken away and given back is exactly what was there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, assert_never

import numpy as np

from gpuyard.model.constraints import UNCONSTRAINED, Labels
from gpuyard.model.deltas import (
    Delta,
    MixEntry,
    MixObserved,
    NamespaceObserved,
    NodeObserved,
    NodeRemoved,
    PodBound,
    PodGone,
)
from gpuyard.model.nodes import Node
from gpuyard.model.workloads import Assignment, PodTemplate, Request
from gpuyard.scheduling.changes import ChangeLog
from gpuyard.scheduling.fleet import UNLIMITED, Fleet, IntArray
from gpuyard.scheduling.fragmentation import Fragments
from gpuyard.scheduling.node_facts import NodeFacts
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.terms import Terms
from gpuyard.sharing.choose_devices import best_fit

VECTORS_KEPT_MAX = (
    1 << 16
)  # requests whose columns are remembered; beyond it they are looked up anew


class SnapshotError(ValueError):
    """A delta that contradicts what is known; nothing was changed."""


class RequestVector:
    """A request as a row of `Fleet`: what a pod takes from `free` and adds to `scored`.

    Columns are only ever added at the end, so `amounts` and `scored` stay right for the first ones.
    """

    __slots__ = ("amounts", "kind", "needed", "needed_columns", "scored")

    def __init__(self, request: Request, fleet: Fleet) -> None:
        """Look up, and where needed add, the columns of `request`."""
        asked = {**request.resources.as_dict(), "pods": 1}
        scored = {**(request.scored or request.resources).as_dict(), "pods": 1}
        for name in sorted({*asked, *scored}):
            fleet.resource_column(name)
        self.amounts: IntArray = np.array([asked.get(name, 0) for name in fleet.resources])
        self.scored: IntArray = np.array([scored.get(name, 0) for name in fleet.resources])
        self.needed_columns: IntArray = np.flatnonzero(self.amounts > 0)
        self.needed: IntArray = self.amounts[self.needed_columns]
        self.kind = fleet.device_kind(request.devices) if request.devices else None


class Booking:
    """An assignment and the devices booked for it, predicted where nobody has told."""

    __slots__ = ("assignment", "devices", "slot")

    def __init__(self, assignment: Assignment, slot: int, devices: tuple[int, ...]) -> None:
        """Note that `assignment` takes `devices` on the node in `slot`."""
        self.assignment = assignment
        self.slot = slot
        self.devices = devices


class Trial:
    """An open trial: its changes are undone at its end unless they are kept."""

    def __init__(self) -> None:
        """Start with nothing kept."""
        self.is_kept = False

    def keep(self) -> None:
        """Make the changes of this trial part of what surrounds it."""
        self.is_kept = True


class Snapshot:
    """Observed facts as arrays, with a journal for trials."""

    def __init__(self) -> None:
        """Start with an empty cluster, observed never."""
        self.fleet = Fleet()
        self.nodes: dict[int, Node] = {}
        self.slot_of: dict[str, int] = {}
        self.bookings: dict[str, Booking] = {}
        self.pods_on: dict[int, dict[str, Booking]] = {}
        self.namespaces: dict[str, Labels] = {}
        self.mix: tuple[MixEntry, ...] = ()
        self.observed_ns: dict[str, int] = {}
        self.use_changes = ChangeLog()
        self.node_changes = ChangeLog()
        self.facts = NodeFacts(self)
        self.terms = Terms(self)
        self.fragments = Fragments(self)
        self._vectors: dict[Request, RequestVector] = {}
        self._journal: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None

    # -- the one way in

    def apply(self, delta: Delta) -> None:
        """Take in one change.

        Raises
        ------
        SnapshotError
            where `delta` contradicts what is known (an unknown node, a pod bound twice); the
            snapshot is as before.

        """
        source = self._take_in(delta)
        if delta.observed_ns > self.observed_ns.get(source, 0):
            self._set_observed(source, delta.observed_ns)

    def _take_in(self, delta: Delta) -> str:
        """Take in what `delta` says; return which source of facts it came from."""
        match delta:
            case PodBound(assignment):
                self._bind(assignment)
                return "pods"
            case PodGone(pod):
                self._unbind(pod)
                return "pods"
            case NodeObserved(node):
                self._observe_node(node)
                return "nodes"
            case NodeRemoved(name):
                self._remove_node(name)
                return "nodes"
            case NamespaceObserved(name, labels):
                self._observe_namespace(name, labels)
                return "namespaces"
            case MixObserved(mix):
                self._observe_mix(mix)
                return "mix"
        assert_never(delta)

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Open a trial: at its end every change is undone, unless `Trial.keep` was called.

        Trials nest; what an inner one keeps is undone with the outer one.
        """
        outer = self._journal
        self._journal = []
        trial = Trial()
        try:
            yield trial
        finally:
            entries, self._journal = self._journal, None
            if not trial.is_kept:
                for undo, arguments in reversed(entries):
                    undo(*arguments)
            elif outer is not None:
                outer.extend(entries)
            self._journal = outer

    # -- what others ask

    def vector(self, request: Request) -> RequestVector:
        """Return the columns and amounts of `request`."""
        vector = self._vectors.get(request)
        if vector is None:
            if len(self._vectors) >= VECTORS_KEPT_MAX:
                self._vectors.clear()
            vector = self._vectors[request] = RequestVector(request, self.fleet)
        return vector

    def shape(self, template: PodTemplate) -> Shape:
        """Return what placement can see of `template` now."""
        if template.constraints == UNCONSTRAINED and not self.terms.held:
            return Shape(request=template.request, constraints=UNCONSTRAINED)
        return self.terms.shape(template)

    # -- pods

    def _bind(self, assignment: Assignment, devices: tuple[int, ...] | None = None) -> None:
        slot = self.slot_of.get(assignment.node)
        if slot is None:
            msg = f"pod {assignment.pod} is bound to node {assignment.node}, which is not known"
            raise SnapshotError(msg)
        if assignment.pod in self.bookings:
            msg = f"pod {assignment.pod} is bound already"
            raise SnapshotError(msg)
        if devices is None:
            devices = self._devices_of(assignment, slot)
        booking = Booking(assignment, slot, devices)
        self.bookings[assignment.pod] = booking
        self.pods_on[slot][assignment.pod] = booking
        self._book(booking, 1)
        self.terms.bound(slot, assignment)
        self._note(self._unbind, assignment.pod)

    def _unbind(self, pod: str) -> None:
        booking = self.bookings.pop(pod, None)
        if booking is None:
            msg = f"pod {pod} is gone, but it was not known to be bound"
            raise SnapshotError(msg)
        del self.pods_on[booking.slot][pod]
        self._book(booking, -1)
        self.terms.gone(booking.slot, booking.assignment)
        self._note(self._bind, booking.assignment, booking.devices)

    def _book(self, booking: Booking, sign: int) -> None:
        request = booking.assignment.template.request
        vector = self.vector(request)
        slot, fleet = booking.slot, self.fleet
        width = len(vector.amounts)
        fleet.free[slot, :width] -= sign * vector.amounts
        fleet.scored[slot, :width] += sign * vector.scored
        if request.devices and vector.kind is not None:
            fleet.device_pods[slot, vector.kind] += sign
            for device in booking.devices:
                fleet.device_free[slot, device] -= sign * request.devices.milli
        self.use_changes.append(slot)

    def _devices_of(self, assignment: Assignment, slot: int) -> tuple[int, ...]:
        """Return the devices to book: the observed ones, else those a best fit predicts.

        Where even the emptiest do not suffice, the facts contradict each other; the pod runs all
        the same, so the devices with the most left are booked and go below zero.
        """
        asked = assignment.template.request.devices
        if asked is None:
            return ()
        if assignment.devices is not None:
            self.fleet.widen_devices(max(assignment.devices, default=-1) + 1)
            return assignment.devices
        has = self.fleet.device_free[slot].tolist()
        left = [
            amount if not asked.models or device.model in asked.models else -UNLIMITED
            for device, amount in zip(self.nodes[slot].devices, has, strict=False)
        ]
        predicted = best_fit(left, asked.count, asked.milli)
        if predicted is None:
            emptiest = sorted(range(len(left)), key=lambda index: (-left[index], index))
            predicted = tuple(sorted(emptiest[: asked.count]))
        return predicted

    # -- nodes

    def _observe_node(self, node: Node) -> None:
        slot = self.slot_of.get(node.name)
        if slot is None:
            slot = self.fleet.take_slot()
            self.slot_of[node.name] = slot
            self.pods_on[slot] = {}
            self._note(self._remove_node, node.name)
        else:
            self._note(self._observe_node, self.nodes[slot])
        self.nodes[slot] = node
        self.fleet.write_node(slot, node)
        for booking in self.pods_on[slot].values():
            self._book(booking, 1)
        self._node_changed(slot)

    def _remove_node(self, name: str) -> None:
        slot = self.slot_of.get(name)
        if slot is None:
            msg = f"node {name} is removed, but it was not known"
            raise SnapshotError(msg)
        if self.pods_on[slot]:
            pod = next(iter(self.pods_on[slot]))
            msg = f"node {name} is removed while pod {pod} is bound to it"
            raise SnapshotError(msg)
        node = self.nodes.pop(slot)
        del self.slot_of[name], self.pods_on[slot]
        self.fleet.free_slot(slot)
        self._node_changed(slot)
        self._note(self._observe_node, node)

    def _node_changed(self, slot: int) -> None:
        self.use_changes.append(slot)
        self.node_changes.append(slot)

    # -- namespaces, the mix, and the age of facts

    def _observe_namespace(self, name: str, labels: Labels | None) -> None:
        self._note(self._observe_namespace, name, self.namespaces.get(name))
        if labels is None:
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = labels
        self.terms.namespaces_changed()

    def _observe_mix(self, mix: tuple[MixEntry, ...]) -> None:
        self._note(self._observe_mix, self.mix)
        self.mix = mix

    def _set_observed(self, source: str, observed_ns: int | None) -> None:
        self._note(self._set_observed, source, self.observed_ns.get(source))
        if observed_ns is None:  # undone: never observed, which is not "observed at 0"
            del self.observed_ns[source]
        else:
            self.observed_ns[source] = observed_ns

    def _note(self, undo: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401  any undo's
        if self._journal is not None:
            self._journal.append((undo, arguments))
