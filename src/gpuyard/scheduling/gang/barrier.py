"""The barrier of a gang whose pods are scheduled one by one.

Twice it asks whether there are enough. Before a member may enter the scheduling queue, so many
members must exist as the gang needs. And when a member has found a node, so many must have one
(this one included): until then it keeps its place and waits, and members that have not been tried
are sent for; the member that makes the number complete lets all of them go.

A group with the basic policy, and a pod of no group, pass at once.

Semantics: k8s.io/kubernetes v1.36.3, plugins/gangscheduling/gangscheduling.go (PreEnqueue, Permit
and the queueing hints).
"""

from typing import Literal

import msgspec

from gpuyard.model.pod_groups import PodGroup
from gpuyard.model.workloads import PendingPod

EntryRefusal = Literal["PodGroupNotFound", "TooFewMembers"]


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """The known pods of a group: without a node, with one that is only assumed, and bound."""

    unscheduled: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """Return how many there are."""
        return len(self.unscheduled) + self.scheduled

    @property
    def scheduled(self) -> int:
        """Return how many have a node."""
        return len(self.assumed) + len(self.bound)


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a member that found a node: it waits, or those in `goes` are let go.

    `sent_for` are members that should be tried now, so that it need not wait in vain.
    """

    waits: bool = False
    goes: tuple[str, ...] = ()
    sent_for: tuple[str, ...] = ()


def may_enter(pod: PendingPod, group: PodGroup | None, members: Members) -> EntryRefusal | None:
    """Return why `pod` may not enter the queue yet, `None` where it may.

    `group` is its group as far as that is known, `members` are the known ones, `pod` included.
    """
    if not pod.group:
        return None
    if group is None:
        return "PodGroupNotFound"
    return "TooFewMembers" if members.known < group.min_count else None


def at_barrier(pod: PendingPod, group: PodGroup | None, members: Members) -> Passage:
    """Return what becomes of `pod`, which has found a node and counts among `members` as assumed.

    A member whose group vanished meanwhile waits.
    """
    if not pod.group or (group is not None and not group.min_count):
        return Passage(goes=(pod.key,))
    if group is None:
        return Passage(waits=True)
    if members.scheduled < group.min_count:
        return Passage(waits=True, sent_for=members.unscheduled)
    return Passage(goes=members.assumed)


def may_complete(waiting: PendingPod, *, group: str) -> bool:
    """Tell whether a new member of `group`, or `group` itself appearing, may help `waiting`."""
    return bool(waiting.group) and waiting.group == group
