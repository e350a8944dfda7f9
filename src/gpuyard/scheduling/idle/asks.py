"""Who asks for devices now: waiting workloads that may be tried, like ones once.

Who may not be tried asks for nothing: a back-off runs, his queue is stopped, missing or does not
admit from his namespace, or room is kept for him already. In a StrictFIFO queue all but the first
stand behind it, and are told apart from it. Two workloads of one queue that ask for the same have
the same answer, so the first of them in turn speaks for all.
"""

from collections.abc import Iterator, Set as AbstractSet
from typing import NamedTuple

from gpuyard.model.idle import IdleRules
from gpuyard.model.workloads import PodSet, Workload
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ordering.turns import turn
from gpuyard.scheduling.pending_queue import PendingQueue, is_due


class Ask(NamedTuple):
    """A workload that speaks for `same` like it; `head` is who stands before it, or empty."""

    workload: Workload
    queue: str
    head: str
    same: int


def asks(waiting: Waiting, rules: IdleRules, now_ns: int, promised: AbstractSet[str]) -> list[Ask]:
    """Return who asks for devices, the first in turn first, at most ``rules.asks_max``.

    `promised` are the workloads that room is kept for.
    """
    found: dict[tuple[str, bool, tuple[PodSet, ...]], Ask] = {}
    for queue, pending in waiting.pending.items():
        if queue in waiting.queues.inactive:
            continue
        head = _head(pending, now_ns)
        for workload in _due(waiting, queue, pending, now_ns):
            if workload.key in promised or not asks_for_devices(workload, rules):
                continue
            is_behind = head not in ("", workload.key)
            key = queue, is_behind, workload.pod_sets
            known = found.get(key)
            if known is None:
                found[key] = Ask(workload, queue, head if is_behind else "", 1)
            else:
                first = min(
                    known.workload, workload, key=lambda one: turn(one, waiting.rules.turns)
                )
                found[key] = known._replace(workload=first, same=known.same + 1)
    in_turn = sorted(found.values(), key=lambda ask: turn(ask.workload, waiting.rules.turns))
    return in_turn[: rules.asks_max]


def asks_for_devices(workload: Workload, rules: IdleRules) -> bool:
    """Tell whether any pod of `workload` asks for a device."""
    return any(
        pod_set.template.request.devices is not None
        or any(pod_set.template.request.resources.get(name) for name in rules.device_resources)
        for pod_set in workload.pod_sets
    )


def _due(waiting: Waiting, queue: str, pending: PendingQueue, now_ns: int) -> Iterator[Workload]:
    for workloads in (pending.active, pending.parked):
        for workload in workloads.values():
            if is_due(workload, now_ns) and waiting.may_enter(queue, workload):
                yield workload


def _head(pending: PendingQueue, now_ns: int) -> str:
    """Return who blocks the queue, empty where nobody can."""
    if pending.strategy != "StrictFIFO":
        return ""
    due = (each.key for each in pending.in_order() if is_due(each, now_ns))
    return next(due, "")
