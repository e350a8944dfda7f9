"""Evictions on their way: whom to send away when, and how long the one they are for holds still.

A pod (or group) for which others leave must not be tried again before all of them were sent away,
or it might take places from yet others; nor may it sleep through the last one's going, which is
what wakes it. So all victims but the last are sent away at once, and the last when all others were
accepted. From the moment on when the last one is seen to be leaving, the pod may be tried again.
If one of them cannot be sent away, the rest stays, and the pod is tried again at once.

Events in, instructions out: `begin` and `answered` return what to do and what to remember; who
calls them sends the evictions and tells what came back. A victim that leaves already needs no
sending away, and one that is gone when it should be counts as accepted.

Semantics: k8s.io/kubernetes v1.36.3, framework/preemption/executor.go (KEP-4832).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.model.workloads import Assignment, PendingPod

Answer = Literal["accepted", "gone", "failed"]


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """What is still to be answered for one preemptor; `asked_last` once the last one's turn is."""

    open: frozenset[str]
    last: str
    asked_last: bool = False
    failed: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to send away now, and what to remember: `None` when it is over.

    `retry` says that the preemptor is to be tried again although not all victims were sent away.
    """

    evict: tuple[str, ...] = ()
    in_flight: InFlight | None = None
    retry: bool = False


def begin(victims: Sequence[Assignment]) -> Step:
    """Return the first evictions of `victims`; nothing where all of them leave already."""
    staying = [victim.pod for victim in victims if not victim.terminating]
    if not staying:
        return Step()
    *others, last = staying
    if not others:
        return _last(last)
    return Step(evict=tuple(others), in_flight=InFlight(open=frozenset(others), last=last))


def answered(in_flight: InFlight, victim: str, answer: Answer) -> Step:
    """Return what follows when the eviction of `victim` was answered."""
    still_open = in_flight.open - {victim}
    failed = in_flight.failed or answer == "failed"
    if still_open:
        return Step(in_flight=msgspec.structs.replace(in_flight, open=still_open, failed=failed))
    if failed or in_flight.asked_last:
        return Step(retry=failed)
    return _last(in_flight.last)


def holds_still(in_flight: InFlight | None, *, last_is_leaving: bool) -> bool:
    """Tell whether the preemptor waits; `last_is_leaving` also where the last victim is gone."""
    if in_flight is None:
        return False
    return not (in_flight.asked_last and last_is_leaving)


def preemptor(pod: PendingPod, groups: Mapping[str, PodGroup], rules: PodGroupRules) -> str | None:
    """Return the key under which the preemption for `pod` runs: its group's, or its own.

    `None` where its group preempts as one and is not known: then nothing holds the pod back.
    """
    if pod.group and rules.preempt == "as-group":
        return pod.group if pod.group in groups else None
    return pod.key


def _last(victim: str) -> Step:
    only = InFlight(open=frozenset({victim}), last=victim, asked_last=True)
    return Step(evict=(victim,), in_flight=only)
