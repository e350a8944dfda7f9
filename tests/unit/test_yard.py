"""A yard is a fold over facts and passes: whoever told it what, in whatever way it came to know."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.deltas import (
    LedgerChanged,
    NodeObserved,
    NodeRemoved,
    PodBound,
    PodGone,
    QueuesObserved,
    QueuesWoken,
    WorkloadGone,
    WorkloadHolds,
    WorkloadRipe,
    WorkloadRuns,
    WorkloadWaits,
)
from gpuyard.model.ledger import Hold, Recorded
from gpuyard.model.nodes import Device, Node
from gpuyard.model.queues import Admission, Admitted, LocalQueue, ResourceFlavor
from gpuyard.model.resources import Resources
from gpuyard.model.running import Running
from gpuyard.model.topology import HOSTNAME, Topology
from gpuyard.model.workloads import (
    Assignment,
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    Workload,
)
from gpuyard.scheduling.presets import PRESETS
from gpuyard.scheduling.yard import Losses, Yard
from tests.small_queues import GPU, group, queue

HOSTS = Topology(name="hosts", levels=(HOSTNAME,))
FLAVOR = ResourceFlavor(name="h100", node_labels=(("gpu", "h100"),), topology="hosts")
FOUR = PodTemplate(
    request=Request(resources=Resources.of({GPU: 4}), devices=DeviceRequest(count=4))
)


def node(name):
    return Node(
        name=name,
        allocatable=Resources.of({GPU: 8, "cpu": 64_000, "memory": 2**40, "pods": 110}),
        devices=(Device(model="H100"),) * 8,
        labels=(("gpu", "h100"), (HOSTNAME, name)),
        rank=int(name[-1]),
    )


def queues(*names, gpus=16):
    return QueuesObserved(
        cluster_queues=tuple(queue(group(h100=gpus), name=name) for name in names),
        local_queues=tuple(
            LocalQueue(namespace="", name=name, cluster_queue=name) for name in names
        ),
        flavors=(FLAVOR,),
        topologies=(HOSTS,),
    )


def workload(key, pods=1, *, to="main", at=0, **facts):
    asked = PodSet(name="main", count=pods, template=FOUR)
    return Workload(key=key, pod_sets=(asked,), created_ns=at, queue=to, **facts)


def yard(*facts, policy="gpuyard"):
    made = Yard(PRESETS[policy], np.random.default_rng(0))
    for fact in facts:
        made.apply(fact)
    return made


def started(plan):
    return {each.workload: sorted({one.node for one in each.assignments}) for each in plan.starts}


def pod(name, on, group=""):
    return PodBound(Assignment(pod=name, template=FOUR, node=on, group=group))


def test_who_waits_starts_with_quota_and_nodes():
    now = yard(NodeObserved(node("n1")), queues("main"), WorkloadWaits(workload("a", 2)))
    plan = now.decide(5).as_plan()
    assert started(plan) == {"a": ["n1"]}
    assert plan.starts[0].admission.cluster_queue == "main"
    assert now.queues.admitted["a"].reserved_ns == 5
    assert now.decide(6).as_plan().starts == ()


@pytest.mark.parametrize(
    ("facts", "nodes"),
    [
        pytest.param((), None, id="no node"),
        pytest.param((NodeObserved(node("n1")),), ["n1"], id="a node that came"),
        pytest.param((NodeObserved(node("n1")), NodeRemoved("n1")), None, id="and went"),
        pytest.param((NodeObserved(node("n1")), pod("f", "n1")), None, id="one with a foreign pod"),
        pytest.param(
            (NodeObserved(node("n1")), pod("f", "n1"), PodGone("f")), ["n1"], id="that has gone"
        ),
    ],
)
def test_places_follow_nodes_and_foreign_pods(facts, nodes):
    now = yard(queues("main"), WorkloadWaits(workload("a", 2)))
    assert now.decide(0).as_plan().starts == ()
    for fact in (*facts, QueuesWoken(("main",))):
        now.apply(fact)
    assert started(now.decide(1)) == ({"a": nodes} if nodes else {})


def test_what_was_seen_counts_as_what_was_decided():
    """A restarted yard is told what the first one wrote, and goes on as that would have."""
    nodes = [NodeObserved(node("n1")), NodeObserved(node("n2"))]
    first = yard(*nodes, queues("main"), WorkloadWaits(workload("a", 2)))
    (start,) = first.decide(0).as_plan().starts
    told = yard(*nodes, *map(PodBound, start.assignments), queues("main"))
    told.decide(0)
    told.apply(WorkloadHolds(Admitted(workload=workload("a", 2), admission=start.admission)))
    for each in (first, told):
        each.apply(WorkloadWaits(workload("b", 2, at=1)))
        each.apply(WorkloadWaits(workload("c", 1, at=2)))
    plans = [each.decide(3).as_plan() for each in (first, told)]
    assert plans[0] == plans[1]
    assert set(started(plans[0])) == {"b"}
    (wait,) = plans[0].waits
    assert (wait.workload, wait.code) == ("c", "WaitingForQuota")
    assert wait.sentence


def test_who_is_gone_neither_waits_nor_holds():
    now = yard(NodeObserved(node("n1")), queues("main"), WorkloadWaits(workload("a", 2)))
    (start,) = now.decide(0).starts
    now.apply(WorkloadWaits(workload("b", 2)))
    now.apply(WorkloadWaits(workload("c", 2)))
    for one in start.assignments:
        now.apply(PodGone(one.pod))
    for key in ("a", "b"):
        now.apply(WorkloadGone(key))
    assert started(now.decide(1)) == {"c": ["n1"]}


def test_queues_that_come_and_go_take_their_workloads_along():
    now = yard(NodeObserved(node("n1")), queues("other"), WorkloadWaits(workload("a")))
    assert now.decide(0).as_plan().starts == ()
    now.apply(queues("main"))
    assert started(now.decide(1)) == {"a": ["n1"]}
    now.apply(queues("other"))
    now.apply(WorkloadWaits(workload("b", to="other")))
    assert started(now.decide(2)) == {"b": ["n1"]}
    assert set(now.queues.admitted) == {"b"}


def test_holds_outlive_a_change_of_nodes():
    now = yard(NodeObserved(node("n1")), queues("main", gpus=8))
    now.apply(WorkloadWaits(workload("low", 2)))
    now.decide(0)
    urgent = workload("urgent", 2, at=1, kind="inference", priority=9)
    now.apply(WorkloadRuns(Running(key="low", pods=(), started_ns=0)))
    now.apply(QueuesObserved(**{**as_dict(queues("main", gpus=8)), **preempting()}))
    now.apply(WorkloadWaits(urgent))
    assert [each.victim for each in now.decide(2).evicts] == ["low"]
    now.apply(NodeObserved(node("n2")))
    now.decide(3)
    assert set(now.queues.holds) == {"urgent"}


def as_dict(delta):
    return {name: getattr(delta, name) for name in delta.__struct_fields__}


def preempting():
    from gpuyard.model.queues import QueuePreemption

    spec = queue(
        group(h100=8),
        name="main",
        preemption=QueuePreemption(within_cluster_queue="LowerPriority"),
    )
    return {"cluster_queues": (spec,)}


def test_the_ledger_is_told_what_others_learned():
    hold = Hold(workload="x", rooms=(), since_ns=0, until_ns=9)
    now = yard(queues("main"), LedgerChanged((Recorded(hold),)))
    assert now.ledger.get(Hold, "x") == hold
    assert now.decide(9).changes  # it has expired


def test_a_back_off_ends_when_its_time_has_come():
    now = yard(NodeObserved(node("n1")), queues("main"))
    now.apply(WorkloadWaits(msgspec.structs.replace(workload("a"), not_before_ns=50)))
    assert started(now.decide(49)) == {}
    now.apply(WorkloadRipe("a", 50))
    assert started(now.decide(50)) == {"a": ["n1"]}


def test_a_policy_without_queues_is_refused():
    with pytest.raises(ValueError, match="needs a policy with queues"):
        yard(policy="kube")


@pytest.mark.parametrize(
    ("facts", "lost_ns"),
    [
        pytest.param({}, 90, id="nobody told: everything since it started"),
        pytest.param({"checkpoint_ns": 70}, 30, id="since it was saved"),
        pytest.param({"checkpoint_ns": 5}, 90, id="a checkpoint of before the start"),
        pytest.param({"works_since_ns": 20, "saves_every_ns": 30}, 20, id="twice saved by habit"),
        pytest.param({"works_since_ns": 80, "saves_every_ns": 30}, 90, id="not yet saved"),
        pytest.param({"works_since_ns": 20, "saves_every_ns": 0}, 0, id="always saved"),
        pytest.param({"works_since_ns": 20, "saves_every_ns": 0, "restart_ns": 7}, 7, id="restart"),
        pytest.param({"checkpoint_ns": 130}, 0, id="clocks that disagree"),
        pytest.param({"checkpoint_ns": -7}, 90, id="no instant is the first"),
    ],
)
def test_what_an_eviction_would_throw_away(facts, lost_ns):
    assert Running(key="a", pods=(), started_ns=10, **facts).lost_ns(100) == lost_ns


def test_work_without_a_device_counts_as_if_it_had_one():
    bare = PodTemplate(request=Request(resources=Resources.of({"cpu": 1000})))
    held = {
        key: Admitted(
            workload=Workload(
                key=key, pod_sets=(PodSet(name="m", count=1, template=of),), created_ns=0
            ),
            admission=Admission("main", ()),
        )
        for key, of in (("bare", bare), ("four", FOUR))
    }
    running = {key: Running(key=key, pods=(), started_ns=0) for key in held}
    losses = Losses(running, held, 50)
    assert (losses["bare"].device_ns, losses["four"].device_ns) == (50, 200)
