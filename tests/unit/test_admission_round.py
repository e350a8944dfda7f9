"""What a round decides: who is admitted, who is skipped and why, and at whose cost."""

import pytest

from gpuyard.model.queues import Admitted, Cohort, QueuePreemption, ResourceFlavor
from gpuyard.model.topology import HOSTNAME, TopologyRequest
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission import round as one_round
from gpuyard.scheduling.admission.entries import (
    Objection,
    after_evictions,
    not_written,
)
from gpuyard.scheduling.admission.round import NO_LONGER, OVERLAP, OVERLAP_FITS_LATER
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.ordering.between import BetweenRules
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules
from tests.small_queues import group, pods, queue
from tests.small_topology import yard as hosts
from tests.small_yard import Yard, state

ANY = QueuePreemption(reclaim_within_cohort="Any")
LOWER = QueuePreemption(within_cluster_queue="LowerPriority")
TALL = ResourceFlavor(name="a", topology="yard")
ON_ONE_HOST = TopologyRequest(mode="required", level=HOSTNAME)


def a_queue(name, gpus=4, cohort="all", **more):
    return queue(group(a=gpus), name=name, cohort=cohort, **more)


def wants(key, gpus=1, *, at="q", priority=0, created_ns=0, **more):
    """Return a workload of one pod that asks for so many GPUs."""
    return Workload(
        key=key,
        pod_sets=(pods(1, gpus),),
        queue=at,
        priority=priority,
        created_ns=created_ns,
        **more,
    )


def told(verdicts):
    return {verdict.workload.key: verdict.outcome for verdict in verdicts}


def running(*workloads, specs, **more):
    """Return a yard in which these workloads were admitted, one after the other."""
    yard = Yard(specs, **more)
    for each in workloads:
        yard.waiting.add(each)
        (verdict,) = yard.run()
        assert verdict.outcome == "admitted"
    return yard


# -- skipped


def test_the_quota_of_a_round_is_given_once():
    yard = Yard(
        [a_queue("q", 0), a_queue("w", 0), a_queue("owner", 3)],
        workloads=[wants("first", 2, priority=1), wants("late", 2, at="w")],
    )
    first, late = yard.run()
    assert told([first, late]) == {"first": "admitted", "late": "skipped"}
    assert (late.message, late.code) == (NO_LONGER, "WaitingForQuota")
    assert late.requeue == "FailedAfterNomination"
    assert yard.waiting.pending["w"].active.keys() == {"late"}


@pytest.mark.parametrize("keeps", [True, False])
def test_whoever_was_skipped_goes_on_where_it_stopped_if_the_rules_say_so(keeps):
    yard = Yard(
        [a_queue("q", 0), a_queue("w", 0), a_queue("owner", 3)],
        rules=AdmissionRules(flavors=FlavorRules(preserve_scan_progress=keeps)),
        workloads=[wants("first", 2, priority=1), wants("late", 2, at="w")],
    )
    _, late = yard.run()
    assert (late.tried is not None) is keeps


# -- waiting


@pytest.mark.parametrize(
    ("gpus", "used", "code"),
    [
        pytest.param(9, 0, "ExceedsMaxQuota", id="more than its tree ever has"),
        pytest.param(3, 2, "WaitingForQuota", id="others hold it"),
    ],
)
def test_whoever_fits_nowhere_says_why_and_is_parked(gpus, used, code):
    yard = running(wants("holder", used), specs=[a_queue("q", 4)])
    yard.waiting.add(wants("new", gpus))
    (verdict,) = yard.run()
    assert (verdict.outcome, verdict.code) == ("waiting", code)
    assert verdict.requeue in ("NoFit", "PreemptionNoCandidates")
    assert yard.waiting.pending["q"].parked.keys() == {"new"}


def test_somebody_objects():
    yard = Yard([a_queue("q"), a_queue("w")], workloads=[wants("in"), wants("out", at="w")])
    mismatch = Objection("NamespaceMismatch", "Misconfigured", "no")
    verdicts = one_round.run(
        yard.nominator(),
        yard.waiting.heads(),
        lambda head: mismatch if head.queue == "w" else None,
    )
    assert told(verdicts) == {"in": "admitted", "out": "waiting"}
    refused = verdicts[-1]
    assert (refused.code, refused.message, refused.requeue) == (
        "Misconfigured",
        "no",
        "NamespaceMismatch",
    )
    assert refused.assignment is None


# -- reserving


def owed(**policy):
    """Return a yard in which somebody needs room, and whoever comes after him would borrow it.

    A round has one head of each queue: `big` of the queue whose quota others hold, and `small`.
    """
    owner = a_queue("owner", 4, preemption=QueuePreemption(**policy))
    specs = [owner, a_queue("q", 0), a_queue("w", 0)]
    yard = running(wants("holder", 2, at="w", priority=9), specs=specs)
    yard.waiting.add(wants("big", 4, at="owner", priority=5))
    yard.waiting.add(wants("small", 2))
    return yard


def test_whoever_needs_room_and_finds_nobody_to_evict_keeps_what_there_is():
    yard = owed(reclaim_within_cohort="LowerPriority")
    before = state(yard.queues)
    verdicts = one_round.run(yard.nominator(), yard.waiting.heads())
    assert told(verdicts) == {"big": "waiting", "small": "skipped"}
    assert verdicts[0].requeue == "PreemptionNoCandidates"
    assert state(yard.queues) == before, "only for this round"


def test_whoever_can_always_take_back_its_own_keeps_nothing():
    specs = [
        a_queue("owner", 4, preemption=ANY),
        a_queue("q", 0),
        a_queue("w", 1, cohort="else"),
    ]
    yard = Yard(specs)
    yard.waiting.add(wants("holder", 2, at="owner", priority=9))
    yard.run()
    yard.waiting.add(wants("big", 4, at="owner", priority=5))
    yard.waiting.add(wants("small", 2))
    assert told(yard.run()) == {"big": "waiting", "small": "admitted"}


# -- preempting


def test_victims_go_first_and_the_preemptor_starts_when_they_are_gone():
    yard = running(wants("low", 3), specs=[a_queue("q", preemption=LOWER)])
    yard.waiting.add(wants("high", 3, priority=1))
    (verdict,) = yard.run()
    assert verdict.outcome == "preempting"
    assert [target.workload for target in verdict.targets] == ["low"]
    assert verdict.requeue == "PendingPreemption"
    assert verdict.message.endswith(". Pending the preemption of 1 workload(s)")
    assert (verdict.admission, verdict.tried) == (None, None)
    assert yard.leave() == ["low"]
    assert told(yard.run()) == {"high": "admitted"}


def overlapping(**rules):
    """Two queues want what a third has borrowed; its one workload is enough for both."""
    specs = [a_queue(name, gpus, preemption=ANY) for name, gpus in (("q", 2), ("w", 2), ("z", 0))]
    yard = running(wants("borrower", 4, at="z"), specs=specs, rules=AdmissionRules(**rules))
    yard.waiting.add(wants("one", 2, priority=1))
    yard.waiting.add(wants("two", 2, at="w"))
    return yard


def test_a_victim_goes_for_one_only():
    yard = overlapping()
    one, two = yard.run()
    assert told([one, two]) == {"one": "preempting", "two": "skipped"}
    assert two.message == OVERLAP
    assert yard.waiting.pending["w"].active.keys() == {"two"}


def test_whoever_fits_once_the_victims_of_others_are_gone_waits_for_that():
    yard = overlapping(look_again_on_overlap=True)
    one, two = yard.run()
    assert told([one, two]) == {"one": "preempting", "two": "waiting"}
    assert (two.message, two.code) == (OVERLAP_FITS_LATER, "WaitingForPreemptedWorkloads")
    yard.leave()
    assert told(yard.run())["one"] == "admitted"
    assert "two" in yard.queues.admitted


@pytest.mark.parametrize(
    ("evicted", "failed", "requeue", "message"),
    [
        (2, 0, "PendingPreemption", ". Pending the preemption of 2 workload(s)"),
        (1, 1, "PendingPreemption", ". Pending the preemption of 1 workload(s)"),
        (0, 2, "PreemptionFailed", ". Preempting 2 workload(s) failed, will retry."),
        (0, 0, "", ""),
    ],
)
def test_what_stands_when_victims_could_not_be_told(evicted, failed, requeue, message):
    yard = running(wants("low", 3), specs=[a_queue("q", preemption=LOWER)])
    yard.waiting.add(wants("high", 3, priority=1))
    (verdict,) = one_round.run(yard.nominator(), yard.waiting.heads())
    after = after_evictions(verdict, evicted=evicted, failed=failed)
    assert verdict.assignment is not None
    assert (after.requeue, after.message) == (requeue, verdict.assignment.message() + message)


def test_an_admission_that_could_not_be_written_is_tried_again_at_once():
    yard = Yard([a_queue("q")], workloads=[wants("w")])
    (verdict,) = one_round.run(yard.nominator(), yard.waiting.heads())
    assert yard.waiting.take_back(not_written(verdict))
    assert yard.waiting.pending["q"].active.keys() == {"w"}
    assert told(yard.run()) == {"w": "admitted"}


# -- fewer pods, elastic workloads


@pytest.mark.parametrize(
    ("min_count", "is_on", "expected"),
    [
        pytest.param(2, True, 4, id="as many as fit"),
        pytest.param(4, True, 4, id="exactly the least"),
        pytest.param(5, True, None, id="fewer than the least are nobody"),
        pytest.param(None, True, None, id="all or nobody"),
        pytest.param(2, False, None, id="the rules admit nobody in part"),
    ],
)
def test_admission_with_fewer_pods(min_count, is_on, expected):
    job = Workload(key="job", pod_sets=(pods(6, 1, min_count=min_count),), created_ns=0, queue="q")
    rules = AdmissionRules(flavors=FlavorRules(partial_admission=is_on))
    (verdict,) = Yard([a_queue("q", 4)], rules=rules, workloads=[job]).run()
    admitted = verdict.admission
    assert (admitted.pod_sets[0].count if admitted else None) == expected


def two_who_can_do_with_fewer(**rules):
    """Two queues without quota share six GPUs of their cohort; each has a job that could use all.

    By their shares each may evict the other for part of its pods.
    """
    fair = AdmissionRules(
        between=BetweenRules(by_share=True),
        flavors=FlavorRules(fair_sharing=True),
        preemption=QueuePreemptionRules(fair_sharing=True, revalidate=True, stable=True),
        **rules,
    )
    specs = [a_queue(name, 0, cohort="both", preemption=ANY) for name in ("q", "w")]
    shared = Cohort(name="both", resource_groups=(group(a=6),))
    yard = Yard(specs, [shared], rules=fair)
    for name in ("q", "w"):
        yard.waiting.add(
            Workload(key=name, pod_sets=(pods(6, 1, min_count=1),), created_ns=0, queue=name)
        )
        yard.run()
    return yard


def test_two_who_can_do_with_fewer_may_evict_each_other_for_ever():
    assert two_who_can_do_with_fewer().settle(100) is None


def test_whoever_evicted_others_for_some_pods_starts_with_no_more():
    yard = two_who_can_do_with_fewer(starts_as_it_preempted=True)
    assert yard.settle(100) is not None
    counts = {key: held.admission.pod_sets[0].count for key, held in yard.queues.admitted.items()}
    assert sum(counts.values()) <= 6
    assert counts


def grown(key, count, replaces=""):
    return Workload(
        key=key,
        pod_sets=(pods(count, 1),),
        created_ns=0,
        queue="q",
        elastic=True,
        replaces=replaces,
    )


def test_an_elastic_workload_takes_over_the_quota_of_the_slice_it_replaces():
    rules = AdmissionRules(flavors=FlavorRules(elastic_slices=True))
    yard = running(grown("slice-1", 3), specs=[a_queue("q", 4)], rules=rules)
    yard.waiting.add(grown("slice-2", 4, replaces="slice-1"))
    (verdict,) = yard.run()
    assert (verdict.outcome, verdict.replaced) == ("admitted", "slice-1")
    assert yard.queues.admitted.keys() == {"slice-2"}


def test_without_the_rule_a_slice_is_a_workload_like_any_other():
    rules = AdmissionRules(flavors=FlavorRules(elastic_slices=False))
    yard = running(grown("slice-1", 3), specs=[a_queue("q", 4)], rules=rules)
    yard.waiting.add(grown("slice-2", 4, replaces="slice-1"))
    (verdict,) = yard.run()
    assert (verdict.outcome, verdict.replaced) == ("waiting", "")


# -- places


def placed(*sizes, rules=None, workloads=()):
    """Return a yard with hosts of these sizes (in CPUs) and the queues q and w."""
    places = hosts({f"b/r/n{index}": cpus for index, cpus in enumerate(sizes)}, flavor=TALL)
    specs = [queue(group(a={"cpu": sum(sizes)}), name=name, cohort="all") for name in ("q", "w")]
    return Yard(specs, rules=rules, flavors=[TALL], places={"a": places}, workloads=workloads)


def job(key, cpus, *, at="q", **more):
    asked = pods(1, asks={"cpu": cpus}, topology=ON_ONE_HOST)
    return Workload(key=key, pod_sets=(asked,), created_ns=0, queue=at, **more)


def host_of(verdict):
    (domain,) = verdict.admission.pod_sets[0].topology.domains
    return domain.values[-1]


def test_whose_place_was_taken_in_this_round_looks_for_another():
    yard = placed(2, 2, workloads=[job("one", 2), job("two", 2, at="w")])
    one, two = yard.run()
    assert told([one, two]) == {"one": "admitted", "two": "admitted"}
    assert {host_of(one), host_of(two)} == {"n0", "n1"}


def test_without_a_second_look_it_comes_back_in_the_next_round():
    rules = AdmissionRules(look_again_for_places=False)
    yard = placed(2, 2, rules=rules, workloads=[job("one", 2), job("two", 2, at="w")])
    assert told(yard.run()) == {"one": "admitted", "two": "skipped"}
    assert told(yard.run()) == {"two": "admitted"}


def lost_host(yard, key):
    """Let the host of a workload fail."""
    held = yard.queues.remove(key)
    (domain,) = held.admission.pod_sets[0].topology.domains
    failed = Admitted(
        workload=held.workload, admission=held.admission, unhealthy_nodes=domain.values[-1:]
    )
    yard.queues.admit(failed)


def test_whose_node_failed_moves_and_keeps_its_quota():
    yard = placed(2, 2, workloads=[job("w", 2)])
    before = host_of(yard.run()[0])
    lost_host(yard, "w")
    (verdict,) = yard.run()
    assert verdict.outcome == "admitted"
    assert host_of(verdict) != before
    assert yard.run() == (), "it has a place and seeks none"


@pytest.mark.parametrize(("fail_fast", "outcome"), [(True, "evicted"), (False, "waiting")])
def test_whose_node_failed_and_has_no_other(fail_fast, outcome):
    rules = AdmissionRules(fail_fast=fail_fast)
    yard = placed(2, 1, rules=rules, workloads=[job("w", 2)])
    yard.run()
    lost_host(yard, "w")
    assert told(yard.run()) == {"w": outcome}
    assert told(yard.run()) == {"w": outcome}, "it is asked in every round"


# -- flavors one after the other


def test_a_search_goes_on_behind_the_flavor_that_was_tried():
    """The first flavor has quota and no host: the next round tries the second."""
    flavors = [ResourceFlavor(name=name, topology="yard") for name in "ab"]
    specs = [queue(group(a={"cpu": 4}, b={"cpu": 4}), name="q")]
    places = {each.name: hosts({f"x/y/{each.name}": 2}, flavor=each) for each in flavors}
    yard = Yard(specs, flavors=flavors, places=places, workloads=[job("one", 2)])
    assert told(yard.run()) == {"one": "admitted"}
    yard.waiting.add(job("two", 2))
    (first,) = yard.run()
    assert first.outcome == "waiting"
    assert yard.waiting.pending["q"].active.keys() == {"two"}, "it has more to try"
    (second,) = yard.run()
    assert second.outcome == "admitted"
    assert host_of(second) == "b"


def test_a_round_leaves_what_it_looked_at_as_it_was():
    yard = overlapping(look_again_on_overlap=True)
    before = state(yard.queues)
    assert one_round.run(yard.nominator(), yard.waiting.heads())
    assert state(yard.queues) == before
