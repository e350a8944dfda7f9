"""Who waits where, what is remembered of a try, and whom a change wakes."""

import pytest

from gpuyard.model.queues import Cohort, LocalQueue, ResourceFlavor
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission.entries import Verdict
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.queues import Queues
from tests.small_queues import group, pods, queue

TRIED = {"main": {"cpu": 1}}


def door(name, to="", **more):
    return LocalQueue(namespace="ml", name=name, cluster_queue=to or name, **more)


def queues(*specs, doors=None, cohorts=()):
    return Queues(
        specs,
        cohorts,
        flavors=[ResourceFlavor(name="a")],
        local_queues=[door(spec.name) for spec in specs] if doors is None else doors,
    )


def a_queue(name="q", gpus=4, **more):
    return queue(group(a=gpus), name=name, **more)


def wants(key, gpus=1, *, at="q", **more):
    return Workload(key=key, pod_sets=(pods(1, gpus),), created_ns=0, queue=f"ml/{at}", **more)


def waiting(made, *workloads, **rules):
    everybody = Waiting(made, AdmissionRules(flavors=FlavorRules(**rules)))
    for each in workloads:
        everybody.add(each)
    return everybody


def verdict(workload, at="q", **more):
    return Verdict(**{"workload": workload, "queue": at, "outcome": "waiting", **more})


def tried(everybody):
    return {head.workload.key for head in everybody.heads()}


# -- the door


@pytest.mark.parametrize(
    ("doors", "home", "why"),
    [
        pytest.param([door("q")], "q", None, id="it leads to a queue"),
        pytest.param([], None, "LocalQueueNotFound", id="there is no door"),
        pytest.param([door("other", "q")], None, "LocalQueueNotFound", id="another door"),
        pytest.param([door("q", "gone")], None, "ClusterQueueNotFound", id="it leads nowhere"),
        pytest.param([door("q", stop_policy="Hold")], None, "LocalQueueStopped", id="it is shut"),
    ],
)
def test_where_a_workload_waits(doors, home, why):
    everybody = waiting(queues(a_queue(), doors=doors))
    assert everybody.add(wants("w")) == home
    assert {key: each.why for key, each in everybody.homeless.items()} == (
        {"w": why} if why else {}
    )
    assert everybody.count("ml/q") == (1 if doors and doors[0].name == "q" else None)


def test_the_homeless_find_a_home_when_there_is_one():
    everybody = waiting(queues(a_queue(), doors=[]), wants("w"))
    assert tried(everybody) == set()
    everybody.follow(queues(a_queue()))
    assert (tried(everybody), everybody.homeless) == ({"w"}, {})


def test_whose_queue_is_gone_is_homeless():
    everybody = waiting(queues(a_queue()), wants("w"))
    everybody.follow(queues(a_queue("other"), doors=[door("q")]))
    assert everybody.homeless["w"].why == "ClusterQueueNotFound"
    assert everybody.pending.keys() == {"other"}


def test_a_door_that_leads_elsewhere_now():
    specs = a_queue(), a_queue("new")
    everybody = waiting(queues(*specs), wants("w"))
    everybody.follow(queues(*specs, doors=[door("q", "new")]))
    assert [head.queue for head in everybody.heads()] == ["new"]


def test_a_workload_that_changes_its_door():
    everybody = waiting(queues(a_queue(), a_queue("w")), wants("w"))
    everybody.add(wants("w", at="w"))
    assert [head.queue for head in everybody.heads()] == ["w"]
    assert len(everybody.pending["q"]) == 0


def test_an_inactive_queue_takes_everybody_in_and_tries_nobody():
    everybody = waiting(queues(a_queue(stop_policy="Hold")), wants("w"))
    assert (tried(everybody), len(everybody.pending["q"])) == (set(), 1)
    everybody.follow(queues(a_queue()))
    assert tried(everybody) == {"w"}


def test_below_a_circle_of_cohorts_nobody_is_tried_and_nobody_is_lost():
    loop = [Cohort(name="loop", parent="loop")]
    everybody = waiting(queues(a_queue(cohort="loop"), cohorts=loop), wants("w"))
    assert (tried(everybody), everybody.wake("q")) == (set(), 0)
    everybody.follow(queues(a_queue(cohort="loop")))
    assert tried(everybody) == {"w"}


# -- coming back


@pytest.mark.parametrize(
    ("during", "waits_on"),
    [
        pytest.param(lambda _: None, True, id="nothing happened"),
        pytest.param(lambda all_: all_.delete("w"), False, id="deleted while it was tried"),
        pytest.param(
            lambda all_: all_.add(wants("w", at="other")), False, id="it waits in another queue now"
        ),
    ],
)
def test_who_comes_back(during, waits_on):
    everybody = waiting(queues(a_queue(), a_queue("other")), wants("w"))
    everybody.heads()
    during(everybody)
    assert everybody.take_back(verdict(wants("w"), requeue="NoFit")) is waits_on
    assert ("w" in everybody.pending["q"].parked) is waits_on


@pytest.mark.parametrize("outcome", ["admitted", "evicted"])
def test_who_started_or_was_evicted_waits_no_more(outcome):
    everybody = waiting(queues(a_queue()), wants("w"))
    everybody.heads()
    assert not everybody.take_back(verdict(wants("w"), outcome=outcome))
    assert everybody.count("ml/q") == 0


def test_whoever_was_chosen_and_gives_no_reason_is_tried_again_at_once():
    everybody = waiting(queues(a_queue()), wants("w"))
    everybody.heads()
    everybody.take_back(verdict(wants("w"), outcome="skipped"))
    assert tried(everybody) == {"w"}


# -- how far it was tried


@pytest.mark.parametrize(
    ("changed", "preserve", "kept"),
    [
        pytest.param({}, True, True, id="it asks for the same"),
        pytest.param({"gpus": 2}, True, False, id="it asks for something else"),
        pytest.param({"priority": 1}, True, False, id="its priority changed"),
        pytest.param({}, False, False, id="the rules keep nothing"),
    ],
)
def test_the_position_of_a_workload_that_was_written_to(changed, preserve, kept):
    everybody = waiting(queues(a_queue()), wants("w"), preserve_scan_progress=preserve)
    everybody.heads()
    everybody.take_back(verdict(wants("w"), requeue="NoFit", tried=TRIED))
    assert everybody.progress("w") == TRIED
    everybody.add(wants("w", **changed))
    assert everybody.progress("w") == (TRIED if kept else None)


def test_a_position_comes_back_with_the_head():
    everybody = waiting(queues(a_queue()), wants("w"))
    everybody.heads()
    everybody.take_back(verdict(wants("w"), requeue="NoFit", tried=TRIED))
    (head,) = everybody.heads()
    assert (head.tried, head.stamp.cycle) == (TRIED, 1)
    everybody.take_back(verdict(wants("w"), requeue="NoFit"))
    assert everybody.progress("w") is None


# -- waking


def parked(*names, **cohorts):
    specs = [a_queue(name, cohort=cohorts.get(name, "")) for name in names]
    everybody = waiting(queues(*specs), *(wants(name, at=name) for name in names))
    for head in everybody.heads():
        everybody.take_back(verdict(head.workload, head.queue, requeue="NoFit"))
    return everybody


@pytest.mark.parametrize(
    ("woken", "expected"),
    [
        pytest.param(("a",), {"a", "b"}, id="its whole tree"),
        pytest.param(("c",), {"c"}, id="a queue alone"),
        pytest.param(("a", "b"), {"a", "b"}, id="a tree once"),
        pytest.param(("a", "c"), {"a", "b", "c"}, id="two trees"),
        pytest.param(("unknown",), set(), id="nobody"),
    ],
)
def test_whom_a_change_wakes(woken, expected):
    everybody = parked("a", "b", "c", a="both", b="both")
    assert everybody.wake(*woken) == len(expected)
    assert tried(everybody) == expected


def test_whom_a_queue_does_not_let_in_is_not_woken():
    everybody = parked("a")
    everybody.may_enter = lambda _, workload: workload.key != "a"
    assert (everybody.wake("a"), tried(everybody)) == (0, set())


def test_one_may_be_woken_alone():
    everybody = waiting(queues(a_queue()), wants("x"), wants("y"))
    (head,) = everybody.heads()
    everybody.take_back(verdict(head.workload, requeue="NoFit"))
    assert everybody.pending["q"].parked.keys() == {"x", "y"}, "they are of one shape"
    assert [everybody.wake_one("y"), everybody.wake_one("unknown")] == [1, 0]
    assert tried(everybody) == {"y"}
    assert everybody.pending["q"].why_hopeless("x") is not None


def test_who_waits_for_its_back_off_is_not_woken_before():
    everybody = waiting(queues(a_queue()))
    everybody.add(wants("w", not_before_ns=5), now_ns=1)
    assert (everybody.wake("q", now_ns=4), everybody.heads(4)) == (0, [])
    assert [head.workload.key for head in everybody.heads(5)] == ["w"]


# -- generations


def generation(everybody):
    return everybody.stamp("q", wants("any")).generation


@pytest.mark.parametrize(
    ("after", "is_newer"),
    [
        pytest.param({}, False, id="nothing changed"),
        pytest.param({"gpus": 5}, True, id="more quota"),
        pytest.param({"gpus": 3}, True, id="less quota"),
        pytest.param({"queueing_strategy": "StrictFIFO"}, False, id="the order changed"),
    ],
)
def test_changed_quotas_are_a_new_generation(after, is_newer):
    everybody = waiting(queues(a_queue()))
    before = generation(everybody)
    everybody.follow(queues(a_queue(**after)))
    assert (generation(everybody) > before) is is_newer
    assert everybody.pending["q"].strategy == after.get("queueing_strategy", "BestEffortFIFO")


def test_quota_that_a_neighbour_gains_is_a_new_generation():
    everybody = waiting(queues(a_queue(cohort="c"), a_queue("n", cohort="c")))
    before = generation(everybody)
    everybody.follow(queues(a_queue(cohort="c"), a_queue("n", 9, cohort="c")))
    assert generation(everybody) == before + 1
