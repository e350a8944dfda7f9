"""Every plan of a record, computed once more from the facts before it."""

from functools import partial

import msgspec
import numpy as np

from gpuyard.model.deltas import Delta
from gpuyard.model.plan import Plan
from gpuyard.model.reasons import Silent
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import cycle
from gpuyard.scheduling.cycle import Pending
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.yard import Yard
from gpuyard.twin.record.difference import Difference, difference
from gpuyard.twin.record.form import Record, RecordedCycle, RecordError


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How many plans were computed again, and where they begin to differ, if they do."""

    cycles: int
    difference: Difference | None = None


def recompute(record: Record, policy: Policy | None = None) -> Verdict:
    """Compute every plan of `record` again, with its own policy or another one.

    Raises RecordError for a line that contradicts the lines before it, and where workloads wait in
    queues and the policy has none.
    """
    again = _again(record, policy or record.head.policy)
    count = 0
    for line, recorded in record.cycles:
        count += 1
        try:
            plan = again.plan(recorded)
        except (LookupError, ValueError) as error:
            raise RecordError(record.name, line, _contradiction(error)) from None
        if plan != recorded.plan:
            return Verdict(cycles=count, difference=difference(line, recorded, plan))
    return Verdict(cycles=count)


def _again(record: Record, policy: Policy) -> "_Queued | _Asked":
    head, chance = record.head, np.random.default_rng(record.head.seed)
    if not head.queued:
        return _Asked(Placer(Snapshot(), policy.placement, chance, head.pools))
    if not isinstance(policy.queueing, QueuePolicy):
        raise RecordError(
            record.name, 1, "its workloads wait in queues; name a policy that has queues"
        )
    return _Queued(Yard(policy, chance, head.pools))


class _Queued:
    """Workloads that wait in queues."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard

    def plan(self, recorded: RecordedCycle) -> Plan:
        """Tell what was told before a cycle and decide it."""
        for delta in recorded.deltas:
            self._yard.apply(delta)
        return self._yard.decide(recorded.now_ns).as_plan()


class _Asked:
    """Workloads that a cycle was asked about."""

    def __init__(self, placer: Placer) -> None:
        self._placer = placer
        self._known: dict[str, Workload] = {}

    def plan(self, recorded: RecordedCycle) -> Plan:
        """Tell what was told before a cycle and decide it."""
        for delta in recorded.deltas:
            if not isinstance(delta, Delta):
                raise ValueError(f"{type(delta).__name__} where nobody waits in queues")  # noqa: TRY004  the record is wrong
            self._placer.snapshot.apply(delta)
        may_fit = partial(_is_not_in, frozenset(recorded.ruled_out))
        return cycle.run(self._placer, self._pending(recorded), Silent(), may_fit)

    def _pending(self, recorded: RecordedCycle) -> list[Pending]:
        self._known.update((each.key, each) for each in recorded.workloads)
        pending = []
        for asked in recorded.asked:
            workload = self._known[asked.workload]
            members = cycle.members(workload)
            if asked.missing is not None:
                templates = dict(members)
                members = tuple((pod, templates[pod]) for pod in asked.missing)
            pending.append(Pending(workload, members))
        return pending


def _is_not_in(ruled_out: frozenset[str], workload: str) -> bool:
    return workload not in ruled_out


def _contradiction(error: Exception) -> str:
    about = error if isinstance(error, ValueError) else f"nothing is known of {error}"
    return f"the line contradicts those before it ({about}); take the record as it was written"
