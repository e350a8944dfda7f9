"""What is heard of a member, and what follows for the whole workload.

The table moves the member; where it is then says what to do. Doubt leads to a look, a look that
finds nothing to another write, a bad end of one member to the way back for all.
"""

from msgspec.structs import replace

from gpuyard.model.commitments import (
    Commitment,
    CommitmentRules,
    Confirmed,
    Heard,
    Member,
    MemberState,
    NotWritten,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)
from gpuyard.model.ledger import NEVER_NS
from gpuyard.scheduling.commitments.moves import MEMBER_MOVES, PROGRESS
from gpuyard.scheduling.commitments.step import (
    Step,
    finish,
    moved,
    over,
    put_back,
    release,
    reread,
    write,
)


def hear(now: Commitment, heard: Heard, now_ns: int, rules: CommitmentRules) -> Step:
    """Move the member that `heard` is about, and do what follows from where it is then."""
    member = now.members.get(heard.pod)
    if member is None or heard.attempt_ns != now.attempt_ns or _is_of_earlier_write(heard, member):
        return Step(now)
    state = _next_state(member, heard)
    if state is None:
        return Step(now)
    since_ns = member.since_ns if state == member.state else now_ns
    reason = getattr(heard, "reason", "") or ("" if state == "ready" else member.reason)
    if isinstance(heard, Confirmed) and state == "failed":
        reason = "BoundByAnother" if member.state == "planned" else "BoundElsewhere"
    moved = replace(member, state=state, since_ns=since_ns, reason=reason)
    after = replace(now, members={**now.members, heard.pod: moved})
    return _react(after, heard, moved, now_ns, rules)


def _is_of_earlier_write(heard: Heard, member: Member) -> bool:
    is_reply = isinstance(heard, WriteAccepted | WriteRefused | WriteLost | NotWritten)
    return is_reply and getattr(heard, "write", 0) != member.writes


def _next_state(member: Member, heard: Heard) -> MemberState | None:
    if isinstance(heard, Confirmed) and heard.node != member.node and member.state in PROGRESS:
        return "failed"
    return MEMBER_MOVES.get((member.state, type(heard)))


def _react(
    now: Commitment, heard: Heard, member: Member, now_ns: int, rules: CommitmentRules
) -> Step:
    match member.state:
        case "unanswered":
            return Step(now, (reread(now, heard.pod),))
        case "rewritten":
            return _write_again(now, heard.pod, now_ns, rules)
        case "confirmed" | "ready":
            return _landed(now)
        case "refused" | "failed":
            own_fault = bool(getattr(heard, "own_fault", False))
            return put_back(now, member.reason, now_ns, rules, own_fault=own_fault)
        case "gone" if now.back_off is None:
            return put_back(now, "MemberGone", now_ns, rules, own_fault=False)
        case "gone":
            return finish(now)
    return Step(now)


def _write_again(now: Commitment, pod: str, now_ns: int, rules: CommitmentRules) -> Step:
    """Write what a look found missing, unless it was written often enough."""
    member = now.members[pod]
    if member.writes >= rules.writes_max:
        reason = member.reason or "WriteUnanswered"
        return put_back(now, reason, now_ns, rules, own_fault=False)
    again = replace(now, members={**now.members, pod: replace(member, writes=member.writes + 1)})
    return Step(again, (write(again, pod),))


def _landed(now: Commitment) -> Step:
    """Release the hold once all members are on their nodes; run once all are ready."""
    states = {member.state for member in now.members.values()}
    if not states <= {"confirmed", "ready"}:
        return Step(now)
    released, instructions = release(replace(now, look_ns=NEVER_NS))
    if states != {"ready"}:
        return Step(released, instructions)
    ended = over(moved(released, "all ready"))
    return Step(ended.commitment, instructions + ended.instructions)
