"""From a plan to pods that run, step by step: what is heard, what is to be done."""

from itertools import product
from typing import get_args

import pytest
from msgspec.structs import replace

from gpuyard.model.commitments import (
    CommitmentRules,
    CommitmentState,
    Confirmed,
    Ended,
    Evict,
    GiveUp,
    Heard,
    MemberFailed,
    MemberGone,
    MemberReady,
    MemberState,
    MemberWaiting,
    NotWritten,
    Planned,
    PutBack,
    Release,
    Replan,
    Reread,
    Tick,
    VictimGone,
    VictimStuck,
    WorkloadDeleted,
    Write,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)
from gpuyard.model.ledger import BackOff, Forgotten, Hold, Recorded
from gpuyard.scheduling import commitments as module
from gpuyard.scheduling.commitments import Commitments, changes, replay
from gpuyard.scheduling.commitments.invariants import ALLOWED
from gpuyard.scheduling.commitments.moves import COMMITMENT_MOVES, MEMBER_MOVES, OVER
from gpuyard.scheduling.ledger import Ledger

SECOND = 10**9
RULES = CommitmentRules()
AT = 1000 * SECOND  # when everything here is planned


class Yard:
    """Commitments with one gang, and short words for what is heard of it."""

    def __init__(self, rules=RULES, pods=("p0", "p1"), **planned):
        self.rules = rules
        self.commitments = Commitments(rules)
        self.now_ns = AT
        nodes = {pod: f"node-{pod}" for pod in pods}
        self.did = self.tell(Planned(workload="w", nodes=nodes, **planned))

    def tell(self, event):
        did = self.commitments.apply(event, self.now_ns)
        self.commitments.validate()
        return did

    def hear(self, kind, pod="p0", **told):
        if kind is Confirmed:
            told.setdefault("node", f"node-{pod}")
        if kind in {WriteAccepted, WriteRefused, WriteLost, NotWritten}:
            told.setdefault("write", 1)
        return self.tell(kind(workload="w", attempt_ns=AT, pod=pod, **told))

    def wait(self, duration_ns):
        self.now_ns += duration_ns
        return self.tell(Tick())

    @property
    def state(self):
        now = self.commitments.get("w")
        return now and now.state

    def member(self, pod="p0"):
        return self.commitments.get("w").members[pod].state


def write(pod, number=1):
    return Write(workload="w", attempt_ns=AT, pod=pod, node=f"node-{pod}", write=number)


def look(pod="p0", number=1):
    return Reread(workload="w", attempt_ns=AT, pod=pod, write=number)


def ended(outcome):
    return Ended(workload="w", attempt_ns=AT, outcome=outcome)


def put_back_of(did):
    (order,) = [each for each in did if isinstance(each, PutBack | GiveUp)]
    return order


RELEASE = Release(workload="w")


# -- the good way


def test_without_victims_all_members_are_written_at_once():
    assert Yard().did == (write("p0"), write("p1"))


def test_a_gang_runs_once_the_last_member_is_ready():
    yard = Yard(hold_until_ns=AT + 3600 * SECOND)
    for pod in ("p0", "p1"):
        assert yard.hear(WriteAccepted, pod) == ()
    assert yard.hear(Confirmed, "p0") == ()
    assert yard.hear(Confirmed, "p1") == (RELEASE,)
    assert yard.hear(MemberReady, "p0") == ()
    assert yard.state == "starting"
    assert yard.hear(MemberReady, "p1") == (ended("running"),)
    assert yard.state is None


def test_an_api_that_answers_at_once_needs_no_other_path():
    yard = Yard(pods=("p0",))
    heard = [WriteAccepted, Confirmed, MemberReady]
    assert [yard.hear(kind) for kind in heard] == [(), (), (ended("running"),)]
    assert yard.now_ns == AT


def test_what_the_watch_shows_overtakes_every_reply():
    yard = Yard(pods=("p0",), hold_until_ns=AT + SECOND)
    assert yard.hear(MemberReady) == (RELEASE, ended("running"))


def test_a_member_that_is_ready_no_more_keeps_the_gang_starting():
    yard = Yard()
    yard.hear(MemberReady, "p0")
    yard.hear(MemberWaiting, "p0", reason="ProbeFailed")
    assert yard.hear(MemberReady, "p1") == ()
    assert yard.hear(MemberReady, "p0") == (ended("running"),)


# -- room is made first


def test_nothing_is_written_before_the_last_victim_has_left():
    yard = Yard(victims=frozenset({"u", "v"}))
    assert yard.did == (Evict(workload="w", victim="u"), Evict(workload="w", victim="v"))
    assert yard.tell(VictimGone("u")) == ()
    assert yard.tell(VictimGone("u")) == ()
    assert yard.tell(VictimGone("v")) == (write("p0"), write("p1"))


def test_the_time_limit_of_a_start_counts_from_the_first_write():
    yard = Yard(victims=frozenset({"u"}))
    yard.now_ns += 200 * SECOND
    yard.tell(VictimGone("u"))
    assert yard.commitments.get("w").due_ns == AT + 200 * SECOND + RULES.ready_within_ns


@pytest.mark.parametrize("by", ["event", "time"])
def test_a_stuck_victim_is_planned_around_once(by):
    def stuck(yard, victim):
        return yard.tell(VictimStuck(victim)) if by == "event" else yard.wait(RULES.gone_within_ns)

    yard = Yard(victims=frozenset({"u"}), hold_until_ns=AT + 3600 * SECOND)
    assert stuck(yard, "u") == (Replan(workload="w", attempt_ns=AT, stuck=("u",)),)
    assert yard.state == "replanning"
    again = Planned(workload="w", nodes={"p0": "n"}, victims=frozenset({"v"}))
    assert yard.tell(again) == (Evict(workload="w", victim="v"),)
    did = stuck(yard, "v")
    assert put_back_of(did).back_off.reason == "VictimStuck"
    assert did[1:] == (RELEASE, ended("put-back"))


def test_another_plan_without_victims_is_written_at_once():
    yard = Yard(victims=frozenset({"u"}))
    yard.tell(VictimStuck("u"))
    assert yard.tell(Planned(workload="w", nodes={"p9": "node-p9"})) == (write("p9"),)


def test_who_gets_no_other_plan_in_time_is_put_back():
    yard = Yard(victims=frozenset({"u"}))
    yard.tell(VictimStuck("u"))
    assert put_back_of(yard.wait(RULES.gone_within_ns)).back_off.reason == "VictimStuck"


def test_what_is_held_stays_held_while_another_plan_is_made():
    yard = Yard(victims=frozenset({"u"}), hold_until_ns=AT + 3600 * SECOND)
    assert RELEASE not in yard.tell(VictimStuck("u"))
    yard.tell(Planned(workload="w", nodes={"p0": "n"}, victims=frozenset({"v"})))
    assert yard.commitments.get("w").hold_until_ns == AT + 3600 * SECOND


@pytest.mark.parametrize("replanning", [False, True])
def test_when_the_hold_expires_before_there_is_room_it_is_over(replanning):
    yard = Yard(victims=frozenset({"u"}), hold_until_ns=AT + 10 * SECOND)
    if replanning:
        yard.tell(VictimStuck("u"))
    did = yard.wait(10 * SECOND)
    order = put_back_of(did)
    assert (order.pods, order.back_off.reason, order.back_off.faults) == ((), "HoldExpired", 0)
    assert did[1:] == (RELEASE, ended("put-back"))


def test_when_the_hold_expires_during_the_start_only_the_hold_is_over():
    yard = Yard(hold_until_ns=AT + 10 * SECOND)
    assert yard.wait(10 * SECOND) == (RELEASE,)
    assert yard.state == "starting"


def test_two_that_wait_for_one_victim_both_hear_of_it():
    yard = Yard(victims=frozenset({"u"}))
    yard.tell(Planned(workload="x", nodes={"q": "n"}, victims=frozenset({"u"})))
    did = yard.tell(VictimGone("u"))
    assert [each.pod for each in did] == ["p0", "p1", "q"]


# -- lost replies


def test_after_a_lost_reply_comes_a_look_not_a_write():
    assert Yard().hear(WriteLost) == (look(),)


def test_what_a_look_finds_missing_is_written_again():
    yard = Yard()
    yard.hear(WriteLost)
    assert yard.hear(NotWritten) == (write("p0", 2),)


def test_what_a_look_finds_is_not_written_again():
    yard = Yard()
    yard.hear(WriteLost)
    assert yard.hear(Confirmed) == ()
    assert yard.member() == "confirmed"


def test_a_look_from_before_the_last_write_says_nothing():
    yard = Yard()
    yard.hear(WriteLost)
    yard.hear(NotWritten)
    yard.hear(WriteLost, write=2)
    assert yard.hear(NotWritten, write=1) == ()
    assert yard.hear(NotWritten, write=2) == (write("p0", 3),)


def test_a_second_write_that_is_refused_may_meet_the_first_one():
    yard = Yard()
    yard.hear(WriteLost)
    yard.hear(NotWritten)
    assert yard.hear(WriteRefused, write=2, reason="Conflict") == (look(number=2),)
    yard.hear(Confirmed)
    assert yard.member() == "confirmed"


def test_silence_is_a_lost_reply():
    yard = Yard()
    yard.hear(WriteAccepted, "p1")
    assert yard.wait(RULES.reply_within_ns) == (look("p0"), look("p1"))
    assert (yard.member("p0"), yard.member("p1")) == ("unanswered", "written")


def test_silence_is_looked_at_again_and_again():
    yard = Yard(pods=("p0",))
    assert [yard.wait(RULES.reply_within_ns) for _ in range(3)] == [(look(),)] * 3


def test_who_is_on_the_node_is_not_looked_at():
    yard = Yard(pods=("p0",))
    yard.hear(Confirmed)
    assert yard.wait(RULES.reply_within_ns) == ()


def test_a_write_is_tried_so_often_and_no_more():
    yard = Yard()
    for number in range(1, RULES.writes_max):
        yard.hear(WriteLost, write=number)
        assert yard.hear(NotWritten, write=number) == (write("p0", number + 1),)
    yard.hear(WriteLost, write=RULES.writes_max)
    order = put_back_of(yard.hear(NotWritten, write=RULES.writes_max))
    assert (order.back_off.reason, order.back_off.faults) == ("WriteUnanswered", 0)


# -- back, whole


@pytest.mark.parametrize(
    ("kind", "told", "reason", "faults"),
    [
        (WriteRefused, {"reason": "Conflict"}, "Conflict", 0),
        (WriteRefused, {"reason": "Invalid", "own_fault": True}, "Invalid", 1),
        (MemberFailed, {"reason": "Error"}, "Error", 1),
        (MemberFailed, {"reason": "OutOfcpu", "own_fault": False}, "OutOfcpu", 0),
        (MemberGone, {}, "MemberGone", 0),
        (Confirmed, {"node": "another"}, "BoundElsewhere", 0),
    ],
)
def test_one_bad_member_puts_all_of_them_back(kind, told, reason, faults):
    yard = Yard()
    yard.hear(MemberReady, "p1")
    order = put_back_of(yard.hear(kind, **told))
    assert isinstance(order, PutBack)
    assert "p1" in order.pods
    assert order.back_off == BackOff(
        workload="w",
        attempts=1,
        faults=faults,
        not_before_ns=AT + RULES.back_off_base_ns,
        reason=reason,
    )


def test_it_is_back_when_the_last_member_is_gone_and_then_nothing_is_held():
    yard = Yard(hold_until_ns=AT + 3600 * SECOND)
    yard.hear(MemberFailed, reason="Error")
    assert yard.hear(MemberReady, "p1") == ()
    assert yard.hear(MemberGone, "p0") == ()
    assert yard.hear(MemberGone, "p1") == (RELEASE, ended("put-back"))


def test_a_member_found_elsewhere_after_it_was_ready_puts_all_back():
    yard = Yard()
    yard.hear(MemberReady)
    assert put_back_of(yard.hear(Confirmed, node="another")).back_off.reason == "BoundElsewhere"


def test_where_a_member_is_found_while_it_leaves_does_not_matter():
    yard = Yard()
    yard.hear(MemberFailed, reason="Error")
    assert yard.hear(Confirmed, node="another") == ()
    assert yard.member() == "leaving"


def test_a_pod_that_somebody_else_sends_while_room_is_made_is_taken_back():
    yard = Yard(victims=frozenset({"u"}))
    order = put_back_of(yard.hear(Confirmed))
    assert (order.pods, order.back_off.reason) == (("p0",), "BoundByAnother")


@pytest.mark.parametrize(
    ("heard", "reason", "faults"),
    [
        pytest.param([], "WriteUnanswered", 0, id="nobody answered"),
        pytest.param([("p0", MemberReady, {})], "WriteUnanswered", 0, id="the slower one counts"),
        pytest.param(
            [("p0", Confirmed, {}), ("p1", WriteAccepted, {})], "NotConfirmed", 0, id="no echo"
        ),
        pytest.param(
            [("p0", MemberReady, {}), ("p1", Confirmed, {})], "NotReady", 1, id="its own fault"
        ),
        pytest.param(
            [("p0", MemberReady, {}), ("p1", MemberWaiting, {"reason": "ImagePullBackOff"})],
            "ImagePullBackOff",
            1,
            id="the slowest has said why",
        ),
        pytest.param(
            [
                ("p1", MemberWaiting, {"reason": "first to wait"}),
                ("p0", MemberWaiting, {"reason": "later"}),
            ],
            "first to wait",
            1,
            id="of two that came as far the one that stands for longer",
        ),
    ],
)
def test_at_the_time_limit_the_reason_is_that_of_the_slowest_member(heard, reason, faults):
    yard = Yard()
    for pod, kind, told in heard:
        yard.now_ns += SECOND
        yard.hear(kind, pod, **told)
    yard.now_ns = AT
    order = put_back_of(yard.wait(RULES.ready_within_ns))
    assert (order.back_off.reason, order.back_off.faults) == (reason, faults)


def test_a_workload_may_bring_limits_of_its_own():
    yard = Yard(ready_within_ns=7 * SECOND)
    assert yard.commitments.next_due_ns() == AT + 7 * SECOND
    yard = Yard(gone_within_ns=9 * SECOND, victims=frozenset({"u"}))
    assert yard.commitments.next_due_ns() == AT + 9 * SECOND


@pytest.mark.parametrize(
    ("attempts", "expected_s"), [(0, 60), (1, 120), (5, 1920), (6, 3600), (400, 3600)]
)
def test_the_delay_grows_with_the_attempts_up_to_its_cap(attempts, expected_s):
    known = BackOff(workload="w", attempts=attempts, faults=0, not_before_ns=0, reason="")
    yard = Yard(before=known)
    back_off = put_back_of(yard.hear(MemberGone)).back_off
    assert back_off.not_before_ns - AT == expected_s * SECOND
    assert back_off.attempts == attempts + 1


@pytest.mark.parametrize(
    ("faults", "own_fault", "gives_up"),
    [
        pytest.param(5, True, True, id="the last of its own faults"),
        pytest.param(4, True, False, id="one before"),
        pytest.param(5, False, False, id="somebody else's fault"),
        pytest.param(90, False, False, id="never by somebody else's fault"),
    ],
)
def test_a_poison_job_is_given_up(faults, own_fault, gives_up):
    known = BackOff(workload="w", attempts=99, faults=faults, not_before_ns=0, reason="")
    yard = Yard(before=known)
    order = put_back_of(yard.hear(MemberFailed, reason="Error", own_fault=own_fault))
    assert isinstance(order, GiveUp) is gives_up
    assert (order.back_off.not_before_ns is None) is gives_up
    assert order.pods == ("p0", "p1")
    yard.hear(MemberGone, "p0")
    outcome = "given-up" if gives_up else "put-back"
    assert yard.hear(MemberGone, "p1") == (ended(outcome),)


def test_members_that_do_not_leave_are_asked_so_often_and_then_it_is_given_up():
    yard = Yard(rules=replace(RULES, put_back_repeats_max=2))
    first = put_back_of(yard.hear(MemberFailed, reason="Error"))
    yard.hear(MemberGone, "p1")
    for _ in range(2):
        again = yard.wait(RULES.put_back_within_ns)
        assert again == (replace(first, pods=("p0",)),)
    did = yard.wait(RULES.put_back_within_ns)
    order = put_back_of(did)
    assert (order.pods, order.back_off.reason) == (("p0",), "StuckTerminating")
    assert order.back_off.not_before_ns is None
    assert did[-1] == ended("given-up")


@pytest.mark.parametrize(
    "victims", [frozenset(), frozenset({"u"})], ids=["starting", "making room"]
)
def test_a_deleted_workload_leaves_nothing_behind(victims):
    yard = Yard(victims=victims, hold_until_ns=AT + SECOND)
    assert yard.tell(WorkloadDeleted("w")) == (RELEASE, ended("deleted"))
    assert yard.commitments.all() == ()


# -- what is heard twice, late, or of nobody


@pytest.mark.parametrize("kind", get_args(Heard), ids=lambda kind: kind.__name__)
def test_nothing_heard_of_another_attempt_counts(kind):
    yard = Yard()
    told = {"write": 1} if kind in {WriteAccepted, WriteRefused, WriteLost, NotWritten} else {}
    told |= {"reason": "r"} if kind in {WriteRefused, MemberWaiting, MemberFailed} else {}
    told |= {"node": "n"} if kind is Confirmed else {}
    before = yard.commitments.get("w")
    assert yard.tell(kind(workload="w", attempt_ns=AT - 1, pod="p0", **told)) == ()
    assert yard.tell(kind(workload="w", attempt_ns=AT, pod="nobody", **told)) == ()
    assert yard.tell(kind(workload="nobody", attempt_ns=AT, pod="p0", **told)) == ()
    assert yard.commitments.get("w") == before


def test_who_is_on_the_way_is_not_planned_again():
    yard = Yard()
    assert yard.tell(Planned(workload="w", nodes={"p0": "another"})) == ()


def test_two_attempts_at_one_instant_have_two_names():
    yard = Yard()
    yard.tell(WorkloadDeleted("w"))
    (first,) = yard.tell(Planned(workload="w", nodes={"p0": "n"}))
    assert first.attempt_ns > AT


def test_time_does_not_run_backwards():
    yard = Yard()
    yard.commitments.apply(Tick(), AT - SECOND)
    assert yard.commitments.now_ns == AT


def test_a_plan_without_pods_is_an_error():
    with pytest.raises(ValueError, match="workload w was planned without a pod"):
        Yard(pods=())


# -- after a crash


def test_after_a_crash_everybody_is_looked_at_before_anything_is_written():
    yard = Yard(recovered_since_ns=AT - 100 * SECOND)
    assert yard.did == (look("p0"), look("p1"))
    assert yard.hear(NotWritten, "p0") == (write("p0", 2),)


def test_after_a_crash_the_time_limit_counts_from_before():
    yard = Yard(recovered_since_ns=AT - 100 * SECOND)
    assert yard.commitments.get("w").due_ns == AT - 100 * SECOND + RULES.ready_within_ns


# -- limits


@pytest.mark.parametrize("rules", [{"commitments_max": 1}, {"members_max": 3}])
def test_beyond_the_limit_a_start_is_put_back_before_anything_happens(rules):
    yard = Yard(rules=replace(RULES, **rules))
    more = Planned(
        workload="x",
        nodes={"q0": "n", "q1": "n"},
        victims=frozenset({"u"}),
        hold_until_ns=AT + SECOND,
    )
    order, *rest = yard.tell(more)
    assert (order.pods, order.back_off.reason) == ((), "TooManyStarting")
    assert [type(each) for each in rest] == [Release, Ended]


def test_beyond_the_limit_what_was_recovered_is_taken_in():
    yard = Yard(rules=replace(RULES, commitments_max=1))
    yard.tell(Planned(workload="x", nodes={"q": "n"}, recovered_since_ns=0))
    assert len(yard.commitments.all()) == 2


def test_the_log_starts_a_new_page_when_it_is_full(monkeypatch):
    monkeypatch.setattr(module, "LOG_EVENTS_MAX", 3)
    yard = Yard()
    for kind in (WriteAccepted, Confirmed, MemberReady, MemberWaiting):
        yard.hear(kind, **({"reason": "r"} if kind is MemberWaiting else {}))
    log = yard.commitments.log()
    assert len(log.events) == 2
    assert log.commitments
    assert replay(log).all() == yard.commitments.all()


# -- what the ledger keeps


def test_what_an_instruction_means_for_the_ledger():
    hold = Hold(workload="w", rooms=(), since_ns=0, until_ns=1)
    back_off = BackOff(workload="w", attempts=1, faults=0, not_before_ns=1, reason="r")
    ledger = Ledger([hold, back_off])
    order = PutBack(workload="w", attempt_ns=AT, pods=(), back_off=back_off)
    assert changes(order, Ledger()) == (Recorded(back_off),)
    assert changes(RELEASE, ledger) == (Forgotten(hold),)
    assert changes(RELEASE, Ledger()) == ()
    assert changes(ended("running"), ledger) == (Forgotten(back_off),)
    assert changes(ended("deleted"), ledger) == (Forgotten(back_off),)
    assert changes(ended("put-back"), ledger) == ()
    assert changes(write("p0"), ledger) == ()


# -- the tables


def test_every_state_of_a_member_is_used_and_none_but_the_last_is_a_dead_end():
    states = set(get_args(MemberState))
    assert {state for state, _ in MEMBER_MOVES} == states - {"refused", "failed", "gone"}
    entered = set(MEMBER_MOVES.values()) | {"planned", "assumed", "leaving"}
    assert entered == states


def test_every_state_of_a_commitment_is_reached_and_every_way_ends():
    states = set(get_args(CommitmentState))
    assert {state for state, _ in COMMITMENT_MOVES} | set(OVER) == states
    assert set(ALLOWED) == states - set(OVER)
    for start in ALLOWED:
        reached, frontier = {start}, [start]
        while frontier:
            here = frontier.pop()
            steps = {to for (state, _), to in COMMITMENT_MOVES.items() if state == here}
            frontier += steps - reached
            reached |= steps
        assert reached & set(OVER)


def test_a_member_that_leaves_hears_only_that_it_is_gone():
    heard = {kind for state, kind in MEMBER_MOVES if state == "leaving"}
    assert heard == {MemberGone}


def test_only_a_look_leads_to_another_write():
    again = {pair for pair, to in MEMBER_MOVES.items() if to in {"assumed", "rewritten"}}
    assert again == {("unanswered", NotWritten)}


def test_every_fact_ends_the_wait_for_a_reply():
    waiting = ("assumed", "rewritten", "unanswered", "written")
    facts = (Confirmed, MemberWaiting, MemberReady, MemberFailed, MemberGone)
    assert set(product(waiting, facts)) <= set(MEMBER_MOVES)
