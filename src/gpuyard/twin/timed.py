"""The *timed* protocol: workloads arrive, wait, run and end in virtual time.

An event heap moves the time from one instant to the next; everything that happens at an instant is
taken in, then one `cycle.run` decides, with the very function that a cluster would get its
decisions from. What it starts goes the way that it would go there (`gpuyard.twin.starts`): written,
perhaps refused or lost, confirmed, ready; or put back whole. How long that takes and what goes
wrong is the world's (`gpuyard.twin.world`), not the policy's; where nothing takes time, a start is
a fact at the instant at which it was decided.

What starts together is one commitment: a workload where gangs start all or nothing, a pod where
each is placed for itself (stock kube-scheduler). What jobs themselves do is part of the world too:

* a job works when all of its pods are ready. Until then the others hold their devices for nothing,
  and `World.rendezvous_timeout_ns` after the first they give up, as torchrun does. A job that was
  started whole is then put back as after any other failure;
* pods that were placed one by one go down together, and the Job controller brings them back after
  a growing delay, for as long as the trace lasts;
* a job of which a start was given up for good has failed.

A run that is not told how long to watch lasts until the last workload arrived, started or ended.
Workloads that come back for ever would hide that end: where nobody else is to come, they have
`STILL_NS` to find places in.

What is measured is noted after every instant at which something happened (`Timeline`) and once per
workload (`Jobs`). Whoever is still waiting when the trace ends has waited until then; that is said,
never left out.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

import msgspec
import numpy as np

from gpuyard.model.commitments import Ended, MemberReady
from gpuyard.model.deltas import Delta, MixEntry, MixObserved, NodeObserved, PodGone
from gpuyard.model.nodes import Node, Pool
from gpuyard.model.plan import Plan, Start
from gpuyard.model.reasons import Reporter, Silent
from gpuyard.model.workloads import Assignment, Request, TimedWorkload
from gpuyard.scheduling import cycle
from gpuyard.scheduling.parking import Parking
from gpuyard.scheduling.placement import Counted, Placer
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin.api_server import PodLeft
from gpuyard.twin.measures import Jobs, Meter, Timeline
from gpuyard.twin.record import Recorder
from gpuyard.twin.starts import News, Starts
from gpuyard.twin.world import World as World  # noqa: PLC0414  part of a `Setting`

SECOND_NS = 10**9
INSTANTS_MAX = 50_000_000  # a trace that needs more is not finite
STILL_NS = 24 * 3600 * SECOND_NS  # some ninety tries: whoever found no place in them never will


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
    writes: int  # pods sent to a node, each time that it was tried


class What(IntEnum):
    """What an event is, in the order in which events of one instant are taken in."""

    END = 0
    GIVE_UP = 1
    RETURN = 2
    ARRIVE = 3


class _Job(msgspec.Struct):
    """A workload on its way through the yard.

    Each of its pods is missing, or bound (planned to be on a node, there, or on its way out), or
    away until its delay is over. `starts` are those on their way, with their pods.
    """

    index: int
    arrival: TimedWorkload
    pods: int
    missing: tuple[cycle.Member, ...]
    bound: dict[str, Assignment] = {}
    away: dict[str, int] = {}
    starts: dict[str, tuple[str, ...]] = {}
    ready: set[str] = set()
    landed: int = 0  # pods whose start came to its end
    parked: tuple[cycle.Member, ...] | None = None  # what it missed when it was parked
    attempts: int = 0  # tries of the whole that were given up; tells old events from new ones
    clock: int = -1  # the attempt in which the patience of its first pod runs

    @property
    def key(self) -> str:
        return self.arrival.workload.key

    @property
    def is_complete(self) -> bool:
        return self.landed == self.pods


class _Yard:
    """One run in progress: the snapshot, the heap, and who is where."""

    def __init__(self, placer: Placer, starts: Starts, meter: Meter, reporter: Reporter) -> None:
        self.placer = placer
        self.starts = starts
        self.world = starts.api.world
        self.meter = meter
        self.reporter = reporter
        self.recorder: Recorder | None = None
        self.events: list[tuple[int, What, int, int]] = []  # ns, what, job, attempt
        self.arrivals: tuple[TimedWorkload, ...] = ()
        self.jobs: dict[int, _Job] = {}  # who is here, by their place among the arrivals
        self.by_key: dict[str, _Job] = {}
        self.by_start: dict[str, _Job] = {}
        self.by_pod: dict[str, _Job] = {}
        self.waiting: dict[int, _Job] = {}  # who misses pods
        self.parking = Parking(placer)
        self.cycles = 0
        self.coming = 0  # arrivals and ends that lie ahead
        self.moved_ns = 0  # when a workload last arrived, started or ended

    # -- what happens

    def next_ns(self) -> int | None:
        """Return the next instant at which something happens."""
        start_ns = self.starts.next_ns()
        if not self.events:
            return start_ns
        event_ns = self.events[0][0]
        return event_ns if start_ns is None else min(event_ns, start_ns)

    def take_in(self, what: What, index: int, attempt: int, now_ns: int) -> _Job | None:
        """Let one event happen; return the job that now wants what it did not want before."""
        if what in {What.ARRIVE, What.END}:
            self.coming -= 1
            self.moved_ns = now_ns
        if what is What.ARRIVE:
            return self._arrive(index)
        job = self.jobs.get(index)  # a clock may outlive its job
        if job is None:
            return None
        match what:
            case What.RETURN if self._is_back(job, now_ns):
                return job
            case What.END:
                self.meter.ended(index, now_ns)
                self._take_away(job, tuple(job.bound), now_ns)
                del self.jobs[index], self.by_key[job.key]
            case What.GIVE_UP if attempt == job.attempts and job.ready and not job.is_complete:
                self._lose_patience(job, now_ns)
        return None

    def settle(self, now_ns: int) -> None:
        """Let everything happen that starts on their way lead to by now."""
        if not self.starts.is_due(now_ns):
            return
        forming: dict[int, _Job] = {}  # jobs with a first pod that is ready
        for news in self.starts.happen(now_ns):
            self._hear(news, forming, now_ns)
        for job in forming.values():
            self._start_clock(job, now_ns)

    def tell(self, delta: Delta) -> None:
        """Tell the snapshot what is so."""
        self.placer.snapshot.apply(delta)
        if self.recorder is not None:
            self.recorder.told(delta)

    # -- what is decided

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
        """Run one cycle over `jobs`, begin to carry its plan out, tell whether anything started."""
        pending = [cycle.Pending(job.arrival.workload, job.missing) for job in jobs]
        self.cycles += 1
        recorder, may_fit = self.recorder, self.parking.may_fit
        asked = may_fit if recorder is None else recorder.asking(may_fit)
        plan = cycle.run(self.placer, pending, self.reporter, asked)
        if recorder is not None:
            recorder.decided(pending, plan, now_ns)
        self._carry_out(plan, now_ns)
        snapshot = self.placer.snapshot
        for wait in plan.waits:
            job = self.by_key.get(wait.workload)
            if job is None or not job.missing:
                continue  # what was begun of it has come to a bad end already
            # Terms of running pods may give the same pods another shape.
            if job.parked is not job.missing or snapshot.terms.held:
                job.parked = job.missing
                shapes = [snapshot.shape(template) for _, template in job.missing]
                self.parking.park(wait.workload, cycle.turn(job.arrival.workload), shapes)
        return bool(plan.starts)

    def _carry_out(self, plan: Plan, now_ns: int) -> None:
        for start in plan.starts:
            job = self.by_key[start.workload]
            self.meter.took(start.device_milli)
            placed = {one.pod: one for one in start.assignments}
            job.bound |= placed
            self.by_pod.update(dict.fromkeys(placed, job))
            if start.complete:
                job.missing = ()
                self._stop_waiting(job)
            else:
                job.missing = tuple(one for one in job.missing if one[0] not in placed)
            for name, nodes in self._commitments(start):
                job.starts[name] = tuple(nodes)
                self.by_start[name] = job
                self.starts.commit(name, job.key, nodes, now_ns)
            self.settle(now_ns)

    def _commitments(self, start: Start) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield what starts together: a name, and the node of each pod."""
        if self.placer.policy.gangs == "all-or-nothing":
            yield start.workload, {one.pod: one.node for one in start.assignments}
        else:
            for one in start.assignments:
                yield one.pod, {one.pod: one.node}

    # -- what becomes of it

    def _arrive(self, index: int) -> _Job:
        arrival = self.arrivals[index]
        workload = arrival.workload
        job = _Job(index, arrival, workload.pod_count, cycle.members(workload))
        self.jobs[index] = self.by_key[job.key] = self.waiting[index] = job
        self.meter.arrived(index)
        return job

    def _hear(self, news: News, forming: dict[int, _Job], now_ns: int) -> None:
        match news:
            case MemberReady(workload=start, pod=pod) if start in self.by_start:
                job = self.by_start[start]
                job.ready.add(pod)
                forming[job.index] = job
            case Ended(workload=start) if start in self.by_start:
                self._end_start(self.by_start.pop(start), news, now_ns)
            case PodLeft(pod) if pod in self.by_pod:
                self._free(self.by_pod[pod], [pod], now_ns)

    def _end_start(self, job: _Job, ended: Ended, now_ns: int) -> None:
        """Go on with a job of which a start came to its end."""
        pods = job.starts.pop(ended.workload)
        if ended.outcome == "running":
            job.landed += len(pods)
            if job.is_complete:
                self._begin(job, now_ns)
            return
        # What was written leaves when the API server says so; the rest was never anywhere.
        never_written = [
            pod for pod in pods if pod in job.bound and not self.starts.api.exists(pod)
        ]
        self._free(job, never_written, now_ns)
        if ended.outcome == "given-up":
            self._fail(job, pods, now_ns)
            return
        if len(pods) == job.pods:
            job.attempts += 1
            self.meter.put_back(job.index)
        self._send_away(job, pods, max(now_ns, self.starts.not_before_ns(ended.workload)))

    def _begin(self, job: _Job, now_ns: int) -> None:
        """Let a job work: all of its pods are ready."""
        self.meter.started(job.index, now_ns, next(iter(job.bound.values())).node)
        self.moved_ns = now_ns
        if job.arrival.runtime_ns is not None:
            end_ns = now_ns + job.arrival.runtime_ns
            heapq.heappush(self.events, (end_ns, What.END, job.index, job.attempts))
            self.coming += 1

    def _start_clock(self, job: _Job, now_ns: int) -> None:
        """Let the patience of ready pods begin that wait for others."""
        if job.ready and not job.is_complete and job.clock != job.attempts:
            job.clock = job.attempts
            give_up_ns = now_ns + self.world.rendezvous_timeout_ns
            heapq.heappush(self.events, (give_up_ns, What.GIVE_UP, job.index, job.attempts))

    def _lose_patience(self, job: _Job, now_ns: int) -> None:
        """Let pods give up that waited long enough for the others."""
        if job.key in job.starts:
            self.starts.fail(job.key, min(job.ready), "RendezvousTimeout", now_ns)
            return
        self._take_away(job, tuple(job.bound), now_ns)
        delay_ns = min(
            self.world.retry_first_ns << min(job.attempts, 32), self.world.retry_longest_ns
        )
        job.landed = 0
        job.attempts += 1
        self.meter.put_back(job.index)
        pods = tuple(pod for pod, _ in cycle.members(job.arrival.workload))
        self._send_away(job, pods, now_ns + delay_ns)

    def _fail(self, job: _Job, failed: tuple[str, ...], now_ns: int) -> None:
        """End a job that will not be tried again; of `failed` some may not want to leave."""
        self._take_away(job, tuple(pod for pod in job.bound if pod not in failed), now_ns)
        self._stop_waiting(job)
        del self.jobs[job.index], self.by_key[job.key]
        held_milli = sum(one.device_milli for one in job.bound.values())
        self.meter.given_up(job.index, now_ns, held_milli)
        self.moved_ns = now_ns

    def _send_away(self, job: _Job, pods: tuple[str, ...], until_ns: int) -> None:
        """Let pods that are back come again later."""
        job.away.update(dict.fromkeys(pods, until_ns))
        job.missing = tuple(one for one in job.missing if one[0] not in job.away)
        if not job.missing:
            self._stop_waiting(job)
        heapq.heappush(self.events, (until_ns, What.RETURN, job.index, job.attempts))

    def _is_back(self, job: _Job, now_ns: int) -> bool:
        """Let pods miss a node again whose delay is over; tell whether there are any."""
        back = [pod for pod, until_ns in job.away.items() if until_ns <= now_ns]
        for pod in back:
            del job.away[pod]
        if back:
            job.missing = tuple(
                (pod, template)
                for pod, template in cycle.members(job.arrival.workload)
                if pod not in job.bound and pod not in job.away
            )
            self.waiting[job.index] = job
        return bool(back)

    def _stop_waiting(self, job: _Job) -> None:
        self.waiting.pop(job.index, None)
        self.parking.leave(job.key)
        job.parked = None

    def _take_away(self, job: _Job, pods: tuple[str, ...], now_ns: int) -> None:
        """Let pods of a job be gone at once, with all starts that are on their way."""
        for start in job.starts:
            del self.by_start[start]
            self.starts.take_away(start, now_ns)
        job.starts.clear()
        self.starts.forget(pods)
        self._free(job, pods, now_ns)

    def _free(self, job: _Job, pods: Iterable[str], now_ns: int) -> None:
        """Give back what pods hold."""
        for pod in pods:
            assignment = job.bound.pop(pod)
            del self.by_pod[pod]
            job.ready.discard(pod)
            self.tell(PodGone(pod, now_ns))
            self.meter.gave_back(assignment.device_milli, is_abandoned=job.index not in self.jobs)


def run(
    setting: Setting,
    policy: Policy,
    *,
    seed: int = 0,
    reporter: Reporter | None = None,
    recorder: Recorder | None = None,
) -> TimedRun:
    """Let the arrivals of `setting` live on its nodes, placed by `policy`, without queues.

    `recorder` is told every fact and every plan.
    """
    placer = Placer(Snapshot(), policy.placement, np.random.default_rng(seed), setting.pools)
    meter = Meter(placer.snapshot, [one.workload for one in setting.arrivals], setting.probe)
    yard = _Yard(placer, Starts(setting.world, policy.commitments), meter, reporter or Silent())
    yard.recorder = recorder
    for node in setting.nodes:
        yard.tell(NodeObserved(node))
    yard.tell(MixObserved(setting.mix))
    yard.arrivals = setting.arrivals
    for index, arrival in enumerate(setting.arrivals):
        yard.events.append((arrival.workload.created_ns, What.ARRIVE, index, 0))
    heapq.heapify(yard.events)
    yard.coming = len(yard.events)
    end_ns = _live(yard, setting.until_ns)
    fleet = placer.snapshot.fleet
    return TimedRun(
        nodes=int(fleet.present.sum()),
        devices=int((fleet.device_model >= 0).sum()),
        until_ns=end_ns,
        timeline=meter.timeline(end_ns),
        jobs=meter.jobs(end_ns),
        counted=placer.counted,
        cycles=yard.cycles,
        writes=yard.starts.api.writes,
    )


def _live(yard: _Yard, until_ns: int | None) -> int:
    """Go from instant to instant; return the instant at which it ended."""
    for _ in range(INSTANTS_MAX):
        now_ns = yard.next_ns()
        if now_ns is None or now_ns > _end_ns(yard, now_ns, until_ns):
            return yard.moved_ns if until_ns is None else until_ns
        yard.settle(now_ns)
        fresh = []
        while yard.events and yard.events[0][0] == now_ns:
            _, what, index, attempt = heapq.heappop(yard.events)
            job = yard.take_in(what, index, attempt, now_ns)
            if job is not None:
                fresh.append(job)
        yard.starts.tick(now_ns)
        yard.settle(now_ns)
        woken = [yard.by_key[key] for key in yard.parking.woken()]
        yard.decide([*woken, *fresh], now_ns)
        yard.meter.note(now_ns)
    msg = f"the trace has more than {INSTANTS_MAX} instants"
    raise ValueError(msg)


def _end_ns(yard: _Yard, next_ns: int, until_ns: int | None) -> int:
    """Return the instant after which nothing is of interest, as far as is known now."""
    if until_ns is not None:
        return until_ns
    return next_ns if yard.coming else yard.moved_ns + STILL_NS
