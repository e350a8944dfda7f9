"""What became of it: from a plan to pods that run, whole or not at all.

The plan says what shall be; between it and the fact lie a write that may be refused, a reply that
may be lost, an image that does not come, a victim that does not leave. `Commitments` is told
everything that is heard (`apply`) and says what to do. It knows no API and no clock; the twin
drives it as the controllers do, and an API that answers at once is one that answers at the same
instant.

- A workload is *starting* until all of its members are ready. At its time limit, or when a member
  is refused, fails or vanishes, all of it is put back. The reason is that of the member; at the
  time limit that of the slowest.
- A write is repeated only after a look that was asked for later than the write and found nothing.
- Capacity that is held is released once: when all members have landed, when the hold expires, or
  when the workload is back.
- A crash loses the table. Who starts after it says what was on its way (`Planned` with
  `recovered_since_ns`); each of those members is looked at before anything is written. Back-off is
  in the ledger (`changes`), which also says where each entry survives.

At `commitments_max` and `members_max` a further start is put back before anything is written
(`TooManyStarting`). One that was recovered is taken in, because it may have been written: there are
at most as many as the former process had. The log keeps `LOG_EVENTS_MAX` events; then the
commitments as they are become its first page. Once a workload runs, its commitment is over; what
happens to it later is no longer ours.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from gpuyard.model.commitments import (
    Commitment,
    CommitmentLog,
    CommitmentRules,
    Ended,
    Event,
    GiveUp,
    Instruction,
    LoggedEvent,
    Planned,
    PutBack,
    Release,
    Tick,
    VictimGone,
    VictimStuck,
    WorkloadDeleted,
)
from gpuyard.model.ledger import NEVER_NS, BackOff, Forgotten, Hold, LedgerChange, Recorded
from gpuyard.scheduling.commitments import members, starts, time_limits
from gpuyard.scheduling.commitments.invariants import assert_sound
from gpuyard.scheduling.commitments.moves import OVER
from gpuyard.scheduling.commitments.step import Instructions, Step
from gpuyard.scheduling.ledger import Ledger

LOG_EVENTS_MAX = 10_000


class Commitments:
    """All starts that are on their way, by workload. An instant never goes back."""

    def __init__(
        self,
        rules: CommitmentRules,
        commitments: Iterable[Commitment] = (),
        *,
        now_ns: int = 0,
        last_attempt_ns: int = 0,
    ) -> None:
        """Go on with `commitments` as they were at `now_ns`."""
        self.rules = rules
        self.now_ns = now_ns
        self._last_attempt_ns = last_attempt_ns
        self._by_workload = {each.workload: each for each in commitments}
        self._first_page = self._page()
        self._events: list[LoggedEvent] = []

    def apply(self, event: Event, now_ns: int) -> Instructions:
        """Hear `event` at `now_ns` and return what to do, in this order."""
        self.now_ns = max(now_ns, self.now_ns)
        if len(self._events) >= LOG_EVENTS_MAX:
            self._first_page, self._events = self._page(), []
        self._events.append(LoggedEvent(self.now_ns, event))
        instructions: list[Instruction] = []
        for step in self._steps(event):
            after = step.commitment
            instructions += step.instructions
            if after.state in OVER:
                self._by_workload.pop(after.workload, None)
            else:
                self._by_workload[after.workload] = after
        return tuple(instructions)

    def get(self, workload: str) -> Commitment | None:
        """Return the commitment to start `workload`."""
        return self._by_workload.get(workload)

    def all(self) -> tuple[Commitment, ...]:
        """Return every commitment, by workload."""
        return tuple(self._by_workload[workload] for workload in sorted(self._by_workload))

    def next_due_ns(self) -> int | None:
        """Return when the next `Tick` is needed at the latest."""
        due_ns = min(map(time_limits.next_due_ns, self._by_workload.values()), default=NEVER_NS)
        return None if due_ns == NEVER_NS else due_ns

    def log(self) -> CommitmentLog:
        """Return what `replay` needs."""
        return replace(self._first_page, events=tuple(self._events))

    def validate(self) -> None:
        """Assert what must always hold."""
        assert_sound(self.all(), self.rules)

    def _steps(self, event: Event) -> list[Step]:
        now_ns, rules = self.now_ns, self.rules
        match event:
            case Tick():
                due = [each for each in self.all() if time_limits.next_due_ns(each) <= now_ns]
                return [time_limits.tick(each, now_ns, rules) for each in due]
            case VictimGone(victim):
                waiting = self._waiting_for(victim)
                return [starts.victim_gone(each, victim, now_ns, rules) for each in waiting]
            case VictimStuck(victim):
                waiting, stuck = self._waiting_for(victim), frozenset({victim})
                return [starts.victim_stuck(each, stuck, now_ns, rules) for each in waiting]
        now = self._by_workload.get(event.workload)
        if isinstance(event, Planned):
            return self._plan(now, event)
        if now is None:
            return []
        if isinstance(event, WorkloadDeleted):
            return [starts.delete(now)]
        return [members.hear(now, event, now_ns, rules)]

    def _plan(self, now: Commitment | None, planned: Planned) -> list[Step]:
        now_ns, rules = self.now_ns, self.rules
        if now is not None and now.state != "replanning":
            return []
        has_room = planned.recovered_since_ns is not None or self._has_room(planned)
        if now is not None:
            anew = starts.plan_anew if has_room else starts.decline_anew
            return [anew(now, planned, now_ns, rules)]
        self._last_attempt_ns = max(now_ns, self._last_attempt_ns + 1)
        first = starts.begin if has_room else starts.decline
        return [first(planned, self._last_attempt_ns, now_ns, rules)]

    def _has_room(self, planned: Planned) -> bool:
        others = [each for each in self._by_workload.values() if each.workload != planned.workload]
        count = sum(len(each.members) for each in others)
        return (
            len(others) < self.rules.commitments_max
            and count + len(planned.nodes) <= self.rules.members_max
        )

    def _waiting_for(self, victim: str) -> list[Commitment]:
        return [each for each in self.all() if victim in each.victims]

    def _page(self) -> CommitmentLog:
        return CommitmentLog(
            rules=self.rules,
            now_ns=self.now_ns,
            last_attempt_ns=self._last_attempt_ns,
            commitments=self.all(),
        )


def replay(log: CommitmentLog) -> Commitments:
    """Return the commitments after everything in `log` was heard once more."""
    commitments = Commitments(
        log.rules, log.commitments, now_ns=log.now_ns, last_attempt_ns=log.last_attempt_ns
    )
    for heard in log.events:
        commitments.apply(heard.event, heard.now_ns)
    return commitments


def changes(instruction: Instruction, ledger: Ledger) -> tuple[LedgerChange, ...]:
    """Return what an instruction means for the ledger.

    A workload that runs starts counting anew, unlike in Kueue, where only a change of the workload
    clears ``requeueState``: a job that is preempted often is no poison.
    """
    match instruction:
        case PutBack(back_off=back_off) | GiveUp(back_off=back_off):
            return (Recorded(back_off),)
        case Release(workload=workload):
            hold = ledger.get(Hold, workload)
            return (Forgotten(hold),) if hold else ()
        case Ended(workload=workload, outcome="running" | "deleted"):
            known = ledger.get(BackOff, workload)
            return (Forgotten(known),) if known else ()
    return ()
