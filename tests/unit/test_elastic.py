"""Elastic workloads: a core that starts whole, and extras that come and go."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from gpuyard.model.queues import LocalQueue, QueuePreemption
from gpuyard.model.topology import TopologyRequest
from gpuyard.scheduling import queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.elastic import core_of, is_extra, split
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from tests.small_queues import group, pods, queue, queues_of, workload

REQUIRED = TopologyRequest(mode="required", level="rack")


def test_the_core_is_a_gang_and_extras_are_single_pods():
    core, extras = split(workload(pods(1, name="head"), pods(4, 2, name="workers", min_count=2)))
    assert [(each.name, each.count, each.min_count) for each in core.pod_sets] == [
        ("head", 1, None),
        ("workers", 2, None),
    ]
    assert [each.key for each in extras] == ["team/job+workers-2", "team/job+workers-3"]
    assert {each.pod_count for each in extras} == {1}
    assert {each.priority for each in extras} == {core.priority - 1}


@pytest.mark.parametrize(
    "pod_set",
    [
        pytest.param(pods(4), id="no minimal count"),
        pytest.param(pods(4, min_count=4), id="all are needed"),
        pytest.param(pods(4, min_count=9), id="more than there are"),
        pytest.param(pods(4, min_count=2, topology=REQUIRED), id="all in one domain"),
    ],
)
def test_who_has_no_extras_has_all_its_pods_in_the_core(pod_set):
    core, extras = split(workload(pod_set))
    assert (core.pod_count, extras) == (4, ())


@given(st.lists(st.tuples(st.integers(1, 6), st.none() | st.integers(1, 8)), max_size=4))
def test_nothing_is_lost_or_added(counts):
    whole = workload(
        *(pods(count, name=f"p{i}", min_count=least) for i, (count, least) in enumerate(counts))
    )
    core, extras = split(whole)
    assert core.pod_count + len(extras) == whole.pod_count
    assert len({core.key, *(each.key for each in extras)}) == 1 + len(extras)
    assert {core_of(each.key) for each in extras} <= {whole.key}
    assert [is_extra(each.key) for each in (core, *extras)] == [False] + [True] * len(extras)


class Yard:
    """One queue of eight GPUs in which lower priority may be evicted."""

    def __init__(self):
        self.policy = QueuePolicy(rounds_per_cycle=99)
        rules = QueuePreemption(within_cluster_queue="LowerPriority")
        spec = queue(group(h100=8), preemption=rules)
        local = LocalQueue(namespace="t", name="main", cluster_queue="main")
        flavors = queues_of(spec).flavors.values()
        self.queues = Queues([spec], flavors=flavors, local_queues=[local])
        self.waiting = Waiting(self.queues, self.policy.rules)
        self.nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
        )

    def submit(self, whole):
        self.waiting.add(msgspec.structs.replace(whole, queue="t/main"))

    def run(self):
        return queue_cycle.run(self.waiting, self.nominator, self.policy, 0)


def test_it_grows_into_what_is_free_and_shrinks_for_another_core():
    yard = Yard()
    core, extras = split(workload(pods(12, min_count=2), key="t/elastic"))
    yard.submit(core)
    yard.run()
    for extra in extras:
        yard.submit(extra)
    yard.run()
    assert len(yard.queues.admitted) == 7  # the core of two, and six extras
    yard.submit(workload(pods(4), key="t/other"))
    victims = {each.victim for each in yard.run().evicts}
    assert len(victims) == 4
    assert all(map(is_extra, victims))
    for victim in victims:
        yard.queues.remove(victim)
    assert [each.workload for each in yard.run().starts] == ["t/other"]
    assert "t/elastic" in yard.queues.admitted
