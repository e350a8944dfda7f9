"""The one domain of a pod group: which there are, which is best, and that nobody stands outside."""

import numpy as np
import pytest

from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.model.policy import DEVICES, ResourceWeight, WeightedScore
from gpuyard.scheduling.gang import domains, start
from gpuyard.scheduling.gang.domains import Domain, ScatteredError
from tests.small_fleet import node, placer_of, template
from tests.small_pods import cluster, running, state, waiting

RULES = PodGroupRules(honors_topology=True)
BY_RACK = PodGroup(key="g", min_count=2, topology_key="rack")


def in_rack(name, rack, cpu=4000, **facts):
    return node(name, cpu, labels=(("rack", rack),) if rack else (), **facts)


FOUR = [in_rack("a", "r1"), in_rack("b", "r2"), in_rack("c", "r1"), in_rack("d", "")]


def values(snapshot, key="rack", **how):
    return {
        each.value: [snapshot.nodes[slot].name for slot in each.slots]
        for each in domains.domains(snapshot, key, **how)
    }


def members(*cpus):
    return [waiting(f"m{index}", cpu, group="g") for index, cpu in enumerate(cpus)]


# -- which there are


def test_each_value_of_the_label_is_a_domain():
    assert values(cluster(FOUR)) == {"r1": ["a", "c"], "r2": ["b"]}


def test_without_a_label_all_nodes_are_one():
    assert values(cluster(FOUR), None) == {"": ["a", "b", "c", "d"]}


def test_a_label_that_no_node_has_makes_no_domain():
    assert values(cluster(FOUR), "row") == {}


def test_the_domain_of_the_smallest_rank_comes_first():
    nodes = [in_rack("a", "r1", rank=5), in_rack("b", "r2", rank=1), in_rack("c", "r1", rank=0)]
    assert list(values(cluster(nodes)).items()) == [("r1", ["c", "a"]), ("r2", ["b"])]


def test_only_the_nodes_that_are_given():
    snapshot = cluster(FOUR)
    slots = np.array([snapshot.slot_of[name] for name in "cb"])
    assert values(snapshot, slots=slots) == {"r2": ["b"], "r1": ["c"]}


def test_members_that_stand_decide():
    snapshot = cluster(FOUR)
    assert values(snapshot, standing=["b"]) == {"r2": ["b"]}
    assert values(snapshot, slots=np.array([snapshot.slot_of["a"]]), standing=["b"]) == {}


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        pytest.param(["a", "b"], "several domains: r1, r2", id="in two"),
        pytest.param(["a", "gone"], "gone, which is not known", id="on a lost node"),
        pytest.param(["d"], "d, where a member stands, has no label rack", id="in none"),
    ],
)
def test_members_that_stand_scattered(standing, said):
    with pytest.raises(ScatteredError, match=said):
        domains.domains(cluster(FOUR), "rack", standing=standing)


# -- which is best


def started(nodes, pods, running_pods=(), *, group=BY_RACK, rules=RULES, **how):
    placer = placer_of(cluster(nodes, running_pods), "kube")
    before = state(placer.snapshot)
    outcome = domains.start_in_one(placer, group, pods, rules, **how)
    assert outcome.starts or state(placer.snapshot) == before
    bound = {
        key: each.assignment.node
        for key, each in placer.snapshot.bookings.items()
        if key.startswith("m")
    }
    return outcome, bound


def test_all_members_stand_in_one_domain():
    _, bound = started([in_rack("a", "r1"), *FOUR[1:]], members(4000, 4000))
    assert set(bound.values()) == {"a", "c"}


def test_no_domain_is_large_enough():
    outcome, bound = started(
        FOUR, members(4000, 4000, 4000), group=PodGroup(key="g", min_count=3, topology_key="rack")
    )
    assert not outcome.starts
    assert len(outcome.refused) == 3
    assert not bound


def test_no_domain_at_all():
    outcome, _ = started([in_rack("d", "")], members(1000, 1000))
    assert outcome.refused == ("m0", "m1")


def test_the_tightest_domain_is_taken():
    nodes = [in_rack("a", "large", 16000), in_rack("b", "small", 4000)]
    _, bound = started(nodes, members(1000, 1000))
    assert set(bound.values()) == {"b"}


def test_more_pods_outweigh_a_tighter_fit_by_the_weights():
    nodes = [in_rack("a", "large", 9000), in_rack("b", "small", 2000)]
    pods = members(1000, 1000, 1000)
    only_tight = PodGroupRules(honors_topology=True, pods_count_weight=0)
    assert set(started(nodes, pods, rules=only_tight)[1].values()) == {"b"}
    only_count = PodGroupRules(honors_topology=True, tightest=None)
    assert set(started(nodes, pods, rules=only_count)[1].values()) == {"a"}


def test_ties_go_to_the_smallest_rank():
    nodes = [in_rack("a", "r1", rank=2), in_rack("b", "r2", rank=1)]
    assert set(started(nodes, members(1000, 1000))[1].values()) == {"b"}


def test_members_join_those_that_stand():
    standing = [running("s", "b", 1000, group="g")]
    nodes = [in_rack("a", "r1"), in_rack("b", "r2", 16000)]
    _, bound = started(nodes, members(1000), standing, standing=["b"])
    assert bound == {"m0": "b"}


def test_without_the_rule_or_the_wish_anywhere_will_do():
    pods, racks = members(4000, 4000), [in_rack("a", "r1"), in_rack("b", "r2")]
    assert not started(racks, pods)[0].starts
    assert started(racks, pods, rules=PodGroupRules())[0].starts
    assert started(racks, pods, group=PodGroup(key="g", min_count=2))[0].starts


def test_a_try_leaves_no_trace():
    placer = placer_of(cluster(FOUR), "kube")
    before = state(placer.snapshot)
    [first, second] = domains.domains(placer.snapshot, "rack")
    assert domains.try_in(placer, BY_RACK, members(4000, 4000), first).starts
    assert not domains.try_in(placer, BY_RACK, members(4000, 4000), second).starts
    assert state(placer.snapshot) == before


# -- scores


def test_counted_are_pods_that_find_a_place_and_those_that_have_one():
    found = [start.Member(pod="a", node="n"), start.Member(pod="b")]
    assert domains.pods_count(start.verdict(found), standing=3) == 4


@pytest.mark.parametrize(
    ("counts", "shares"),
    [([10, 50, 110], [9, 45, 100]), ([5], [100]), ([0, 4], [0, 100])],
    ids=["rounded down", "alone", "nobody in one"],
)
def test_counts_as_shares_of_the_most(counts, shares):
    assert domains.share_of_most(np.array(counts)).tolist() == shares


def test_nobody_anywhere_has_no_share():
    assert domains.share_of_most(np.array([0, 0])) is None


def test_scores_are_weighed_and_summed():
    totals = domains.weighed([(1, np.array([75, 50])), (2, np.array([10, 25]))])
    assert totals.tolist() == [95, 100]
    assert domains.highest(totals) == 1
    assert domains.highest(np.array([7, 7])) == 0


def test_tightness_counts_devices_in_thousandths():
    snapshot = cluster(
        [node("a", gpus="AAAA"), node("b", gpus="AAAA")], [running("x", "a", of=template(0, 2))]
    )
    term = WeightedScore(name="most-allocated", resources=(ResourceWeight(DEVICES),))
    asked = [template(0, 1, milli=500), template(0, 1)]
    assert domains.tightness(snapshot, [0, 1], asked, term) == 43  # 3500 of 8000
    assert domains.tightness(snapshot, [1], asked[1:], term) == 25


def test_a_domain_is_a_value_and_its_nodes():
    assert domains.domains(cluster([in_rack("a", "r1")]), "rack") == (Domain("r1", (0,)),)
