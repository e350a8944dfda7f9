"""One pass over the pending workloads.

Workloads are tried in the order of priority, then age. With all-or-nothing gangs a workload gets
all its nodes or none; pod by pod (stock kube-scheduler) each member is placed for itself and keeps
what it got. Nothing is freed during a pass, so a shape of which `n` did not fit is not tried again
for `n` or more, unless pods placed meanwhile could make it fit (inter-pod affinity and spread).

Queues, quota, holds and preemption are not written yet; they belong between the order and the
placement.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gpuyard.model.plan import Plan, Start, Wait
from gpuyard.model.reasons import ReasonCode, Reporter
from gpuyard.model.workloads import Assignment, PodTemplate, Workload
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.rules import always
from gpuyard.scheduling.shapes import Shape

Member = tuple[str, PodTemplate]  # a pod's key and what it asks
Turn = tuple[int, int, str]


class Pending(msgspec.Struct, frozen=True):
    """A workload and those of its pods that have no node yet."""

    workload: Workload
    missing: tuple[Member, ...]

    @classmethod
    def whole(cls, workload: Workload) -> "Pending":
        """Return `workload` with all its pods missing."""
        return cls(workload, members(workload))


def members(workload: Workload) -> tuple[Member, ...]:
    """Return every pod of `workload` with a key of its own."""
    return tuple(
        (f"{workload.key}/{pod_set.name}-{index}", pod_set.template)
        for pod_set in workload.pod_sets
        for index in range(pod_set.count)
    )


def run(
    placer: Placer,
    pending: Iterable[Pending],
    reporter: Reporter,
    may_fit: Callable[[str], bool] = always,
) -> Plan:
    """Start what can start now; the placer's snapshot holds the result.

    Whom `may_fit` rules out when its turn comes is not tried (`parking.Parking.may_fit`).
    """
    starts: list[Start] = []
    waits: list[Wait] = []
    too_many: dict[Shape, int] = {}  # so many of this shape did not fit in this pass
    for entry in sorted(pending, key=lambda entry: turn(entry.workload)):
        key = entry.workload.key
        mine = placer.of(entry.workload.kind)
        placed = _start(mine, entry.missing, too_many) if may_fit(key) else ()
        complete = len(placed) == len(entry.missing)
        if placed:
            starts.append(Start(key, placed, complete=complete))
        if complete:
            reporter.started(key, tuple(assignment.node for assignment in placed))
        else:
            code: ReasonCode = "GangIncomplete" if len(entry.missing) > 1 else "Unschedulable"
            waits.append(Wait(key, code))
            reporter.pending(key, code)
    return Plan(tuple(starts), tuple(waits))


def turn(workload: Workload) -> Turn:
    """Return the place of `workload` in the order: priority, then age, then its key."""
    return -workload.priority, workload.created_ns, workload.key


def _start(
    placer: Placer, missing: Sequence[Member], too_many: dict[Shape, int]
) -> tuple[Assignment, ...]:
    if placer.policy.gangs == "all-or-nothing" and len(missing) > 1:
        return _start_together(placer, missing, too_many)
    placed = []
    for pod, template in missing:
        shape = placer.snapshot.shape(template)
        if too_many.get(shape) == 1:
            continue
        assignment = placer.place(pod, template)
        if assignment is not None:
            placed.append(assignment)
        elif not placer.depends_on_pods(shape):
            too_many[shape] = 1  # not even one
    return tuple(placed)


def _start_together(
    placer: Placer, missing: Sequence[Member], too_many: dict[Shape, int]
) -> tuple[Assignment, ...]:
    counts: dict[Shape, int] = {}
    for _, template in missing:
        shape = placer.snapshot.shape(template)
        counts[shape] = counts.get(shape, 0) + 1
    for shape, count in counts.items():
        if placer.depends_on_pods(shape):
            continue
        if count >= too_many.get(shape, count + 1):
            return ()
        if int(placer.room(shape).sum()) < count:
            too_many[shape] = count
            return ()
    return placer.place_all(missing) or ()
