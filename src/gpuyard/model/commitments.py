"""What was decided and is not yet so: members, victims, what is heard of them, what to do next.

A start is a commitment from the moment it is planned until all members are ready, or all of them
are back. Its words are events (what was heard), instructions (what is to be done) and two kinds of
states. `gpuyard.scheduling.commitments` turns events into instructions.

`attempt_ns` names an attempt of a workload: the instant at which it was planned, or the next one
that names no other. Whatever is heard of an earlier attempt carries its name, and is not mistaken
for the present one. `write` counts the
writes of one member in an attempt from 1; a reply, or the answer to a look, names the write that it
is about.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from gpuyard.model.ledger import NEVER_NS, BackOff

SECOND_NS = 10**9

MemberState = Literal[
    "planned",  # room is being made, nothing is written
    "assumed",  # the first write is out
    "rewritten",  # another write is out; an earlier one may have been carried out
    "unanswered",  # a write may or may not have been carried out: look
    "written",  # the API took it
    "confirmed",  # the watch shows it where it was sent
    "ready",
    "refused",  # the API did not take it
    "failed",
    "leaving",  # it is being taken back
    "gone",  # it has no node, and no write of this attempt can give it one
]
CommitmentState = Literal[
    "making-room",  # victims are leaving
    "replanning",  # a victim does not leave; the next cycle looks for another way
    "starting",  # writes are out; not all members are ready
    "putting-back",  # members are being taken back; it will be tried again
    "giving-up",  # members are being taken back for good
    "running",
    "put-back",
    "given-up",
    "deleted",
]
Outcome = Literal["running", "put-back", "given-up", "deleted"]


class CommitmentRules(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits, delays and how often; defaults are those of the source named beside them."""

    # Kueue v0.19.2, waitForPodsReady.timeout (v1beta2; it was 5 min in v1beta1).
    ready_within_ns: int = 1800 * SECOND_NS
    # Kueue v0.19.2, requeuingStrategy.backoffBaseSeconds and backoffMaxSeconds.
    back_off_base_ns: int = 60 * SECOND_NS
    back_off_max_ns: int = 3600 * SECOND_NS
    # Kubernetes v1.36, Job.spec.backoffLimit. Kueue's backoffLimitCount has no bound by default.
    faults_max: int = 6
    # kube-apiserver v1.36, --request-timeout: after it the server itself has ended the request.
    reply_within_ns: int = 60 * SECOND_NS
    writes_max: int = 3  # of one member in one attempt
    # Ten times Kubernetes' terminationGracePeriodSeconds of 30 s: training saves its state.
    gone_within_ns: int = 300 * SECOND_NS
    replans_max: int = 1
    put_back_within_ns: int = 120 * SECOND_NS  # then members are asked to leave once more
    put_back_repeats_max: int = 10
    commitments_max: int = 4096
    members_max: int = 65_536  # of all commitments together


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A pod of a commitment; `since_ns` is when it came into its state."""

    node: str
    state: MemberState = "planned"
    since_ns: int = 0
    writes: int = 0
    reason: str = ""  # the last one heard


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """A start on its way.

    `victims` are those that have not left. `hold_until_ns` is `None` where nothing is held any
    more. `due_ns` is when the state ends at the latest, `look_ns` when silent members are looked
    at. `before` is what the ledger knew of earlier attempts, `back_off` what it shall know after
    this one failed.
    """

    workload: str
    attempt_ns: int
    state: CommitmentState
    members: Mapping[str, Member]
    ready_within_ns: int
    gone_within_ns: int
    victims: frozenset[str] = frozenset()
    hold_until_ns: int | None = None
    due_ns: int = NEVER_NS
    look_ns: int = NEVER_NS
    replans: int = 0
    repeats: int = 0
    before: BackOff | None = None
    back_off: BackOff | None = None
    is_recovered: bool = False


# -- events: what was heard


class Planned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The cycle decided to start `workload`: its pods, by name, go to these nodes.

    `victims` leave first; what they free is held until `hold_until_ns`. The limits default to those
    of the rules. A workload that is on its way is planned again only where `Replan` asked for it.
    `recovered_since_ns` is set after a crash, for a start that a former process began then: it may
    have been written, so every member is looked at first.
    """

    workload: str
    nodes: Mapping[str, str]
    victims: frozenset[str] = frozenset()
    hold_until_ns: int | None = None
    ready_within_ns: int | None = None
    gone_within_ns: int | None = None
    before: BackOff | None = None
    recovered_since_ns: int | None = None


class MemberEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something was heard of a pod."""

    workload: str
    attempt_ns: int
    pod: str


class WriteAccepted(MemberEvent, frozen=True, kw_only=True):
    """The API took the write."""

    write: int


class WriteRefused(MemberEvent, frozen=True, kw_only=True):
    """The API did not take the write. `own_fault`: it never would, whatever the node."""

    write: int
    reason: str
    own_fault: bool = False


class WriteLost(MemberEvent, frozen=True, kw_only=True):
    """No reply, or one that does not say whether the write was carried out."""

    write: int


class NotWritten(MemberEvent, frozen=True, kw_only=True):
    """A look that was asked for after the write found the pod without a node."""

    write: int


class Confirmed(MemberEvent, frozen=True, kw_only=True):
    """The pod is on `node`: the echo of the watch, or the answer to a look."""

    node: str


class MemberWaiting(MemberEvent, frozen=True, kw_only=True):
    """The pod is on its node and not ready, and why."""

    reason: str


class MemberReady(MemberEvent, frozen=True, kw_only=True):
    """The pod is ready."""


class MemberFailed(MemberEvent, frozen=True, kw_only=True):
    """The pod will not become ready. `own_fault`: elsewhere it would not have either."""

    reason: str
    own_fault: bool = True


class MemberGone(MemberEvent, frozen=True, kw_only=True):
    """The pod has no node, and no write of this attempt can give it one."""


class VictimGone(msgspec.Struct, frozen=True, tag=True):
    """`victim` has left its nodes."""

    victim: str


class VictimStuck(msgspec.Struct, frozen=True, tag=True):
    """`victim` is not going to leave in time."""

    victim: str


class WorkloadDeleted(msgspec.Struct, frozen=True, tag=True):
    """Nobody wants `workload` any more; its owner takes its pods away."""

    workload: str


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed."""


Heard = (
    WriteAccepted
    | WriteRefused
    | WriteLost
    | NotWritten
    | Confirmed
    | MemberWaiting
    | MemberReady
    | MemberFailed
    | MemberGone
)
Event = Planned | Heard | VictimGone | VictimStuck | WorkloadDeleted | Tick


# -- instructions: what is to be done


class Evict(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make `victim` leave, for `workload`. To say it twice is to say it once."""

    workload: str
    victim: str


class Write(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Send `pod` to `node`."""

    workload: str
    attempt_ns: int
    pod: str
    node: str
    write: int


class Reread(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Look where `pod` is, past every cache.

    The answer is `Confirmed`, `NotWritten` with the same `write`, or `MemberGone`.
    """

    workload: str
    attempt_ns: int
    pod: str
    write: int


class PutBack(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Take `pods` back, all of them, and try again when the back-off says; may be repeated."""

    workload: str
    attempt_ns: int
    pods: tuple[str, ...]
    back_off: BackOff


class GiveUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Take `pods` back, all of them, for good; may be repeated."""

    workload: str
    attempt_ns: int
    pods: tuple[str, ...]
    back_off: BackOff


class Replan(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Look for another way to start `workload`; what is held for it stays held."""

    workload: str
    attempt_ns: int
    stuck: tuple[str, ...]


class Release(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nothing is held for `workload` any more."""

    workload: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The commitment is over."""

    workload: str
    attempt_ns: int
    outcome: Outcome


Instruction = Evict | Write | Reread | PutBack | GiveUp | Replan | Release | Ended


# -- the log


class LoggedEvent(msgspec.Struct, frozen=True):
    """An event and when it was heard."""

    now_ns: int
    event: Event


class CommitmentLog(msgspec.Struct, frozen=True, kw_only=True):
    """The commitments at some instant, and everything that was heard since."""

    rules: CommitmentRules
    now_ns: int
    last_attempt_ns: int
    commitments: tuple[Commitment, ...]
    events: tuple[LoggedEvent, ...] = ()
