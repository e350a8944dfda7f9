"""Living through a shared fleet, from one instant to the next.

An event heap moves the time. What happens at an instant is told to the yard
(`gpuyard.scheduling.yard`), which then decides, again and again until it has nothing more to say: a
pass costs nothing here, so whoever serves one workload per queue and pass loses nothing by it. What
became free wakes those who wait in its tree, at most once every `FleetWorld.wake_every_ns`, and
whoever may not yet evict or move others is tried again when he has waited long enough for it.

What was decided goes the way that it would go in a cluster (`gpuyard.twin.starts`): pods are
written to their nodes, perhaps refused or lost, confirmed, ready; or put back whole, and then the
workload waits again until its back-off is over. It works when all of its pods are ready.

A workload that is told to go holds its devices for its grace period and works on; should its work
end by then, it has ended. After it went, it goes on from the last time its work was saved, in the
queue and with the age that it had before, and when it starts again its devices are busy for
`Habit.restart_ns` before it works. Decisions see what an eviction would throw away
(`WorkloadRuns`).

Not modelled: nodes that fail, what a decision costs (`twin.queued` does), victims that do not go
when they should, and owners who change their minds.
"""

import heapq
from enum import IntEnum

import msgspec
import numpy as np

from gpuyard.model.commitments import Ended, MemberReady
from gpuyard.model.deltas import (
    MixObserved,
    NodeObserved,
    PodGone,
    QueuesWoken,
    WorkloadGone,
    WorkloadRipe,
    WorkloadRuns,
    WorkloadWaits,
    YardDelta,
)
from gpuyard.model.plan import Evict, Start
from gpuyard.model.queues import ClusterQueue
from gpuyard.model.workloads import TimedWorkload, Workload
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.queue_cycle import QueuePlan
from gpuyard.scheduling.queue_policy import ripe_after_ns
from gpuyard.scheduling.yard import Yard
from gpuyard.twin.api_server import PodLeft
from gpuyard.twin.free_devices import FreeDevices
from gpuyard.twin.record import Recorder
from gpuyard.twin.shared_fleet.job import Job
from gpuyard.twin.shared_fleet.outcomes import SharedRun, Stay
from gpuyard.twin.shared_fleet.setting import SharedFleet
from gpuyard.twin.starts import News, Starts

INSTANTS_MAX = 50_000_000  # a trace that needs more is not finite
PASSES_MAX = 100_000  # at one instant; a policy that needs more never comes to rest


class What(IntEnum):
    """What an event is, in the order in which events of one instant are taken in."""

    END = 0
    GONE = 1
    WAKE = 2
    ARRIVE = 3
    RIPE = 4
    LOSE_PATIENCE = 5


GATHERED = frozenset(
    {What.END, What.GONE, What.LOSE_PATIENCE}
)  # nobody decides before a tree is woken for them


def run(
    fleet: SharedFleet, policy: Policy, *, seed: int = 0, recorder: Recorder | None = None
) -> SharedRun:
    """Let the arrivals of `fleet` live there until `until_ns`, under a policy with queues.

    `recorder` is told every fact and every plan.

    Raises
    ------
    ValueError
        for two arrivals of one key, one whose LocalQueue leads nowhere, a policy without queues,
        and a policy or trace that never comes to an end.

    """
    life = _Life(fleet, policy, seed, recorder)
    for arrival in fleet.arrivals:
        life.expect(arrival)
    for _ in range(INSTANTS_MAX):
        now_ns = life.next_ns()
        if now_ns is None or now_ns >= fleet.until_ns:
            return life.measured()
        life.live(now_ns)
    raise ValueError(f"the trace has more than {INSTANTS_MAX} instants")


class _Life:
    """One run in progress."""

    def __init__(
        self, fleet: SharedFleet, policy: Policy, seed: int, recorder: Recorder | None
    ) -> None:
        self.fleet = fleet
        self.recorder = recorder
        self.yard = Yard(policy, np.random.default_rng(seed), fleet.pools)
        for node in fleet.nodes:
            self.tell(NodeObserved(node))
        self.tell(MixObserved(fleet.mix))
        self.tell(fleet.queues())
        self.free = FreeDevices(self.yard.snapshot, fleet.probe)
        self.starts = Starts(fleet.world.starts, policy.commitments)
        self.ripe_after_ns = ripe_after_ns(self.yard.queueing)
        self.doors = {_key(each.namespace, each.name): each for each in fleet.local_queues}
        self.trees = _trees(fleet)
        self.events: list[tuple[int, What, str, int]] = []  # ns, what, key or queue, turn
        self.jobs: dict[str, Job] = {}
        self.by_pod: dict[str, Job] = {}
        self.starting: dict[str, set[str]] = {}  # workloads on their way, and their ready pods
        self.waking: set[str] = set()  # trees that will be woken
        self.stays: list[Stay] = []
        self.passes = 0
        self.rounds = 0

    def expect(self, arrival: TimedWorkload) -> None:
        workload = arrival.workload
        if workload.key in self.jobs:
            raise ValueError(f"workload {workload.key} arrives twice; give each a key of its own")
        door = self.doors.get(workload.queue)
        if door is None or door.cluster_queue not in self.trees:
            raise ValueError(
                f"workload {workload.key} waits in LocalQueue {workload.queue!r}, "
                "which leads to no ClusterQueue"
            )
        self.jobs[workload.key] = Job(arrival, self.fleet.world.of(workload))
        self.push(workload.created_ns, What.ARRIVE, workload.key)

    def push(self, at_ns: int, what: What, name: str, turn: int = 0) -> None:
        heapq.heappush(self.events, (at_ns, what, name, turn))

    def tell(self, delta: YardDelta) -> None:
        """Tell the yard what is so."""
        self.yard.apply(delta)
        if self.recorder is not None:
            self.recorder.told(delta)

    # -- what happens

    def next_ns(self) -> int | None:
        """Return the next instant at which something happens."""
        start_ns = self.starts.next_ns()
        if not self.events:
            return start_ns
        event_ns = self.events[0][0]
        return event_ns if start_ns is None else min(event_ns, start_ns)

    def live(self, now_ns: int) -> None:
        """Take in what happens at an instant, and decide."""
        self.settle(now_ns)
        is_news = False
        while self.events and self.events[0][0] == now_ns:
            _, what, name, turn = heapq.heappop(self.events)
            self.take_in(what, name, turn, now_ns)
            is_news = is_news or what not in GATHERED
        self.starts.tick(now_ns)
        self.settle(now_ns)
        if is_news:
            self.decide(now_ns)
        self.free.note(now_ns)

    def take_in(self, what: What, name: str, turn: int, now_ns: int) -> None:
        match what:
            case What.ARRIVE:
                self.tell(WorkloadWaits(self.jobs[name].workload, now_ns))
                for age_ns in self.ripe_after_ns:
                    self.push(now_ns + age_ns, What.RIPE, name)
            case What.RIPE:
                self.tell(WorkloadRipe(name, now_ns))
            case What.WAKE:
                self.waking.discard(self.trees[name])
                self.tell(QueuesWoken((name,), now_ns))
            case What.END if turn == self.jobs[name].turn:
                self._end(self.jobs[name], now_ns)
            case What.GONE if turn == self.jobs[name].turn and self.jobs[name].is_leaving:
                self._leave(self.jobs[name], now_ns)
            case What.LOSE_PATIENCE if turn == self.jobs[name].turn and name in self.starting:
                # Ready pods waited for the others as long as torchrun does.
                pod = min(self.starting[name])
                self.starts.fail(name, pod, "RendezvousTimeout", now_ns)

    def settle(self, now_ns: int) -> None:
        """Let everything happen that starts on their way lead to by now."""
        if not self.starts.is_due(now_ns):
            return
        forming: set[str] = set()  # workloads with a first pod that is ready
        for news in self.starts.happen(now_ns):
            self._hear(news, forming, now_ns)
        for key in sorted(forming & self.starting.keys()):
            give_up_ns = now_ns + self.fleet.world.starts.rendezvous_timeout_ns
            self.push(give_up_ns, What.LOSE_PATIENCE, key, self.jobs[key].turn)

    def _hear(self, news: News, forming: set[str], now_ns: int) -> None:
        match news:
            case MemberReady(workload=key, pod=pod) if key in self.starting:
                if not self.starting[key]:
                    forming.add(key)
                self.starting[key].add(pod)
            case Ended(workload=key) if key in self.starting:
                del self.starting[key]
                self._end_start(self.jobs[key], news, now_ns)
            case PodLeft(pod) if pod in self.by_pod:
                job = self.by_pod[pod]
                self._free(job, (pod,), now_ns)
                if job.given_up_ns is not None and not job.bound:
                    self._give_back(job, now_ns)

    # -- how a start ends

    def _end_start(self, job: Job, ended: Ended, now_ns: int) -> None:
        """Go on with a workload whose start came to its end."""
        if ended.outcome == "running":
            works_ns = job.work(now_ns)
            self.tell(WorkloadRuns(job.as_running(), now_ns))
            if job.runtime_ns is not None:
                end_ns = works_ns + job.runtime_ns - job.useful_ns
                self.push(end_ns, What.END, job.key, job.turn)
            return
        # What was written leaves when the API server says so; the rest was never anywhere.
        unwritten = [pod for pod in job.bound if not self.starts.api.exists(pod)]
        self._free(job, unwritten, now_ns)
        if ended.outcome == "given-up":
            job.given_up_ns = now_ns
        else:
            job.put_back += 1
        if not job.bound:
            self._give_back(job, now_ns)

    def _give_back(self, job: Job, now_ns: int) -> None:
        """Let a workload whose start failed wait again, if it is tried again."""
        self._release(job, now_ns)
        self.stays.append(job.stop(0, now_ns))
        if job.given_up_ns is None:
            not_before_ns = max(now_ns, self.starts.not_before_ns(job.key))
            self._wait(job, not_before_ns, now_ns)

    def _wait(self, job: Job, not_before_ns: int, now_ns: int) -> None:
        workload: Workload = job.workload
        if not_before_ns > now_ns:
            workload = _delayed(workload, not_before_ns)
            self.push(not_before_ns, What.RIPE, job.key)
        self.tell(WorkloadWaits(workload, now_ns))

    # -- how a workload goes

    def _end(self, job: Job, now_ns: int) -> None:
        if job.works_since_ns is None:
            return
        assert job.runtime_ns is not None, job.key
        job.ended_ns = now_ns
        self._take_away(job, now_ns)
        self.stays.append(job.stop(job.runtime_ns - job.useful_ns, now_ns))

    def _leave(self, job: Job, now_ns: int) -> None:
        """Let a victim be gone and wait again."""
        if not job.bound:
            return
        job.evictions += 1
        kept_ns = job.habit.saved_ns(job.worked_ns(now_ns))
        self._take_away(job, now_ns)
        self.stays.append(job.stop(kept_ns, now_ns))
        self._wait(job, now_ns, now_ns)

    def _take_away(self, job: Job, now_ns: int) -> None:
        """Let all pods of a workload be gone at once, with a start that is on its way."""
        if job.key in self.starting:
            del self.starting[job.key]
            self.starts.take_away(job.key, now_ns)
        self.starts.forget(tuple(job.bound))
        self._free(job, tuple(job.bound), now_ns)
        self._release(job, now_ns)

    def _free(self, job: Job, pods: tuple[str, ...] | list[str], now_ns: int) -> None:
        """Give back what pods hold."""
        for pod in pods:
            job.leave(pod, now_ns)
            del self.by_pod[pod]
            self.tell(PodGone(pod, now_ns))

    def _release(self, job: Job, now_ns: int) -> None:
        """Give back quota, and see to it that those are woken whom it may help."""
        queue = self.doors[job.workload.queue].cluster_queue
        self.tell(WorkloadGone(job.key, now_ns))
        if self.trees[queue] not in self.waking:
            self.waking.add(self.trees[queue])
            self.push(now_ns + self.fleet.world.wake_every_ns, What.WAKE, queue)

    # -- decisions

    def decide(self, now_ns: int) -> None:
        """Run passes until one changes nothing."""
        for _ in range(PASSES_MAX):
            active = self.yard.active()
            plan = self.yard.decide(now_ns)
            if self.recorder is not None:
                self.recorder.decided((), plan.as_plan(), now_ns)
            self.passes += 1
            self.rounds += plan.rounds
            self._carry_out(plan, now_ns)
            is_news = plan.starts or plan.evicts or plan.goes_on
            if not is_news and self.yard.active() == active:
                return
        raise ValueError(f"the policy decides more than {PASSES_MAX} times at one instant")

    def _carry_out(self, plan: QueuePlan, now_ns: int) -> None:
        for start in plan.starts:
            self._start(start, now_ns)
        for evict in plan.evicts:
            self._evict(evict, now_ns)
        self.settle(now_ns)

    def _start(self, start: Start, now_ns: int) -> None:
        job = self.jobs[start.workload]
        job.take(start.assignments, now_ns)
        self.by_pod.update(dict.fromkeys(job.bound, job))
        self.tell(WorkloadRuns(job.as_running(), now_ns))
        self.starting[job.key] = set()
        nodes = {pod: one.node for pod, one in job.bound.items()}
        self.starts.commit(job.key, job.key, nodes, now_ns)

    def _evict(self, evict: Evict, now_ns: int) -> None:
        job = self.jobs[evict.victim]
        job.is_leaving = True
        self.push(now_ns + job.habit.grace_ns, What.GONE, evict.victim, job.turn)

    # -- what is told at the end

    def measured(self) -> SharedRun:
        until_ns = self.fleet.until_ns
        for job in self.jobs.values():
            if job.bound:
                worked_ns = job.worked_ns(until_ns)
                kept_ns = job.habit.saved_ns(worked_ns) if job.is_leaving else worked_ns
                for pod in tuple(job.bound):
                    job.leave(pod, until_ns)
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
            writes=self.starts.api.writes,
        )


def _delayed(workload: Workload, not_before_ns: int) -> Workload:
    return msgspec.structs.replace(workload, not_before_ns=not_before_ns)


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _trees(fleet: SharedFleet) -> dict[str, str]:
    """Return for each ClusterQueue the root of its tree: what one gives back others may borrow."""
    parents = {each.name: each.parent for each in fleet.cohorts}
    return {each.name: _root(each, parents) for each in fleet.cluster_queues}


def _root(queue: ClusterQueue, parents: dict[str, str]) -> str:
    name, seen = queue.cohort, set[str]()
    while parents.get(name) and name not in seen:
        seen.add(name)
        name = parents[name]
    return f"cohort {name}" if name else f"queue {queue.name}"
