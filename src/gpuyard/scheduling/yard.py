"""Everything that a pass over the queues decides on, kept current by one way in.

Facts come as deltas (`gpuyard.model.deltas.YardDelta`): nodes and pods go to the `Snapshot`;
queues, who waits and who holds quota to `Queues` and `Waiting`; what only we know to the `Ledger`.
`decide` runs one pass over what is there and returns its plan, which the yard then holds as if it
were written: who starts holds quota and nodes, who was evicted keeps both until it is gone. What
becomes of a plan arrives as deltas like everything else. So a yard is a fold over deltas and
passes, and the record of a run (`gpuyard.twin.record`) is just these two, one after the other.

How the places of a topology are counted depends on nodes and on pods outside the queues. When a
node or such a pod comes or goes, the queues are *built anew* before the next pass from the same
facts: dear (as dear as everybody who holds quota), right, and rare beside pods of workloads, which
need none of it.

Nobody is woken here: whoever feeds the yard says when something could help whom (`QueuesWoken`,
`WorkloadRipe`), for how soon that is worth a pass is the host's to choose.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from gpuyard.model.deltas import (
    Delta,
    LedgerChanged,
    NodeObserved,
    NodeRemoved,
    PodBound,
    PodGone,
    QueuesObserved,
    QueuesWoken,
    WorkloadGone,
    WorkloadHolds,
    WorkloadRipe,
    WorkloadRuns,
    WorkloadWaits,
    YardDelta,
)
from gpuyard.model.nodes import Pool
from gpuyard.model.queues import Admitted
from gpuyard.model.running import Running
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling import queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.queue_cycle import QueuePlan
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Loss, Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import TopologyCapacity, survey

NO_QUEUES = QueuesObserved(cluster_queues=(), local_queues=(), flavors=())


class Yard:
    """Nodes, queues, who waits, who runs, and the ledger, under one policy."""

    def __init__(
        self,
        policy: Policy,
        rng: np.random.Generator,
        pools: Mapping[str, Pool] | None = None,
    ) -> None:
        """Start with nothing; `rng` is for what the policy leaves to chance.

        Raises
        ------
        ValueError
            for a policy without queues.

        """
        if not isinstance(policy.queueing, QueuePolicy):
            raise ValueError("a yard needs a policy with queues")  # noqa: TRY004  its value is wrong
        self.policy = policy
        self.queueing = policy.queueing
        self.snapshot = Snapshot()
        self.placer = Placer(self.snapshot, policy.placement, rng, pools)
        self.ledger = Ledger()
        self.running: dict[str, Running] = {}
        self.queues = Queues((), flavors=())
        self.waiting = Waiting(self.queues, self.queueing.rules)
        self._observed = NO_QUEUES
        self._is_outdated = False

    # -- what is so

    def apply(self, delta: YardDelta) -> None:
        """Take in a fact. Raises SnapshotError where it contradicts what is known of nodes."""
        match delta:
            case QueuesObserved():
                self._observed, self._is_outdated = delta, True
            case WorkloadWaits(workload, now_ns):
                self.waiting.add(workload, now_ns=now_ns)
            case WorkloadHolds(admitted):
                self._let_hold(admitted)
            case WorkloadRuns(running):
                self.running[running.key] = running
            case WorkloadGone(key):
                self._let_go(key)
            case QueuesWoken(queues, now_ns):
                self.waiting.wake(*queues, now_ns=now_ns)
            case WorkloadRipe(key, now_ns):
                self.waiting.wake_one(key, now_ns=now_ns)
            case LedgerChanged(changes):
                self.ledger = self.ledger.after(changes)
            case _:
                self._is_outdated |= self._counts_outside_queues(delta)
                self.snapshot.apply(delta)

    def _counts_outside_queues(self, delta: Delta) -> bool:
        """Tell whether the places of topologies have to be counted anew."""
        match delta:
            case NodeObserved() | NodeRemoved():
                return True
            case PodBound(assignment):
                return assignment.group not in self.queues.admitted
            case PodGone(pod):
                booking = self.snapshot.bookings.get(pod)
                group = "" if booking is None else booking.assignment.group
                return group not in self.queues.admitted
        return False

    def _let_hold(self, admitted: Admitted) -> None:
        key = admitted.workload.key
        self.waiting.delete(key)
        if key in self.queues.admitted:
            self.queues.remove(key)
        self.queues.admit(admitted)

    def _let_go(self, key: str) -> None:
        self.waiting.delete(key)
        self.running.pop(key, None)
        if key in self.queues.admitted:
            self.queues.remove(key)

    # -- what is decided

    def decide(self, now_ns: int) -> QueuePlan:
        """Run one pass over the queues; the yard holds its plan afterwards."""
        if self._is_outdated:
            self._build_anew(now_ns)
        self.queues.losses = Losses(self.running, self.queues.admitted, now_ns)
        nominator = Nominator(
            self.queues,
            self.queueing.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
            now_ns=now_ns,
        )
        plan = queue_cycle.run(
            self.waiting,
            nominator,
            self.queueing,
            now_ns,
            ledger=self.ledger,
            placer=self.placer,
        )
        self.ledger = self.ledger.after(plan.changes)
        return plan

    def active(self) -> int:
        """Return how many of those who wait may be tried now."""
        return sum(len(pending.active) for pending in self.waiting.pending.values())

    # -- the queues, from the same facts

    def _build_anew(self, now_ns: int) -> None:
        before, observed = self.queues, self._observed
        topologies = {each.name: each for each in observed.topologies}
        self.queues = Queues(
            observed.cluster_queues,
            observed.cohorts,
            flavors=observed.flavors,
            local_queues=observed.local_queues,
            places=dict(self._places(before)),
            topologies=topologies,
        )
        for admitted in before.admitted.values():
            if admitted.admission.cluster_queue in self.queues.specs:
                self.queues.admit(admitted)
        for key, held in before.holds.items():
            if held.queue in self.queues.specs:
                self.queues.hold(key, held)
        self.waiting.follow(self.queues, now_ns=now_ns)
        self._is_outdated = False

    def _places(self, before: Queues) -> Iterator[tuple[str, TopologyCapacity]]:
        """Yield by flavor the places that there are, but for those of who holds quota."""
        topologies = {each.name: each for each in self._observed.topologies}
        promised = [
            pod
            for pod, booking in self.snapshot.bookings.items()
            if booking.assignment.group in before.admitted
        ]
        for flavor in self._observed.flavors:
            if flavor.topology in topologies:
                topology = topologies[flavor.topology]
                yield flavor.name, survey(self.snapshot, flavor, topology, promised_pods=promised)


class Losses(Mapping[str, Loss]):
    """What an eviction at `now_ns` would throw away, worked out for those who are asked about.

    Work without a device counts as if it had one, as it does where patience is measured.
    """

    def __init__(
        self, running: Mapping[str, Running], admitted: Mapping[str, Admitted], now_ns: int
    ) -> None:
        """Know those who run."""
        self._running = running
        self._admitted = admitted
        self._now_ns = now_ns

    def __getitem__(self, key: str) -> Loss:
        lost_ns = self._running[key].lost_ns(self._now_ns)
        device_milli = max(self._admitted[key].workload.device_milli, WHOLE_DEVICE_MILLI)
        return Loss(lost_ns, lost_ns * device_milli // WHOLE_DEVICE_MILLI)

    def __iter__(self) -> Iterator[str]:
        return iter(self._running)

    def __len__(self) -> int:
        return len(self._running)
