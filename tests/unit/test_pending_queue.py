"""Who of a queue is tried next, who is parked, and what wakes them."""

from fractions import Fraction

import pytest

from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodSet, PodTemplate, Request, SentBack, Workload
from gpuyard.scheduling.ordering.turns import TurnRules, queued_ns
from gpuyard.scheduling.pending_queue import STALE_MAX, PendingQueue

RULES = TurnRules(priority_boost=True)


def a_workload(key, *, at=0, priority=0, gpus=1, queue="ml/main", **facts):
    template = PodTemplate(request=Request(resources=Resources.of({"nvidia.com/gpu": gpus})))
    return Workload(
        key=key,
        pod_sets=(PodSet(name="main", count=1, template=template),),
        created_ns=at,
        priority=priority,
        queue=queue,
        **facts,
    )


def a_queue(*workloads, strategy="BestEffortFIFO", **settings):
    queue = PendingQueue(strategy, RULES, **settings)
    for workload in workloads:
        queue.add(workload)
    return queue


def popped(queue):
    """Return the keys of all active workloads in the order in which they are tried."""
    keys = []
    while (workload := queue.pop()) is not None:
        keys.append(workload.key)
    return keys


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"priority": 1, "at": 9}, {"at": 1}, id="higher priority before age"),
        pytest.param({"at": 1}, {"at": 2}, id="the older one"),
        pytest.param({"at": 1, "uid": "a"}, {"at": 1, "uid": "b"}, id="uid where all is equal"),
        pytest.param(
            {"at": 5}, {"at": 1, "sent_back": (SentBack("check", 6),)}, id="a check sent it back"
        ),
        pytest.param(
            {"priority": 1, "priority_boost": 4}, {"priority": 4}, id="a boost is priority"
        ),
    ],
)
def test_turns(first, second):
    one, other = a_workload("z", **first), a_workload("a", **second)
    assert popped(a_queue(other, one)) == ["z", "a"]


def test_a_boost_counts_only_where_the_rules_say_so():
    queue = PendingQueue("BestEffortFIFO", TurnRules())
    for workload in (a_workload("a", priority=4), a_workload("b", priority=1, priority_boost=4)):
        queue.add(workload)
    assert popped(queue) == ["a", "b"]


@pytest.mark.parametrize(
    ("rules", "by", "expected"),
    [
        (RULES, "readiness", 7),
        (TurnRules(lost_by=()), "readiness", 1),
        (RULES, "check", 7),
        (RULES, "borrower", 1),
        (TurnRules(lost_by=("borrower",)), "borrower", 1_000_007),
    ],
)
def test_since_when_it_waits(rules, by, expected):
    workload = a_workload("w", at=1, sent_back=(SentBack(by, 7),))
    assert queued_ns(workload, rules) == expected


@pytest.mark.parametrize(
    ("strategy", "reason", "is_parked"),
    [
        ("BestEffortFIFO", "", True),
        ("BestEffortFIFO", "NoFit", True),
        ("BestEffortFIFO", "NamespaceMismatch", True),
        ("BestEffortFIFO", "PreemptionNoCandidates", True),
        ("BestEffortFIFO", "PreemptionGated", True),
        ("BestEffortFIFO", "FailedAfterNomination", False),
        ("BestEffortFIFO", "PendingPreemption", False),
        ("BestEffortFIFO", "PreemptionFailed", False),
        ("StrictFIFO", "NoFit", False),
        ("StrictFIFO", "", False),
        ("StrictFIFO", "NamespaceMismatch", True),
    ],
)
def test_who_comes_back_is_parked_or_tried_again(strategy, reason, is_parked):
    queue = a_queue(a_workload("w"), strategy=strategy)
    assert queue.requeue(queue.pop(), reason)
    assert list(queue.parked) == (["w"] if is_parked else [])
    assert list(queue.active) == ([] if is_parked else ["w"])
    assert len(queue) == 1


def test_flavors_left_to_try_keep_it_active():
    queue = a_queue(a_workload("w"))
    queue.requeue(queue.pop(), "NoFit", more_to_try=True)
    assert list(queue.active) == ["w"]


def test_its_back_off_keeps_it_parked():
    queue = a_queue(strategy="StrictFIFO")
    queue.add(a_workload("w", not_before_ns=5), now_ns=4)
    assert (queue.pop(4), list(queue.parked)) == (None, ["w"])
    assert queue.wake(now_ns=4) == 0


def test_its_back_off_ends_by_itself():
    queue = a_queue()
    queue.add(a_workload("w", not_before_ns=5), now_ns=4)
    assert queue.pop(5).key == "w"


def test_whoever_is_held_back_comes_when_it_is_said():
    queue = a_queue()
    queue.add(a_workload("w", held_back=True), now_ns=4)
    assert queue.pop(10**18) is None
    queue.add(a_workload("w"), now_ns=5)
    assert queue.pop(5).key == "w"


def test_a_back_off_that_was_extended_ends_later():
    queue = a_queue()
    queue.add(a_workload("w", not_before_ns=5), now_ns=4)
    queue.add(a_workload("w", not_before_ns=9), now_ns=4)
    assert (queue.pop(5), queue.pop(9).key) == (None, "w")


def test_the_end_of_a_back_off_wakes_nobody_who_is_parked_for_something_else():
    queue = a_queue()
    queue.add(a_workload("w", not_before_ns=5), now_ns=4)
    queue.requeue(queue.pop(5), "NoFit", now_ns=5)
    assert (queue.pop(6), list(queue.parked)) == (None, ["w"])


def test_a_back_off_that_ends_while_its_shape_is_hopeless_keeps_it_parked():
    queue = a_queue(a_workload("tried"))
    queue.add(a_workload("w", not_before_ns=5), now_ns=4)
    queue.requeue(queue.pop(4), "NoFit", why="ExceedsMaxQuota", now_ns=4)
    assert queue.pop(6) is None
    assert queue.why_hopeless("w") == "ExceedsMaxQuota"
    assert queue.why_hopeless("unknown") is None


def test_without_a_time_no_back_off_counts():
    queue = a_queue()
    queue.add(a_workload("w", held_back=True, not_before_ns=5))
    assert queue.pop().key == "w"


def test_whoever_changed_while_it_was_tried_is_tried_again_as_it_is_now():
    queue = a_queue(a_workload("w", gpus=9), a_workload("same", gpus=9, at=1))
    workload = queue.pop()
    queue.add(a_workload("w", gpus=1))
    queue.requeue(workload, "NoFit")
    assert sorted(queue.active) == ["same", "w"]
    assert queue.active["w"] == a_workload("w", gpus=1)


def test_whoever_changed_while_it_was_tried_waits_for_its_back_off():
    queue = a_queue(a_workload("w"))
    workload = queue.pop(1)
    queue.add(a_workload("w", not_before_ns=5), now_ns=1)
    queue.requeue(workload, "NoFit", now_ns=1)
    assert (queue.pop(4), queue.pop(5).key) == (None, "w")


def test_where_shapes_do_not_matter_each_is_parked_for_itself():
    queue = a_queue(a_workload("a", at=1), a_workload("b", at=2), shapes_matter=False)
    queue.requeue(queue.pop(), "NoFit")
    assert (list(queue.active), queue.hopeless) == (["b"], {})


def test_requeueing_twice_changes_nothing():
    queue = a_queue(a_workload("w"))
    workload = queue.pop()
    assert queue.requeue(workload, "NoFit")
    assert not queue.requeue(workload, "NoFit")
    assert len(queue) == 1


def test_woken_while_it_was_tried_it_is_tried_again():
    queue = a_queue(a_workload("w"))
    workload = queue.pop()
    queue.wake()
    queue.requeue(workload, "NoFit")
    assert list(queue.active) == ["w"]


def test_waking_only_whom_it_may_help():
    queue = a_queue(a_workload("a", gpus=1), a_workload("b", gpus=2))
    for _ in range(2):
        queue.requeue(queue.pop(), "NoFit")
    assert queue.wake(lambda workload: workload.key == "b") == 1
    assert (list(queue.active), list(queue.parked)) == (["b"], ["a"])


def test_a_shape_that_does_not_fit_is_parked_as_a_whole():
    queue = a_queue(
        *(a_workload(f"w{i}", at=i) for i in range(4)), a_workload("other", at=9, gpus=2)
    )
    queue.requeue(queue.pop(), "NoFit", why="ExceedsMaxQuota")
    queue.add(a_workload("newcomer"))
    assert list(queue.active) == ["other"]
    assert sorted(queue.parked) == ["newcomer", "w0", "w1", "w2", "w3"]
    assert list(queue.hopeless.values()) == ["ExceedsMaxQuota"]
    queue.wake()
    assert (len(queue.active), queue.hopeless) == (6, {})


def test_strict_order_parks_nobody_with_the_head():
    queue = a_queue(a_workload("a", at=1), a_workload("b", at=2), strategy="StrictFIFO")
    queue.requeue(queue.pop(), "NoFit")
    assert queue.pop().key == "a"


def test_whoever_makes_room_sticks_to_the_head_until_it_is_gone():
    queue = a_queue(a_workload("low", at=1), a_workload("high", at=2, priority=5, gpus=2))
    queue.requeue(queue.pop(), "PendingPreemption")
    queue.add(a_workload("higher", priority=9))
    high = queue.pop()
    assert (high.key, queue.is_preemptor(high)) == ("high", True)
    queue.delete("high")
    assert popped(queue) == ["higher", "low"]


def test_in_strict_order_nobody_sticks():
    queue = a_queue(a_workload("high", priority=5), strategy="StrictFIFO")
    queue.requeue(queue.pop(), "PendingPreemption")
    queue.add(a_workload("higher", priority=9))
    assert popped(queue) == ["higher", "high"]


def test_a_changed_workload_is_no_longer_the_one_that_made_room():
    queue = a_queue(a_workload("w"))
    queue.requeue(queue.pop(), "PendingPreemption")
    assert not queue.is_preemptor(a_workload("w", priority=1))


def test_a_parked_workload_that_changed_is_tried_again():
    queue = a_queue(a_workload("w", gpus=9))
    queue.requeue(queue.pop(), "NoFit")
    queue.add(a_workload("w", gpus=9))
    assert list(queue.parked) == ["w"]
    queue.add(a_workload("w", gpus=1))
    assert queue.pop().pod_sets[0].template.request.resources.get("nvidia.com/gpu") == 1


def test_the_one_that_is_being_tried_is_left_alone():
    queue = a_queue(a_workload("w"))
    queue.pop()
    queue.add(a_workload("w", gpus=2))
    assert (list(queue.active), queue.inflight, len(queue)) == ([], "w", 1)


def test_deleting_whoever_is_there_or_not():
    queue = a_queue(a_workload("active"), a_workload("parked", gpus=2, priority=1))
    queue.requeue(queue.pop(), "NoFit")
    for key in ("active", "parked", "unknown"):
        queue.delete(key)
    assert len(queue) == 0
    queue.add(a_workload("w"))
    queue.pop()
    queue.delete("w")
    assert (len(queue), queue.inflight) == (0, None)


def test_between_local_queues_usage_comes_before_priority():
    used = {"ml/a": (False, Fraction(2)), "ml/b": (False, Fraction(1))}
    queue = a_queue(
        a_workload("a", queue="ml/a", priority=9),
        a_workload("b", queue="ml/b"),
        usage=used.__getitem__,
    )
    assert [workload.key for workload in queue.in_order()] == ["b", "a"]
    assert queue.pop().key == "b"
    used["ml/a"] = (False, Fraction(1, 2))
    queue.add(a_workload("b2", queue="ml/b", priority=10))
    assert popped(queue) == ["a", "b2"]


def test_everyone_in_order_active_or_parked():
    queue = a_queue(*(a_workload(f"w{i}", at=i, gpus=i + 1) for i in range(3)))
    queue.requeue(queue.pop(), "NoFit")
    assert [workload.key for workload in queue.in_order()] == ["w0", "w1", "w2"]


def test_changing_often_leaves_no_trace():
    queue = a_queue()
    for at in range(1000):
        queue.add(a_workload("w", at=at))
    assert len(queue._heaps["ml/main"]) <= STALE_MAX + 3
    assert popped(queue) == ["w"]
