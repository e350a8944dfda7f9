"""Who stands alone: one workload that asks for it in each domain, as ComputeDomains need."""

import pytest

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Node
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME, Topology, TopologyRequest
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import PodSetRequest, Refusal, place, survey, usage_of
from tests.small_queues import GPU, pods

CLIQUE = "nvidia.com/gpu.clique"
EACH = Resources.of({GPU: 1})
ALONE = TopologyRequest(mode="required", level=CLIQUE, alone_in=CLIQUE)
TOGETHER = TopologyRequest(mode="required", level=CLIQUE)


@pytest.fixture
def capacity():
    """Two cliques of two hosts with four GPUs each."""
    snapshot = Snapshot()
    for index in range(4):
        name = f"n{index}"
        labels = ((HOSTNAME, name), (CLIQUE, f"c{index // 2}"))
        node = Node(name=name, rank=index, labels=labels, allocatable=Resources.of({GPU: 4}))
        snapshot.apply(NodeObserved(node))
    flavor = ResourceFlavor(name="gb200", topology="racks")
    return survey(snapshot, flavor, Topology(name="racks", levels=(CLIQUE, HOSTNAME)))


def ask(count, topology, name="main"):
    return PodSetRequest(
        pod_set=pods(count, name=name, topology=topology), count=count, per_pod=EACH
    )


def start(capacity, count, topology):
    """Place and count a workload; return its usage and hosts, or a refusal."""
    found = place(capacity, [ask(count, topology)])
    if isinstance(found, Refusal):
        return found
    usage = usage_of("gb200", EACH, found[0])
    capacity.use(usage)
    return usage


def hosts(usage):
    return sorted(domain.values[-1] for domain in usage.domains)


def test_two_of_them_never_share_a_domain(capacity):
    first, second = start(capacity, 2, ALONE), start(capacity, 2, ALONE)
    assert {host in {"n0", "n1"} for host in hosts(first)} != {
        host in {"n0", "n1"} for host in hosts(second)
    }
    third = start(capacity, 1, ALONE)
    assert isinstance(third, Refusal)
    assert third.excluded.topology_domain == 4


def test_others_may_stand_beside(capacity):
    start(capacity, 2, ALONE)
    start(capacity, 2, ALONE)
    assert not isinstance(start(capacity, 6, TOGETHER), Refusal)


def test_when_one_is_gone_its_domain_is_free(capacity):
    start(capacity, 2, ALONE)
    gone = start(capacity, 2, ALONE)
    capacity.release(gone)
    assert not isinstance(start(capacity, 8, ALONE), Refusal)


def test_in_an_empty_topology_everything_is_free(capacity):
    start(capacity, 1, ALONE)
    start(capacity, 1, ALONE)
    assert isinstance(place(capacity, [ask(1, ALONE)]), Refusal)
    assert not isinstance(place(capacity, [ask(1, ALONE)], empty=True), Refusal)


def test_usage_fits_only_where_nobody_stands_alone(capacity):
    usage = usage_of("gb200", EACH, place(capacity, [ask(2, ALONE)])[0])
    assert capacity.fits([usage])
    capacity.use(usage)
    assert not capacity.fits([usage])
    capacity.release(usage)
    assert capacity.fits([usage])


def test_pod_sets_of_one_workload_share_their_domain(capacity):
    grouped = TopologyRequest(mode="required", level=CLIQUE, alone_in=CLIQUE, group="g")
    found = place(capacity, [ask(1, grouped, "leader"), ask(5, grouped, "workers")])
    assert not isinstance(found, Refusal)
    usages = [usage_of("gb200", EACH, each) for each in found]
    assert capacity.fits(usages)
    for usage in usages:
        capacity.use(usage)
    assert not isinstance(start(capacity, 8, ALONE), Refusal)


def test_a_level_that_is_not_there_is_refused(capacity):
    nowhere = TopologyRequest(mode="required", level=CLIQUE, alone_in="rack")
    refused = place(capacity, [ask(1, nowhere)])
    assert (refused.code, refused.level) == ("no-level", "rack")
