"""The API server, kubelets and pods of the twin: what is heard of a request, and when."""

import pytest

from gpuyard.model.commitments import (
    Confirmed,
    MemberFailed,
    MemberGone,
    MemberReady,
    MemberWaiting,
    NotWritten,
    PutBack,
    Reread,
    Write,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)
from gpuyard.model.ledger import BackOff
from gpuyard.twin.api_server import ApiServer, PodLeft
from gpuyard.twin.world import Delay, Fault, Try, World

SLOW_WRITES = {"write": Delay(least_ns=5)}
SLOW_WATCH = {"watch": Delay(least_ns=3)}
SLOW_START = {"start": Delay(least_ns=20)}


def written(pod="p", write=1, node="n", attempt_ns=7):
    return Write(workload="w", attempt_ns=attempt_ns, pod=pod, node=node, write=write)


def send(api, order, now_ns=0):
    api.write(order, Try("w", order.pod, 1), now_ns)


def put_back(*pods, attempt_ns=7):
    back_off = BackOff(workload="w", attempts=1, faults=0, not_before_ns=9, reason="r")
    return PutBack(workload="w", attempt_ns=attempt_ns, pods=pods, back_off=back_off)


def look(api, now_ns, pod="p", attempt_ns=7):
    api.look(Reread(workload="w", attempt_ns=attempt_ns, pod=pod, write=1), now_ns)


def heard(api, until_ns=10**6):
    """Return what is heard until then, with its instant."""
    found = []
    while api.next_ns() is not None and api.next_ns() <= until_ns:
        at_ns = api.next_ns()
        found += [(at_ns, type(news)) for news in api.happen(at_ns)]
    return found


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        pytest.param({}, [(0, MemberReady)], id="all at once: only what became of it is seen"),
        pytest.param(SLOW_WRITES, [(5, MemberReady)], id="the write takes its time"),
        pytest.param(
            SLOW_WATCH, [(0, WriteAccepted), (3, MemberReady)], id="a late watch: the reply first"
        ),
        pytest.param(SLOW_START, [(0, Confirmed), (20, MemberReady)], id="a pod starts slowly"),
        pytest.param(
            {**SLOW_START, "slow_share": 1.0, "slow": Delay(least_ns=30)},
            [(0, MemberWaiting), (50, MemberReady)],
            id="a slow pod says why",
        ),
        pytest.param(
            {"request_lost_share": 1.0, **SLOW_WRITES},
            [(5, WriteLost)],
            id="a lost request: an error when the answer was due",
        ),
        pytest.param({"request_lost_share": 1.0, "silent_share": 1.0}, [], id="a silent loss"),
        pytest.param(
            {"reply_lost_share": 1.0, **SLOW_WATCH},
            [(0, WriteLost), (3, MemberReady)],
            id="a lost reply: it was carried out all the same",
        ),
        pytest.param(
            {"reply_lost_share": 1.0, "silent_share": 1.0, **SLOW_WATCH},
            [(3, MemberReady)],
            id="a lost reply and nobody says so",
        ),
        pytest.param({"reply_lost_share": 1.0}, [(0, MemberReady)], id="the watch overtakes it"),
        pytest.param(
            {"faults": (Fault(reason="Conflict", at="write", share=1.0),), **SLOW_START},
            [(0, WriteRefused)],
            id="the API server refuses",
        ),
        pytest.param(
            {"faults": (Fault(reason="OutOfcpu", at="admission", share=1.0),), **SLOW_START},
            [(0, MemberFailed)],
            id="the kubelet refuses, before anything starts",
        ),
        pytest.param(
            {"faults": (Fault(reason="Error", at="start", share=1.0),), **SLOW_START},
            [(0, Confirmed), (20, MemberFailed)],
            id="the pod fails when it should be ready",
        ),
    ],
)
def test_what_is_heard_of_a_write(world, expected):
    api = ApiServer(World(**world))
    send(api, written())
    assert heard(api) == expected


def test_a_refusal_has_its_reason_and_whose_fault_it_was():
    fault = Fault(reason="Forbidden", at="write", share=1.0, own_fault=True)
    api = ApiServer(World(faults=(fault,)))
    send(api, written())
    (refused,) = api.happen(0)
    assert (refused.reason, refused.own_fault, refused.write) == ("Forbidden", True, 1)


def test_a_second_write_finds_the_pod_bound():
    api = ApiServer(World(**SLOW_START))
    send(api, written())
    send(api, written(write=2, node="m"))
    assert heard(api) == [(0, WriteRefused), (0, Confirmed), (20, MemberReady)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param([], MemberGone, id="no such pod"),
        pytest.param([written()], Confirmed, id="on its node"),
        pytest.param([written(attempt_ns=8)], MemberGone, id="a pod of another attempt is not it"),
    ],
)
def test_what_a_look_finds(before, expected):
    api = ApiServer(World())
    for order in before:
        send(api, order)
    heard(api)
    look(api, 1)
    assert heard(api) == [(1, expected)]


def test_a_look_that_overtakes_the_write_finds_nothing():
    api = ApiServer(World(seed=1, write=Delay(least_ns=5)))
    send(api, written(), now_ns=1)
    api.world = World()
    look(api, 2)
    assert heard(api) == [(2, NotWritten), (6, MemberReady)]


def test_a_lost_look_has_no_answer():
    api = ApiServer(World())
    send(api, written())
    heard(api)
    api.world = World(request_lost_share=1.0)
    look(api, 1)
    assert heard(api) == []


def test_a_pod_leaves_when_its_grace_is_over_and_only_once():
    api = ApiServer(World(leave=Delay(least_ns=30)))
    send(api, written())
    heard(api)
    api.take_back(put_back("p"), 10)
    api.take_back(put_back("p"), 12)
    assert api.exists("p")
    assert heard(api) == [(40, PodLeft), (40, MemberGone)]
    assert not api.exists("p")
    api.take_back(put_back("p"), 50)
    assert heard(api) == [(50, MemberGone)]


def test_a_pod_without_a_node_leaves_at_once_and_a_late_write_changes_nothing():
    api = ApiServer(World(write=Delay(least_ns=5)))
    send(api, written())
    api.world = World(leave=Delay(least_ns=30))
    api.take_back(put_back("p"), 2)
    assert heard(api) == [(2, PodLeft), (2, MemberGone), (5, WriteRefused)]


def test_a_leaving_pod_does_not_become_ready():
    api = ApiServer(World(**SLOW_START, leave=Delay(least_ns=30)))
    send(api, written())
    api.take_back(put_back("p"), 2)
    assert heard(api) == [(0, Confirmed), (32, PodLeft), (32, MemberGone)]


def test_of_a_pod_that_is_forgotten_nothing_more_is_heard():
    api = ApiServer(World(**SLOW_START))
    send(api, written())
    assert heard(api, until_ns=0) == [(0, Confirmed)]
    api.forget("p")
    assert heard(api) == []


def test_an_order_to_a_former_attempt_does_not_touch_the_present_one():
    api = ApiServer(World())
    send(api, written(attempt_ns=8))
    heard(api)
    api.take_back(put_back("p", attempt_ns=7), 1)
    assert heard(api) == [(1, MemberGone)]
    assert api.exists("p")
