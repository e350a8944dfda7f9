"""A fleet that teams share through queues: workloads wait for quota, run, are evicted, come back.

An event heap moves the time from one instant to the next. What happens at an instant is taken in,
then `scheduling.queue_cycle` decides, again and again until it has nothing more to say: a cycle
costs nothing here, so whoever serves one workload per queue and cycle loses nothing by it. What
became free wakes those who wait in its tree, at most once every `FleetWorld.wake_every_ns`, and
whoever may not yet evict or move others is tried again when he has waited long enough for it.

What an eviction costs is part of the world, not of the policy (`Habit`). A workload that is told to
go holds its devices for `grace_ns` more and works on; should its work end by then, it has ended.
After it went, it goes on from the last time its work was saved, in the queue and with the age that
it had before, and when it starts again its devices are busy for `restart_ns` before it works.
Decisions see what an eviction would throw away at that instant (`Queues.losses`).

So a device is always in one of three states. *Useful*: it does work that need not be done again.
*Lost*: it does work that will be thrown away, or gets a returning workload to where it was. *Idle*:
nobody holds it. The three add up to what the fleet has; idle time is measured on the nodes, the
other two by workload, so that the sum says whether both agree.

Not modelled: starts that take time or fail, nodes that fail, latency of decisions (`twin.timed` and
`twin.queued` do), and owners who change their minds.
"""

import heapq
from collections.abc import Iterator, Mapping
from enum import IntEnum

import msgspec
import numpy as np

from gpuyard.model.deltas import MixEntry, MixObserved, NodeObserved, PodGone
from gpuyard.model.nodes import Node
from gpuyard.model.plan import Evict
from gpuyard.model.policy import Policy
from gpuyard.model.queues import ClusterQueue, Cohort, LocalQueue, ResourceFlavor
from gpuyard.model.running import Running
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Request, TimedWorkload, Workload
from gpuyard.scheduling import queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queue_cycle import Admit, QueuePlan
from gpuyard.scheduling.queue_policy import QueuePolicy, ripe_after_ns
from gpuyard.scheduling.queues import Loss, Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey
from gpuyard.twin.free_devices import FreeDevices

SECOND_NS = 10**9
INSTANTS_MAX = 50_000_000  # a trace that needs more is not finite
PASSES_MAX = 100_000  # at one instant; a policy that needs more never comes to rest


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How a workload bears being stopped.

    Its work is saved whenever it has worked for another `saved_every_ns`; 0: always (a service has
    nothing to save), `None`: only when it is done. `restart_ns` is what it takes to work again on
    its return, `grace_ns` what it takes to go.
    """

    saved_every_ns: int | None = None
    restart_ns: int = 0
    grace_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse durations of less than nothing."""
        if min(self.saved_every_ns or 0, self.restart_ns, self.grace_ns) < 0:
            raise ValueError("nothing takes less than no time: give durations of at least 0")

    def saved_ns(self, worked_ns: int) -> int:
        """Return how much of an uninterrupted stretch of work is saved at its end."""
        if self.saved_every_ns is None:
            return 0
        return worked_ns - worked_ns % self.saved_every_ns if self.saved_every_ns else worked_ns


class FleetWorld(msgspec.Struct, frozen=True, kw_only=True):
    """What no scheduler decides. `habits` by class of workload; other classes have `habit`."""

    habit: Habit = Habit()
    habits: Mapping[str, Habit] = msgspec.field(default_factory=dict)
    wake_every_ns: int = SECOND_NS

    def of(self, workload: Workload) -> Habit:
        """Return the habit of `workload`."""
        return self.habits.get(workload.kind, self.habit)


class SharedFleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the policy.

    `topologies` are those that `flavors` name. `mix` is what fragmentation is measured against;
    `probe` what each pod of a gang asks for whose largest startable size is measured. A workload's
    `queue` is the key of one of `local_queues`.
    """

    nodes: tuple[Node, ...]
    cluster_queues: tuple[ClusterQueue, ...]
    local_queues: tuple[LocalQueue, ...]
    flavors: tuple[ResourceFlavor, ...]
    arrivals: tuple[TimedWorkload, ...]
    until_ns: int
    probe: Request
    cohorts: tuple[Cohort, ...] = ()
    topologies: tuple[Topology, ...] = ()
    mix: tuple[MixEntry, ...] = ()
    world: FleetWorld = FleetWorld()


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that holds devices from one instant to another; `evicted`: it was told to go."""

    workload: str
    devices_milli: int
    from_ns: int
    until_ns: int
    evicted: bool
    nodes: tuple[str, ...]  # of its pods


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one workload; `None` where it never came to that.

    `waited_ns` is all the time in which it wanted to run and held nothing. `useful_ns` and
    `lost_ns` are spent with all of its devices.
    """

    key: str
    kind: str
    queue: str
    devices_milli: int
    created_ns: int
    started_ns: int | None
    ended_ns: int | None
    waited_ns: int
    evictions: int
    useful_ns: int
    lost_ns: int

    @property
    def useful_device_ns(self) -> int:
        """Return the device time of work that stands."""
        return self.useful_ns * self.devices_milli // WHOLE_DEVICE_MILLI

    @property
    def lost_device_ns(self) -> int:
        """Return the device time that evictions cost."""
        return self.lost_ns * self.devices_milli // WHOLE_DEVICE_MILLI


class SharedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured until `until_ns`; outcomes in the order of arrival.

    `tries` are heads over all rounds. `mean_startable_pods` is the mean over time of how many pods
    of the probe could have started at once.
    """

    until_ns: int
    devices: int
    idle_device_ns: int
    mean_startable_pods: float
    outcomes: tuple[Outcome, ...]
    stays: tuple[Stay, ...]
    passes: int
    rounds: int


class What(IntEnum):
    """What an event is, in the order in which events of one instant are taken in."""

    END = 0
    GONE = 1
    WAKE = 2
    ARRIVE = 3
    RIPE = 4


GATHERED = frozenset({What.END, What.GONE})  # nobody decides before a tree is woken for them


def run(fleet: SharedFleet, policy: QueuePolicy, placement: Policy, *, seed: int = 0) -> SharedRun:
    """Let the arrivals of `fleet` live there until `until_ns`, queued by `policy`.

    Raises
    ------
    ValueError
        for two arrivals of one key, one whose LocalQueue leads nowhere, and a policy or trace that
        never comes to an end.

    """
    yard = _Yard(fleet, policy, placement, seed)
    for arrival in fleet.arrivals:
        yard.expect(arrival)
    for _ in range(INSTANTS_MAX):
        if not yard.events or yard.events[0][0] >= fleet.until_ns:
            return yard.measured()
        now_ns = yard.events[0][0]
        is_news = False
        while yard.events and yard.events[0][0] == now_ns:
            _, what, name, turn = heapq.heappop(yard.events)
            yard.take_in(what, name, turn, now_ns)
            is_news = is_news or what not in GATHERED
        if is_news:
            yard.decide(now_ns)
        yard.free.note(now_ns)
    raise ValueError(f"the trace has more than {INSTANTS_MAX} instants")


class _Job:
    """A workload on its way."""

    def __init__(self, arrival: TimedWorkload, habit: Habit) -> None:
        self.workload = arrival.workload
        self.runtime_ns = arrival.runtime_ns
        self.habit = habit
        self.pods: tuple[str, ...] = ()  # those that hold nodes
        self.nodes: tuple[str, ...] = ()
        self.held_since_ns = 0
        self.works_since_ns = 0
        self.is_leaving = False
        self.turn = 0  # counts its starts; tells old events from those of the last
        self.first_started_ns: int | None = None
        self.ended_ns: int | None = None
        self.waits_since_ns = arrival.workload.created_ns
        self.waited_ns = 0
        self.evictions = 0
        self.useful_ns = 0  # saved work, as far as it has left its nodes
        self.lost_ns = 0

    def worked_ns(self, now_ns: int) -> int:
        """Return how long it has worked since it last started."""
        return max(0, now_ns - self.works_since_ns)

    def as_running(self, now_ns: int) -> Running:
        """Return the workload as those see it who think of stopping it."""
        saved_ns = self.habit.saved_ns(self.worked_ns(now_ns))
        return Running(
            key=self.workload.key,
            pods=self.pods,
            started_ns=self.held_since_ns,
            checkpoint_ns=self.works_since_ns + saved_ns if saved_ns else None,
            restart_ns=self.habit.restart_ns,
            grace_ns=self.habit.grace_ns,
            priority=self.workload.effective_priority,
            queued_ns=self.workload.created_ns,
        )

    def start(self, admit: Admit, now_ns: int) -> None:
        """Take its nodes."""
        self.turn += 1
        self.pods = tuple(one.pod for one in admit.start.assignments)
        self.nodes = tuple(one.node for one in admit.start.assignments)
        self.held_since_ns = now_ns
        self.works_since_ns = now_ns + (self.habit.restart_ns if self.evictions else 0)
        self.waited_ns += now_ns - self.waits_since_ns
        if self.first_started_ns is None:
            self.first_started_ns = now_ns

    def stop(self, kept_ns: int, now_ns: int) -> Stay:
        """Leave its nodes with so much of its work done for good."""
        stay = Stay(
            workload=self.workload.key,
            devices_milli=self.workload.device_milli,
            from_ns=self.held_since_ns,
            until_ns=now_ns,
            evicted=self.is_leaving,
            nodes=self.nodes,
        )
        self.useful_ns += kept_ns
        self.lost_ns += now_ns - self.held_since_ns - kept_ns
        self.pods = self.nodes = ()
        self.is_leaving = False
        self.waits_since_ns = now_ns
        return stay

    def outcome(self, until_ns: int) -> Outcome:
        """Return what became of it; it holds nothing any more."""
        is_waiting = self.ended_ns is None and self.waits_since_ns < until_ns
        return Outcome(
            key=self.workload.key,
            kind=self.workload.kind,
            queue=self.workload.queue,
            devices_milli=self.workload.device_milli,
            created_ns=self.workload.created_ns,
            started_ns=self.first_started_ns,
            ended_ns=self.ended_ns,
            waited_ns=self.waited_ns + (until_ns - self.waits_since_ns if is_waiting else 0),
            evictions=self.evictions,
            useful_ns=self.useful_ns,
            lost_ns=self.lost_ns,
        )


class _Losses(Mapping[str, Loss]):
    """What an eviction at `now_ns` would throw away, worked out for those who are asked about."""

    def __init__(self, jobs: Mapping[str, _Job]) -> None:
        self.jobs = jobs
        self.now_ns = 0

    def __getitem__(self, key: str) -> Loss:
        job = self.jobs[key]
        if not job.pods:
            raise KeyError(key)
        lost_ns = job.as_running(self.now_ns).lost_ns(self.now_ns)
        return Loss(lost_ns, lost_ns * job.workload.device_milli // WHOLE_DEVICE_MILLI)

    def __iter__(self) -> Iterator[str]:
        return (key for key, job in self.jobs.items() if job.pods)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Yard:
    """One run in progress."""

    def __init__(
        self, fleet: SharedFleet, policy: QueuePolicy, placement: Policy, seed: int
    ) -> None:
        self.fleet = fleet
        self.policy = policy
        snapshot = _snapshot_of(fleet)
        self.placer = Placer(snapshot, placement, np.random.default_rng(seed))
        self.free = FreeDevices(snapshot, fleet.probe)
        self.queues = _queues_of(fleet, snapshot)
        self.waiting = Waiting(self.queues, policy.rules)
        self.ripe_after_ns = ripe_after_ns(policy)
        self.ledger = Ledger()
        self.roots = {
            name: id([*self.queues.node(name).to_root()][-1]) for name in self.queues.specs
        }
        self.events: list[tuple[int, What, str, int]] = []  # ns, what, key or queue, turn
        self.jobs: dict[str, _Job] = {}
        self.queues.losses = self.losses = _Losses(self.jobs)
        self.waking: set[int] = set()  # roots of trees that will be woken
        self.stays: list[Stay] = []
        self.passes = 0
        self.rounds = 0

    def expect(self, arrival: TimedWorkload) -> None:
        workload = arrival.workload
        if workload.key in self.jobs:
            raise ValueError(f"workload {workload.key} arrives twice; give each a key of its own")
        local_queue = self.queues.local_queues.get(workload.queue)
        if local_queue is None or local_queue.cluster_queue not in self.queues.specs:
            raise ValueError(
                f"workload {workload.key} waits in LocalQueue {workload.queue!r}, "
                "which leads to no ClusterQueue"
            )
        self.jobs[workload.key] = _Job(arrival, self.fleet.world.of(workload))
        self.push(workload.created_ns, What.ARRIVE, workload.key)

    def push(self, at_ns: int, what: What, name: str, turn: int = 0) -> None:
        heapq.heappush(self.events, (at_ns, what, name, turn))

    # -- what happens

    def take_in(self, what: What, name: str, turn: int, now_ns: int) -> None:
        match what:
            case What.ARRIVE:
                self.waiting.add(self.jobs[name].workload, now_ns=now_ns)
                for age_ns in self.ripe_after_ns:
                    self.push(now_ns + age_ns, What.RIPE, name)
            case What.RIPE:
                self.waiting.wake_one(name, now_ns=now_ns)
            case What.WAKE:
                self.waking.discard(self.roots[name])
                self.waiting.wake(name, now_ns=now_ns)
            case What.END if turn == self.jobs[name].turn:
                self._end(self.jobs[name], now_ns)
            case What.GONE if turn == self.jobs[name].turn and self.jobs[name].is_leaving:
                self._leave(self.jobs[name], now_ns)

    def _end(self, job: _Job, now_ns: int) -> None:
        if not job.pods:
            return
        assert job.runtime_ns is not None, job.workload.key
        job.ended_ns = now_ns
        self._free(job, now_ns)
        self.stays.append(job.stop(job.runtime_ns - job.useful_ns, now_ns))

    def _leave(self, job: _Job, now_ns: int) -> None:
        job.evictions += 1
        self._free(job, now_ns)
        self.stays.append(job.stop(job.habit.saved_ns(job.worked_ns(now_ns)), now_ns))
        self.waiting.add(job.workload, now_ns=now_ns)

    def _free(self, job: _Job, now_ns: int) -> None:
        for pod in job.pods:
            self.placer.snapshot.apply(PodGone(pod, now_ns))
        queue = self.queues.remove(job.workload.key).admission.cluster_queue
        if self.roots[queue] not in self.waking:
            self.waking.add(self.roots[queue])
            self.push(now_ns + self.fleet.world.wake_every_ns, What.WAKE, queue)

    # -- decisions

    def decide(self, now_ns: int) -> None:
        """Run passes until one changes nothing."""
        self.losses.now_ns = now_ns
        nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
            now_ns=now_ns,
        )
        for _ in range(PASSES_MAX):
            active = self._active()
            plan = queue_cycle.run(
                self.waiting,
                nominator,
                self.policy,
                now_ns,
                ledger=self.ledger,
                placer=self.placer,
            )
            self.passes += 1
            self.rounds += plan.rounds
            self._carry_out(plan, now_ns)
            if not plan.starts and not plan.evicts and self._active() == active:
                return
        raise ValueError(f"the policy decides more than {PASSES_MAX} times at one instant")

    def _active(self) -> int:
        return sum(len(pending.active) for pending in self.waiting.pending.values())

    def _carry_out(self, plan: QueuePlan, now_ns: int) -> None:
        self.ledger = self.ledger.after(plan.changes)
        for admit in plan.starts:
            self._start(admit, now_ns)
        for evict in plan.evicts:
            self._evict(evict, now_ns)

    def _start(self, admit: Admit, now_ns: int) -> None:
        job = self.jobs[admit.start.workload]
        job.start(admit, now_ns)
        if job.runtime_ns is not None:
            end_ns = job.works_since_ns + job.runtime_ns - job.useful_ns
            self.push(end_ns, What.END, job.workload.key, job.turn)

    def _evict(self, evict: Evict, now_ns: int) -> None:
        job = self.jobs[evict.victim]
        job.is_leaving = True
        self.push(now_ns + job.habit.grace_ns, What.GONE, evict.victim, job.turn)

    # -- what is told at the end

    def measured(self) -> SharedRun:
        until_ns = self.fleet.until_ns
        for job in self.jobs.values():
            if job.pods:
                worked_ns = job.worked_ns(until_ns)
                kept_ns = job.habit.saved_ns(worked_ns) if job.is_leaving else worked_ns
                self.stays.append(job.stop(kept_ns, until_ns))
        self.free.note(until_ns)
        return SharedRun(
            until_ns=until_ns,
            devices=self.free.devices,
            idle_device_ns=self.free.idle_device_ns,
            mean_startable_pods=self.free.startable_pod_ns / max(1, until_ns),
            outcomes=tuple(
                job.outcome(until_ns)
                for job in self.jobs.values()
                if job.workload.created_ns < until_ns
            ),
            stays=tuple(self.stays),
            passes=self.passes,
            rounds=self.rounds,
        )


def _snapshot_of(fleet: SharedFleet) -> Snapshot:
    snapshot = Snapshot()
    for node in fleet.nodes:
        snapshot.apply(NodeObserved(node))
    snapshot.apply(MixObserved(fleet.mix))
    return snapshot


def _queues_of(fleet: SharedFleet, snapshot: Snapshot) -> Queues:
    topologies = {topology.name: topology for topology in fleet.topologies}
    return Queues(
        fleet.cluster_queues,
        fleet.cohorts,
        flavors=fleet.flavors,
        local_queues=fleet.local_queues,
        places={
            flavor.name: survey(snapshot, flavor, topologies[flavor.topology])
            for flavor in fleet.flavors
            if flavor.topology
        },
        topologies=topologies,
    )
