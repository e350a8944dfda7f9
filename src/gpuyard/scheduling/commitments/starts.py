"""What is heard of a workload: it is planned, its victims leave or stay, it is deleted.

Victims leave first (`making-room`); with the last of them gone everything is written at once
(`starting`). A victim that does not leave is planned around, as often as the rules say.
"""

from msgspec.structs import replace

from gpuyard.model.commitments import (
    Commitment,
    CommitmentRules,
    Evict,
    Member,
    MemberState,
    Planned,
    Replan,
)
from gpuyard.scheduling.commitments.step import Step, moved, over, put_back, reread, write


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
    return _make_room(_with_plan(moved(now, "planned"), planned, now_ns), now_ns, rules)


def decline(planned: Planned, attempt_ns: int, now_ns: int, rules: CommitmentRules) -> Step:
    """Put a start back that there is no place for; nobody was evicted and nothing written yet."""
    return _too_many(_committed(planned, attempt_ns, now_ns, rules), now_ns, rules)


def decline_anew(now: Commitment, planned: Planned, now_ns: int, rules: CommitmentRules) -> Step:
    """Put a workload back whose other plan there is no place for, and what is held for it."""
    return _too_many(_with_plan(now, planned, now_ns), now_ns, rules)


def delete(now: Commitment) -> Step:
    """End it at once: the owner takes the pods away."""
    return over(moved(now, "deleted"))


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
        return put_back(now, "VictimStuck", now_ns, rules, own_fault=False)
    due_ns = now_ns + now.gone_within_ns
    asked = replace(
        moved(now, "victim stuck"), replans=now.replans + 1, due_ns=due_ns, victims=frozenset()
    )
    replan = Replan(workload=now.workload, attempt_ns=now.attempt_ns, stuck=tuple(sorted(stuck)))
    return Step(asked, (replan,))


def _too_many(now: Commitment, now_ns: int, rules: CommitmentRules) -> Step:
    return put_back(now, "TooManyStarting", now_ns, rules, own_fault=False)


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
    return Step(starting, tuple(write(starting, pod) for pod in sorted(starting.members)))


def _recover(now: Commitment, now_ns: int, since_ns: int, rules: CommitmentRules) -> Step:
    starting = _sent(now, "unanswered", now_ns, since_ns, rules)
    return Step(starting, tuple(reread(starting, pod) for pod in sorted(starting.members)))


def _sent(
    now: Commitment, state: MemberState, now_ns: int, begun_ns: int, rules: CommitmentRules
) -> Commitment:
    members = {
        pod: replace(member, state=state, since_ns=now_ns, writes=1)
        for pod, member in now.members.items()
    }
    return replace(
        moved(now, "room made"),
        members=members,
        victims=frozenset(),
        due_ns=begun_ns + now.ready_within_ns,
        look_ns=now_ns + rules.reply_within_ns,
    )
