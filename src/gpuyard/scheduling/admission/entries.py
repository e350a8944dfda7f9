"""A workload on its way through a round: what its queue offers, and what became of it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from gpuyard.model.queues import Admission, Admitted, Usage
from gpuyard.model.reasons import ReasonCode
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.flavors.assignment import FlavorAssignment, ScanPositions
from gpuyard.scheduling.flavors.scan import ScanStamp
from gpuyard.scheduling.pending_queue import RequeueReason
from gpuyard.scheduling.preemption.queues.rules import Target

Outcome = Literal[
    "admitted",
    "preempting",  # its victims are told to go; it waits for them
    "skipped",  # it could, but for somebody before it in the round
    "waiting",
    "evicted",  # it held quota, and its failed node has no replacement
]
Nominated = Mapping[str, Mapping[str, str]]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue offers.

    `held` is set where the workload has quota and only seeks places. `tried` says where the search
    for flavors stopped last time, `stamp` when that was. `at_most` are the pods of each pod set for
    which it had others evicted, where it may start with no more. `closed` are flavors whose nodes
    did not take it, and nothing came since that could have changed that. `has_room`: something is
    kept for it, so it waits for those who leave and evicts nobody else.
    """

    workload: Workload
    queue: str
    held: Admitted | None = None
    is_preemptor: bool = False
    tried: ScanPositions | None = None
    stamp: ScanStamp | None = None
    at_most: tuple[int, ...] | None = None
    closed: frozenset[str] = frozenset()
    has_room: bool = False


class Objection(NamedTuple):
    """Why a head is not even looked at."""

    requeue: RequeueReason
    code: ReasonCode
    message: str


class Nomination(NamedTuple):
    """What a workload would get, who would have to go, and whose quota it would take over."""

    assignment: FlavorAssignment
    targets: tuple[Target, ...] = ()
    replaced: str = ""


class Entry:
    """A head with its assignment; changes while the round goes on."""

    def __init__(self, head: Head, nomination: Nomination) -> None:
        """Start with what nomination found."""
        self.head = head
        self.outcome: Outcome = "waiting"
        self.requeue: RequeueReason = ""
        self.code: ReasonCode = "PendingEvaluation"
        self.keeps_position = True
        self.was_crowded = False
        self.nominate(nomination)

    def nominate(self, nomination: Nomination) -> None:
        """Take what nomination found, again."""
        self.assignment, self.targets, self.replaced = nomination
        self.message = self.assignment.message()

    @property
    def workload(self) -> Workload:
        """The workload."""
        return self.head.workload

    @property
    def queue(self) -> str:
        """Its ClusterQueue."""
        return self.head.queue

    @property
    def borrowing(self) -> int:
        """0 where its own queue has the quota."""
        return self.assignment.borrowing

    @property
    def has_quota(self) -> bool:
        """Whether it only seeks places."""
        return self.head.held is not None

    @property
    def is_preemptor(self) -> bool:
        """Whether room is being made for it."""
        return self.head.is_preemptor

    @property
    def usage(self) -> Usage:
        """What it would take more than it has."""
        usage = self.assignment.usage
        return Usage((), usage.places) if self.has_quota else usage

    def skip(self, message: str, *, keeps_position: bool) -> None:
        """Note that somebody before it took what it counted on; it is tried again at once."""
        self.outcome, self.requeue, self.message = "skipped", "FailedAfterNomination", message
        self.code, self.keeps_position = "WaitingForQuota", keeps_position

    def make_room(self) -> None:
        """Note that its victims are told to go; then it looks at all flavors again."""
        self.outcome, self.keeps_position = "preempting", False
        self.code = "WaitingForPreemptedWorkloads"
        self.requeue, more = said_of_evictions(evicted=len(self.targets), failed=0)
        self.message += more

    def victims(self) -> list[str]:
        """Return the keys of those whose quota it would take."""
        keys = [target.workload for target in self.targets]
        return [*keys, self.replaced] if self.replaced else keys


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a round decided about one head.

    `assignment` is what was found, where anybody looked. `admission` is set where it was admitted,
    `targets` where it makes room; `replaced` is the elastic slice whose quota it took over.
    `was_crowded`: somebody else in the round was given what it counted on, so that others may have
    to go who else would not. `code` and `message` say why it waits; `requeue` and `tried`
    are for the next time.
    """

    workload: Workload
    queue: str
    outcome: Outcome
    assignment: FlavorAssignment | None = None
    admission: Admission | None = None
    targets: tuple[Target, ...] = ()
    replaced: str = ""
    was_crowded: bool = False
    requeue: RequeueReason = ""
    code: ReasonCode = "PendingEvaluation"
    message: str = ""
    tried: ScanPositions | None = None


def not_written(verdict: Verdict) -> Verdict:
    """Return what stands of an admission that could not be written: it is tried again at once."""
    return msgspec.structs.replace(
        verdict, outcome="skipped", requeue="FailedAfterNomination", admission=None, replaced=""
    )


def after_evictions(verdict: Verdict, *, evicted: int, failed: int) -> Verdict:
    """Return what stands of "preempting" once its victims were told; `failed` could not be told."""
    requeue, more = said_of_evictions(evicted=evicted, failed=failed)
    found = "" if verdict.assignment is None else verdict.assignment.message()
    return msgspec.structs.replace(verdict, requeue=requeue, message=found + more, tried=None)


def said_of_evictions(*, evicted: int, failed: int) -> tuple[RequeueReason, str]:
    """Return how a workload comes back whose victims were told to go, and what is said of it."""
    if evicted:
        return "PendingPreemption", f". Pending the preemption of {evicted} workload(s)"
    if failed:
        return "PreemptionFailed", f". Preempting {failed} workload(s) failed, will retry."
    return "", ""
