"""The *queued* protocol: workloads wait in queues with quota, and every decision has to be written.

Rounds of admission (`scheduling.admission.round`) run one after the other, as in the cluster. What
they decide is counted at once and becomes a fact when it was written (`writes`): an admitted
workload starts to run then, a victim then begins to go. Nobody waits for the write of an admission.
Victims are told and reasons are written by whoever decides, one write after the other, and the next
round begins when these are done. Who waits is told why only when the sentence changed. When quota
came back, the parked of that tree are woken, once for all that comes back within `wake_every_ns`.

The *manner* is how somebody decides: the rules of a round, how many rounds before he looks at the
world again, how often he lets himself be woken and how often he repeats himself. The *world* is
what decisions and writes cost him. `KUEUE` is the manner of Kueue's scheduler, `GPUYARD` is ours;
both decide by the rules of the preset of that name. Nothing that runs has saved any of its work.

Not modelled: nodes, unless the queues have places. Quota stands for capacity, as in Kueue's own
performance tests.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (schedule, admit, requeueAndUpdate),
pkg/cache/queue/inadmissible_workloads.go (requeueBatchPeriod), pkg/util/wait/backoff.go. There the
pause after a round in vain grows from 1 to 10 ms; here it is always the shorter.
"""

import heapq
from collections.abc import Callable, Iterable
from enum import IntEnum

import msgspec

from gpuyard.model.queues import Admitted
from gpuyard.model.running import Running
from gpuyard.model.workloads import TimedWorkload, Workload
from gpuyard.scheduling.admission import round as admission_round
from gpuyard.scheduling.admission.entries import Head, Verdict
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.scan import ScanStamp
from gpuyard.scheduling.presets import PRESETS
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.yard import Losses
from gpuyard.twin.writes import WriteLimit, Writer

MILLISECOND_NS = 10**6
SECOND_NS = 10**9
EVENTS_MAX = 50_000_000  # a trace that needs more is not finite


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody decides.

    `rounds_per_cycle`: so many rounds, while anybody is admitted, before he looks at the world
    again. `wake_every_ns`: so long he gathers what becomes free before the parked are woken.
    `idle_ns`: his pause after a cycle in which nobody was admitted.

    `reason_after_ns`: who has waited less long is not told why in writing. `same_reason_every_ns`:
    where only the numbers in a reason changed they are written after so long at the earliest.
    `waits_for_reasons`: the next round begins when they are written.
    """

    rules: AdmissionRules = AdmissionRules()
    rounds_per_cycle: int = 1
    wake_every_ns: int = 0
    idle_ns: int = MILLISECOND_NS
    reason_after_ns: int = 0
    same_reason_every_ns: int = 0
    waits_for_reasons: bool = True

    def __post_init__(self) -> None:
        """Refuse a manner that never decides, or decides before it was asked."""
        if self.rounds_per_cycle < 1:
            raise ValueError(f"{self.rounds_per_cycle} rounds per cycle: give at least 1")
        given = (self.wake_every_ns, self.idle_ns, self.reason_after_ns, self.same_reason_every_ns)
        if min(given) < 0:
            raise ValueError("a manner waits for no negative time: give durations of at least 0")


def _of_preset(name: str, others: Manner) -> Manner:
    """Return the manner `others` with the rules and rounds of a preset."""
    queueing = PRESETS[name].queueing
    assert isinstance(queueing, QueuePolicy), name
    return msgspec.structs.replace(
        others, rules=queueing.rules, rounds_per_cycle=queueing.rounds_per_cycle
    )


KUEUE = _of_preset("kueue", Manner(wake_every_ns=SECOND_NS))
GPUYARD = _of_preset(
    "gpuyard",
    Manner(
        wake_every_ns=10 * MILLISECOND_NS,
        reason_after_ns=5 * SECOND_NS,
        same_reason_every_ns=30 * SECOND_NS,
        waits_for_reasons=False,
    ),
)


class QueuedWorld(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions and writes cost.

    `round_ns` and `head_ns`: what a round takes, and each workload that is tried in it. `end_ns`:
    how long after its end a workload is known to have ended. `leave_ns`: how long a victim takes to
    go once it was told.
    """

    writes: WriteLimit = WriteLimit()
    round_ns: int = 0
    head_ns: int = 0
    end_ns: int = 0
    leave_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse what nothing can cost."""
        if min(self.round_ns, self.head_ns, self.end_ns, self.leave_ns) < 0:
            raise ValueError("nothing takes less than no time: give durations of at least 0")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one workload; instants in ns, `None`: never.

    `admitted_ns` is the last time that its admission was written. `held_ns` is how long it held
    quota in all, from the decision until it was known to be gone.
    """

    key: str
    created_ns: int
    admitted_ns: int | None
    finished_ns: int | None
    held_ns: int
    evictions: int


class QueuedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured in one run.

    `end_ns`: when the last workload was known to have ended. `tries`: heads over all `rounds`.
    """

    end_ns: int
    outcomes: tuple[Outcome, ...]
    rounds: int
    tries: int
    writes: int


class What(IntEnum):
    """What an event is, in the order in which events of one instant are taken in."""

    FINISH = 0
    GONE = 1
    WAKE = 2
    CREATE = 3
    ADMITTED = 4
    ROUND = 5


def run(
    queues: Queues,
    arrivals: Iterable[TimedWorkload],
    manner: Manner,
    world: QueuedWorld,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> QueuedRun:
    """Return what becomes of `arrivals`; `progress` hears how many finished, and of how many.

    Raises
    ------
    ValueError
        for two arrivals of one key, one whose LocalQueue is not among `queues`, and more events
        than any finite trace has.

    """
    yard = _Yard(queues, manner, world)
    for arrival in arrivals:
        yard.expect(arrival)
    finished = 0
    for _ in range(EVENTS_MAX):
        if not yard.events:
            return yard.measured()
        now_ns, what, name, turn = heapq.heappop(yard.events)
        if yard.take_in(what, name, turn, now_ns):
            finished += 1
            progress(finished, len(yard.jobs))
    raise ValueError(f"the trace has more than {EVENTS_MAX} events")


class _Job:
    """A workload on its way."""

    def __init__(self, arrival: TimedWorkload) -> None:
        self.workload = arrival.workload
        self.runtime_ns = arrival.runtime_ns
        self.reserved_ns = 0
        self.admitted_ns: int | None = None
        self.finished_ns: int | None = None
        self.held_ns = 0
        self.evictions = 0
        self.turn = 0  # counts its admissions and ends; tells old events from those of the last
        self.is_leaving = False
        self.told = ("", "")  # why it waits, code and sentence, as last written
        self.told_ns = 0

    def outcome(self) -> Outcome:
        return Outcome(
            key=self.workload.key,
            created_ns=self.workload.created_ns,
            admitted_ns=self.admitted_ns,
            finished_ns=self.finished_ns,
            held_ns=self.held_ns,
            evictions=self.evictions,
        )


class _Yard:
    """One run in progress."""

    def __init__(self, queues: Queues, manner: Manner, world: QueuedWorld) -> None:
        self.queues = queues
        self.manner = manner
        self.world = world
        self.waiting = Waiting(queues, manner.rules)
        self.writer = Writer(world.writes)
        self.events: list[tuple[int, What, str, int]] = []  # ns, what, key or queue, turn
        self.jobs: dict[str, _Job] = {}
        self.running: dict[str, Running] = {}
        self.roots = {name: id([*queues.node(name).to_root()][-1]) for name in queues.specs}
        self.waking: set[int] = set()  # roots of trees that will be woken
        self.is_round_due = False
        self.busy_until_ns = 0
        self.rounds = 0
        self.tries = 0

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
        self.jobs[workload.key] = _Job(arrival)
        self.push(workload.created_ns, What.CREATE, workload.key)

    def push(self, at_ns: int, what: What, name: str, turn: int = 0) -> None:
        heapq.heappush(self.events, (at_ns, what, name, turn))

    def measured(self) -> QueuedRun:
        outcomes = tuple(job.outcome() for job in self.jobs.values())
        return QueuedRun(
            end_ns=max((each.finished_ns or 0 for each in outcomes), default=0),
            outcomes=outcomes,
            rounds=self.rounds,
            tries=self.tries,
            writes=self.writer.writes,
        )

    # -- what happens

    def take_in(self, what: What, name: str, turn: int, now_ns: int) -> bool:
        """Take in an event; tell whether a workload finished."""
        match what:
            case What.CREATE:
                self._enter(self.jobs[name].workload, now_ns)
            case What.ADMITTED:
                self._begin(self.jobs[name], turn, now_ns)
            case What.FINISH:
                return self._finish(self.jobs[name], turn, now_ns)
            case What.GONE:
                self._leave(self.jobs[name], now_ns)
            case What.WAKE:
                self.waking.discard(self.roots[name])
                self.waiting.wake(name)
                self._ask_for_round(now_ns)
            case What.ROUND:
                self.is_round_due = False
                self._decide(now_ns)
        return False

    def _enter(self, workload: Workload, now_ns: int) -> None:
        self.waiting.add(workload)
        self._ask_for_round(now_ns)

    def _begin(self, job: _Job, turn: int, now_ns: int) -> None:
        if turn != job.turn or job.is_leaving:
            return
        job.admitted_ns = now_ns
        if job.runtime_ns is not None:
            end_ns = now_ns + job.runtime_ns + self.world.end_ns
            self.push(end_ns, What.FINISH, job.workload.key, turn)

    def _finish(self, job: _Job, turn: int, now_ns: int) -> bool:
        if turn != job.turn or job.is_leaving:
            return False
        job.finished_ns = now_ns
        self._release(job, now_ns)
        return True

    def _leave(self, job: _Job, now_ns: int) -> None:
        job.is_leaving = False
        job.turn += 1
        job.evictions += 1
        job.admitted_ns = None
        self._release(job, now_ns)
        self._enter(job.workload, now_ns)

    def _release(self, job: _Job, now_ns: int) -> None:
        job.held_ns += now_ns - job.reserved_ns
        del self.running[job.workload.key]
        queue = self.queues.remove(job.workload.key).admission.cluster_queue
        if self.roots[queue] not in self.waking:
            self.waking.add(self.roots[queue])
            self.push(now_ns + self.manner.wake_every_ns, What.WAKE, queue)

    # -- rounds

    def _ask_for_round(self, now_ns: int) -> None:
        if not self.is_round_due:
            self.is_round_due = True
            self.push(max(now_ns, self.busy_until_ns), What.ROUND, "")

    def _decide(self, now_ns: int) -> None:
        """Run the rounds of one cycle and carry them out."""
        done_ns = now_ns
        has_admitted = False
        for _ in range(self.manner.rounds_per_cycle):
            heads = self.waiting.heads()
            if not heads:
                break
            self.rounds += 1
            self.tries += len(heads)
            done_ns += self.world.round_ns + len(heads) * self.world.head_ns
            verdicts = admission_round.run(self._nominator(done_ns), heads)
            done_ns = self._carry_out(verdicts, done_ns)
            if all(verdict.admission is None for verdict in verdicts):
                break
            has_admitted = True
        if not has_admitted:
            done_ns += self.manner.idle_ns
        self.busy_until_ns = done_ns
        if any(pending.active for pending in self.waiting.pending.values()):
            self._ask_for_round(done_ns)

    def _nominator(self, now_ns: int) -> Nominator:
        self.queues.losses = Losses(self.running, self.queues.admitted, now_ns)
        return Nominator(self.queues, self.manner.rules, now=self._stamp, now_ns=now_ns)

    def _stamp(self, head: Head) -> ScanStamp:
        return self.waiting.stamp(head.queue, head.workload)

    def _carry_out(self, verdicts: Iterable[Verdict], now_ns: int) -> int:
        """Carry out a round, who moves first, then reasons; return when all that is done."""
        waiting: list[Verdict] = []
        for verdict in verdicts:
            if verdict.admission is None:
                for target in verdict.targets:
                    now_ns = self._evict(target.workload, now_ns)
                waiting.append(verdict)
            else:
                self._admit(verdict, now_ns)
        for verdict in waiting:
            now_ns = self._tell_why(verdict, now_ns)
            self.waiting.take_back(verdict)
        return now_ns

    def _admit(self, verdict: Verdict, now_ns: int) -> None:
        assert verdict.admission is not None, verdict
        job = self.jobs[verdict.workload.key]
        self.queues.admit(
            Admitted(workload=verdict.workload, admission=verdict.admission, reserved_ns=now_ns)
        )
        key = verdict.workload.key
        self.running[key] = Running(key=key, pods=(), started_ns=now_ns)
        job.turn += 1
        job.reserved_ns = now_ns
        job.told = ("", "")
        self.push(self.writer.write(now_ns), What.ADMITTED, verdict.workload.key, job.turn)
        self.waiting.take_back(verdict)

    def _tell_why(self, verdict: Verdict, now_ns: int) -> int:
        """Write why it waits, where that is news; return when whoever decides can go on."""
        job = self.jobs[verdict.workload.key]
        said = (verdict.code, verdict.message)
        if not self._is_news(job, said, now_ns):
            return now_ns
        job.told = said
        job.told_ns = now_ns
        written_ns = self.writer.write(now_ns)
        return written_ns if self.manner.waits_for_reasons else now_ns

    def _is_news(self, job: _Job, said: tuple[str, str], now_ns: int) -> bool:
        if said == job.told or now_ns - job.workload.created_ns < self.manner.reason_after_ns:
            return False
        is_old = now_ns - job.told_ns >= self.manner.same_reason_every_ns
        return is_old or said[0] != job.told[0]

    def _evict(self, key: str, now_ns: int) -> int:
        """Tell a victim to go, once; return when it was told."""
        job = self.jobs[key]
        if job.is_leaving:
            return now_ns
        job.is_leaving = True
        held = self.queues.remove(key)
        self.queues.admit(msgspec.structs.replace(held, evicted=True))
        told_ns = self.writer.write(now_ns)
        self.push(told_ns + self.world.leave_ns, What.GONE, key)
        return told_ns
