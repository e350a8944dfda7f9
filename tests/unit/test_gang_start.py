"""The pass over a pod group, its barrier, and what is said of it."""

import pytest

from gpuyard.model.pod_groups import PodGroup
from gpuyard.scheduling.gang import barrier, progress, start
from gpuyard.scheduling.gang.barrier import Members, Passage
from gpuyard.scheduling.gang.progress import Condition
from gpuyard.scheduling.gang.start import Member
from gpuyard.scheduling.preemption.nodes import per_node, pick
from tests.small_fleet import node, placer_of
from tests.small_pods import cluster, running, state, waiting

GANG = PodGroup(key="g", min_count=3)
BASIC = PodGroup(key="g")


def members(*cpus, **facts):
    return [waiting(f"m{index}", cpu, group="g", **facts) for index, cpu in enumerate(cpus)]


def passed(group, pods, *, nodes=2, running_pods=(), **how):
    """Return the outcome, who has a node in the end, and whether the snapshot is as before."""
    placer = placer_of(
        cluster([node(f"n{index}", 4000) for index in range(nodes)], running_pods), "best-fit"
    )
    before = state(placer.snapshot)
    outcome = start.start(placer, group, pods, **how)
    bound = {
        key: each.assignment.priority
        for key, each in placer.snapshot.bookings.items()
        if key.startswith("m")
    }
    return outcome, bound, state(placer.snapshot) == before


# -- the pass


def test_all_members_start():
    outcome, bound, _ = passed(GANG, members(1000, 1000, 1000))
    assert outcome.starts
    assert outcome.bound == ("m0", "m1", "m2")
    assert bound == {"m0": 10, "m1": 10, "m2": 10}
    assert [member.passes for member in outcome.members] == [False, False, True]


def test_enough_members_start_and_the_rest_is_refused():
    outcome, bound, _ = passed(GANG, members(4000, 4000, 4000, 4000), nodes=3)
    assert outcome.starts
    assert outcome.refused == ("m3",)
    assert [member.passes for member in outcome.members] == [False, False, True, False]
    assert len(bound) == 3


def test_a_gang_with_too_few_places_leaves_no_trace():
    outcome, bound, is_untouched = passed(GANG, members(4000, 4000, 4000))
    assert not outcome.starts
    assert outcome.refused == ("m0", "m1", "m2")
    assert not bound
    assert is_untouched


def test_one_that_fits_nowhere_does_not_stop_the_others():
    outcome, bound, _ = passed(BASIC, members(9000, 1000))
    assert outcome.bound == ("m1",)
    assert list(bound) == ["m1"]


def test_a_basic_group_of_which_nobody_fits_does_not_start():
    outcome, _, is_untouched = passed(BASIC, members(9000, 9000))
    assert (outcome.starts, is_untouched) == (False, True)


def test_members_with_nodes_count_for_the_barrier():
    outcome, bound, _ = passed(GANG, members(1000), standing=2)
    assert outcome.bound == ("m0",)
    assert list(bound) == ["m0"]
    assert not passed(GANG, members(1000), standing=1)[0].starts


def test_members_in_their_turn():
    pods = [
        waiting("late", priority=1, first_tried_ns=9),
        waiting("low", priority=0),
        waiting("b", priority=1, first_tried_ns=5),
        waiting("a", priority=1, first_tried_ns=5),
        waiting("top", priority=7, first_tried_ns=99),
    ]
    assert [pod.key for pod in start.order(pods)] == ["top", "a", "b", "late", "low"]


def make_room(placer):
    return lambda pod: pick.best(per_node.candidates(placer, pod))


def test_a_group_that_needs_victims_waits_for_them_as_a_whole():
    low = [running("low", "n1", 4000)]
    placer = placer_of(cluster([node("n0", 4000), node("n1", 4000)], low), "best-fit")
    before = state(placer.snapshot)
    pods = members(4000, 4000)
    group = PodGroup(key="g", min_count=2)
    outcome = start.start(placer, group, pods, make_room=make_room(placer))
    assert (outcome.starts, outcome.waits_for_victims) == (False, True)
    assert outcome.nominated == ("m0", "m1")
    assert [member.needs_preemption for member in outcome.members] == [False, True]
    assert [victim.pod for victim in outcome.members[1].victims] == ["low"]
    assert state(placer.snapshot) == before


def test_victims_are_not_asked_for_twice():
    low = [running("low", "n0", 4000)]
    placer = placer_of(cluster([node("n0", 4000)], low), "best-fit")
    outcome = start.start(
        placer, PodGroup(key="g", min_count=2), members(4000, 4000), make_room=make_room(placer)
    )
    assert [len(member.victims) for member in outcome.members] == [1, 0]
    assert not outcome.waits_for_victims
    assert outcome.refused == ("m0", "m1")


def test_an_outcome_that_was_undone_can_be_kept():
    placer = placer_of(cluster([node("n0")]), "best-fit")
    with placer.snapshot.trial():
        outcome = start.start(placer, BASIC, members(1000, 1000))
    assert not placer.snapshot.bookings
    start.keep(placer.snapshot, outcome)
    assert set(placer.snapshot.bookings) == {"m0", "m1"}


# -- the verdict


def member(pod, node_name="n", *, passes=False, needs=False):
    return Member(pod=pod, node=node_name, passes=passes, needs_preemption=needs)


@pytest.mark.parametrize(
    ("members_found", "starts", "waits"),
    [
        pytest.param([], False, False, id="nobody"),
        pytest.param([member("a", passes=True)], True, False, id="open at once"),
        pytest.param([member("a"), member("b", passes=True)], True, False, id="open at the last"),
        pytest.param([member("a"), member("b")], False, False, id="never open"),
        pytest.param(
            [member("a", passes=True), member("b")],
            True,
            False,
            id="one that waits changes nothing",
        ),
        pytest.param(
            [member("a", "", passes=True)], False, False, id="no place is no place, open or not"
        ),
        pytest.param(
            [member("a", needs=True), member("b", passes=True)], False, True, id="one needs victims"
        ),
        pytest.param(
            [member("a", passes=True), member("b", passes=True, needs=True)],
            False,
            True,
            id="a later one needs victims",
        ),
        pytest.param(
            [member("a", passes=True), member("b", needs=True)],
            True,
            False,
            id="who needs victims but waits is not waited for",
        ),
        pytest.param([member("a", needs=True)], False, False, id="victims in vain"),
    ],
)
def test_what_becomes_of_a_group(members_found, starts, waits):
    outcome = start.verdict(members_found)
    assert (outcome.starts, outcome.waits_for_victims) == (starts, waits)
    everybody = {*outcome.bound, *outcome.nominated, *outcome.refused}
    assert everybody == {each.pod for each in members_found}
    assert bool(outcome.bound) == starts
    assert bool(outcome.nominated) == waits


# -- the barrier of members that are scheduled one by one


MEMBER = waiting("m0", group="g")


@pytest.mark.parametrize(
    ("pod", "group", "known", "expected"),
    [
        pytest.param(waiting(), None, 0, None, id="of no group"),
        pytest.param(MEMBER, None, 9, "PodGroupNotFound", id="the group is not known"),
        pytest.param(MEMBER, BASIC, 1, None, id="no gang"),
        pytest.param(MEMBER, GANG, 2, "TooFewMembers", id="one too few"),
        pytest.param(MEMBER, GANG, 3, None, id="enough"),
    ],
)
def test_who_may_enter_the_queue(pod, group, known, expected):
    keys = tuple(f"m{index}" for index in range(known))
    assert barrier.may_enter(pod, group, Members(unscheduled=keys)) == expected
    assert barrier.may_enter(pod, group, Members(assumed=keys[:1], bound=keys[1:])) == expected


@pytest.mark.parametrize(
    ("pod", "group", "known", "expected"),
    [
        pytest.param(waiting("p"), None, Members(), Passage(goes=("p",)), id="of no group"),
        pytest.param(MEMBER, BASIC, Members(), Passage(goes=("m0",)), id="no gang"),
        pytest.param(MEMBER, None, Members(), Passage(waits=True), id="the group vanished"),
        pytest.param(
            MEMBER,
            GANG,
            Members(unscheduled=("m2",), assumed=("m0", "m1")),
            Passage(waits=True, sent_for=("m2",)),
            id="one too few: it waits, and the others are sent for",
        ),
        pytest.param(
            MEMBER,
            GANG,
            Members(unscheduled=("m3",), assumed=("m0", "m1"), bound=("m2",)),
            Passage(goes=("m0", "m1")),
            id="enough: all that wait go",
        ),
    ],
)
def test_at_the_barrier(pod, group, known, expected):
    assert barrier.at_barrier(pod, group, known) == expected


def test_what_may_complete_a_gang():
    assert barrier.may_complete(MEMBER, group="g")
    assert not barrier.may_complete(MEMBER, group="h")
    assert not barrier.may_complete(waiting(), group="")


# -- what is said


def said(is_met, reason="", since=0):
    return Condition(is_met=is_met, reason=reason, since_ns=since)


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        pytest.param(None, said(False, "x", 5), said(False, "x", 5), id="the first word"),
        pytest.param(
            said(True, "x", 1), said(False, "y", 5), said(True, "x", 1), id="once started"
        ),
        pytest.param(said(False, "x", 1), said(True, "y", 5), said(True, "y", 5), id="it starts"),
        pytest.param(
            said(False, "x", 1), said(False, "y", 5), said(False, "y", 1), id="a new reason only"
        ),
        pytest.param(said(True, "x", 1), said(True, "y", 5), said(True, "y", 1), id="again yes"),
    ],
)
def test_what_the_condition_says_next(before, now, after):
    assert progress.following(before, now) == after
