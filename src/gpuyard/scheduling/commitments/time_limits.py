"""What time alone brings: holds expire, states have lasted too long, members are silent.

Each commitment says when it wants to be asked next, so that nobody has to poll. Silence is treated
as a lost reply: look, do not write.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from gpuyard.model.commitments import (
    Commitment,
    CommitmentRules,
    Member,
)
from gpuyard.model.ledger import NEVER_NS
from gpuyard.scheduling.commitments.moves import PROGRESS, SILENCE
from gpuyard.scheduling.commitments.starts import victim_stuck
from gpuyard.scheduling.commitments.step import (
    Step,
    moved,
    over,
    put_back,
    release,
    reread,
    take_back,
)


def next_due_ns(now: Commitment) -> int:
    """Return when the commitment wants to hear a `Tick` at the latest."""
    hold_ns = NEVER_NS if now.hold_until_ns is None else now.hold_until_ns
    return min(now.due_ns, now.look_ns, hold_ns)


def tick(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    """Do what is due: the hold ends, the state has lasted too long, members are silent."""
    is_held_too_long = now.hold_until_ns is not None and now_ns >= now.hold_until_ns
    if is_held_too_long and now.state in {"making-room", "replanning"}:
        return put_back(now, "HoldExpired", now_ns, rules, own_fault=False)
    released, instructions = release(now) if is_held_too_long else Step(now)
    if now_ns >= released.due_ns:
        step = _too_late(released, now_ns, rules)
    elif now_ns >= released.look_ns:
        step = _look_at_the_silent(released, now_ns, rules)
    else:
        step = Step(released)
    return Step(step.commitment, instructions + step.instructions)


def slowest_member(members: Mapping[str, Member]) -> Member:
    """Return the member that came least far; of those the one that stands still for longest."""
    pods = (pod for pod in members if members[pod].state in PROGRESS)
    slowest = min(pods, key=lambda pod: (PROGRESS[members[pod].state], members[pod].since_ns, pod))
    return members[slowest]


def _too_late(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    match now.state:
        case "making-room":
            return victim_stuck(now, now.victims, now_ns, rules)
        case "replanning":
            return put_back(now, "VictimStuck", now_ns, rules, own_fault=False)
        case "starting":
            slowest = slowest_member(now.members)
            reason = slowest.reason or SILENCE[slowest.state]
            own_fault = slowest.state == "confirmed"
            return put_back(now, reason, now_ns, rules, own_fault=own_fault)
    return _ask_once_more(now, now_ns, rules)


def _look_at_the_silent(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    """Look at members without a reply or an echo; do not write again before the answer."""
    members, instructions = dict(now.members), []
    for pod, member in sorted(now.members.items()):
        if PROGRESS[member.state] <= PROGRESS["written"] and (
            now_ns - member.since_ns >= rules.reply_within_ns
        ):
            instructions.append(reread(now, pod))
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
        return Step(again, (take_back(again, now.back_off),))
    for_good = replace(now.back_off, not_before_ns=None, reason="StuckTerminating")
    ended = over(replace(moved(now, "still there"), back_off=for_good))
    return Step(ended.commitment, (take_back(ended.commitment, for_good), *ended.instructions))
