"""One step of one commitment: what was heard of it, and what is to be done.

Each function takes a commitment as it is and returns it as it is then, with instructions. The order
of things: victims leave (`making-room`), everything is written at once (`starting`), all members
become ready (`running`). Whatever goes wrong on the way puts the whole workload back: all members
leave, what was held is released when the last is gone, and the delay before the next attempt grows.

Whose fault it was decides the end, not the delay. A member that fails, or stays on its node without
becoming ready, is its own fault; `faults_max` of them and the workload is given up. A refused
write, a hold that expired or a victim that does not leave only cost time.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from gpuyard.model.commitments import (
    Commitment,
    CommitmentRules,
    Confirmed,
    Ended,
    Evict,
    GiveUp,
    Heard,
    Instruction,
    Member,
    MemberState,
    NotWritten,
    Planned,
    PutBack,
    Release,
    Replan,
    Reread,
    Write,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)
from gpuyard.model.ledger import NEVER_NS, BackOff
from gpuyard.scheduling.commitments.moves import (
    COMMITMENT_MOVES,
    MEMBER_MOVES,
    OVER,
    PROGRESS,
    SILENCE,
    Cause,
)
from gpuyard.scheduling.ledger.delays import growing_delay_ns

Instructions: TypeAlias = tuple[Instruction, ...]


class Step(NamedTuple):
    """A commitment after something was heard, and what is to be done."""

    commitment: Commitment
    instructions: Instructions = ()


# -- what is heard of the workload


def begin(planned: Planned, attempt_ns: int, now_ns: int, rules: CommitmentRules) -> Step:
    """Commit to a start: evict its victims, or write at once where there are none.

    Raises ValueError where there is no pod to start.
    """
    committed = _committed(planned, attempt_ns, now_ns, rules)
    if planned.recovered_since_ns is not None:
        return _recover(committed, now_ns, planned.recovered_since_ns, rules)
    return _make_room(committed, now_ns, rules)


def plan_anew(now: Commitment, planned: Planned, now_ns: int, rules: CommitmentRules) -> Step:
    """Go on with the other plan that was asked for."""
    return _make_room(_with_plan(_moved(now, "planned"), planned, now_ns), now_ns, rules)


def decline(planned: Planned, attempt_ns: int, now_ns: int, rules: CommitmentRules) -> Step:
    """Put a start back that there is no place for; nobody was evicted and nothing written yet."""
    return _too_many(_committed(planned, attempt_ns, now_ns, rules), now_ns, rules)


def decline_anew(now: Commitment, planned: Planned, now_ns: int, rules: CommitmentRules) -> Step:
    """Put a workload back whose other plan there is no place for, and what is held for it."""
    return _too_many(_with_plan(now, planned, now_ns), now_ns, rules)


def _too_many(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    return _put_back(now, "TooManyStarting", now_ns, rules, own_fault=False)


def delete(now: Commitment) -> Step:
    """End it at once: the owner takes the pods away."""
    return _over(_moved(now, "deleted"))


def victim_gone(now: Commitment, victim: str, now_ns: int, rules: CommitmentRules) -> Step:
    """Write once the last victim has left."""
    if now.state != "making-room" or victim not in now.victims:
        return Step(now)
    left = replace(now, victims=now.victims - {victim})
    return Step(left) if left.victims else _write_all(left, now_ns, rules)


def victim_stuck(
    now: Commitment, stuck: frozenset[str], now_ns: int, rules: CommitmentRules
) -> Step:
    """Ask for another plan; after `replans_max` of them put the workload back."""
    stuck &= now.victims
    if now.state != "making-room" or not stuck:
        return Step(now)
    if now.replans >= rules.replans_max:
        return _put_back(now, "VictimStuck", now_ns, rules, own_fault=False)
    due_ns = now_ns + now.gone_within_ns
    asked = replace(
        _moved(now, "victim stuck"), replans=now.replans + 1, due_ns=due_ns, victims=frozenset()
    )
    replan = Replan(workload=now.workload, attempt_ns=now.attempt_ns, stuck=tuple(sorted(stuck)))
    return Step(asked, (replan,))


# -- what is heard of a member


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
            return Step(now, (_reread(now, heard.pod),))
        case "rewritten":
            return _write_again(now, heard.pod, now_ns, rules)
        case "confirmed" | "ready":
            return _landed(now)
        case "refused" | "failed":
            own_fault = bool(getattr(heard, "own_fault", False))
            return _put_back(now, member.reason, now_ns, rules, own_fault=own_fault)
        case "gone" if now.back_off is None:
            return _put_back(now, "MemberGone", now_ns, rules, own_fault=False)
        case "gone":
            return _finish(now)
    return Step(now)


def _write_again(now: Commitment, pod: str, now_ns: int, rules: CommitmentRules) -> Step:
    """Write what a look found missing, unless it was written often enough."""
    member = now.members[pod]
    if member.writes >= rules.writes_max:
        reason = member.reason or "WriteUnanswered"
        return _put_back(now, reason, now_ns, rules, own_fault=False)
    again = replace(now, members={**now.members, pod: replace(member, writes=member.writes + 1)})
    return Step(again, (_write(again, pod),))


def _landed(now: Commitment) -> Step:
    """Release the hold once all members are on their nodes; run once all are ready."""
    states = {member.state for member in now.members.values()}
    if not states <= {"confirmed", "ready"}:
        return Step(now)
    released, instructions = _release(replace(now, look_ns=NEVER_NS))
    if states != {"ready"}:
        return Step(released, instructions)
    ended = _over(_moved(released, "all ready"))
    return Step(ended.commitment, instructions + ended.instructions)


# -- time


def next_due_ns(now: Commitment) -> int:
    """Return when the commitment wants to hear a `Tick` at the latest."""
    hold_ns = NEVER_NS if now.hold_until_ns is None else now.hold_until_ns
    return min(now.due_ns, now.look_ns, hold_ns)


def tick(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    """Do what is due: the hold ends, the state has lasted too long, members are silent."""
    is_held_too_long = now.hold_until_ns is not None and now_ns >= now.hold_until_ns
    if is_held_too_long and now.state in {"making-room", "replanning"}:
        return _put_back(now, "HoldExpired", now_ns, rules, own_fault=False)
    released, instructions = _release(now) if is_held_too_long else Step(now)
    if now_ns >= released.due_ns:
        step = _too_late(released, now_ns, rules)
    elif now_ns >= released.look_ns:
        step = _look_at_the_silent(released, now_ns, rules)
    else:
        step = Step(released)
    return Step(step.commitment, instructions + step.instructions)


def _too_late(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    match now.state:
        case "making-room":
            return victim_stuck(now, now.victims, now_ns, rules)
        case "replanning":
            return _put_back(now, "VictimStuck", now_ns, rules, own_fault=False)
        case "starting":
            slowest = slowest_member(now.members)
            reason = slowest.reason or SILENCE[slowest.state]
            own_fault = slowest.state == "confirmed"
            return _put_back(now, reason, now_ns, rules, own_fault=own_fault)
    return _ask_once_more(now, now_ns, rules)


def slowest_member(members: Mapping[str, Member]) -> Member:
    """Return the member that came least far; of those the one that stands still for longest."""
    pods = (pod for pod in members if members[pod].state in PROGRESS)
    slowest = min(pods, key=lambda pod: (PROGRESS[members[pod].state], members[pod].since_ns, pod))
    return members[slowest]


def _look_at_the_silent(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    """Look at members without a reply or an echo; do not write again before the answer."""
    members, instructions = dict(now.members), []
    for pod, member in sorted(now.members.items()):
        if PROGRESS[member.state] <= PROGRESS["written"] and (
            now_ns - member.since_ns >= rules.reply_within_ns
        ):
            instructions.append(_reread(now, pod))
            if member.state != "written":
                members[pod] = replace(member, state="unanswered")
    looked = replace(now, members=members, look_ns=now_ns + rules.reply_within_ns)
    return Step(looked, tuple(instructions))


def _ask_once_more(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    """Ask members to leave again; after `put_back_repeats_max` times it is over with them there.

    They are terminating, the snapshot counts them, and the workload does not come back.
    """
    assert now.back_off is not None, "members are leaving, so why is known"
    if now.repeats < rules.put_back_repeats_max:
        due_ns = now_ns + rules.put_back_within_ns
        again = replace(now, repeats=now.repeats + 1, due_ns=due_ns)
        return Step(again, (_take_back(again, now.back_off),))
    for_good = replace(now.back_off, not_before_ns=None, reason="StuckTerminating")
    ended = _over(replace(_moved(now, "still there"), back_off=for_good))
    return Step(ended.commitment, (_take_back(ended.commitment, for_good), *ended.instructions))


# -- the ways in, back and out


def _committed(
    planned: Planned, attempt_ns: int, now_ns: int, rules: CommitmentRules
) -> Commitment:
    first = Commitment(
        workload=planned.workload,
        attempt_ns=attempt_ns,
        state="making-room",
        members={},
        ready_within_ns=rules.ready_within_ns,
        gone_within_ns=rules.gone_within_ns,
        is_recovered=planned.recovered_since_ns is not None,
    )
    return _with_plan(first, planned, now_ns)


def _with_plan(now: Commitment, planned: Planned, now_ns: int) -> Commitment:
    """Return the commitment with another plan; what is held stays held."""
    if not planned.nodes:
        raise ValueError(f"workload {planned.workload} was planned without a pod to start")
    ready, gone, hold = planned.ready_within_ns, planned.gone_within_ns, planned.hold_until_ns
    return replace(
        now,
        members={pod: Member(node=node, since_ns=now_ns) for pod, node in planned.nodes.items()},
        victims=planned.victims,
        hold_until_ns=now.hold_until_ns if hold is None else hold,
        ready_within_ns=now.ready_within_ns if ready is None else ready,
        gone_within_ns=now.gone_within_ns if gone is None else gone,
        before=planned.before,
    )


def _make_room(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    if not now.victims:
        return _write_all(now, now_ns, rules)
    evictions = tuple(Evict(workload=now.workload, victim=victim) for victim in sorted(now.victims))
    return Step(replace(now, due_ns=now_ns + now.gone_within_ns), evictions)


def _write_all(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    starting = _sent(now, "assumed", now_ns, now_ns, rules)
    return Step(starting, tuple(_write(starting, pod) for pod in sorted(starting.members)))


def _recover(now: Commitment, now_ns: int, since_ns: int, rules: CommitmentRules) -> Step:
    starting = _sent(now, "unanswered", now_ns, since_ns, rules)
    return Step(starting, tuple(_reread(starting, pod) for pod in sorted(starting.members)))


def _sent(
    now: Commitment, state: MemberState, now_ns: int, begun_ns: int, rules: CommitmentRules
) -> Commitment:
    members = {
        pod: replace(member, state=state, since_ns=now_ns, writes=1)
        for pod, member in now.members.items()
    }
    return replace(
        _moved(now, "room made"),
        members=members,
        victims=frozenset(),
        due_ns=begun_ns + now.ready_within_ns,
        look_ns=now_ns + rules.reply_within_ns,
    )


def _put_back(
    now: Commitment, reason: str, now_ns: int, rules: CommitmentRules, *, own_fault: bool
) -> Step:
    """Take every member back that may have been written; whoever was not is back already."""
    back_off = _back_off(now, reason, now_ns, rules, own_fault=own_fault)
    members = {
        pod: replace(
            member,
            state="gone" if member.state in {"planned", "gone"} else "leaving",
            since_ns=now_ns,
        )
        for pod, member in now.members.items()
    }
    leaving = replace(
        _moved(now, "last fault" if back_off.not_before_ns is None else "fault"),
        members=members,
        victims=frozenset(),
        due_ns=now_ns + rules.put_back_within_ns,
        look_ns=NEVER_NS,
        back_off=back_off,
    )
    finished = _finish(leaving)
    return Step(finished.commitment, (_take_back(leaving, back_off), *finished.instructions))


def _back_off(
    now: Commitment, reason: str, now_ns: int, rules: CommitmentRules, *, own_fault: bool
) -> BackOff:
    attempts = 1 + (now.before.attempts if now.before else 0)
    faults = int(own_fault) + (now.before.faults if now.before else 0)
    is_last = own_fault and faults >= rules.faults_max
    delay_ns = growing_delay_ns(
        attempts, base_ns=rules.back_off_base_ns, max_ns=rules.back_off_max_ns
    )
    return BackOff(
        workload=now.workload,
        attempts=attempts,
        faults=faults,
        not_before_ns=None if is_last else now_ns + delay_ns,
        reason=reason,
    )


def _finish(now: Commitment) -> Step:
    """End it once the last member is gone."""
    if any(member.state != "gone" for member in now.members.values()):
        return Step(now)
    return _over(_moved(now, "all gone"))


def _over(now: Commitment) -> Step:
    assert now.state in OVER, f"{now.state} is not the end"
    released, instructions = _release(now)
    ended = Ended(workload=now.workload, attempt_ns=now.attempt_ns, outcome=OVER[now.state])
    return Step(released, (*instructions, ended))


def _release(now: Commitment) -> Step:
    if now.hold_until_ns is None:
        return Step(now)
    return Step(replace(now, hold_until_ns=None), (Release(workload=now.workload),))


def _moved(now: Commitment, cause: Cause) -> Commitment:
    return replace(now, state=COMMITMENT_MOVES[now.state, cause])


# -- instructions


def _take_back(now: Commitment, back_off: BackOff) -> PutBack | GiveUp:
    pods = tuple(sorted(pod for pod, one in now.members.items() if one.state == "leaving"))
    instruction = GiveUp if back_off.not_before_ns is None else PutBack
    return instruction(
        workload=now.workload, attempt_ns=now.attempt_ns, pods=pods, back_off=back_off
    )


def _write(now: Commitment, pod: str) -> Write:
    member = now.members[pod]
    return Write(
        workload=now.workload,
        attempt_ns=now.attempt_ns,
        pod=pod,
        node=member.node,
        write=member.writes,
    )


def _reread(now: Commitment, pod: str) -> Reread:
    return Reread(
        workload=now.workload,
        attempt_ns=now.attempt_ns,
        pod=pod,
        write=now.members[pod].writes,
    )
