"""What all steps share: the words, and the ways back and out.

A step takes a commitment as it is and returns it as it is then, with instructions. Whatever goes
wrong puts the whole workload back: all members leave, what was held is released when the last is
gone, and the delay before the next attempt grows.

Whose fault it was decides the end, not the delay. A member that fails, or stays on its node without
becoming ready, is its own fault; `faults_max` of them and the workload is given up. A refused
write, a hold that expired or a victim that does not leave only cost time.
"""

from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from gpuyard.model.commitments import (
    Commitment,
    CommitmentRules,
    Ended,
    GiveUp,
    Instruction,
    PutBack,
    Release,
    Reread,
    Write,
)
from gpuyard.model.ledger import NEVER_NS, BackOff
from gpuyard.scheduling.commitments.moves import COMMITMENT_MOVES, OVER, Cause
from gpuyard.scheduling.ledger.delays import growing_delay_ns

Instructions: TypeAlias = tuple[Instruction, ...]


class Step(NamedTuple):
    """A commitment after something was heard, and what is to be done."""

    commitment: Commitment
    instructions: Instructions = ()


def put_back(
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
        moved(now, "last fault" if back_off.not_before_ns is None else "fault"),
        members=members,
        victims=frozenset(),
        due_ns=now_ns + rules.put_back_within_ns,
        look_ns=NEVER_NS,
        back_off=back_off,
    )
    finished = finish(leaving)
    return Step(finished.commitment, (take_back(leaving, back_off), *finished.instructions))


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


def finish(now: Commitment) -> Step:
    """End it once the last member is gone."""
    if any(member.state != "gone" for member in now.members.values()):
        return Step(now)
    return over(moved(now, "all gone"))


def over(now: Commitment) -> Step:
    """End it: release what is held, and say how it ended."""
    assert now.state in OVER, f"{now.state} is not the end"
    released, instructions = release(now)
    ended = Ended(workload=now.workload, attempt_ns=now.attempt_ns, outcome=OVER[now.state])
    return Step(released, (*instructions, ended))


def release(now: Commitment) -> Step:
    """Release what is held, if anything still is."""
    if now.hold_until_ns is None:
        return Step(now)
    return Step(replace(now, hold_until_ns=None), (Release(workload=now.workload),))


def moved(now: Commitment, cause: Cause) -> Commitment:
    """Return the commitment in its next state; a pair that is not in the table is a defect."""
    return replace(now, state=COMMITMENT_MOVES[now.state, cause])


def take_back(now: Commitment, back_off: BackOff) -> PutBack | GiveUp:
    """Return the order to take back whoever has not left yet."""
    pods = tuple(sorted(pod for pod, one in now.members.items() if one.state == "leaving"))
    instruction = GiveUp if back_off.not_before_ns is None else PutBack
    return instruction(
        workload=now.workload, attempt_ns=now.attempt_ns, pods=pods, back_off=back_off
    )


def write(now: Commitment, pod: str) -> Write:
    """Return the order to send a pod to its node."""
    member = now.members[pod]
    return Write(
        workload=now.workload,
        attempt_ns=now.attempt_ns,
        pod=pod,
        node=member.node,
        write=member.writes,
    )


def reread(now: Commitment, pod: str) -> Reread:
    """Return the order to look where a pod is."""
    return Reread(
        workload=now.workload,
        attempt_ns=now.attempt_ns,
        pod=pod,
        write=now.members[pod].writes,
    )
