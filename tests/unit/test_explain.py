"""Why a workload waits: the constraint that binds, and a remedy that was tried out."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.constraints import Taint
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Node
from gpuyard.model.queues import Admission, Admitted, PodSetAssignment, ResourceFlavor
from gpuyard.model.reasons import Constraint, Rejection
from gpuyard.model.resources import Resources
from gpuyard.model.topology import Topology, TopologyRequest
from gpuyard.scheduling import cycle, presets
from gpuyard.scheduling.admission import round as admission_round
from gpuyard.scheduling.admission.entries import Head
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.explain import explain, of_placement
from gpuyard.scheduling.flavors.scan import ScanStamp
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey
from tests.small_queues import GPU, group, pods, queue, queues_of, workload

HOST = "kubernetes.io/hostname"


def reason(queues, waiting, name="main"):
    """Return why `waiting` does not start in queue `name`."""
    nominator = Nominator(queues, AdmissionRules(), now=lambda _: ScanStamp(cycle=0, generation=0))
    (verdict,) = admission_round.run(nominator, [Head(workload=waiting, queue=name)])
    assert verdict.outcome != "admitted"
    return explain(nominator, verdict)


def remedy(queues, waiting, name="main"):
    """Return the only remedy in words, `None` where there is none."""
    remedies = reason(queues, waiting, name).remedies
    assert all(each.checked and each.start_p50_ns is None for each in remedies)
    return remedies[0].change if remedies else None


def holding(queues, key, gpus, name="main"):
    held = PodSetAssignment(
        name="main", count=1, flavors=((GPU, "h100"),), usage=Resources.of({GPU: gpus})
    )
    queues.admit(
        Admitted(workload=workload(pods(1, gpus), key=key), admission=Admission(name, (held,)))
    )


def fully_used(**holders):
    queues = queues_of(queue(group(h100=8)))
    for key, gpus in holders.items():
        holding(queues, f"team/{key}", gpus)
    return queues


# -- what binds


def test_unused_quota_binds_with_its_numbers():
    found = reason(fully_used(a=6), workload(pods(4)))
    assert found.code == "WaitingForQuota"
    assert found.binding == Constraint(
        name=GPU, needed=4, have=2, where="ClusterQueue main, flavor h100: unused quota"
    )
    assert found.sentence.startswith("couldn't assign flavors to pod set main")


def test_more_than_the_queue_will_ever_have():
    found = reason(queues_of(queue(group(h100=8))), workload(pods(9)))
    assert (found.code, found.binding.have, found.binding.needed) == ("ExceedsMaxQuota", 8, 9)
    assert found.binding.where == "ClusterQueue main, flavor h100: all quota"


def test_the_nearest_of_several_flavors_binds():
    queues = queues_of(queue(group(a100=2, h100=7)))
    assert reason(queues, workload(pods(8))).binding.where.startswith(
        "ClusterQueue main, flavor h100"
    )


def test_what_has_no_numbers_binds_nothing():
    spot = ResourceFlavor(name="spot", node_taints=(Taint("spot", "", "NoSchedule"),))
    queues = queues_of(queue(group(spot=8)), flavors=[spot])
    found = reason(queues, workload(pods(1)))
    assert (found.code, found.binding) == ("NoMatchingFlavor", None)


# -- what would change it


def test_tolerating_a_taint():
    spot = ResourceFlavor(name="spot", node_taints=(Taint("spot", "yes", "NoSchedule"),))
    queues = queues_of(queue(group(h100=1, spot=8)), flavors=[spot])
    assert (
        remedy(queues, workload(pods(4))) == "tolerate the taint spot=yes:NoSchedule of flavor spot"
    )


def test_fewer_pods():
    assert remedy(fully_used(a=5), workload(pods(4))) == "run with 3 of 4 pods of main"


def test_somebody_else_ends_and_nobody_is_named_in_vain():
    queues = fully_used(small=1, large=7)
    assert remedy(queues, workload(pods(1, 2))) == "wait until team/large has ended"


def test_several_have_to_end():
    queues = fully_used(**{f"w{index}": 1 for index in range(8)})
    change = remedy(queues, workload(pods(1, 7)))
    assert change == "wait until team/w0, team/w1, team/w2, team/w3, team/w4 and 2 more have ended"


def test_more_quota_where_nothing_else_helps():
    queues = queues_of(queue(group(h100=8)))
    change = "give ClusterQueue main 8 nvidia.com/gpu more in flavor h100"
    assert remedy(queues, workload(pods(1, 16))) == change


def test_no_remedy_where_none_of_ours_helps():
    queues = queues_of(queue(group(h100={GPU: 8})))
    impossible = workload(pods(1, asks={"example.com/fpga": 1}))
    assert remedy(queues, impossible) is None


def test_the_state_is_the_same_afterwards():
    queues = fully_used(a=3, b=5)
    before = dict(queues.admitted), dict(queues.node("main").usage)
    remedy(queues, workload(pods(1, 8)))
    assert (queues.admitted, queues.node("main").usage) == before


def racks(*, hosts_free):
    """Return queues over two racks with so many GPUs free on each host."""
    snapshot = Snapshot()
    for index, free in enumerate(hosts_free):
        name = f"n{index}"
        labels = ((HOST, name), ("rack", f"r{index}"))
        node = Node(name=name, rank=index, labels=labels, allocatable=Resources.of({GPU: free}))
        snapshot.apply(NodeObserved(node))
    flavor = ResourceFlavor(name="h100", topology="racks")
    queues = queues_of(queue(group(h100=64)), flavors=[flavor])
    topology = Topology(name="racks", levels=("rack", HOST))
    queues.places["h100"] = survey(snapshot, flavor, topology)
    return queues


def test_preferring_a_rack_instead_of_requiring_it():
    queues = racks(hosts_free=(4, 4))
    together = TopologyRequest(mode="required", level="rack")
    found = reason(queues, workload(pods(6, topology=together)))
    assert found.code == "TopologyPlacementFailed"
    assert found.remedies[0].change == "prefer the topology level instead of requiring it"


def test_places_bind_with_the_largest_gang_that_would_start():
    queues = racks(hosts_free=(4, 2))
    holding_places = TopologyRequest(mode="required", level="rack")
    found = reason(queues, workload(pods(6, topology=holding_places)))
    assert (found.binding.name, found.binding.needed, found.binding.have) == ("pods", 6, 4)
    assert found.binding.where == "topology racks, level rack, flavor h100"


# -- nodes


def a_fleet(*free):
    snapshot = Snapshot()
    for index, gpus in enumerate(free):
        node = Node(name=f"n{index}", rank=index, allocatable=Resources.of({GPU: gpus}))
        snapshot.apply(NodeObserved(node))
    return Placer(snapshot, presets.placement("best-fit"), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("free", "asked", "code", "have"),
    [
        pytest.param((4, 2), pods(8, 1), "GangIncomplete", 6, id="some members fit"),
        pytest.param((4, 2), pods(1, 8), "Unschedulable", 0, id="no node has as many"),
        pytest.param((), pods(1, 1), "NoSuchNode", 0, id="no nodes"),
    ],
)
def test_nodes_that_do_not_take_the_pods(free, asked, code, have):
    found = of_placement(a_fleet(*free), cycle.members(workload(asked)))
    assert (found.code, found.binding.have, found.binding.needed) == (code, have, asked.count)
    assert found.sentence.startswith(f"{have} of {asked.count} pods fit on {len(free)} nodes")


def test_each_node_says_why():
    found = of_placement(a_fleet(4, 2), cycle.members(workload(pods(1, 8))))
    too_small = Rejection(filter="NodeResourcesFit", text=f"Insufficient {GPU}", resolvable=False)
    assert found.rejections == ((too_small, 2),)
    assert found.sentence == f"0 of 1 pods fit on 2 nodes: 2 Insufficient {GPU}"


def test_of_several_shapes_the_scarcest_speaks():
    mixed = workload(pods(2, 1, name="small"), pods(2, 4, name="large"))
    found = of_placement(a_fleet(4, 2), cycle.members(mixed))
    assert (found.binding.have, found.binding.needed) == (1, 2)


def test_reasons_can_be_written_down():
    found = reason(fully_used(a=6), workload(pods(4)))
    assert msgspec.json.decode(msgspec.json.encode(found))["binding"]["needed"] == 4
