"""What the passes of one cycle look at and change: pods, queues, and two pictures of the nodes.

*Now* is what is free this minute: pods that were told to go still hold their places. *Soon* is what
will be free when they have gone, with pods that already have been promised a place there
(pipelined). A pod that fits in both starts at once (allocated); one that fits only soon is
pipelined. Evicting takes a pod out of the second picture and leaves it in the first. Both are
ordinary snapshots with a placer each; slots and ranks are the same in both.

Everything can be tried: `trial` undoes both pictures, the pods' states and the queues' holdings,
unless it is kept. A pod that was evicted on trial and finds its own place again was never evicted.

What the devices of a pipelined pod are is decided when it starts; until then only their number
counts, except for pods that share a device.

Semantics: KAI Scheduler v0.17, framework/statement.go (checkpoint, rollback, allocate, pipeline,
evict, unevict), api/node_info (idle and releasing), gpu_sharing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Assignment, DeviceRequest
from gpuyard.scheduling.deserved import limits
from gpuyard.scheduling.deserved.division import divide_tree
from gpuyard.scheduling.deserved.order import Measure
from gpuyard.scheduling.deserved.shares import Amounts, Share, ShareTree, plus
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.passes.amounts import UNITS, capacity_of, mig_slices
from gpuyard.scheduling.passes.jobs import HOLDS, USES, Job, Pod, PodState, total
from gpuyard.scheduling.passes.knobs import PassKnobs
from gpuyard.scheduling.placement import Placer, devices_left
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Trial


class Session:
    """The state of one cycle.

    `soon` and `now` are placers over empty-handed snapshots of the same nodes in the same order:
    the pods of `jobs` are bound here. `tree` holds the queues with nothing held. Jobs of unknown
    queues, or of queues that have children, are left alone.
    """

    def __init__(
        self,
        soon: Placer,
        now: Placer,
        jobs: Iterable[Job],
        tree: ShareTree,
        *,
        topologies: Mapping[str, Topology] | None = None,
        knobs: PassKnobs | None = None,
        now_ns: int = 0,
    ) -> None:
        """Bind the pods, count what they hold and ask for, and divide the cluster."""
        self.soon = soon
        self.now = now
        self.jobs = {job.key: job for job in jobs}
        self.tree = tree
        self.topologies = dict(topologies or {})
        self.knobs = knobs or PassKnobs()
        self.now_ns = now_ns
        self._undo: list[Callable[[], None]] = []
        self._book_all()
        for job in self.jobs.values():
            self._count(job)
        capacity: Amounts = {}
        for node in soon.snapshot.nodes.values():
            capacity = plus(capacity, capacity_of(node))
        self.measure = Measure(capacity, UNITS)
        divide_tree(tree, capacity, UNITS, self.knobs.usage_k_nano)

    # -- what is asked

    def queue_of(self, job: Job) -> Share | None:
        """Return the leaf that `job` waits in; `None` where it cannot wait."""
        if job.queue not in self.tree or self.tree[job.queue].children:
            return None
        return self.tree[job.queue]

    def everywhere(self) -> BoolArray:
        """Return the slots of all nodes."""
        return self.soon.snapshot.fleet.present.copy()

    def node_of(self, slot: int) -> str:
        """Return the name of the node in `slot`."""
        return self.soon.snapshot.nodes[slot].name

    def slot_of(self, node: str) -> int:
        """Return the slot of a node."""
        return self.soon.snapshot.slot_of[node]

    def free_device_milli(self) -> IntArray:
        """Return for each slot what is left of its devices, soon, in thousandths.

        MIG instances count as they do in the queues.
        """
        fleet = self.soon.snapshot.fleet
        left: IntArray = np.maximum(fleet.device_free, 0).sum(axis=1)
        for name, column in fleet.resources.items():
            left = left + fleet.free[:, column] * mig_slices(name) * WHOLE_DEVICE_MILLI
        return left

    # -- trials

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Open a trial: at its end every change is undone, unless `Trial.keep` was called."""
        start = len(self._undo)
        trial = Trial()
        with self.soon.snapshot.trial() as soon, self.now.snapshot.trial() as now:
            try:
                yield trial
            finally:
                if trial.is_kept:
                    soon.keep()
                    now.keep()
                else:
                    while len(self._undo) > start:
                        self._undo.pop()()

    def settle(self) -> None:
        """Make what was tried a decision: what was told to go will not be asked to stay.

        A pod that was only promised or given a place this cycle, and then evicted, holds nothing:
        it waits again.
        """
        self._undo.clear()
        for job in self.jobs.values():
            for pod in job.pods:
                holds = pod.key in self.now.snapshot.bookings
                if pod.tentative and pod.state == "releasing" and not holds:
                    pod.state, pod.node, pod.devices = "pending", "", None
                pod.tentative = False

    # -- one pod

    def evict(self, pod: Pod) -> None:
        """Tell a pod to go: its place is free soon."""
        self.soon.snapshot.apply(PodGone(pod.key))
        if pod.state == "allocated":
            self.now.snapshot.apply(PodGone(pod.key))
        self._hold(pod, -1)
        self._change(pod, "releasing", pod.node, pod.devices)

    def place(
        self, pod: Pod, within: BoolArray, points: IntArray | None = None, *, at_once: bool = True
    ) -> bool:
        """Give a pod the best node of `within`, and tell whether there is one.

        It is allocated where it fits now and `at_once` allows it, else pipelined. `points` are
        added to the scores of the nodes.
        """
        job = self.jobs[pod.job]
        if limits.over(self.tree[job.queue], pod.amounts, preemptible=job.preemptible):
            return False
        shape = self.soon.snapshot.shape(pod.template)
        fits_now = self.now.room(self.now.snapshot.shape(pod.template)) > 0
        bonus = fits_now * self.knobs.available_now_points
        bonus = bonus if points is None else bonus + points
        choice = self.soon.choose(shape, within, bonus)
        if choice is None:
            return False
        slot, asked = choice.slot, shape.request.devices
        starts = at_once and bool(fits_now[slot])
        devices = None if asked is None else self._devices(shape, asked, slot, starts=starts)
        starts = starts and self._are_free_now(asked, slot, devices)
        if (
            not at_once
            and self._is_its_own_place(pod, slot, devices)
            and (pod.before != "allocated" or self._can_start_as_it_was(pod, slot))
        ):
            self._stay(pod, devices)
        else:
            self._bind(pod, slot, devices, "allocated" if starts else "pipelined")
        return True

    def wait(self, pod: Pod) -> None:
        """Make an allocated pod a pipelined one: it waits for the rest of its gang."""
        self.now.snapshot.apply(PodGone(pod.key))
        self._change(pod, "pipelined", pod.node, pod.devices)

    def _are_free_now(
        self, asked: DeviceRequest | None, slot: int, devices: tuple[int, ...] | None
    ) -> bool:
        if asked is None or devices is None:
            return True
        free = self.now.snapshot.fleet.device_free[slot]
        return all(free[device] >= asked.milli for device in devices)

    def _can_start_as_it_was(self, pod: Pod, slot: int) -> bool:
        """Tell whether nobody else was given the place of a pod that had been allocated."""
        request = pod.template.request.devices
        fits = self.now.room(self.now.snapshot.shape(pod.template))[slot] > 0
        return bool(fits) and self._are_free_now(request, slot, pod.devices)

    def _is_its_own_place(self, pod: Pod, slot: int, devices: tuple[int, ...] | None) -> bool:
        if pod.state != "releasing" or not pod.tentative or pod.node != self.node_of(slot):
            return False
        asked = pod.template.request.devices
        shares = asked is not None and asked.milli < WHOLE_DEVICE_MILLI
        return not shares or devices == pod.devices

    def _stay(self, pod: Pod, devices: tuple[int, ...] | None) -> None:
        self._book(self.soon, pod, pod.node, devices)
        if pod.before == "allocated":
            self._book(self.now, pod, pod.node, pod.devices)
        self._hold(pod, 1)
        self._change(pod, pod.before, pod.node, pod.devices)

    def _bind(self, pod: Pod, slot: int, devices: tuple[int, ...] | None, state: PodState) -> None:
        node = self.node_of(slot)
        self._book(self.soon, pod, node, devices)
        if state == "allocated":
            self._book(self.now, pod, node, devices)
        self._hold(pod, 1)
        self._change(pod, state, node, devices)

    def _devices(
        self, shape: Shape, asked: DeviceRequest, slot: int, *, starts: bool
    ) -> tuple[int, ...] | None:
        """Choose devices of a node that suffice soon; who shares one takes the fullest.

        Among whole devices those that are free now go to who starts, the others to who waits.
        """
        soon = devices_left(self.soon.snapshot, shape, slot)
        now = self.now.snapshot.fleet.device_free[slot].tolist()
        spreads = self.soon.policy.devices == "distributed"

        def turn(device: int) -> tuple[int, bool, int]:
            taken = WHOLE_DEVICE_MILLI - min(soon[device], now[device])
            is_open = soon[device] < WHOLE_DEVICE_MILLI
            emptiness = -taken if is_open else 0
            return (
                -emptiness if spreads else emptiness,
                (now[device] >= asked.milli) != starts,
                device,
            )

        fitting = [device for device, left in enumerate(soon) if left >= asked.milli]
        if len(fitting) < asked.count:
            return None
        return tuple(sorted(sorted(fitting, key=turn)[: asked.count]))

    # -- bookkeeping

    def _book_all(self) -> None:
        """Bind the pods that have nodes, those first whose devices are known."""
        pods = [pod for job in self.jobs.values() for pod in job.pods]
        placed = [pod for pod in pods if pod.node and pod.state in USES]
        for pod in sorted(placed, key=lambda pod: pod.devices is None):
            self._book_observed(pod)

    def _count(self, job: Job) -> None:
        """Count what a job holds and asks for in its queue."""
        if self.queue_of(job) is None:
            return
        holds = [pod for pod in job.pods if pod.state in HOLDS]
        waits = [pod for pod in job.pods if pod.state == "pending"]
        self.tree.hold(job.queue, total(holds), preemptible=job.preemptible)
        self.tree.ask(job.queue, total([*holds, *waits]))

    def _book_observed(self, pod: Pod) -> None:
        if pod.state != "pipelined":
            self._book(self.now, pod, pod.node, pod.devices)
            booking = self.now.snapshot.bookings[pod.key]
            pod.devices = booking.devices or pod.devices
        if pod.state != "releasing":
            self._book(self.soon, pod, pod.node, pod.devices)

    def _book(self, placer: Placer, pod: Pod, node: str, devices: tuple[int, ...] | None) -> None:
        placer.snapshot.apply(
            PodBound(Assignment(pod=pod.key, template=pod.template, node=node, devices=devices))
        )

    def _hold(self, pod: Pod, times: int) -> None:
        job = self.jobs[pod.job]
        if self.queue_of(job) is None:
            return
        self.tree.hold(job.queue, pod.amounts, preemptible=job.preemptible, times=times)
        self._undo.append(
            lambda: self.tree.hold(
                job.queue, pod.amounts, preemptible=job.preemptible, times=-times
            )
        )

    def _change(
        self, pod: Pod, state: PodState, node: str, devices: tuple[int, ...] | None
    ) -> None:
        old = pod.state, pod.node, pod.devices, pod.before, pod.tentative

        def undo() -> None:
            pod.state, pod.node, pod.devices, pod.before, pod.tentative = old

        self._undo.append(undo)
        pod.before = pod.state if state == "releasing" else pod.before
        pod.state, pod.node, pod.devices, pod.tentative = state, node, devices, True
