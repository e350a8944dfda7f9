"""Which flavor a workload gets: the search, pod sets one after the other, groups, slices."""

import pytest

from gpuyard.model.constraints import Constraints
from gpuyard.model.queues import (
    Admission,
    BorrowWithinCohort,
    FlavorFungibility,
    FlavorResource,
    PodSetAssignment,
    QueuePreemption,
    ResourceFlavor,
)
from gpuyard.model.resources import PODS, Resources
from gpuyard.model.topology import TopologyRequest
from gpuyard.scheduling.flavors.assignment import (
    START_OVER,
    FlavorAssignment,
    PodSetFlavors,
    quota_needs,
    quota_to_reserve,
)
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.requests import of_pending
from gpuyard.scheduling.flavors.rules import FlavorRules
from tests.small_queues import (
    GPU,
    Oracle,
    assigned,
    chosen,
    group,
    pods,
    queue,
    queues_of,
    usage,
    workload,
)

NEXT, STOP = "TryNextFlavor", "MayStopSearch"


def wishes(borrow=STOP, preempt=NEXT, preference="BorrowingOverPreemption"):
    return FlavorFungibility(
        when_can_borrow=borrow, when_can_preempt=preempt, preference=preference
    )


def pair(used, *, own=(4, 4), lent=(0, 0), fungibility=None, preemption=None):
    """Return two flavors in a queue and what its neighbour lends of each."""
    main = queue(
        group(one=own[0], two=own[1]),
        cohort="team",
        fungibility=fungibility or wishes(),
        preemption=preemption or QueuePreemption(),
    )
    other = queue(group(one=lent[0], two=lent[1]), name="other", cohort="team")
    return queues_of(main, other, used=used)


# -- one pod set in two flavors of four GPUs each


@pytest.mark.parametrize(
    ("used", "lent", "given", "expected"),
    [
        pytest.param({}, (0, 0), wishes(), ("one", Mode.FIT, 0), id="the first that fits"),
        pytest.param({"one": 2}, (0, 0), wishes(), ("two", Mode.FIT, 0), id="not by eviction"),
        pytest.param(
            {"one": 2}, (0, 0), wishes(preempt=STOP), ("one", Mode.PREEMPT, 0), id="by eviction"
        ),
        pytest.param({"one": 2}, (4, 0), wishes(), ("one", Mode.FIT, 1), id="by borrowing"),
        pytest.param(
            {"one": 2}, (4, 0), wishes(borrow=NEXT), ("two", Mode.FIT, 0), id="not by borrowing"
        ),
        pytest.param(
            {"one": 2, "two": 2},
            (4, 4),
            wishes(borrow=NEXT),
            ("one", Mode.FIT, 1),
            id="by borrowing where there is nothing better",
        ),
        pytest.param(
            {"one": 4, "two": 4},
            (0, 9),
            wishes(borrow=NEXT),
            ("two", Mode.FIT, 1),
            id="rather borrow than evict",
        ),
        pytest.param(
            {"one": 4, "two": 4},
            (0, 9),
            wishes(borrow=NEXT, preference="PreemptionOverBorrowing"),
            ("one", Mode.PREEMPT, 0),
            id="rather evict than borrow",
        ),
    ],
)
def test_fungibility(used, lent, given, expected):
    assignment = assigned(pair(used, lent=lent, fungibility=given), pods(3))
    flavor, mode, borrowing = expected
    assert chosen(assignment) == {"main": flavor}
    assert (assignment.mode, assignment.borrowing) == (mode, borrowing)
    assert assignment.usage == usage({flavor: 3})


@pytest.mark.parametrize(
    ("oracle", "expected"),
    [
        pytest.param({}, "one", id="equal: the first"),
        pytest.param({"two": "Reclaim"}, "two", id="rather reclaim than preempt"),
        pytest.param({"one": "NoCandidates"}, "two", id="rather where there are victims"),
        pytest.param({"one": ("Reclaim", 1), "two": ("Reclaim", 0)}, "two", id="the nearer"),
    ],
)
def test_what_preemption_could_do_decides(oracle, expected):
    queues = pair({"one": 4, "two": 4})
    assignment = assigned(queues, pods(3), simulate=Oracle(**oracle))
    assert chosen(assignment) == {"main": expected}
    assert assignment.mode is Mode.PREEMPT


def test_preemption_is_asked_for_all_pod_sets_so_far():
    oracle = Oracle()
    assigned(pair({"one": 4, "two": 4}), pods(1, name="head"), pods(2), simulate=oracle)
    assert oracle.asked == [
        ("one", GPU, 1),
        ("two", GPU, 1),
        ("one", GPU, 3),
        ("two", GPU, 2),
    ]


RECLAIMS = QueuePreemption(reclaim_within_cohort="Any")
BORROWS = QueuePreemption(borrow_within_cohort=BorrowWithinCohort(policy="LowerPriority"))


@pytest.mark.parametrize(
    ("preemption", "fair", "mode"),
    [
        pytest.param(QueuePreemption(), False, Mode.NO_FIT, id="no preemption beyond own quota"),
        pytest.param(BORROWS, False, Mode.PREEMPT, id="preempting while borrowing is allowed"),
        pytest.param(RECLAIMS, False, Mode.NO_FIT, id="reclaiming means own quota only"),
        pytest.param(RECLAIMS, True, Mode.PREEMPT, id="with fair shares it may borrow as well"),
        pytest.param(QueuePreemption(), True, Mode.NO_FIT, id="fair shares of who never reclaims"),
    ],
)
def test_preemption_while_borrowing(preemption, fair, mode):
    queues = pair({"one": 2}, own=(4, 0), lent=(4, 0), preemption=preemption)
    queues.use("other", usage({"one": 3}))
    assignment = assigned(queues, pods(6), rules=FlavorRules(fair_sharing=fair))
    assert assignment.mode is mode
    reason = "" if mode is Mode.PREEMPT else "WaitingForQuota"
    assert assignment.pod_sets[0].attempts[0].no_fit_reason == reason
    assert assignment.pod_sets[0].attempts[0].borrowing == (0 if mode is Mode.PREEMPT else 1)


def test_without_fungibility_the_first_that_fits_even_borrowing():
    queues = pair({"one": 2}, lent=(4, 4), fungibility=wishes(borrow=NEXT))
    rules = FlavorRules(fungibility=False)
    assignment = assigned(queues, pods(3), rules=rules)
    assert chosen(assignment) == {"main": "one"}
    assert assignment.tried == {"main": {GPU: 0}}


def test_without_fungibility_a_better_mode_wins_whatever_it_borrows():
    queues = pair({"one": 4, "two": 4}, lent=(0, 9), fungibility=wishes(preempt=STOP))
    assignment = assigned(queues, pods(3), rules=FlavorRules(fungibility=False))
    assert (chosen(assignment), assignment.mode) == ({"main": "two"}, Mode.FIT)


# -- where the search stands


@pytest.mark.parametrize(
    ("used", "tried", "flavor", "index"),
    [
        pytest.param({}, None, "one", 0, id="stopped at the first"),
        pytest.param({}, {"main": {GPU: 0}}, "two", START_OVER, id="goes on behind the first"),
        pytest.param({}, {"main": {GPU: START_OVER}}, "one", 0, id="begins anew"),
        pytest.param({"one": 4, "two": 4}, None, "one", START_OVER, id="saw all, took the first"),
        pytest.param({}, {"main": {GPU: 1}}, "one", 0, id="the queue has lost the rest"),
        pytest.param({}, {"other": {GPU: 0}}, "one", 0, id="nothing known of this pod set"),
        pytest.param({}, {"main": {"cpu": 0}}, "one", 0, id="nothing known of this resource"),
    ],
)
def test_scan_position(used, tried, flavor, index):
    assignment = assigned(pair(used), pods(3), tried=tried)
    assert chosen(assignment) == {"main": flavor}
    assert assignment.tried == {"main": {GPU: index}}


def test_a_second_look_keeps_to_the_nominated_flavors():
    first = assigned(pair({"one": 2}), pods(3))
    assert first.nominated == {"main": {GPU: "two"}}
    second = assigned(pair({}), pods(3), nominated=first.nominated)
    assert chosen(second) == {"main": "two"}


def test_allowed_flavors_count_only_where_they_are_respected():
    only_two = frozenset({"two"})
    respecting = FlavorRules(respect_allowed_flavors=True)
    assert chosen(assigned(pair({}), pods(3), allowed=only_two)) == {"main": "one"}
    assert chosen(assigned(pair({}), pods(3), allowed=only_two, rules=respecting)) == {
        "main": "two"
    }
    none = assigned(pair({}), pods(3), allowed=frozenset(), rules=respecting)
    assert [each.code for each in none.pod_sets[0].reasons] == ["NotAllowed", "NotAllowed"]


# -- reasons


def test_a_request_beyond_all_quota_says_its_numbers():
    assignment = assigned(pair({"one": 1}), pods(1, 2, "head"), pods(3))
    assert assignment.mode is Mode.FIT
    lost = assigned(pair({}), pods(1, 2, "head"), pods(5))
    (reason, _) = lost.pod_sets[1].reasons
    assert (reason.code, reason.flavor, reason.resource) == ("ExceedsMaxQuota", "one", GPU)
    assert (reason.needed, reason.assumed, reason.capacity) == (5, 2, 4)
    assert lost.no_fit_reason == "ExceedsMaxQuota"
    assert lost.message().startswith("couldn't assign flavors to pod set main: insufficient quota")


def test_what_is_missing_counts_earlier_pod_sets():
    given = wishes(preempt=STOP)
    assignment = assigned(pair({"one": 3}, fungibility=given), pods(1, 1, "head"), pods(2))
    (reason,) = assignment.pod_sets[1].reasons
    assert (reason.code, reason.missing, reason.assumed) == ("InsufficientUnusedQuota", 2, 1)


def test_the_first_pod_set_without_a_flavor_ends_it():
    assignment = assigned(pair({}), pods(9, name="big"), pods(1, name="small"))
    assert [each.name for each in assignment.pod_sets] == ["big"]
    assert assignment.usage == usage({})


def test_an_over_admitted_queue_takes_what_asks_for_nothing():
    queues = pair({"one": 9})
    assert assigned(queues, pods(2, 0)).mode is Mode.FIT


def test_no_pod_sets_do_not_fit():
    assert assigned(pair({})).mode is Mode.NO_FIT


# -- resources


def both(cpu_one=8000, cpu_two=8000):
    return group(one={GPU: 4, "cpu": cpu_one}, two={GPU: 4, "cpu": cpu_two})


def test_all_resources_of_a_group_get_one_flavor():
    queues = queues_of(queue(both(cpu_one=1000)))
    assignment = assigned(queues, pods(2, asks={GPU: 1, "cpu": 1000}))
    assert chosen(assignment) == {"main": "two"}
    assert assignment.tried == {"main": {GPU: START_OVER, "cpu": START_OVER}}


def test_a_flavor_is_as_good_as_its_worst_resource_and_all_speak():
    queues = queues_of(queue(both()), used={"one": {GPU: 3, "cpu": 7000}})
    oracle = Oracle()
    given = assigned(queues, pods(2, asks={GPU: 1, "cpu": 1000}), simulate=oracle)
    assert chosen(given) == {"main": "two"}
    assert {asked[1] for asked in oracle.asked} == {GPU, "cpu"}
    (attempt, _) = given.pod_sets[0].attempts
    assert {reason.resource for reason in attempt.reasons} == {GPU, "cpu"}


def test_groups_of_resources_choose_apart():
    queues = queues_of(queue(group(one=4), group(big={"cpu": 4000})))
    assignment = assigned(queues, pods(2, asks={GPU: 1, "cpu": 1000}))
    assert chosen(assignment) == {"main": {GPU: "one", "cpu": "big"}}


def test_one_failing_group_of_resources_fails_the_pod_set():
    queues = queues_of(queue(group(one=4), group(big={"cpu": 1000})))
    assignment = assigned(queues, pods(2, asks={GPU: 1, "cpu": 1000}))
    assert assignment.pod_sets[0].choices == ()
    assert assignment.usage == usage({})


def test_the_number_of_pods_counts_where_the_queue_counts_it():
    queues = queues_of(queue(group(one={GPU: 4, PODS: 2})))
    assert assigned(queues, pods(2)).usage == usage({"one": {GPU: 2, PODS: 2}})
    assert assigned(queues, pods(3)).no_fit_reason == "ExceedsMaxQuota"
    assert assigned(queues, pods(3, 0)).no_fit_reason == "ExceedsMaxQuota"


@pytest.mark.parametrize(
    ("check", "amount", "mode"),
    [
        pytest.param("BlockUndeclared", 1, Mode.NO_FIT, id="not of the queue: blocked"),
        pytest.param("BlockUndeclared", 0, Mode.FIT, id="none of it is asked for"),
        pytest.param("IgnoreUndeclared", 1, Mode.FIT, id="not of the queue: unlimited"),
    ],
)
def test_resources_that_the_queue_does_not_declare(check, amount, mode):
    queues = queues_of(queue(group(one=4)))
    rules = FlavorRules(quota_check=check)
    assignment = assigned(queues, pods(1, asks={GPU: 1, "tpu": amount}), rules=rules)
    assert assignment.mode is mode
    assert chosen(assignment) == {"main": "one" if mode is Mode.FIT else {}}
    if mode is Mode.FIT:
        assert assignment.pod_sets[0].assigned().usage == Resources.of({GPU: 1})


# -- pod sets


def test_each_pod_set_may_get_its_own_flavor():
    h100 = ResourceFlavor(name="one", node_labels=(("gpu", "h100"),))
    a100 = ResourceFlavor(name="two", node_labels=(("gpu", "a100"),))
    queues = queues_of(queue(group(one=4, two=4)), flavors=[h100, a100])
    wants = Constraints(node_selector=(("gpu", "a100"),))
    assignment = assigned(queues, pods(2, name="head", constraints=wants), pods(2))
    assert chosen(assignment) == {"head": "two", "main": "one"}


GROUPED = TopologyRequest(mode="unconstrained", group="g", only_groups=True)


def test_a_group_of_pod_sets_gets_one_flavor_for_all():
    queues = queues_of(queue(group(one=4, two=9)))
    apart = assigned(queues, pods(1, name="leader"), pods(4, name="worker"))
    assert chosen(apart) == {"leader": "one", "worker": "two"}
    together = assigned(
        queues,
        pods(1, name="leader", topology=GROUPED),
        pods(1, 3, name="alone"),
        pods(4, name="worker", topology=GROUPED),
    )
    assert chosen(together) == {"leader": "two", "alone": "one", "worker": "two"}
    assert [each.name for each in together.pod_sets] == ["leader", "alone", "worker"]
    assert together.usage == usage({"one": 3, "two": 5})


def test_a_leader_that_asks_for_nothing_does_not_wait_for_its_workers():
    queues = queues_of(queue(group(one=4)), used={"one": 2})
    leader = pods(1, name="leader", asks={}, topology=GROUPED)
    worker = pods(4, name="worker", topology=GROUPED)
    for asked in ([leader, worker], [worker, leader]):
        assignment = assigned(queues, *asked)
        modes = {each.name: each.mode for each in assignment.pod_sets}
        assert modes == {"leader": Mode.FIT, "worker": Mode.PREEMPT}
        assert assignment.pod_sets[asked.index(leader)].reasons == ()


def test_pod_sets_behind_one_that_is_not_counted_are_not_left_out():
    rules = FlavorRules(quota_check="IgnoreUndeclared")
    free = pods(1, name="free", asks={"tpu": 1})
    assignment = assigned(pair({}), free, pods(3), rules=rules)
    assert chosen(assignment) == {"free": {}, "main": "one"}
    assert assignment.mode is Mode.FIT
    assert assigned(pair({}), free, pods(5), rules=rules).mode is Mode.NO_FIT


@pytest.mark.parametrize(
    ("preference", "mode"),
    [
        pytest.param("BorrowingOverPreemption", Mode.PREEMPT, id="rather borrow"),
        pytest.param("PreemptionOverBorrowing", Mode.PREEMPT, id="rather preempt"),
    ],
)
def test_one_resource_that_borrows_does_not_hide_one_that_needs_preemption(preference, mode):
    main = queue(
        group(one={GPU: 2, "cpu": 4}), cohort="team", fungibility=wishes(preference=preference)
    )
    other = queue(group(one={GPU: 4, "cpu": 0}), name="other", cohort="team")
    queues = queues_of(main, other, used={"one": {"cpu": 2}})
    assignment = assigned(queues, pods(3, asks={GPU: 1, "cpu": 1}))
    assert assignment.mode is mode
    assert [each.resource for each in assignment.pod_sets[0].reasons] == ["cpu"]
    assert assignment.pod_sets[0].attempts[0].mode is mode


def test_fewer_pods_ask_for_less():
    assignment = assigned(pair({}), pods(9), counts=(4,))
    assert (assignment.mode, assignment.pod_sets[0].count) == (Mode.FIT, 4)
    assert assignment.usage == usage({"one": 4})


# -- slices


def slice_of(flavor, count, gpus):
    given = PodSetAssignment(
        name="main", count=count, flavors=((GPU, flavor),), usage=Resources.of({GPU: gpus})
    )
    return Admission("main", (given,))


def test_a_slice_takes_only_what_the_replaced_one_does_not_hold():
    queues = pair({"two": 3})
    assignment = assigned(queues, pods(4), replaced=slice_of("two", 3, 3))
    assert (chosen(assignment), assignment.mode) == ({"main": "two"}, Mode.FIT)
    assert assignment.usage == usage({"two": 1})
    request = of_pending(workload(pods(4)), FlavorRules())
    needs = quota_needs(assignment, request, slice_of("two", 3, 3))
    assert needs == {FlavorResource("two", GPU): 1}


def test_a_slice_keeps_the_flavor_of_the_replaced_one():
    assignment = assigned(pair({"two": 3}), pods(8), replaced=slice_of("two", 3, 3))
    assert assignment.mode is Mode.NO_FIT
    other = assignment.pod_sets[0].reasons[0]
    assert (other.code, other.flavor, other.held) == ("OtherSliceFlavor", "one", "two")


def test_without_slices_the_replaced_one_is_not_looked_at():
    rules = FlavorRules(elastic_slices=False)
    assignment = assigned(pair({}), pods(4), replaced=slice_of("two", 3, 3), rules=rules)
    assert (chosen(assignment), assignment.usage) == ({"main": "one"}, usage({"one": 4}))


# -- what follows from an assignment


def test_needs_are_what_the_pods_ask_for_without_their_number():
    queues = queues_of(queue(group(one={GPU: 4, PODS: 4, "cpu": 0})))
    assignment = assigned(queues, pods(2, asks={GPU: 1, "cpu": 0}))
    asked = of_pending(workload(pods(2, asks={GPU: 1, "cpu": 0})), FlavorRules())
    assert quota_needs(assignment, asked) == {FlavorResource("one", GPU): 2}


@pytest.mark.parametrize(
    ("mode", "borrowing", "limit", "used", "reserved"),
    [
        pytest.param(Mode.FIT, 0, None, 9, 5, id="what fits is set aside whole"),
        pytest.param(Mode.PREEMPT, 0, None, 7, 3, id="of own quota what is unused"),
        pytest.param(Mode.PREEMPT, 0, None, 12, 0, id="own quota is used up"),
        pytest.param(Mode.PREEMPT, 1, None, 12, 5, id="borrowing without bound"),
        pytest.param(Mode.PREEMPT, 1, 4, 12, 2, id="borrowing up to the limit"),
        pytest.param(Mode.PREEMPT, 1, 4, 15, -1, id="the limit is passed already"),
    ],
)
def test_what_is_set_aside(mode, borrowing, limit, used, reserved):
    queues = queues_of(queue(group(one=(10, limit)), cohort="team"), used={"one": used})
    choice = assigned(queues, pods(5, 0)).pod_sets[0].with_mode(mode)
    assignment = FlavorAssignment(pod_sets=(choice,), borrowing=borrowing, usage=usage({"one": 5}))
    assert assignment.mode is mode
    assert quota_to_reserve(assignment, queues.node("main")) == {
        FlavorResource("one", GPU): reserved
    }


def test_an_assignment_makes_an_admission():
    assignment = assigned(pair({}), pods(2, asks={GPU: 2}))
    admission = assignment.admission("main")
    assert admission.usage() == assignment.usage
    assert admission.pod_sets[0].flavors == ((GPU, "one"),)


def test_a_mode_can_be_put_off():
    assignment = assigned(pair({}), pods(2)).with_mode(Mode.DEFERRED_FIT)
    assert assignment.mode is Mode.DEFERRED_FIT
    assert not assignment.is_borrowing


def test_pods_that_ask_for_nothing_fit():
    assert PodSetFlavors(name="main", count=1).mode is Mode.FIT
    assert assigned(pair({}), pods(3, asks={})).mode is Mode.FIT
