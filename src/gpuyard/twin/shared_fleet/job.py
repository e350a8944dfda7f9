"""One workload on its way: it waits, its pods come to their nodes, it works, it goes, it returns.

The books of its device time are kept here. They are exact: what its pods held, less what is useful,
is lost.
"""

from collections.abc import Iterable

from gpuyard.model.running import Running
from gpuyard.model.workloads import Assignment, TimedWorkload
from gpuyard.twin.shared_fleet.outcomes import Outcome, Stay
from gpuyard.twin.shared_fleet.setting import Habit


class Job:
    """A workload on its way."""

    def __init__(self, arrival: TimedWorkload, habit: Habit) -> None:
        """Begin with a workload that has not come yet."""
        self.workload = arrival.workload
        self.runtime_ns = arrival.runtime_ns
        self.habit = habit
        self.bound: dict[str, Assignment] = {}  # its pods that hold nodes
        self.nodes: tuple[str, ...] = ()
        self.devices_milli = 0  # of all the pods with which it last started
        self.held_since_ns = 0
        self.works_since_ns: int | None = None  # all its pods are ready
        self.is_leaving = False
        self.turn = 0  # counts its starts; tells old events from those of the last
        self.first_started_ns: int | None = None
        self.ended_ns: int | None = None
        self.given_up_ns: int | None = None
        self.waits_since_ns = arrival.workload.created_ns
        self.waited_ns = 0
        self.evictions = 0
        self.put_back = 0
        self.useful_ns = 0  # saved work, as far as it has left its nodes
        self._held_milli_ns = 0  # by pods that have left
        self._useful_milli_ns = 0

    @property
    def key(self) -> str:
        """The workload's key."""
        return self.workload.key

    @property
    def wants_to_run(self) -> bool:
        """Tell whether it waits, or will when its time has come."""
        return not self.bound and self.ended_ns is None and self.given_up_ns is None

    def worked_ns(self, now_ns: int) -> int:
        """Return how long it has worked since it last started."""
        return 0 if self.works_since_ns is None else max(0, now_ns - self.works_since_ns)

    def as_running(self) -> Running:
        """Return the workload as those see it who think of stopping it."""
        is_at_work = self.works_since_ns is not None
        return Running(
            key=self.key,
            pods=tuple(self.bound),
            started_ns=self.held_since_ns,
            works_since_ns=self.works_since_ns or 0,
            saves_every_ns=self.habit.saved_every_ns if is_at_work else None,
            restart_ns=self.habit.restart_ns,
            grace_ns=self.habit.grace_ns,
            priority=self.workload.effective_priority,
            queued_ns=self.workload.created_ns,
        )

    def take(self, assignments: Iterable[Assignment], now_ns: int) -> None:
        """Take its nodes."""
        self.turn += 1
        self.bound = {one.pod: one for one in assignments}
        self.nodes = tuple(one.node for one in self.bound.values())
        self.devices_milli = sum(one.device_milli for one in self.bound.values())
        self.held_since_ns = now_ns
        self.waited_ns += now_ns - self.waits_since_ns

    def work(self, now_ns: int) -> int:
        """Begin to work, its pods ready; return when from, for a returning one first catches up."""
        self.works_since_ns = now_ns + (self.habit.restart_ns if self.evictions else 0)
        if self.first_started_ns is None:
            self.first_started_ns = now_ns
        return self.works_since_ns

    def leave(self, pod: str, now_ns: int) -> Assignment:
        """Let one pod leave its node."""
        gone = self.bound.pop(pod)
        self._held_milli_ns += gone.device_milli * (now_ns - self.held_since_ns)
        return gone

    def stop(self, kept_ns: int, now_ns: int) -> Stay:
        """Hold nothing any more, with so much of its work done for good."""
        stay = Stay(
            workload=self.key,
            devices_milli=self.devices_milli,
            from_ns=self.held_since_ns,
            works_from_ns=self.works_since_ns,
            until_ns=now_ns,
            evicted=self.is_leaving,
            nodes=self.nodes,
        )
        self.useful_ns += kept_ns
        self._useful_milli_ns += kept_ns * self.devices_milli
        self.nodes = ()
        self.works_since_ns = None
        self.is_leaving = False
        self.waits_since_ns = now_ns
        return stay

    def outcome(self, until_ns: int) -> Outcome:
        """Return what became of it; it holds nothing any more."""
        is_waiting = self.wants_to_run and self.waits_since_ns < until_ns
        return Outcome(
            key=self.key,
            kind=self.workload.kind,
            queue=self.workload.queue,
            devices_milli=self.workload.device_milli,
            created_ns=self.workload.created_ns,
            started_ns=self.first_started_ns,
            ended_ns=self.ended_ns,
            given_up_ns=self.given_up_ns,
            waited_ns=self.waited_ns + (until_ns - self.waits_since_ns if is_waiting else 0),
            evictions=self.evictions,
            put_back=self.put_back,
            useful_ns=self.useful_ns,
            useful_milli_ns=self._useful_milli_ns,
            lost_milli_ns=self._held_milli_ns - self._useful_milli_ns,
        )
