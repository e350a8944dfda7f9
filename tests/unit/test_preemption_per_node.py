"""Who leaves which node for one pod, which node is chosen, and who may ask for it at all."""

import numpy as np
import pytest

from gpuyard.model.constraints import Constraints, HostPort, LabelSelector, PodTerm, Requirement
from gpuyard.model.disruption import DisruptionBudget, PreemptionRules
from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.scheduling.preemption.nodes import eligibility, importance, per_node, pick
from gpuyard.scheduling.preemption.nodes.per_node import Candidate
from gpuyard.scheduling.preemption.nodes.reach import within_reach
from tests.small_fleet import node, placer_of, template
from tests.small_pods import cluster, names, running, state, waiting

APP = LabelSelector((Requirement("app", "In", ("x",)),))
LABELS = (("app", "x"),)
BUDGET = DisruptionBudget(namespace="default", name="b", selector=APP, allowed=0)


def found(nodes, pods, pod, budgets=(), rules=per_node.KUBE_RULES, **how):
    placer = placer_of(cluster(nodes, pods), "kube")
    return per_node.candidates(placer, pod, budgets, rules, **how)


def victims(*arguments, **how):
    return {each.node: names(each.victims) for each in found(*arguments, **how)}


# -- the dry run


def test_only_pods_of_lower_priority_leave():
    pods = [running("low", "n", 4000), running("same", "n", 4000, priority=10)]
    assert victims([node("n")], pods, waiting(cpu=4000)) == {"n": ["low"]}
    assert victims([node("n")], pods, waiting(cpu=5000)) == {}
    assert per_node.dry_run(cluster([node("n")], pods), waiting(cpu=5000), 0) is None


def test_a_smaller_pod_of_lower_priority_stays_where_it_is_not_in_the_way():
    pods = [running("small", "n", 1000), running("large", "n", 7000, priority=5)]
    assert victims([node("n")], pods, waiting(cpu=6000)) == {"n": ["large"]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"priority": 1}, {}, id="the higher priority stays"),
        pytest.param({"start_ns": 1}, {"start_ns": 2}, id="of equal priority the older stays"),
        pytest.param({"start_ns": 9}, {}, id="one that has not started counts as youngest"),
        pytest.param({"priority": 1, "start_ns": 9}, {"start_ns": 1}, id="priority before age"),
        pytest.param({}, {}, id="all equal: the smaller key stays"),
    ],
)
def test_the_most_important_comes_back_first(first, second):
    pods = [running("a", "n", 4000, **first), running("b", "n", 4000, **second)]
    assert victims([node("n")], pods, waiting(cpu=4000)) == {"n": ["b"]}
    assert importance.of_pod(pods[0]) < importance.of_pod(pods[1])


def test_a_pod_under_a_spent_budget_comes_back_before_more_important_ones():
    pods = [running("kept", "n", 4000, labels=LABELS), running("old", "n", 4000, priority=5)]
    assert victims([node("n")], pods, waiting(cpu=4000), [BUDGET]) == {"n": ["old"]}


def test_a_budget_is_broken_where_there_is_no_other_way():
    pods = [running("a", "n", 4000, labels=LABELS), running("b", "n", 4000, labels=LABELS)]
    [candidate] = found([node("n")], pods, waiting(cpu=8000), [BUDGET])
    assert (names(candidate.victims), candidate.pdb_violations) == (["a", "b"], 2)


def test_victims_are_told_in_order_of_importance():
    pods = [
        running("c", "n", 2000, priority=1, labels=LABELS),
        running("a", "n", 2000, priority=3),
        running("b", "n", 2000, priority=2),
    ]
    assert victims([node("n")], pods, waiting(cpu=8000), [BUDGET]) == {"n": ["a", "b", "c"]}


def test_a_node_where_the_pod_fits_as_it_is_is_no_candidate():
    pods = [running("low", "n", 1000)]
    assert victims([node("n")], pods, waiting(cpu=1000)) == {}
    snapshot = cluster([node("n")], pods)
    assert per_node.dry_run(snapshot, waiting(cpu=1000), 0) is None


def test_the_node_itself_cannot_be_mended():
    pods = [running("low", "n", 8000)]
    assert victims([node("n", unschedulable=True)], pods, waiting(cpu=1000)) == {}
    assert victims([node("n", 4000)], [running("low", "n", 4000)], waiting(cpu=8000)) == {}


def test_a_pod_that_keeps_others_out_can_be_sent_away():
    alone = template(
        1000, constraints=Constraints(forbidden_pods=(PodTerm("zone", APP, ("default",)),))
    )
    nodes = [node("n", labels=(("zone", "z"),)), node("m", labels=(("zone", "z"),))]
    pods = [running("hermit", "n", of=alone), running("other", "n", 1000)]
    new = waiting(of=template(1000, labels=LABELS))
    assert victims(nodes, pods, new) == {"n": ["hermit"]}


def test_a_host_port_can_be_freed():
    port = template(1000, constraints=Constraints(host_ports=(HostPort(80),)))
    pods = [running("web", "n", of=port), running("other", "n", 1000)]
    assert victims([node("n")], pods, waiting(of=port)) == {"n": ["web"]}


def test_devices_are_given_back_as_they_were_booked():
    half = template(0, 1, milli=500)
    pods = [
        running("a", "n", of=half, devices=(0,), priority=1),
        running("b", "n", of=half, devices=(1,), priority=1),
    ]
    assert victims([node("n", gpus="AA")], pods, waiting(of=template(0, 1))) == {"n": ["b"]}


def test_predicted_devices_are_given_back_too():
    half = template(0, 1, milli=500)
    pods = [running(name, "n", of=half, priority=name == "c") for name in ("a", "b", "c")]
    snapshot = cluster([node("n", gpus="AA")], pods)
    booked = {key: each.devices for key, each in snapshot.bookings.items()}
    assert booked == {"a": (0,), "b": (0,), "c": (1,)}
    candidate = per_node.dry_run(snapshot, waiting(of=template(0, 1)), 0)
    assert names(candidate.victims) == ["a", "b"]  # c keeps device 1, so device 0 is to be emptied


def test_a_dry_run_leaves_no_trace():
    pods = [running("a", "n", 4000), running("b", "n", 4000)]
    snapshot = cluster([node("n")], pods)
    before = state(snapshot)
    assert per_node.dry_run(snapshot, waiting(cpu=8000), 0)
    assert per_node.dry_run(snapshot, waiting(cpu=9000), 0) is None
    assert per_node.dry_run(snapshot, waiting(cpu=8000, priority=-1), 0) is None
    assert state(snapshot) == before


# -- how far the search goes


FULL = [node(name) for name in "abcde"]
ON_ALL = [running(f"on-{one.name}", one.name, 8000) for one in FULL]


@pytest.mark.parametrize(
    ("rules", "offset", "expected"),
    [
        pytest.param(PreemptionRules(), 3, "abcde", id="a hundred are more than there are"),
        pytest.param(PreemptionRules(candidates_min=2), 0, "ab", id="the smallest number"),
        pytest.param(PreemptionRules(candidates_min=2), 4, "ae", id="around the end, by rank"),
        pytest.param(
            PreemptionRules(candidates_min=1, candidates_min_pct=60), 1, "bcd", id="in percent"
        ),
    ],
)
def test_the_search_stops_when_there_are_enough(rules, offset, expected):
    nodes = [node(one.name, rank=place) for place, one in enumerate(FULL)]
    assert "".join(victims(nodes, ON_ALL, waiting(), rules=rules, offset=offset)) == expected


def test_the_search_goes_on_until_one_breaks_no_budget():
    pods = [running(f"on-{name}", name, 8000, labels=LABELS) for name in "abcd"]
    pods += [running("on-e", "e", 8000)]
    rules = PreemptionRules(candidates_min=2, candidates_min_pct=0)
    assert list(victims(FULL, pods, waiting(), [BUDGET], rules, offset=0)) == ["a", "b", "e"]
    rules = PreemptionRules(candidates_min=1, candidates_min_pct=0)
    assert list(victims(FULL, pods, waiting(), [BUDGET], rules, offset=0)) == ["a", "e"]


def test_where_the_search_begins_is_left_to_the_placers_chance():
    rules = PreemptionRules(candidates_min=1, candidates_min_pct=0)
    snapshot = cluster(FULL, ON_ALL)
    first = {
        per_node.candidates(placer_of(snapshot, "kube", seed), waiting(), (), rules)[0].node
        for seed in range(20)
    }
    assert len(first) > 1


def test_nodes_to_look_at_can_be_given():
    assert list(victims(FULL, ON_ALL, waiting(), slots=np.array([2, 1]))) == ["b", "c"]
    assert victims(FULL, ON_ALL, waiting(), slots=np.array([], dtype=np.int64)) == {}


def test_mendable_are_full_nodes_that_would_do_by_rank():
    nodes = [
        node("late", rank=9),
        node("early", rank=1),
        node("cordoned", unschedulable=True),
        node("free"),
    ]
    pods = [running("a", "late", 8000), running("b", "early", 8000)]
    snapshot = cluster(nodes, pods)
    slots = per_node.mendable(placer_of(snapshot, "kube"), template(1000))
    assert [snapshot.nodes[slot].name for slot in slots.tolist()] == ["early", "late"]


# -- what the arrays rule out


def test_reach_counts_what_lower_pods_hold():
    pods = [
        running("low", "a", 6000),
        running("high", "b", 6000, priority=10),
        running("part", "c", 3000),
        running("rest", "c", 5000, priority=10),
    ]
    snapshot = cluster([node("a"), node("b"), node("c"), node("d")], pods)
    shape = snapshot.shape(template(4000))
    slots = np.arange(4)
    assert within_reach(snapshot, shape, 10, slots).tolist() == [True, False, False, False]
    assert within_reach(snapshot, shape, 11, slots).tolist() == [True, True, True, False]


def test_reach_counts_devices_of_the_right_model():
    one = template(0, 1)
    nodes = [node("a", gpus="A"), node("b", gpus="B"), node("c", gpus="Aa")]
    pods = [running(f"on-{each.name}", each.name, of=one) for each in nodes]
    snapshot = cluster(nodes, pods)
    shape = snapshot.shape(template(0, 1, models="A"))
    assert within_reach(snapshot, shape, 10, np.arange(3)).tolist() == [True, False, True]
    two = snapshot.shape(template(0, 2))
    assert not within_reach(snapshot, two, 10, np.arange(3)).any()


def test_reach_adds_up_shares_of_one_device():
    half = template(0, 1, milli=500)
    pods = [running(name, "a", of=half, devices=(0,)) for name in "xy"]
    snapshot = cluster([node("a", gpus="A")], pods)
    assert within_reach(snapshot, snapshot.shape(template(0, 1)), 10, np.array([0])).all()


def test_reach_knows_resources_that_nobody_asked_for_before():
    snapshot = cluster([node("a", amounts={"nic": 1})], [running("low", "a")])
    shape = snapshot.shape(template(0, amounts={"nic": 1}))
    assert within_reach(snapshot, shape, 10, np.array([0])).all()
    shape = snapshot.shape(template(0, amounts={"new": 1}))
    assert not within_reach(snapshot, shape, 10, np.array([0])).any()


# -- why not


def test_explained_node_by_node():
    nodes = [node("empty"), node("small", 2000), node("ours"), node("cordoned", unschedulable=True)]
    pods = [
        running("low", "small", 2000),
        running("top", "ours", 8000, priority=99),
        running("any", "cordoned"),
    ]
    placer = placer_of(cluster(nodes, pods), "kube")
    said = per_node.explain(placer, waiting(cpu=4000))
    assert [(reason.text, count) for reason, count in said] == [
        ("Preemption is not helpful for scheduling", 2),
        ("Insufficient cpu", 1),
        ("No preemption victims found for incoming pod", 1),
    ]


def test_a_candidate_has_nothing_to_explain():
    placer = placer_of(cluster([node("n")], [running("low", "n", 8000)]), "kube")
    assert per_node.explain(placer, waiting()) == ()


# -- which node


def candidate(node_name, *pods, violations=0):
    return Candidate(node=node_name, victims=pods, pdb_violations=violations)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(
            [running("a", "n", priority=9)],
            (running("b", "m"), 1),
            id="fewer budgets broken, whatever the priority",
        ),
        pytest.param(
            [running("a", "n", priority=1), running("b", "n", priority=1)],
            (running("c", "m", priority=2), 0),
            id="a lower priority on top, however many",
        ),
        pytest.param(
            [running("a", "n", priority=2), running("b", "n", priority=-9)],
            (running("c", "m", priority=2), running("d", "m", priority=1)),
            id="a smaller sum of priorities",
        ),
        pytest.param(
            [running("a", "n", priority=-5)],
            (running("b", "m", priority=-5), running("c", "m", priority=-9)),
            id="one victim more is never less, however low it is",
        ),
        pytest.param(
            [running("a", "n", start_ns=7)],
            (running("b", "m", start_ns=6), 0),
            id="the victim that started later",
        ),
        pytest.param(
            [running("a", "n")],
            (running("b", "m", start_ns=6), 0),
            id="a victim that has not started at all",
        ),
        pytest.param(
            [running("a", "n", priority=2, start_ns=5), running("b", "n", start_ns=1)],
            (running("c", "m", priority=2, start_ns=4), running("d", "m", start_ns=9)),
            id="only the age of the most important counts",
        ),
    ],
)
def test_the_node_where_it_hurts_least(better, worse):
    violations = worse[1] if isinstance(worse[1], int) else 0
    pods = [pod for pod in worse if not isinstance(pod, int)]
    first, second = candidate("n", *better), candidate("m", *pods, violations=violations)
    assert pick.best([first, second]) is first
    assert pick.best([second, first]) is first


def test_ties_go_to_the_first_and_none_of_none():
    first, second = candidate("n", running("a", "n")), candidate("m", running("b", "m"))
    assert pick.best([first, second]) is first
    assert pick.best([second, first]) is second
    assert pick.best([]) is None


# -- who may


GROUPS = {
    "default/g": PodGroup(key="default/g"),
    "default/rack": PodGroup(key="default/rack", topology_key="rack"),
}
LEAVING = running("v", "n", terminating=True, preempted=True)


@pytest.mark.parametrize(
    ("pod", "rules", "pods", "expected"),
    [
        pytest.param(waiting(), {}, [], None, id="anybody"),
        pytest.param(waiting(preempts=False), {}, [], "PreemptionPolicyNever", id="never"),
        pytest.param(
            waiting(nominated_node="n"), {}, [LEAVING], "WaitingForVictims", id="victims leave"
        ),
        pytest.param(waiting(nominated_node="n"), {}, [], None, id="victims have left"),
        pytest.param(waiting(nominated_node="lost"), {}, [LEAVING], None, id="node is gone"),
        pytest.param(
            waiting(nominated_node="n", priority=0), {}, [LEAVING], None, id="not by it evicted"
        ),
        pytest.param(
            waiting(nominated_node="n"),
            {},
            [running("v", "n", terminating=True)],
            None,
            id="leaves for its own reasons",
        ),
        pytest.param(waiting(group="default/g"), {}, [], None, id="pod by pod"),
        pytest.param(
            waiting(group="default/g"),
            {"preempt": "as-group"},
            [],
            "GroupPreemptsAsOne",
            id="the group does it",
        ),
        pytest.param(waiting(), {"preempt": "as-group"}, [], None, id="of no group"),
        pytest.param(
            waiting(group="default/rack"),
            {"honors_topology": True, "preempt": "as-group"},
            [],
            "GroupIsPlacedByTopology",
            id="one domain is wanted",
        ),
        pytest.param(waiting(group="default/rack"), {}, [], None, id="nobody looks at topology"),
        pytest.param(
            waiting(group="default/g"), {"honors_topology": True}, [], None, id="no domain wanted"
        ),
        pytest.param(
            waiting(group="default/new"),
            {"honors_topology": True},
            [],
            "PodGroupNotFound",
            id="its group is not known",
        ),
    ],
)
def test_who_may_preempt(pod, rules, pods, expected):
    snapshot = cluster([node("n")], pods)
    mendable = np.array([0])
    refusal = eligibility.refusal(snapshot, pod, GROUPS, PodGroupRules(**rules), mendable)
    assert refusal == expected


def test_a_promised_node_that_became_impossible_holds_nobody_back():
    snapshot = cluster([node("n")], [LEAVING])
    nothing = np.array([], dtype=np.int64)
    pod = waiting(nominated_node="n")
    assert eligibility.refusal(snapshot, pod, {}, PodGroupRules(), nothing) is None
