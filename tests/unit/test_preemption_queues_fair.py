"""Preemption by fair shares, and who must not go once the end is known."""

import msgspec
import pytest

from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.scheduling.preemption.queues import targets as door
from gpuyard.scheduling.preemption.queues.candidates import Candidate, rank
from gpuyard.scheduling.preemption.queues.legal import exposure, illegal
from gpuyard.scheduling.preemption.queues.minimal import Trial
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules, Target
from gpuyard.scheduling.preemption.queues.shares import Tournament
from gpuyard.scheduling.preemption.queues.targets import targets
from tests.small_cohorts import (
    BOTH_WAYS,
    CPU,
    FAIR,
    GPU,
    KUEUE,
    allow,
    cohort,
    demand,
    holder,
    queue,
    state,
    yard,
)

FINAL = QueuePreemptionRules(fair_sharing=True, strategies=("LessThanOrEqualToFinalShare",))
INITIAL = QueuePreemptionRules(fair_sharing=True, strategies=("LessThanInitialShare",))
SHARES_ONLY = QueuePreemptionRules(fair_sharing=True, reclaim_within_nominal=False)
FAIR_SHARING = "InCohortFairSharing"


def victims(queues, asked, rules=FAIR):
    """Return who goes and why; and hold that the state is as it was."""
    before = state(queues)
    found = {each.workload: each.reason for each in targets(queues, asked, rules)}
    assert state(queues) == before
    return found


def units(in_queue, count, priority=0):
    return [holder(f"{in_queue}{number}", in_queue, 1, priority) for number in range(count)]


def checked(**knobs):
    return msgspec.structs.replace(FAIR, **knobs)


# -- the tournament


def tournament(queues, own, among=None):
    chosen = [
        Candidate(rank(each, own, FAIR), each)
        for each in queues.admitted.values()
        if among is None or each.admission.cluster_queue in among
    ]
    return Tournament(queues.node(own), chosen)


def order_of(queues, own, among=None):
    """Return the queues as they are named, each candidate being popped and taken out."""
    named = []
    contest = tournament(queues, own, among)
    while (found := contest.next_queue()) is not None:
        named.append(found.name)
        queues.remove(contest.pop(found).key)
        contest.changed(found)
    return named


def test_the_largest_share_gives_first_for_as_long_as_it_is_the_largest():
    queues = yard(
        queue("own", 2), queue("big", 1), queue("small", 1), *units("big", 4), *units("small", 3)
    )
    assert order_of(queues, "own") == ["big", "big", "small", "big", "small"]


def test_whoever_borrows_nothing_gives_nothing():
    queues = yard(queue("own", 2), queue("b", 2), *units("b", 2))
    assert order_of(queues, "own") == []


def test_the_own_queue_takes_part_without_borrowing():
    queues = yard(queue("own", 2), *units("own", 2))
    assert order_of(queues, "own") == ["own", "own"]


def test_a_queue_without_a_cohort_gives_until_it_is_dropped():
    queues = yard(queue("own", 2, cohort=""), *units("own", 2))
    contest = tournament(queues, "own")
    assert contest.pop(contest.next_queue()).key == "own0"
    contest.drop(contest.next_queue())
    assert contest.next_queue() is None


def test_a_dropped_queue_is_not_named_again():
    queues = yard(queue("own", 2), queue("b", 0), queue("c", 0), *units("b", 2), *units("c", 1))
    contest = tournament(queues, "own")
    contest.drop(contest.next_queue())
    assert contest.next_queue().name == "c"


def test_of_equal_shares_the_queue_with_the_first_candidate():
    queues = yard(
        queue("own", 2),
        queue("b", 0),
        queue("c", 0),
        holder("high", "b", 1, 5),
        holder("low", "c", 1, 1),
    )
    assert tournament(queues, "own").next_queue().name == "c"


def test_of_equal_shares_a_cohort_before_a_queue():
    queues = yard(
        queue("own", 4),
        cohort("team", parent="all"),
        queue("b", 0),
        queue("inner", 0, "team"),
        holder("low", "b", 1, 0),
        holder("high", "inner", 1, 9),
    )
    assert tournament(queues, "own").next_queue().name == "inner"


def test_a_cohort_within_its_quota_is_not_entered():
    queues = yard(
        queue("own", 4),
        cohort("team", 3, "all"),
        queue("inner", 0, "team"),
        *units("inner", 3),
    )
    assert order_of(queues, "own") == []


def test_the_own_cohort_is_entered_though_it_borrows_nothing():
    queues = yard(
        cohort("top"),
        cohort("team", 3, "top"),
        queue("own", 0, "team"),
        queue("sibling", 0, "team"),
        *units("sibling", 3),
    )
    assert order_of(queues, "own", among=["sibling"]) == ["sibling"] * 3


def test_shares_are_compared_just_below_what_both_share():
    queues = yard(
        cohort("top"),
        cohort("left", parent="top"),
        cohort("right", parent="top"),
        queue("own", 1, "left"),
        queue("near", 1, "left"),
        queue("far", 1, "right"),
    )
    contest = Tournament(queues.node("own"), [])

    def compared(name):
        return [node.name for node in contest.below_shared(queues.node(name))]

    assert compared("near") == ["own", "near"]
    assert compared("far") == ["left", "right"]


# -- the strategies


def test_final_share_spares_who_would_have_less_than_the_preemptor():
    queues = yard(queue("own", 0), queue("b", 0), queue("spare", 4), holder("v", "b", 4))
    # the victim's queue would fall to nothing, the preemptor's rise to 2
    assert victims(queues, demand(queues, "own", 2), FINAL) == {}
    assert victims(queues, demand(queues, "own", 2), INITIAL) == {"v": FAIR_SHARING}
    assert victims(queues, demand(queues, "own", 2), FAIR) == {"v": FAIR_SHARING}


def test_final_share_lets_them_end_equal():
    queues = yard(queue("own", 0), queue("b", 0), queue("spare", 4), *units("b", 4))
    asked = demand(queues, "own", 2)
    assert victims(queues, asked, FINAL) == {"b0": FAIR_SHARING, "b1": FAIR_SHARING}


def test_initial_share_asks_for_strictly_less():
    queues = yard(queue("own", 0), queue("b", 0), queue("spare", 2), holder("v", "b", 2))
    assert victims(queues, demand(queues, "own", 2), INITIAL) == {}


def test_the_second_strategy_takes_one_of_each_queue():
    queues = yard(
        queue("own", 0),
        queue("b", 0),
        queue("c", 0),
        queue("spare", 8),
        holder("b", "b", 4),
        holder("c", "c", 4),
    )
    assert victims(queues, demand(queues, "own", 3)) == {"b": FAIR_SHARING}


def test_a_weight_counts():
    heavy = 3 * WEIGHT_ONE_NANO
    queues = yard(
        queue("own", 0, fair_weight_nano=heavy), queue("b", 0), queue("spare", 4), *units("b", 4)
    )
    assert sorted(victims(queues, demand(queues, "own", 3), FINAL)) == ["b0", "b1", "b2"]


def test_with_weight_zero_nobody_with_a_weight_gives():
    queues = yard(
        queue("own", 0, fair_weight_nano=0), queue("b", 0), queue("spare", 4), *units("b", 4)
    )
    assert victims(queues, demand(queues, "own", 1)) == {}


def test_quota_that_one_owns_needs_no_share():
    queues = yard(
        queue("own", {"gpu": 2, "cpu": 0}),
        queue("b", {"gpu": 2, "cpu": 9}),
        holder("cpus", "own", {"cpu": 8}, 9),
        holder("v", "b", {"gpu": 4, "cpu": 1}),
    )
    asked = demand(queues, "own", {"gpu": 2})
    assert victims(queues, asked) == {"v": "InCohortReclamation"}
    assert victims(queues, asked, SHARES_ONLY) == {}  # it borrows 8 of 9 CPUs, the victim 2 of 4


def test_shares_decide_where_the_preemptor_would_borrow():
    queues = yard(queue("own", 1), queue("b", 3), holder("v", "b", 4))
    assert victims(queues, demand(queues, "own", 2)) == {}


def test_priorities_in_other_queues_count_where_the_policy_says_so():
    policy = allow(reclaim="LowerPriority")
    queues = yard(queue("own", 2, preemption=policy), queue("b", 2), holder("v", "b", 4, 5))
    assert victims(queues, demand(queues, "own", 2, 5)) == {}
    assert victims(queues, demand(queues, "own", 2, 6)) == {"v": "InCohortReclamation"}


def test_the_own_queue_and_others_give_together():
    queues = yard(
        queue("own", 3),
        queue("b", 3),
        queue("c", 3),
        holder("low", "own", 1, 0),
        holder("high", "own", 2, 9),
        holder("b", "b", 3),
        holder("c", "c", 3),
    )
    # nobody else borrows: what is missing comes from the own queue
    assert victims(queues, demand(queues, "own", 1, 5)) == {"low": "InClusterQueue"}


# -- once the end is known


def taking_turns(rules, *, rounds=12):
    """Return how often somebody was evicted while two queues took from each other (issue 14543).

    "light" holds 3 of its queue's 1, which has half a weight; "heavy" wants 4 of its 3.
    """
    queues = yard(
        queue("a", 3, preemption=BOTH_WAYS, fair_weight_nano=2 * WEIGHT_ONE_NANO),
        queue("b", 1, preemption=BOTH_WAYS, fair_weight_nano=WEIGHT_ONE_NANO // 2),
        holder("small", "b", 1, 2),
        holder("middle", "b", 2, 1),
    )
    waiting = {"heavy": holder("heavy", "a", 4)}
    evictions = 0
    for _ in range(rounds):
        for key in sorted(waiting, reverse=True):
            one = waiting[key]
            at = one.admission.cluster_queue
            used = one.admission.usage().quota[0][1]
            asked = demand(queues, at, used, one.workload.priority, key=key)
            found = targets(queues, asked, rules) if asked.contested else ()
            if asked.contested and not found:
                continue
            for victim in found:
                waiting[victim.workload] = queues.remove(victim.workload)
                evictions += 1
            queues.admit(waiting.pop(key))
    return evictions


def test_two_queues_take_from_each_other_for_ever_until_victims_are_looked_at_again():
    assert taking_turns(FAIR) > 12
    assert taking_turns(checked(revalidate=True)) <= 2


def test_same_queue_victims_that_were_put_back_make_others_illegal():
    queues = yard(
        queue("own", 0),
        queue("b", 0),
        queue("spare", 9),
        *units("own", 4),
        *units("b", 4),
        holder("rest", "spare", 1),
    )
    with Trial(queues, demand(queues, "own", 1, 5, contested={GPU})) as trial:
        assert illegal(trial, [Target("b0", FAIR_SHARING)], checked(revalidate=True)) == {"b0"}
        both = [Target("b0", FAIR_SHARING), Target("own0", "InClusterQueue")]
        assert illegal(trial, both, checked(revalidate=True)) == {"b0"}
        more = [*both, Target("own1", "InClusterQueue"), Target("own2", "InClusterQueue")]
        assert illegal(trial, more, checked(revalidate=True)) == set()


def test_a_victim_must_itself_hold_what_its_queue_borrows():
    reclaimer = allow(reclaim="LowerPriority", borrow="LowerPriority")
    queues = yard(
        queue("own", {"gpu": 1, "cpu": 1}, preemption=reclaimer),
        queue("b", {"gpu": 1, "cpu": 1}),
        holder("owner", "b", {"gpu": 1}, 0),
        holder("borrower", "b", {"cpu": 2}, 1),
        holder("mine", "own", {"gpu": 1}, 9),
    )
    asked = demand(queues, "own", {"gpu": 1, "cpu": 1}, 5)
    # "owner" uses a GPU of its queue's own; only the CPUs are borrowed
    both = {
        "owner": "InCohortReclaimWhileBorrowing",
        "borrower": "InCohortReclaimWhileBorrowing",
    }
    assert victims(queues, asked, KUEUE) == both
    revalidated = msgspec.structs.replace(KUEUE, revalidate=True)
    assert victims(queues, asked, revalidated) == {}


@pytest.mark.parametrize(
    ("owned_by_team", "used", "expected"),
    [
        pytest.param(0, 2, set(), id="all above it borrow"),
        pytest.param(2, 2, {"v"}, id="its cohort is within its quota"),
        pytest.param(0, {"gpu": 0, "cpu": 1}, {"v"}, id="it holds nothing of what is borrowed"),
    ],
)
def test_a_claim_that_no_longer_stands(owned_by_team, used, expected):
    queues = yard(
        cohort("top"),
        cohort("team", owned_by_team, "top"),
        queue("own", 2, "top"),
        queue("inner", 0, "team"),
        holder("v", "inner", used),
        holder("more", "inner", 0 if used == 2 else 2),
    )
    with Trial(queues, demand(queues, "own", 2, contested={GPU})) as trial:
        found = [Target("v", "InCohortReclamation")]
        assert illegal(trial, found, msgspec.structs.replace(KUEUE, revalidate=True)) == expected


def test_who_borrows_something_else_needs_the_smaller_share():
    queues = yard(
        queue("own", {"gpu": 2, "cpu": 0}),
        queue("b", {"gpu": 2, "cpu": 8}),
        holder("v", "b", {"gpu": 3}),
    )
    asked = demand(queues, "own", {"gpu": 2, "cpu": 6})
    assert asked.contested == {GPU}
    assert victims(queues, asked) == {"v": "InCohortReclamation"}
    # with 6 of 8 CPUs its share is 750, the victim's is 250
    assert victims(queues, asked, checked(revalidate=True)) == {}


@pytest.mark.parametrize(
    ("small", "wanted", "expected"),
    [
        pytest.param(1, 2, {}, id="it would borrow one more than its victim"),
        pytest.param(2, 2, {"small": "InClusterQueue"}, id="it borrows as much as its victim"),
    ],
)
def test_nobody_of_the_own_queue_goes_for_deeper_debt(small, wanted, expected):
    queues = yard(
        queue("own", 1),
        queue("b", 3),
        holder("held", "own", 1, 9),
        holder("small", "own", small, 0),
        holder("others", "b", 1, 9),
    )
    asked = demand(queues, "own", wanted, 5, contested={GPU})
    assert victims(queues, asked, KUEUE) == {"small": "InClusterQueue"}
    assert victims(queues, asked, msgspec.structs.replace(KUEUE, stable=True)) == expected


def test_within_nominal_several_may_go_for_one():
    queues = yard(queue("own", 4), queue("b", 4), *units("own", 4), holder("v", "b", 4, 9))
    asked = demand(queues, "own", 4, 5)
    stable = msgspec.structs.replace(KUEUE, revalidate=True, stable=True)
    assert sorted(victims(queues, asked, stable)) == ["own0", "own1", "own2", "own3"]


def test_a_shared_cohort_may_not_be_driven_deeper_into_debt_by_a_sibling():
    policy = allow(reclaim="Any", borrow="LowerPriority")
    queues = yard(
        cohort("top"),
        cohort("team", 1, "top"),
        queue("own", 0, "team", policy),
        queue("sibling", 0, "team"),
        queue("far", 9, "top"),
        holder("v", "sibling", 2, 0),
        holder("f", "far", 7, 9),
    )
    asked = demand(queues, "own", 3, 5)
    assert victims(queues, asked, KUEUE) == {"v": "InCohortReclaimWhileBorrowing"}
    assert victims(queues, asked, msgspec.structs.replace(KUEUE, stable=True)) == {}
    assert exposure(queues.node("own").parent, GPU) == 1
    assert exposure(queues.node("own").parent, CPU) == 0


def test_who_must_not_go_is_no_candidate_in_the_next_search():
    queues = yard(
        queue("own", 2),
        queue("b", {"gpu": 1, "cpu": 1}),
        queue("c", 1),
        holder("owner", "b", {"gpu": 1}, 0),
        holder("loose", "c", 2, 9),
        holder("mine", "own", 1, 9),
    )
    asked = demand(queues, "own", 1, 5)
    revalidated = msgspec.structs.replace(KUEUE, revalidate=True)
    assert victims(queues, asked, revalidated) == {"loose": "InCohortReclamation"}


def test_the_searches_for_one_demand_are_limited(monkeypatch):
    queues = yard(queue("own", 2), queue("b", 0), *units("b", 2))
    asked = demand(queues, "own", 1)
    searches = []

    def nobody_may_go(_trial, found, _rules):
        searches.append([each.workload for each in found])
        return frozenset({"b0"})

    monkeypatch.setattr(door, "illegal", nobody_may_go)
    assert victims(queues, asked, checked(revalidate=True)) == {}
    assert len(searches) == door.ROUNDS_MAX
    assert searches[:2] == [["b0"], ["b1"]]
