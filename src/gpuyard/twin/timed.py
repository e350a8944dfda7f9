"""The *timed* protocol: workloads arrive, wait, run and end in virtual time.

An event heap moves the time from one instant to the next; everything that happens at an instant is
taken in, then one `cycle.run` decides, with the very function that a cluster would get its
decisions from. Latency of the decision is nil here; what users' jobs do is part of the world, not
of the policy (`World`):

* a gang whose members start one by one begins to work when the last one is there. Until then the
  others hold their devices for nothing, and after `World.rendezvous_timeout_ns` they give up, as
  torchrun does (``join_timeout`` 600 s of its rendezvous), and the workload is put back whole;
* it comes back after a growing delay, as a Job's failed pods do (10 s, doubled each time, at most
  6 min: Kubernetes' Job controller), for as long as the trace lasts.

A run that is not told how long to watch lasts until the last workload arrived, started or ended.
Workloads that come back for ever would hide that end: where nobody else is to come, they have
`STILL_NS` to find places in.

What is measured is noted after every instant at which something changed (`Timeline`) and once per
workload (`Jobs`). Whoever is still waiting when the trace ends has waited until then; that is said,
never left out.
"""

import heapq
from collections.abc import Iterable, Mapping
from enum import IntEnum

import msgspec
import numpy as np

from gpuyard.model.deltas import MixEntry, MixObserved, NodeObserved, PodGone
from gpuyard.model.nodes import Node, Pool
from gpuyard.model.plan import Plan
from gpuyard.model.policy import Policy
from gpuyard.model.reasons import Reporter, Silent
from gpuyard.model.workloads import Assignment, Request, TimedWorkload
from gpuyard.scheduling import cycle
from gpuyard.scheduling.parking import Parking
from gpuyard.scheduling.placement import Counted, Placer
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin.measures import Jobs, Meter, Timeline

SECOND_NS = 10**9
INSTANTS_MAX = 50_000_000  # a trace that needs more is not finite
STILL_NS = 24 * 3600 * SECOND_NS  # some ninety tries: whoever found no place in them never will


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What jobs do that no scheduler decides."""

    rendezvous_timeout_ns: int = 600 * SECOND_NS
    retry_first_ns: int = 10 * SECOND_NS
    retry_longest_ns: int = 360 * SECOND_NS


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the policy: who lives where, and for how long it is watched.

    Without `until_ns` the run goes on until no workload arrives, starts or ends any more. `mix` is
    what fragmentation is measured against, `probe` what each pod of a gang asks for whose largest
    startable size is measured. A node whose pool is not among `pools` has our device choice.
    """

    nodes: tuple[Node, ...]
    arrivals: tuple[TimedWorkload, ...]
    mix: tuple[MixEntry, ...]
    until_ns: int | None = None
    pools: Mapping[str, Pool] = msgspec.field(default_factory=dict)
    probe: Request | None = None
    world: World = World()


class TimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured in one run; instants are nanoseconds, amounts thousandths of a device."""

    nodes: int
    devices: int
    until_ns: int
    timeline: Timeline
    jobs: Jobs
    counted: Counted
    cycles: int


class What(IntEnum):
    """What an event is, in the order in which events of one instant are taken in."""

    END = 0
    GIVE_UP = 1
    RETURN = 2
    ARRIVE = 3


class _Job(msgspec.Struct):
    """A workload on its way through the yard."""

    index: int
    arrival: TimedWorkload
    missing: tuple[cycle.Member, ...]
    bound: list[Assignment]
    parked: tuple[cycle.Member, ...] | None = None  # what it missed when it was parked
    attempts: int = 0  # tries that began and were given up; tells an old GIVE_UP from a new one


class _Yard:
    """One run in progress: the snapshot, the heap, and who is where."""

    def __init__(self, placer: Placer, world: World, meter: Meter, reporter: Reporter) -> None:
        self.placer = placer
        self.world = world
        self.meter = meter
        self.reporter = reporter
        self.events: list[tuple[int, What, int, int]] = []  # ns, what, job, attempt
        self.jobs: list[_Job] = []
        self.by_key: dict[str, _Job] = {}
        self.waiting: dict[int, _Job] = {}
        self.parking = Parking(placer)
        self.cycles = 0
        self.coming = 0  # arrivals and ends that lie ahead
        self.moved_ns = 0  # when a workload last arrived, started or ended

    def take_in(self, what: What, job: _Job, attempt: int, now_ns: int) -> None:
        """Let one event happen."""
        if what in {What.ARRIVE, What.END}:
            self.coming -= 1
            self.moved_ns = now_ns
        match what:
            case What.ARRIVE:
                self.waiting[job.index] = job
                self.meter.arrived(job.index)
            case What.RETURN:
                self.waiting[job.index] = job
            case What.END:
                self.meter.ended(job.index, now_ns)
                self._free(job, now_ns)
            case What.GIVE_UP if attempt == job.attempts and job.missing:
                self._put_back(job, now_ns)

    def decide(self, jobs: Iterable[_Job], now_ns: int) -> None:
        """Run a cycle over `jobs`, and again over those whom its starts may have helped."""
        pending = {job.index: job for job in jobs}
        while pending:
            for key in self.parking.dependents():
                pending[self.by_key[key].index] = self.by_key[key]
            has_started = self._decide_once(pending.values(), now_ns)
            again = has_started and self.parking.dependents()
            woken = self.parking.woken() if again else ()
            pending = {self.by_key[key].index: self.by_key[key] for key in woken}

    def _decide_once(self, jobs: Iterable[_Job], now_ns: int) -> bool:
        """Run one cycle over `jobs`, carry its plan out at once, tell whether anything started."""
        pending = [cycle.Pending(job.arrival.workload, job.missing) for job in jobs]
        self.cycles += 1
        plan = cycle.run(self.placer, pending, self.reporter, self.parking.may_fit)
        self._carry_out(plan, now_ns)
        snapshot = self.placer.snapshot
        for wait in plan.waits:
            job = self.by_key[wait.workload]
            # Terms of running pods may give the same pods another shape.
            if job.parked is not job.missing or snapshot.terms.held:
                job.parked = job.missing
                shapes = [snapshot.shape(template) for _, template in job.missing]
                self.parking.park(wait.workload, cycle.turn(job.arrival.workload), shapes)
        return bool(plan.starts)

    def _carry_out(self, plan: Plan, now_ns: int) -> None:
        for start in plan.starts:
            job = self.by_key[start.workload]
            if not job.bound and not start.complete:
                give_up_ns = now_ns + self.world.rendezvous_timeout_ns
                heapq.heappush(self.events, (give_up_ns, What.GIVE_UP, job.index, job.attempts))
            self.meter.took(start.device_milli)
            job.bound.extend(start.assignments)
            if start.complete:
                job.missing = ()
                del self.waiting[job.index]
                self.parking.leave(start.workload)
                self.meter.started(job.index, now_ns, job.bound[0].node)
                self.moved_ns = now_ns
                if job.arrival.runtime_ns is not None:
                    end_ns = now_ns + job.arrival.runtime_ns
                    heapq.heappush(self.events, (end_ns, What.END, job.index, job.attempts))
                    self.coming += 1
            else:
                placed = {one.pod for one in start.assignments}
                job.missing = tuple(one for one in job.missing if one[0] not in placed)

    def _put_back(self, job: _Job, now_ns: int) -> None:
        """Free what an incomplete gang holds and let it come back later."""
        self._free(job, now_ns)
        job.missing = cycle.members(job.arrival.workload)
        delay_ns = min(
            self.world.retry_first_ns << min(job.attempts, 32), self.world.retry_longest_ns
        )
        job.attempts += 1
        self.meter.gave_up(job.index)
        del self.waiting[job.index]
        self.parking.leave(job.arrival.workload.key)
        job.parked = None
        heapq.heappush(self.events, (now_ns + delay_ns, What.RETURN, job.index, job.attempts))

    def _free(self, job: _Job, now_ns: int) -> None:
        for one in job.bound:
            self.placer.snapshot.apply(PodGone(one.pod, now_ns))
        self.meter.gave_back(sum(one.device_milli for one in job.bound))
        job.bound = []


def run(
    setting: Setting, policy: Policy, *, seed: int = 0, reporter: Reporter | None = None
) -> TimedRun:
    """Let the arrivals of `setting` live on its nodes, placed by `policy`."""
    snapshot = Snapshot()
    for node in setting.nodes:
        snapshot.apply(NodeObserved(node))
    snapshot.apply(MixObserved(setting.mix))
    placer = Placer(snapshot, policy, np.random.default_rng(seed), setting.pools)
    meter = Meter(snapshot, [one.workload for one in setting.arrivals], setting.probe)
    yard = _Yard(placer, setting.world, meter, reporter or Silent())
    for index, arrival in enumerate(setting.arrivals):
        job = _Job(index, arrival, cycle.members(arrival.workload), [])
        yard.jobs.append(job)
        yard.by_key[arrival.workload.key] = job
        yard.events.append((arrival.workload.created_ns, What.ARRIVE, index, 0))
    heapq.heapify(yard.events)
    yard.coming = len(yard.events)
    end_ns = _live(yard, setting.until_ns)
    return TimedRun(
        nodes=int(snapshot.fleet.present.sum()),
        devices=int((snapshot.fleet.device_model >= 0).sum()),
        until_ns=end_ns,
        timeline=meter.timeline(end_ns),
        jobs=meter.jobs(end_ns),
        counted=placer.counted,
        cycles=yard.cycles,
    )


def _live(yard: _Yard, until_ns: int | None) -> int:
    """Go from instant to instant; return the instant at which it ended."""
    for _ in range(INSTANTS_MAX):
        if not yard.events or yard.events[0][0] > _end_ns(yard, until_ns):
            return yard.moved_ns if until_ns is None else until_ns
        now_ns = yard.events[0][0]
        fresh = []
        while yard.events and yard.events[0][0] == now_ns:
            _, what, index, attempt = heapq.heappop(yard.events)
            job = yard.jobs[index]
            yard.take_in(what, job, attempt, now_ns)
            if what in {What.ARRIVE, What.RETURN}:
                fresh.append(job)
        woken = [yard.by_key[key] for key in yard.parking.woken()]
        yard.decide([*woken, *fresh], now_ns)
        yard.meter.note(now_ns)
    msg = f"the trace has more than {INSTANTS_MAX} instants"
    raise ValueError(msg)


def _end_ns(yard: _Yard, until_ns: int | None) -> int:
    """Return the instant after which nothing is of interest, as far as is known now."""
    if until_ns is not None:
        return until_ns
    return yard.events[0][0] if yard.coming else yard.moved_ns + STILL_NS
