"""A pass over the queues: rounds, nodes for those who start, marks on those who have to go."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Device, Node
from gpuyard.model.queues import LocalQueue, QueuePreemption
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request
from gpuyard.scheduling import presets, queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queue_cycle import Evict, QueuePolicy
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from tests.small_queues import GPU, group, pods, queue, queues_of, workload

NOW = 7


class Yard:
    """Queues, who waits in them, and passes."""

    def __init__(self, *specs, policy=None, placer=None):
        self.policy = policy or QueuePolicy()
        self.placer = placer
        names = [spec.name for spec in specs]
        local = [LocalQueue(namespace="t", name=name, cluster_queue=name) for name in names]
        flavors = queues_of(*specs).flavors.values()
        self.queues = Queues(specs, flavors=flavors, local_queues=local)
        self.waiting = Waiting(self.queues, self.policy.rules)
        self.nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
        )

    def submit(self, key, *pod_sets, to="main", priority=0, at=0):
        asked = msgspec.structs.replace(
            workload(*pod_sets, key=f"t/{key}"), queue=f"t/{to}", priority=priority, created_ns=at
        )
        self.waiting.add(asked)

    def run(self):
        return queue_cycle.run(self.waiting, self.nominator, self.policy, NOW, placer=self.placer)


def started(plan):
    return [each.start.workload for each in plan.starts]


def test_one_round_starts_one_of_each_queue():
    yard = Yard(queue(group(h100=8)), queue(group(h100=8), name="other"))
    for key, to in (("a", "main"), ("b", "main"), ("c", "other")):
        yard.submit(key, pods(1), to=to)
    plan = yard.run()
    assert (sorted(started(plan)), plan.rounds) == (["t/a", "t/c"], 1)
    assert yard.queues.admitted["t/a"].reserved_ns == NOW
    assert started(yard.run()) == ["t/b"]


def test_rounds_follow_each_other_until_nothing_moves():
    yard = Yard(queue(group(h100=2)), policy=QueuePolicy(rounds_per_cycle=100))
    for index in range(4):
        yard.submit(f"w{index}", pods(1), at=index)
    plan = yard.run()
    assert started(plan) == ["t/w0", "t/w1"]
    assert plan.waits["t/w2"].code == "WaitingForQuota"
    assert plan.rounds == 3


def test_nobody_waits_is_no_round():
    assert Yard(queue(group(h100=2))).run().rounds == 0


def preempting(**settings):
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    yard = Yard(queue(group(h100=4), preemption=rules), **settings)
    yard.submit("low", pods(4))
    yard.run()
    yard.submit("high", pods(2), priority=5)
    return yard


def test_a_victim_is_marked_and_told_once():
    yard = preempting()
    plan = yard.run()
    assert plan.evicts == (Evict("t/low", "t/high", "InClusterQueue"),)
    assert yard.queues.admitted["t/low"].evicted
    assert plan.waits["t/high"].code == "WaitingForPreemptedWorkloads"
    again = yard.run()
    assert again.evicts == ()
    assert again.waits["t/high"].outcome == "preempting"


def test_when_the_victim_is_gone_its_place_is_taken():
    yard = preempting()
    yard.run()
    yard.queues.remove("t/low")
    assert started(yard.run()) == ["t/high"]


def a_placer(*gpus):
    snapshot = Snapshot()
    for rank, count in enumerate(gpus):
        snapshot.apply(
            NodeObserved(
                Node(
                    name=f"n{rank}",
                    rank=rank,
                    allocatable=Resources.of({GPU: count}),
                    labels=((HOSTNAME, f"n{rank}"),),
                )
            )
        )
    return Placer(snapshot, presets.preset("best-fit"), np.random.default_rng(0))


def test_who_starts_has_nodes():
    yard = Yard(queue(group(h100=8)), placer=a_placer(4, 4))
    yard.submit("a", pods(6))
    (admit,) = yard.run().starts
    assert len(admit.start.assignments) == len(yard.placer.snapshot.bookings) == 6
    assert admit.admission == yard.queues.admitted["t/a"].admission


def test_quota_without_nodes_is_no_start():
    yard = Yard(queue(group(h100=64)), placer=a_placer(4, 4))
    yard.submit("a", pods(9))
    plan = yard.run()
    assert (plan.starts, plan.waits["t/a"].code) == ((), "GangIncomplete")
    assert yard.queues.admitted == {}
    assert yard.placer.snapshot.bookings == {}
    assert list(yard.waiting.pending["main"].parked) == ["t/a"]


@pytest.mark.parametrize(("count", "code"), [(1, "Unschedulable"), (2, "GangIncomplete")])
def test_devices_in_pieces(count, code):
    """Quota counts GPUs, and the node has them only in pieces."""
    snapshot = Snapshot()
    snapshot.apply(NodeObserved(Node(name="a", devices=(Device(model="h100"),))))
    placer = Placer(snapshot, presets.preset("best-fit"), np.random.default_rng(0))
    yard = Yard(queue(group(h100=64)), placer=placer)
    request = Request(resources=Resources.of({}), devices=DeviceRequest(count=1, milli=600))
    yard.submit("first", PodSet(name="m", count=1, template=PodTemplate(request=request)))
    assert started(yard.run()) == ["t/first"]
    yard.submit("second", PodSet(name="m", count=count, template=PodTemplate(request=request)))
    assert yard.run().waits["t/second"].code == code


def test_without_nodes_the_next_of_the_queue_may_start():
    yard = Yard(queue(group(h100=64)), placer=a_placer(4), policy=QueuePolicy(rounds_per_cycle=9))
    yard.submit("large", pods(5), at=0)
    yard.submit("small", pods(2), at=1)
    plan = yard.run()
    assert (started(plan), list(plan.waits)) == (["t/small"], ["t/large"])


def test_in_strict_order_the_head_blocks():
    strict = queue(group(h100=4), queueing_strategy="StrictFIFO")
    yard = Yard(strict, policy=QueuePolicy(rounds_per_cycle=9))
    yard.submit("large", pods(5), at=0)
    yard.submit("small", pods(2), at=1)
    assert (started(yard.run()), yard.run().rounds) == ([], 1)
