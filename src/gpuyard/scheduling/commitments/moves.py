"""The two tables: where a member goes when something is heard, where a commitment goes and why.

A pair that is not in a table is no move: what is heard twice, late, or of a member that is leaving
changes nothing. Two things the tables cannot say are in `members`: a reply that names an earlier
write is not heard at all, and a pod found on another node than it was sent to has failed.
"""

from collections.abc import Mapping
from typing import Literal

from gpuyard.model.commitments import (
    CommitmentState,
    Confirmed,
    Heard,
    MemberFailed,
    MemberGone,
    MemberReady,
    MemberState,
    MemberWaiting,
    NotWritten,
    Outcome,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)

Cause = Literal[
    "room made",
    "victim stuck",
    "planned",
    "fault",  # it will be tried again
    "last fault",  # it will not
    "all ready",
    "all gone",
    "still there",  # members were asked to leave often enough
    "deleted",
]

# What the watch shows overtakes any reply: it is a fact, the reply is only news of it.
_FACTS: Mapping[type[Heard], MemberState] = {
    Confirmed: "confirmed",
    MemberWaiting: "confirmed",
    MemberReady: "ready",
    MemberFailed: "failed",
    MemberGone: "gone",
}
_BEFORE_CONFIRMATION: tuple[MemberState, ...] = ("assumed", "rewritten", "unanswered", "written")

MEMBER_MOVES: Mapping[tuple[MemberState, type[Heard]], MemberState] = {
    **{(state, fact): to for state in _BEFORE_CONFIRMATION for fact, to in _FACTS.items()},
    ("assumed", WriteAccepted): "written",
    ("assumed", WriteRefused): "refused",
    ("assumed", WriteLost): "unanswered",
    ("rewritten", WriteAccepted): "written",
    # The API may have refused it because an earlier write of ours was carried out.
    ("rewritten", WriteRefused): "unanswered",
    ("rewritten", WriteLost): "unanswered",
    ("unanswered", WriteAccepted): "written",
    ("unanswered", NotWritten): "rewritten",
    ("planned", Confirmed): "failed",  # somebody else sent it there
    ("planned", MemberFailed): "failed",
    ("planned", MemberGone): "gone",
    ("confirmed", MemberWaiting): "confirmed",
    ("confirmed", MemberReady): "ready",
    ("confirmed", MemberFailed): "failed",
    ("confirmed", MemberGone): "gone",
    ("ready", MemberWaiting): "confirmed",
    ("ready", MemberFailed): "failed",
    ("ready", MemberGone): "gone",
    ("leaving", MemberGone): "gone",
}

COMMITMENT_MOVES: Mapping[tuple[CommitmentState, Cause], CommitmentState] = {
    ("making-room", "room made"): "starting",
    ("making-room", "victim stuck"): "replanning",
    ("making-room", "fault"): "putting-back",
    ("making-room", "last fault"): "giving-up",
    ("making-room", "deleted"): "deleted",
    ("replanning", "planned"): "making-room",
    ("replanning", "fault"): "putting-back",
    ("replanning", "last fault"): "giving-up",
    ("replanning", "deleted"): "deleted",
    ("starting", "all ready"): "running",
    ("starting", "fault"): "putting-back",
    ("starting", "last fault"): "giving-up",
    ("starting", "deleted"): "deleted",
    ("putting-back", "all gone"): "put-back",
    ("putting-back", "still there"): "given-up",
    ("putting-back", "deleted"): "deleted",
    ("giving-up", "all gone"): "given-up",
    ("giving-up", "still there"): "given-up",
    ("giving-up", "deleted"): "deleted",
}

OVER: Mapping[CommitmentState, Outcome] = {
    "running": "running",
    "put-back": "put-back",
    "given-up": "given-up",
    "deleted": "deleted",
}

# How far a member has come; the slowest is the one that has come least far.
PROGRESS: Mapping[MemberState, int] = {
    "planned": 0,
    "assumed": 1,
    "rewritten": 1,
    "unanswered": 1,
    "written": 2,
    "confirmed": 3,
    "ready": 4,
}
SILENCE: Mapping[MemberState, str] = {
    "planned": "NotWritten",
    "assumed": "WriteUnanswered",
    "rewritten": "WriteUnanswered",
    "unanswered": "WriteUnanswered",
    "written": "NotConfirmed",
    "confirmed": "NotReady",
}
