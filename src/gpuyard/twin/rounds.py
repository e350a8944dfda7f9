"""The *rounds* protocol: at every round it is decided anew who runs, and a move costs a restart.

Jobs arrive, wait, run, are stopped at the end of a round, run on elsewhere, and end. The decision
is `gpuyard.scheduling.rounds.decide`, the very function that a cluster would get it from;
what jobs do is part of the world: whoever starts, for the first time or again, holds its devices
for `RoundWorld.restart_ns` before it works, and how fast it works depends on where its pods are
(`gpuyard.twin.progress.Runtime`).

Decisions fall on whole multiples of `round_ns`, the first one round after the beginning. A job that
ends within a round keeps its devices until the round is over. A round before which nobody came,
ended or moved to another queue would decide what the round before it decided (the order is the
same, and whoever runs stays), so it is not run at all: a week of minutes costs as many decisions as
there are changes. `every_round` runs them all the same, for whoever wants to see that.

Semantics: petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/simulator.py (`Cluster`):
rounds of 60 s, 30 s for a restart.
"""

import heapq
from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from gpuyard.model.deltas import NodeObserved, PodGone
from gpuyard.model.nodes import Node
from gpuyard.model.plan import Start
from gpuyard.model.reasons import Reporter, Silent
from gpuyard.model.rounds import LeastAttained, Standing
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Assignment, Workload
from gpuyard.scheduling import rounds
from gpuyard.scheduling.ordering import attained_service
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin.progress import NOTHING_DONE, Done, Runtime, Spread

SECOND_NS = 10**9
ROUNDS_MAX = 50_000_000  # decided ones; a trace that needs more is not finite


class RoundWorld(msgspec.Struct, frozen=True, kw_only=True):
    """What no scheduler decides."""

    round_ns: int = 60 * SECOND_NS
    restart_ns: int = 30 * SECOND_NS


DEFAULT_WORLD = RoundWorld()


class Arrival(msgspec.Struct, frozen=True):
    """A workload that comes at its `created_ns`, and how it gets on."""

    workload: Workload
    runtime: Runtime


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one workload; `None` where it never came to that."""

    workload: str
    created_ns: int
    started_ns: int | None
    completed_ns: int | None
    restarts: int
    attained_device_ns: int


class RoundsRun(msgspec.Struct, frozen=True, kw_only=True):
    """All outcomes in the order of arrival, and how many rounds were decided."""

    outcomes: tuple[Outcome, ...]
    decisions: int


class _Job:
    """A workload on its way."""

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.device_milli = arrival.workload.device_milli
        self.standing = Standing(entered_ns=arrival.workload.created_ns)
        self.done: Done = NOTHING_DONE
        self.attained_device_ns = 0  # until `since_ns`
        self.bound: tuple[Assignment, ...] = ()
        self.since_ns = 0  # when it was bound
        self.seen_ns: int | None = None  # when it will be seen to have ended
        self.ends_ns = 0  # and when it will say it did
        self.started_ns: int | None = None
        self.completed_ns: int | None = None
        self.starts = 0

    def attained(self, now_ns: int) -> int:
        """Return the service attained until `now_ns`."""
        held_ns = now_ns - self.since_ns if self.bound else 0
        return self.attained_device_ns + held_ns * self.device_milli // WHOLE_DEVICE_MILLI

    def outcome(self, now_ns: int) -> Outcome:
        """Return what became of it by `now_ns`."""
        return Outcome(
            workload=self.arrival.workload.key,
            created_ns=self.arrival.workload.created_ns,
            started_ns=self.started_ns,
            completed_ns=self.completed_ns,
            restarts=max(0, self.starts - 1),
            attained_device_ns=self.attained(now_ns),
        )


class _Yard:
    """One run in progress: the snapshot, who is there, and the rounds that lie ahead."""

    def __init__(
        self, placer: Placer, order: LeastAttained, world: RoundWorld, reporter: Reporter
    ) -> None:
        self.placer = placer
        self.order = order
        self.world = world
        self.reporter = reporter
        self.active: dict[str, _Job] = {}  # by key, in the order of arrival
        self.ahead: list[int] = []  # a heap of instants at which something may have changed
        self.decisions = 0

    def round_at(self, instant_ns: int) -> int:
        """Return the first round at or after `instant_ns`."""
        return max(1, -(-instant_ns // self.world.round_ns)) * self.world.round_ns

    def look_ahead(self, instant_ns: int) -> None:
        """Remember that something may change at `instant_ns`."""
        heapq.heappush(self.ahead, self.round_at(instant_ns))

    def decide(self, now_ns: int) -> None:
        """Let who ended go, put who attained a threshold into its queue, then decide."""
        for key, job in list(self.active.items()):
            if job.seen_ns is not None and job.seen_ns <= now_ns:
                job.completed_ns = job.ends_ns
                for assignment in job.bound:
                    self.placer.snapshot.apply(PodGone(assignment.pod))
                self._stop(job, now_ns)
                del self.active[key]
            elif job.bound:
                self._settle(job, now_ns)
        if not self.active:
            return
        self.decisions += 1
        contenders = [
            rounds.Contender(job.arrival.workload, job.standing, job.bound)
            for job in self.active.values()
        ]
        plan = rounds.decide(self.placer, contenders, self.reporter)
        for key in (each.victim for each in plan.evicts):
            job = self.active[key]
            worked_ns = max(0, now_ns - job.since_ns - self.world.restart_ns)
            job.done = job.arrival.runtime.after(job.done, spread(job.bound), worked_ns)
            self._stop(job, now_ns)
        for start in plan.starts:
            self._start(self.active[start.workload], start, now_ns)

    def _settle(self, job: _Job, now_ns: int) -> None:
        """Put a running job into the queue of what it has attained."""
        order, attained = self.order, job.attained(now_ns)
        before = job.standing
        job.standing = attained_service.standing(order, before, attained, now_ns)
        if job.standing is not before:
            self._watch(job, now_ns)

    def _watch(self, job: _Job, now_ns: int) -> None:
        """Look ahead to when a running job attains its next threshold."""
        held_ns = attained_service.moves_down_after_ns(
            self.order, job.standing, job.attained(now_ns), job.device_milli
        )
        if held_ns is not None:
            self.look_ahead(now_ns + held_ns)

    def _start(self, job: _Job, start: Start, now_ns: int) -> None:
        job.bound = start.assignments
        job.since_ns = now_ns
        job.starts += 1
        if job.started_ns is None:
            job.started_ns = now_ns
        end = job.arrival.runtime.end(job.done, spread(job.bound))
        works_ns = now_ns + self.world.restart_ns
        job.ends_ns, job.seen_ns = works_ns + end.at_ns, works_ns + end.seen_ns
        self.look_ahead(job.seen_ns)
        self._watch(job, now_ns)

    def _stop(self, job: _Job, now_ns: int) -> None:
        """Note that `job` holds nothing any more."""
        job.attained_device_ns = job.attained(now_ns)
        job.bound = ()
        job.seen_ns = None


def run(
    nodes: Iterable[Node],
    arrivals: Iterable[Arrival],
    policy: Policy,
    world: RoundWorld = DEFAULT_WORLD,
    *,
    seed: int = 0,
    every_round: bool = False,
    reporter: Reporter | None = None,
) -> RoundsRun:
    """Let `arrivals` live on `nodes` until all have ended or none of those left ever will.

    Raises
    ------
    ValueError
        for a policy that does not decide by attained service.

    """
    if not isinstance(policy.queueing, LeastAttained):
        raise ValueError("rounds need least attained service")  # noqa: TRY004  its value is wrong
    snapshot = Snapshot()
    for node in nodes:
        snapshot.apply(NodeObserved(node))
    placer = Placer(snapshot, policy.placement, np.random.default_rng(seed))
    yard = _Yard(placer, policy.queueing, world, reporter or Silent())
    jobs = [_Job(arrival) for arrival in arrivals]
    jobs.sort(key=lambda job: job.arrival.workload.created_ns)
    for job in jobs:
        yard.look_ahead(job.arrival.workload.created_ns)
    now_ns, arrived = 0, 0
    for _ in range(ROUNDS_MAX):
        if not yard.ahead:
            return RoundsRun(
                outcomes=tuple(job.outcome(now_ns) for job in jobs), decisions=yard.decisions
            )
        now_ns = now_ns + world.round_ns if every_round else yard.ahead[0]
        while yard.ahead and yard.ahead[0] <= now_ns:
            heapq.heappop(yard.ahead)
        while arrived < len(jobs) and jobs[arrived].arrival.workload.created_ns <= now_ns:
            yard.active[jobs[arrived].arrival.workload.key] = jobs[arrived]
            arrived += 1
        yard.decide(now_ns)
    msg = f"the trace has more than {ROUNDS_MAX} rounds"
    raise ValueError(msg)


def spread(bound: tuple[Assignment, ...]) -> Spread:
    """Return how many pods stand on each node, in the order in which they were placed."""
    return tuple(Counter(assignment.node for assignment in bound).values())
