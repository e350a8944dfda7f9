"""From a plan to pods that run, in virtual time: commitments on one side, an API server opposite.

`commit` hands a start to `gpuyard.scheduling.commitments`, the same table that controllers drive;
what it says is done by `gpuyard.twin.api_server`, and what is heard there goes back to it. `happen`
yields what whoever keeps the books has to know: which pods are ready, which have left, and how each
start ended. Back-off lives in the ledger, as everywhere.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from gpuyard.model.commitments import (
    CommitmentRules,
    Ended,
    Event,
    GiveUp,
    Instruction,
    MemberFailed,
    MemberReady,
    Planned,
    PutBack,
    Reread,
    Tick,
    WorkloadDeleted,
    Write,
)
from gpuyard.model.ledger import NEVER_NS, BackOff
from gpuyard.scheduling.commitments import Commitments, changes
from gpuyard.scheduling.commitments.time_limits import next_due_ns
from gpuyard.scheduling.ledger import Ledger
from gpuyard.twin.api_server import ApiServer, PodLeft
from gpuyard.twin.world import Try, World

News: TypeAlias = PodLeft | MemberReady | Ended


class Starts:
    """All starts that are on their way, and the world that they are on their way through.

    What starts together is one commitment, and `start` is its name: the key of a workload, or of a
    pod that was placed for itself.
    """

    def __init__(self, world: World, rules: CommitmentRules) -> None:
        """Begin with nothing on its way and an empty ledger."""
        self.api = ApiServer(world)
        self.commitments = Commitments(rules)
        self.ledger = Ledger()
        self._workloads: dict[str, str] = {}  # by the start that is on its way
        self._tries: Counter[str] = Counter()  # by pod
        self._news: deque[News] = deque()
        self._touched: set[str] = set()  # starts whose time limits may have come nearer
        self._tick_ns = NEVER_NS

    def next_ns(self) -> int | None:
        """Return when there is something to hear or to say next."""
        for start in self._touched:
            commitment = self.commitments.get(start)
            if commitment is not None:
                self._tick_ns = min(self._tick_ns, next_due_ns(commitment))
        self._touched.clear()
        api_ns = self.api.next_ns()
        at_ns = self._tick_ns if api_ns is None else min(self._tick_ns, api_ns)
        return None if at_ns == NEVER_NS else at_ns

    def is_due(self, now_ns: int) -> bool:
        """Tell whether anything happens by now."""
        at_ns = self.api.next_ns()
        return bool(self._news) or (at_ns is not None and at_ns <= now_ns)

    def commit(self, start: str, workload: str, nodes: Mapping[str, str], now_ns: int) -> None:
        """Begin to start the pods of `workload` that are named in `nodes`."""
        self._workloads[start] = workload
        self._tries.update(list(nodes))  # counts each once more
        before = self.ledger.get(BackOff, start)
        self._hear(Planned(workload=start, nodes=nodes, before=before), start, now_ns)

    def happen(self, now_ns: int) -> Iterator[News]:
        """Let everything happen that is due, and yield it."""
        yield from self._told()
        for heard in self.api.happen(now_ns):
            if isinstance(heard, PodLeft):
                yield heard
                continue
            self._hear(heard, heard.workload, now_ns)
            if isinstance(heard, MemberReady):
                yield heard
            yield from self._told()

    def tick(self, now_ns: int) -> None:
        """Let time limits be reached."""
        if self._tick_ns <= now_ns:
            self._hear(Tick(), "", now_ns)
            self._tick_ns = self.commitments.next_due_ns() or NEVER_NS

    def fail(self, start: str, pod: str, reason: str, now_ns: int) -> None:
        """Tell that `pod` went down with its job, through no fault of its own."""
        commitment = self.commitments.get(start)
        if commitment is not None:
            attempt_ns = commitment.attempt_ns
            failed = MemberFailed(
                workload=start, attempt_ns=attempt_ns, pod=pod, reason=reason, own_fault=False
            )
            self._hear(failed, start, now_ns)

    def take_away(self, start: str, now_ns: int) -> None:
        """Tell that the owner takes the pods of a start away."""
        self._hear(WorkloadDeleted(start), start, now_ns)

    def forget(self, pods: Sequence[str]) -> None:
        """Let pods be gone at once: they ended, or their owner took them away."""
        for pod in pods:
            self.api.forget(pod)

    def not_before_ns(self, start: str) -> int:
        """Return when a start that was put back may be tried again."""
        known = self.ledger.get(BackOff, start)
        return 0 if known is None else known.not_before_ns or 0

    def _told(self) -> Iterator[News]:
        while self._news:
            yield self._news.popleft()

    def _hear(self, event: Event, start: str, now_ns: int) -> None:
        for instruction in self.commitments.apply(event, now_ns):
            self._obey(instruction, now_ns)
        self._touched.add(start)

    def _obey(self, instruction: Instruction, now_ns: int) -> None:
        entries = changes(instruction, self.ledger)
        if entries:
            self.ledger = self.ledger.after(entries)
        match instruction:
            case Write(workload=start, pod=pod):
                tried = Try(self._workloads[start], pod, self._tries[pod])
                self.api.write(instruction, tried, now_ns)
            case Reread():
                self.api.look(instruction, now_ns)
            case PutBack() | GiveUp():
                self.api.take_back(instruction, now_ns)
            case Ended(workload=start):
                del self._workloads[start]
                self._news.append(instruction)
