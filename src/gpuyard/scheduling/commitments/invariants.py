"""What holds of every commitment, whatever was heard and in whatever order."""

from collections.abc import Mapping, Sequence

from gpuyard.model.commitments import Commitment, CommitmentRules, CommitmentState, MemberState

ALLOWED: Mapping[CommitmentState, frozenset[MemberState]] = {
    "making-room": frozenset({"planned"}),
    "replanning": frozenset({"planned"}),
    "starting": frozenset({"assumed", "rewritten", "unanswered", "written", "confirmed", "ready"}),
    "putting-back": frozenset({"leaving", "gone"}),
    "giving-up": frozenset({"leaving", "gone"}),
}


def assert_sound(commitments: Sequence[Commitment], rules: CommitmentRules) -> None:
    """Assert that every commitment is sound, and that there are not too many."""
    own = [each for each in commitments if not each.is_recovered]
    assert len(own) <= rules.commitments_max, "too many commitments"
    assert sum(len(each.members) for each in own) <= rules.members_max, "too many members"
    for each in commitments:
        _assert_sound(each, rules)


def _assert_sound(now: Commitment, rules: CommitmentRules) -> None:
    states = {member.state for member in now.members.values()}
    about = f"{now.workload} is {now.state} with {sorted(states)}"
    assert states <= ALLOWED.get(now.state, frozenset()), about
    assert now.replans <= rules.replans_max, about
    assert now.repeats <= rules.put_back_repeats_max, about
    assert all(member.writes <= rules.writes_max for member in now.members.values()), about
    assert bool(now.victims) == (now.state == "making-room"), about
    assert (now.back_off is not None) == (now.state in {"putting-back", "giving-up"}), about
    if now.state == "starting":
        assert states != {"ready"}, f"{about}: it runs"
        is_landed = states <= {"confirmed", "ready"}
        assert not (is_landed and now.hold_until_ns is not None), f"{about}: it still holds room"
    if now.back_off is not None:
        assert "leaving" in states, f"{about}: it is back"
        is_for_good = now.back_off.not_before_ns is None
        assert is_for_good == (now.state == "giving-up"), about
