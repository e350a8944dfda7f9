"""Where two plans of one cycle differ first, and about whom."""

from itertools import zip_longest

import msgspec

from gpuyard.model.plan import Plan
from gpuyard.twin.record.form import RecordedCycle


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first plan that differs: in which cycle, about whom, and what each of the two says."""

    cycle: int
    line: int
    now_ns: int
    workload: str
    recorded: str
    recomputed: str


def difference(line: int, recorded: RecordedCycle, plan: Plan) -> Difference:
    """Name the first workload, in the order of the recorded plan, about which two plans differ."""
    before, after = _by_workload(recorded.plan), _by_workload(plan)
    named = [*before, *after]
    workload = next((key for key in named if before.get(key) != after.get(key)), "")
    if workload:
        apart = _first_apart(before.get(workload, ()), after.get(workload, ()))
    else:
        apart = _first_apart(_beside(recorded.plan), _beside(plan))
    return Difference(
        cycle=recorded.cycle,
        line=line,
        now_ns=recorded.now_ns,
        workload=workload,
        recorded=apart[0],
        recomputed=apart[1],
    )


def _by_workload(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return what a plan says about each workload, one sentence a pod."""
    said: dict[str, tuple[str, ...]] = {
        each.workload: (f"waits ({each.code})",) for each in plan.waits
    }
    for start in plan.starts:
        pods = (
            f"{one.pod} on {one.node}"
            + ("" if one.devices is None else f", devices {', '.join(map(str, one.devices))}")
            for one in start.assignments
        )
        said[start.workload] = (*pods, *said.get(start.workload, ()))
    for evict in plan.evicts:
        said[evict.workload] = (*said.get(evict.workload, ()), f"evicts {evict.victim}")
    for hold in plan.holds:
        said[hold.workload] = (*said.get(hold.workload, ()), f"holds until {hold.until_ns} ns")
    return said


def _beside(plan: Plan) -> tuple[str, ...]:
    """Return what a plan says beside what becomes of each workload: its order, and the ledger."""
    order = [each.workload for each in plan.starts] + [each.workload for each in plan.waits]
    changes = (f"the ledger: {type(each).__name__} {each.entry}" for each in plan.changes)
    return (*(f"in this place {workload}" for workload in order), *changes)


def _first_apart(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, str]:
    """Return the first thing that is said differently, in both versions."""
    pairs = zip_longest(before, after, fillvalue="nothing")
    return next(pair for pair in pairs if pair[0] != pair[1])
