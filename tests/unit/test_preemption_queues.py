"""Preemption between queues: who may go, in which order, and how few are enough."""

import pytest

from gpuyard.model.queues import FlavorResource, Usage
from gpuyard.model.topology import TopologyUsage
from gpuyard.model.workloads import SentBack
from gpuyard.scheduling.ordering.turns import TurnRules
from gpuyard.scheduling.preemption.queues import sentences
from gpuyard.scheduling.preemption.queues.candidates import Candidate, holds, in_order, rank
from gpuyard.scheduling.preemption.queues.classical import attempts, collect
from gpuyard.scheduling.preemption.queues.minimal import Trial, fill_back
from gpuyard.scheduling.preemption.queues.policies import (
    can_always_reclaim,
    may_borrow_over,
    may_preempt,
)
from gpuyard.scheduling.preemption.queues.rules import (
    TIMESTAMP_BUFFER_NS,
    QueuePreemptionRules,
    Simulation,
)
from gpuyard.scheduling.preemption.queues.simulate import simulate
from gpuyard.scheduling.preemption.queues.targets import targets
from tests.small_cohorts import (
    BOTH_WAYS,
    CPU,
    GPU,
    KUEUE,
    NEVER,
    allow,
    cohort,
    demand,
    holder,
    queue,
    state,
    workload,
    yard,
)

BOOSTED = QueuePreemptionRules(turns=TurnRules(priority_boost=True))
BUFFERED = QueuePreemptionRules(newer_by_ns=TIMESTAMP_BUFFER_NS)


def victims(queues, asked, rules=KUEUE, **more):
    """Return who goes and why; and hold that the state is as it was."""
    before = state(queues)
    found = {each.workload: each.reason for each in targets(queues, asked, rules, **more)}
    assert state(queues) == before
    return found


# -- policies


@pytest.mark.parametrize(
    ("policy", "mine", "other", "rules", "expected"),
    [
        pytest.param("Never", 9, 0, KUEUE, False, id="Never lets nobody go"),
        pytest.param("Any", 0, 9, KUEUE, True, id="Any asks for no priority"),
        pytest.param("LowerPriority", 1, 0, KUEUE, True, id="LowerPriority: a lower one goes"),
        pytest.param("LowerPriority", 1, 1, KUEUE, False, id="LowerPriority: an equal one stays"),
        pytest.param("LowerPriority", 0, 1, KUEUE, False, id="LowerPriority: a higher one stays"),
        pytest.param(
            "LowerOrNewerEqualPriority", 1, 0, BUFFERED, True, id="a lower one need not be newer"
        ),
        pytest.param(
            "LowerOrNewerEqualPriority", 0, 1, KUEUE, False, id="a higher one stays, however new"
        ),
    ],
)
def test_policy_by_priority(policy, mine, other, rules, expected):
    assert may_preempt(policy, workload("p", mine), workload("v", other), rules) is expected


@pytest.mark.parametrize(
    ("later_by_ns", "rules", "expected"),
    [
        pytest.param(1, KUEUE, True, id="an equal that came later goes"),
        pytest.param(0, KUEUE, False, id="an equal of the same instant stays"),
        pytest.param(-1, KUEUE, False, id="an older equal stays"),
        pytest.param(TIMESTAMP_BUFFER_NS, BUFFERED, False, id="within the buffer it stays"),
        pytest.param(TIMESTAMP_BUFFER_NS + 1, BUFFERED, True, id="beyond the buffer it goes"),
    ],
)
def test_policy_by_age(later_by_ns, rules, expected):
    older, newer = workload("p", created_ns=100), workload("v", created_ns=100 + later_by_ns)
    assert may_preempt("LowerOrNewerEqualPriority", older, newer, rules) is expected


def test_a_workload_that_was_sent_back_is_as_new_as_that():
    sent_back = workload("v", created_ns=0, sent_back=(SentBack("readiness", 50),))
    preemptor = workload("p", created_ns=10)
    deaf = QueuePreemptionRules(turns=TurnRules(lost_by=()))
    assert may_preempt("LowerOrNewerEqualPriority", preemptor, sent_back, KUEUE)
    assert not may_preempt("LowerOrNewerEqualPriority", preemptor, sent_back, deaf)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(KUEUE, True, id="without the gate a boost does not count"),
        pytest.param(BOOSTED, False, id="with it, it does"),
    ],
)
def test_boost(rules, expected):
    boosted = workload("v", 1, priority_boost=5)
    assert may_preempt("LowerPriority", workload("p", 2), boosted, rules) is expected


@pytest.mark.parametrize(
    ("borrow", "threshold", "other", "expected"),
    [
        pytest.param("Never", None, 0, False, id="the policy is off"),
        pytest.param("LowerPriority", None, 4, True, id="lower, and no threshold"),
        pytest.param("LowerPriority", None, 5, False, id="equal is not lower"),
        pytest.param("LowerPriority", 3, 3, True, id="at the threshold"),
        pytest.param("LowerPriority", 3, 4, False, id="lower, but above the threshold"),
    ],
)
def test_who_may_go_while_the_preemptor_borrows(borrow, threshold, other, expected):
    allowed = allow(borrow=borrow, threshold=threshold)
    assert may_borrow_over(allowed, workload("p", 5), workload("v", other), KUEUE) is expected


def test_only_any_can_always_reclaim():
    assert can_always_reclaim(allow(reclaim="Any"))
    assert not can_always_reclaim(allow(reclaim="LowerPriority", within="LowerPriority"))


def test_strategies_in_an_order_that_kueue_does_not_have_are_refused():
    with pytest.raises(ValueError, match="strategies: LessThanInitialShare, LessThanOrEqual"):
        QueuePreemptionRules(strategies=("LessThanInitialShare", "LessThanOrEqualToFinalShare"))
    with pytest.raises(ValueError, match="strategies: none"):
        QueuePreemptionRules(strategies=())


# -- order of candidates


def candidates(*holders, rules=KUEUE):
    return [Candidate(rank(each, "own", rules), each) for each in holders]


def keys(ordered):
    return [each.key for each in ordered]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            holder("z", "own", 1, 9, evicted=True),
            holder("a", "other", 1, 0),
            id="evicted already, before another queue",
        ),
        pytest.param(
            holder("z", "other", 1, 9),
            holder("a", "own", 1, 0),
            id="another queue, before priority",
        ),
        pytest.param(
            holder("z", "own", 1, 0, since_ns=1),
            holder("a", "own", 1, 1, since_ns=2),
            id="lower priority, before age",
        ),
        pytest.param(
            holder("z", "own", 1, since_ns=2), holder("a", "own", 1, since_ns=1), id="newer quota"
        ),
        pytest.param(
            holder("z", "own", 1, since_ns=None),
            holder("a", "own", 1, since_ns=2**60),
            id="quota since nobody knows when counts as now",
        ),
        pytest.param(
            holder("z", "own", 1, uid="1"), holder("a", "own", 1, uid="2"), id="smaller UID"
        ),
        pytest.param(holder("a", "own", 1), holder("z", "own", 1), id="smaller key"),
    ],
)
def test_order(first, second):
    wanted = [first.workload.key, second.workload.key]
    assert keys(in_order(candidates(first, second), KUEUE)) == wanted
    assert keys(in_order(candidates(second, first), KUEUE)) == wanted


BY_USAGE = QueuePreemptionRules(by_local_usage=True)


def test_in_one_queue_the_local_queue_that_used_more_gives_first():
    heavy = holder("a", "own", 1, 9, queue="ns/heavy")
    light = holder("b", "own", 1, 0, queue="ns/light")
    used = {"ns/heavy": 0.5, "ns/light": 0.1}
    assert keys(in_order(candidates(light, heavy), BY_USAGE, used)) == ["a", "b"]
    assert keys(in_order(candidates(light, heavy), KUEUE, used)) == ["b", "a"]  # the knob is off
    assert keys(in_order(candidates(light, heavy), BY_USAGE)) == ["b", "a"]  # nobody counts


def test_between_queues_usage_does_not_count():
    heavy = holder("a", "one", 1, 9, queue="ns/heavy")
    light = holder("b", "two", 1, 0, queue="ns/light")
    assert keys(in_order(candidates(heavy, light), BY_USAGE, {"ns/heavy": 1.0})) == ["b", "a"]


def test_an_order_that_would_run_in_a_circle_does_not_hang_on_who_comes_first():
    # by usage a before b, by priority b before c and c before a
    a = holder("a", "one", 1, 9, queue="ns/heavy")
    b = holder("b", "one", 1, 0, queue="ns/light")
    c = holder("c", "two", 1, 5, queue="ns/other")
    used = {"ns/heavy": 1.0, "ns/light": 0.0}
    orders = {
        tuple(keys(in_order(candidates(*given), BY_USAGE, used)))
        for given in ((a, b, c), (c, b, a), (b, c, a), (b, a, c))
    }
    assert orders == {("c", "a", "b")}


def test_evicted_goes_first_even_from_a_local_queue_that_used_nothing():
    told = holder("a", "own", 1, queue="ns/light", evicted=True)
    heavy = holder("b", "own", 1, queue="ns/heavy")
    assert keys(in_order(candidates(heavy, told), BY_USAGE, {"ns/heavy": 1.0})) == ["a", "b"]


def test_a_candidate_holds_something_contested_be_it_nothing_of_it():
    none_of_it = holder("a", "own", {"gpu": 0, "cpu": 3}).admission
    assert holds(none_of_it, frozenset({GPU}))
    assert not holds(none_of_it, frozenset({FlavorResource("a100", "gpu")}))


# -- in one queue


def test_lowest_priority_goes_first():
    queues = yard(
        queue("own", 3, cohort=""),
        holder("high", "own", 1, 2),
        holder("low", "own", 1, 0),
        holder("mid", "own", 1, 1),
    )
    assert victims(queues, demand(queues, "own", 1, 3)) == {"low": "InClusterQueue"}


def test_whom_the_demand_does_not_need_is_put_back():
    queues = yard(
        queue("own", 6, cohort=""), holder("low", "own", 2, 0), holder("mid", "own", 4, 1)
    )
    assert victims(queues, demand(queues, "own", 4, 2)) == {"mid": "InClusterQueue"}


def test_nobody_goes_where_it_would_not_be_enough():
    queues = yard(
        queue("own", 4, cohort=""), holder("low", "own", 2, 0), holder("high", "own", 2, 9)
    )
    assert victims(queues, demand(queues, "own", 3, 5)) == {}


def test_who_holds_nothing_contested_stays():
    queues = yard(
        queue("own", {"gpu": 2, "cpu": 2}, cohort=""),
        holder("cpu-only", "own", {"cpu": 2}, 0),
        holder("gpus", "own", {"gpu": 2}, 1),
    )
    assert victims(queues, demand(queues, "own", 2, 5)) == {"gpus": "InClusterQueue"}


def test_a_queue_that_never_preempts():
    queues = yard(queue("own", 1, preemption=NEVER), queue("b", 1), holder("v", "b", 2))
    assert victims(queues, demand(queues, "own", 1, 9)) == {}


# -- in a cohort


def test_quota_that_others_borrow_is_taken_back_at_any_priority():
    queues = yard(queue("own", 2), queue("b", 2), holder("v", "b", 3, 9))
    assert victims(queues, demand(queues, "own", 2)) == {"v": "InCohortReclamation"}


def test_a_queue_within_its_quota_is_safe():
    queues = yard(
        queue("own", 2),
        queue("b", 2),
        queue("c", 2),
        holder("within", "b", 2, 0),
        holder("beyond", "c", 3, 9),
    )
    assert victims(queues, demand(queues, "own", 2)) == {"beyond": "InCohortReclamation"}


def test_a_queue_is_taken_from_only_until_it_is_back_within_its_quota():
    queues = yard(
        queue("own", 2),
        queue("b", 2),
        queue("c", 0),
        *(holder(f"b{index}", "b", 1, index) for index in range(3)),
        holder("c", "c", 1, 9),
    )
    # b gives up b0 and is within its quota; the other GPU comes from c, whatever its priority
    assert victims(queues, demand(queues, "own", 2)) == {
        "b0": "InCohortReclamation",
        "c": "InCohortReclamation",
    }


def test_who_would_have_to_borrow_reclaims_from_nobody():
    queues = yard(queue("own", 1), queue("b", 2), holder("v", "b", 3))
    assert victims(queues, demand(queues, "own", 2, 9)) == {}


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        pytest.param(None, {"v": "InCohortReclaimWhileBorrowing"}, id="no threshold"),
        pytest.param(0, {"v": "InCohortReclaimWhileBorrowing"}, id="at the threshold"),
        pytest.param(-1, {}, id="above the threshold"),
    ],
)
def test_less_important_borrowers_go_while_the_preemptor_borrows(threshold, expected):
    policy = allow(reclaim="Any", borrow="LowerPriority", threshold=threshold)
    queues = yard(queue("own", 1, preemption=policy), queue("b", 2), holder("v", "b", 3))
    assert victims(queues, demand(queues, "own", 2, 9)) == expected


def test_above_the_threshold_one_goes_where_the_preemptor_need_not_borrow():
    policy = allow(reclaim="LowerPriority", borrow="LowerPriority", threshold=0)
    queues = yard(
        cohort("top"),
        cohort("left", parent="top"),
        queue("own", (2, None, 0), "left", policy),
        queue("b", 2, "left"),
        holder("mid", "b", 3, 5),
        holder("own-use", "own", 1, 9),
    )
    asked = demand(queues, "own", 2, 9, contested={GPU})
    assert victims(queues, asked) == {}  # 3 of 2: it would borrow


def test_an_advantage_in_the_hierarchy_comes_before_priority():
    policy = allow(reclaim="LowerPriority", borrow="LowerPriority")
    queues = yard(
        cohort("top"),
        cohort("mine", 3, "top"),
        cohort("theirs", parent="top"),
        queue("own", 0, "mine", policy),
        queue("sibling", 0, "mine"),
        queue("far", 0, "theirs"),
        holder("near", "sibling", 1, 0),
        holder("far", "far", 2, 5),
    )
    # 2 fit into the quota of "mine", if "far", outside of it, gives back what it borrows
    assert victims(queues, demand(queues, "own", 2, 9)) == {"far": "InCohortReclamation"}


def test_a_cohort_within_its_quota_protects_a_queue_that_is_not():
    queues = yard(
        cohort("top"),
        cohort("theirs", 3, "top"),
        queue("own", 2, "top"),
        queue("far", 0, "theirs"),
        queue("other", 0, "top"),
        holder("safe", "far", 3, 0),
        holder("loose", "other", 2, 9),
    )
    assert victims(queues, demand(queues, "own", 2)) == {"loose": "InCohortReclamation"}


@pytest.mark.parametrize(
    ("policy", "used", "held_by_own", "claims", "expected"),
    [
        pytest.param(BOTH_WAYS, 3, 0, {"within"}, (True,), id="only the own queue: may borrow"),
        pytest.param(
            BOTH_WAYS, 3, 2, {"without-borrowing"}, (True,), id="at nominal and may not borrow over"
        ),
        pytest.param(
            BOTH_WAYS, 3, 1, {"without-borrowing"}, (False, True), id="below nominal: not, then do"
        ),
        pytest.param(
            BOTH_WAYS, 3, 1, {"hierarchical"}, (True, False), id="hierarchical: do, then not"
        ),
        pytest.param(
            allow(reclaim="Any", borrow="LowerPriority"),
            3,
            2,
            {"while-borrowing"},
            (True, False),
            id="may borrow over others: do, then not",
        ),
    ],
)
def test_attempts(policy, used, held_by_own, claims, expected):
    queues = yard(
        queue("own", 2, preemption=policy),
        queue("b", 4),
        holder("v", "b", used),
        holder("o", "own", held_by_own, 9),
    )
    trial = Trial(queues, demand(queues, "own", 2, contested={GPU}))
    assert attempts(trial, claims) == expected


def test_claims():
    policy = allow("LowerPriority", "Any", "LowerPriority", 3)
    queues = yard(
        cohort("top"),
        cohort("mine", 3, "top"),
        queue("own", 0, "mine", policy),
        queue("sibling", 0, "mine"),
        queue("far", 0, "top"),
        holder("own", "own", 1, 0),
        holder("below", "sibling", 1, 3),
        holder("above", "sibling", 1, 4),
        holder("far", "far", 1, 9),
    )
    asked = demand(queues, "own", 1, 5, contested={GPU})
    assert {each.candidate.key: each.claim for each in collect(queues, asked, KUEUE)} == {
        "own": "within",
        "below": "while-borrowing",
        "above": "without-borrowing",
        "far": "without-borrowing",  # in "mine" 3 of 3 are used: one more does not fit in its quota
    }


@pytest.mark.parametrize(
    ("wanted", "claim"),
    [
        pytest.param(3, "hierarchical", id="what the lower one keeps and the upper one owns"),
        pytest.param(4, "without-borrowing", id="one more than that"),
    ],
)
def test_what_a_lower_cohort_keeps_for_itself_counts_higher_up(wanted, claim):
    queues = yard(
        cohort("top"),
        cohort("upper", 1, "top"),
        cohort("mine", (2, None, 0), "upper"),
        queue("own", 0, "mine"),
        queue("far", 0, "top"),
        holder("v", "far", 1),
    )
    asked = demand(queues, "own", wanted, contested={GPU})
    assert [each.claim for each in collect(queues, asked, KUEUE)] == [claim]


def test_evicted_candidates_go_first_whatever_their_claim():
    queues = yard(
        queue("own", 2),
        queue("b", 1),
        holder("told", "own", 1, 0, evicted=True),
        holder("borrows", "b", 2, 0),
    )
    assert victims(queues, demand(queues, "own", 1, 5)) == {"told": "InClusterQueue"}


# -- fits, and filling back


def test_the_last_one_taken_is_never_put_back():
    queues = yard(queue("own", 4, cohort=""), *(holder(f"v{n}", "own", 1) for n in range(4)))
    asked = demand(queues, "own", 2, 9)
    found = candidates(*queues.holders["own"].values())
    with Trial(queues, asked) as trial:
        for each in found:
            trial.take_out(each.admitted)
        assert keys(fill_back(trial, found)) == ["v0", "v3"]  # v2 and v1 are tried first


def test_a_trial_puts_everything_back_when_it_fails():
    queues = yard(queue("own", 4, cohort=""), holder("v", "own", 1))
    before = state(queues)

    def broken():
        raise RuntimeError("no topology")

    with pytest.raises(RuntimeError, match="no topology"):
        targets(queues, demand(queues, "own", 4, 9), KUEUE, places_fit=broken)
    assert state(queues) == before


def test_an_amount_of_zero_fits_where_nothing_is_left():
    queues = yard(queue("own", {"gpu": 1, "cpu": 1}, cohort=""), holder("v", "own", {"cpu": 9}))
    asked = demand(queues, "own", {"gpu": 1, "cpu": 0}, 9, contested={GPU})
    with Trial(queues, asked) as trial:
        assert trial.fits()


@pytest.mark.parametrize("is_counted", [True, False], ids=["counted as usage", "not counted"])
def test_whether_the_demand_fits_does_not_hang_on_its_being_counted(is_counted):
    queues = yard(queue("own", 3, cohort=""), holder("v", "own", 1))
    for wanted, expected in ((2, True), (3, False)):
        with Trial(queues, demand(queues, "own", wanted)) as trial:
            trial.count(is_counted=is_counted)
            assert trial.fits() is expected
            assert trial.leaf.usage[GPU] == 1 + wanted * is_counted


class Rack:
    """Places of one flavor, as many as `free` says."""

    def __init__(self, free):
        self.free = free

    def use(self, usage):
        self.free -= sum(domain.count for domain in usage.domains)

    def release(self, usage):
        self.free += sum(domain.count for domain in usage.domains)

    def fits(self, usages):
        raise AssertionError(usages)


def test_victims_are_taken_until_the_places_fit_too():
    queues = yard(queue("own", 9, cohort=""), *(holder(f"v{n}", "own", 1, n) for n in range(3)))
    rack = Rack(free=0)
    queues.places["h100"] = rack
    out = []

    def two_are_gone():
        out.append(9 - queues.node("own").usage.get(GPU, 0))
        return queues.node("own").usage.get(GPU, 0) <= 1

    asked = demand(queues, "own", 1, 9, contested={GPU})
    assert victims(queues, asked, places_fit=two_are_gone) == {
        "v0": "InClusterQueue",
        "v1": "InClusterQueue",
    }
    assert max(out) == 8
    assert rack.free == 0


def test_a_demands_own_places_are_given_back():
    queues = yard(queue("own", 2, cohort=""), holder("v", "own", 2))
    rack = queues.places["h100"] = Rack(free=5)
    one = TopologyUsage("h100", holder("x", "own", 1).admission.pod_sets[0].usage, ())
    asked = demand(queues, "own", 1, 9)
    asked = type(asked)(
        workload=asked.workload,
        queue=asked.queue,
        usage=Usage(asked.usage.quota, (one,)),
        contested=asked.contested,
    )
    assert victims(queues, asked) == {"v": "InClusterQueue"}
    assert rack.free == 5


# -- what flavor assignment asks


@pytest.mark.parametrize(
    ("holders", "amount", "expected"),
    [
        pytest.param(
            [holder("v", "b", 4)],
            1,
            Simulation(possibility="Reclaim", borrowing_levels=0),
            id="all victims are in other queues",
        ),
        pytest.param(
            [holder("o", "own", 2, 0), holder("v", "b", 2)],
            1,
            Simulation(possibility="Preempt", borrowing_levels=0),
            id="somebody of the own queue goes",
        ),
        pytest.param(
            [holder("o", "own", 2, 9), holder("v", "b", 2)],
            1,
            Simulation(possibility="NoCandidates", borrowing_levels=1),
            id="nobody can go",
        ),
        pytest.param(
            [holder("o", "own", 4, 0)],
            3,
            Simulation(possibility="Preempt", borrowing_levels=1),
            id="it would still borrow once they are gone",
        ),
    ],
)
def test_simulation(holders, amount, expected):
    queues = yard(queue("own", 2), queue("b", 2), *holders)
    before = state(queues)
    assert simulate(queues, "own", workload("new", 5), GPU, amount, KUEUE) == expected
    assert state(queues) == before


def test_a_simulation_looks_at_one_resource_only():
    queues = yard(
        queue("own", {"gpu": 2, "cpu": 2}, cohort=""), holder("v", "own", {"gpu": 2, "cpu": 2}, 9)
    )
    found = simulate(queues, "own", workload("new", 5), CPU, 1, KUEUE)
    assert found == Simulation(possibility="NoCandidates", borrowing_levels=0)


# -- sentences


def test_a_path_starts_at_the_root():
    queues = yard(cohort("org"), cohort("team", parent="org"), queue("own", 1, "team"))
    assert sentences.path(queues.node("own")) == "/org/team/own"


def test_what_is_unknown_is_said_to_be():
    assert sentences.preempted(None) == (
        "Preempted to accommodate a workload (UID: UNKNOWN, JobUID: UNKNOWN) due to UNKNOWN; "
        "preemptor path: UNKNOWN; preemptee path: UNKNOWN"
    )


def test_a_victim_is_told_for_whom_and_why():
    told = sentences.preempted(
        "InCohortFairSharing", uid="u", job_uid="j", preemptor_path="/a", victim_path="/b"
    )
    assert told.endswith(
        "due to Fair Sharing within the cohort; preemptor path: /a; preemptee path: /b"
    )
    assert "(UID: u, JobUID: j)" in told


@pytest.mark.parametrize(
    ("rules", "expected"),
    [pytest.param(KUEUE, (7, 7, 0), id="off"), pytest.param(BOOSTED, (4, 7, -3), id="on")],
)
def test_parts_of_a_priority(rules, expected):
    assert sentences.priority_parts(workload("w", 7, priority_boost=-3), rules.turns) == expected
