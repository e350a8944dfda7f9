"""Gangs as trees: how far they are, and which pods are next to start or to go."""

import pytest

from gpuyard.model.resources import CPU
from gpuyard.model.workloads import PodSet, Workload
from gpuyard.scheduling.passes import amounts
from gpuyard.scheduling.passes.jobs import Group, Leaf, Pod, View, of_workload, total
from gpuyard.scheduling.passes.pending import Failures
from tests.small_fleet import node, request, template
from tests.small_session import job


def names(pods):
    return " ".join(pod.key.rpartition("-")[2] for pod in pods)


def tree(*members, least=None, name=""):
    made = tuple(
        each if isinstance(each, Group | Leaf) else Leaf(name=each[0], min_count=each[1])
        for each in members
    )
    return Group(name=name, members=made, min_members=least)


TWO = tree(("a", 1), ("b", 1))
ONE_OF_TWO = tree(("a", 1), ("b", 2), least=1)
TWO_EACH = tree(("a", 2), ("b", 2), least=1)
NESTED = tree(tree(("a", 1), name="x"), tree(("b", 1), ("c", 1), name="y"))


@pytest.mark.parametrize(
    ("where", "root", "expected"),
    [
        pytest.param("- - -", tree(("all", 3)), "0 1 2", id="a gang starts whole"),
        pytest.param("- - -", tree(("all", 2)), "0 1", id="an elastic one with its minimum"),
        pytest.param("n n - -", tree(("all", 2)), "2", id="and grows one by one"),
        pytest.param("n - -", tree(("all", 2)), "1", id="what is missing of the minimum"),
        pytest.param("n n", tree(("all", 2)), "", id="nothing waits"),
        pytest.param("a:- a:- b:- b:-", TWO, "0 2", id="each leaf with its minimum"),
        pytest.param("a:n a:- b:- b:-", TWO, "2", id="what a satisfied leaf wants can wait"),
        pytest.param("a:n a:n a:- b:n b:-", TWO, "4", id="then who has least of its minimum"),
        pytest.param("a:n a:- b:n b:-", TWO, "1", id="among equals by name"),
        pytest.param("a:- b:- b:-", ONE_OF_TWO, "0", id="as few members as are needed"),
        pytest.param("a:n b:- b:-", ONE_OF_TWO, "1 2", id="then a whole member more"),
        pytest.param("a:- b:- b:-", TWO_EACH, "1 2", id="not a member that lacks pods"),
        pytest.param("a:- b:-", TWO_EACH, "0", id="and where all lack pods, the first"),
        pytest.param("a:- b:- c:-", NESTED, "0 1 2", id="groups of groups"),
        pytest.param("a:n b:- c:n", NESTED, "1", id="only what a group lacks"),
    ],
)
def test_to_start(where, root, expected):
    assert names(job("j", where, root=root).view().to_start(really=True)) == expected


@pytest.mark.parametrize(
    ("where", "root", "expected"),
    [
        pytest.param("n n n", tree(("all", 3)), "2 1 0", id="a gang goes whole, the last first"),
        pytest.param("n n n", tree(("all", 2)), "2", id="an elastic one gives what it can spare"),
        pytest.param("n n -", tree(("all", 2)), "1 0", id="who waits has nothing to give"),
        pytest.param("a:n a:n b:n", TWO, "1", id="from the leaf that is ahead"),
        pytest.param("a:n a:n b:n b:n", TWO, "3", id="among equals from the last by name"),
        pytest.param("a:n b:n b:n", ONE_OF_TWO, "2 1", id="a whole member beyond the minimum"),
        pytest.param("a:n b:n c:n", NESTED, "0 1 2", id="nothing to spare anywhere: all"),
        pytest.param("- -", tree(("all", 1)), "", id="nothing runs"),
    ],
)
def test_to_evict(where, root, expected):
    assert names(job("j", where, root=root).view().to_evict()) == expected


def test_pods_go_by_their_turn_then_by_key():
    one = job("j", "- - - -")
    one.pods[1].turn, one.pods[3].turn = 5, 9
    view = View(one, one.pods)
    assert names(view.to_start(really=True)) == "3 1 0 2"


def test_on_trial_the_evicted_wait_too():
    one = job("j", "releasing@n -", at_least=1)
    assert names(one.view().to_start(really=False)) == "1"
    one.pods[0].tentative = True
    assert names(one.view().to_start(really=False)) == "0"
    assert names(one.view().to_start(really=True)) == "1"


@pytest.mark.parametrize(
    ("where", "root", "ready"),
    [
        pytest.param("- -", tree(("all", 2)), True, id="pods enough"),
        pytest.param("- n", tree(("all", 2)), True, id="running ones count"),
        pytest.param("-", tree(("all", 2)), False, id="too few"),
        pytest.param("- failed@n", tree(("all", 2)), False, id="failed ones do not count"),
        pytest.param("a:-", ONE_OF_TWO, True, id="as many members as are needed"),
        pytest.param("b:-", ONE_OF_TWO, False, id="no member has enough"),
    ],
)
def test_is_ready(where, root, ready):
    assert job("j", where, root=root).view().is_ready() is ready


@pytest.mark.parametrize(
    ("where", "progress", "whole"),
    [
        pytest.param("n -", 0, False, id="below the minimum"),
        pytest.param("n n", 1, True, id="just enough"),
        pytest.param("n n n", 2, True, id="beyond"),
        pytest.param("n releasing@n", 0, True, id="who leaves still uses its place"),
    ],
)
def test_progress(where, progress, whole):
    view = job("j", where, at_least=2).view()
    assert (view.progress(), view.is_whole()) == (progress, whole)


def test_a_relaxed_view_asks_for_no_more_than_it_has():
    one = job("j", "a:- a:- b:- b:-", root=tree(("a", 2), ("b", 2)))
    assert names(View(one, one.pods[:1]).to_start(really=True)) == "0"
    assert not View(one, one.pods[:1]).is_ready()
    part = View(one, [one.pods[0], one.pods[2]], is_relaxed=True)
    assert part.is_ready()
    assert [part.needs(leaf) for leaf in one.root.leaves()] == [1, 1]
    few = job("j", "a:- b:- b:-", root=ONE_OF_TWO)
    assert View(few, few.pods[:1], is_relaxed=True).needs(few.root) == 1
    assert View(few, [], is_relaxed=True).needs(few.root) == 0


def test_rank_is_priority_then_progress_then_age():
    jobs = [
        job("grown", "n n", at_least=1),
        job("started", "n -", at_least=1),
        job("old", "-", created_ns=1),
        job("new", "-", created_ns=2),
        job("high", "n n", at_least=1, priority=9),
    ]
    ranked = sorted((each.view() for each in jobs), key=View.rank)
    assert [view.job.key for view in ranked] == ["high", "old", "new", "started", "grown"]


def test_a_workload_is_a_gang_of_its_pod_sets():
    sets = (
        PodSet(name="head", count=1, template=template(1000)),
        PodSet(name="workers", count=4, min_count=2, template=template(1000, 1)),
    )
    workload = Workload(key="w", pod_sets=sets, created_ns=7, priority=100)
    pods = [Pod("w/head-0", "head", sets[0].template)]
    pods += [Pod(f"w/workers-{index}", "workers", sets[1].template) for index in range(4)]
    one = of_workload(workload, pods, "q")
    assert (one.key, one.queue, one.created_ns) == ("w", "q", 7)
    assert not one.preemptible
    assert one.is_elastic
    assert [pod.key for pod in one.view().to_start(really=True)] == [
        "w/head-0",
        "w/workers-0",
        "w/workers-1",
    ]


# -- what pods count as


@pytest.mark.parametrize(
    ("asked", "milli"),
    [
        pytest.param(request(1000), 0, id="none"),
        pytest.param(request(1000, 2), 2000, id="whole devices"),
        pytest.param(request(1000, 2, milli=300), 600, id="parts of two"),
        pytest.param(
            request(1000, amounts=(("nvidia.com/mig-2g.10gb", 3),)), 6000, id="instances by slices"
        ),
        pytest.param(request(1000, amounts=(("nvidia.com/gpu.shared", 3),)), 0, id="nothing else"),
    ],
)
def test_amounts(asked, milli):
    counted = amounts.amounts_of(asked)
    assert counted == {CPU: 1000, "memory": 0, "devices": milli}


def test_what_a_node_counts_as():
    mig = node("n", 4000, "AAa", amounts=(("nvidia.com/mig-1g.10gb", 7),))
    assert amounts.capacity_of(mig) == {CPU: 4000, "memory": 1000, "devices": 9000}


def test_totals_add_up():
    pods = job("j", "- - -", gpus=1, milli=250).pods
    assert total(pods) == {CPU: 3000, "memory": 0, "devices": 750}


# -- who need not be tried


@pytest.mark.parametrize(
    ("failed", "other", "easier"),
    [
        pytest.param(("- -", 1), ("- -", 1), False, id="just as hard"),
        pytest.param(("- -", 1), ("-", 1), True, id="fewer pods"),
        pytest.param(("- -", 1), ("- - -", 1), False, id="more pods"),
        pytest.param(("-", 2), ("-", 1), True, id="a smaller pod"),
        pytest.param(("-", 1), ("-", 2), False, id="a larger pod"),
        pytest.param(("- -", 2), ("- n", 3), True, id="fewer pods, though larger ones"),
    ],
)
def test_is_easier(failed, other, easier):
    failures = Failures()
    hard, next_one = (job("j", where, gpus=gpus, at_least=1) for where, gpus in (failed, other))
    assert failures.is_easier(next_one)
    failures.add(hard)
    assert failures.is_easier(next_one) is easier


def test_jobs_of_other_constraints_are_not_compared():
    failures = Failures()
    failures.add(job("f", "- -", at_least=1))
    assert failures.is_easier(job("o", "- -", at_least=2))
    assert failures.is_easier(job("o", "a:- a:-", root=tree(("a", 1), ("b", 0))))


def test_the_smallest_failure_counts():
    failures = Failures()
    for gpus in (4, 2, 3):
        failures.add(job("f", "-", gpus=gpus))
    assert not failures.is_easier(job("o", "-", gpus=2))
    assert failures.is_easier(job("o", "-", gpus=1))
