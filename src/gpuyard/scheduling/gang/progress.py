"""What a pod group's ``PodGroupScheduled`` condition says after another pass over it.

Once a group was scheduled it stays so: members that come later and find no place do not take that
back. The instant of the last transition moves only when yes turns to no or back, not with a new
reason, so that "unschedulable since" tells when it began.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/schedule_one_podgroup.go
(updatePodGroupCondition).
"""

import msgspec


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a group is scheduled, why, and since when."""

    is_met: bool
    reason: str
    message: str = ""
    since_ns: int = 0


def following(before: Condition | None, now: Condition) -> Condition:
    """Return what the condition says next, where `now` is what the latest pass found."""
    if before is None:
        return now
    if before.is_met and not now.is_met:
        return before
    if before.is_met == now.is_met:
        return msgspec.structs.replace(now, since_ns=before.since_ns)
    return now
