"""Whose turn it is between queues: by borrowing, or by a tournament of shares."""

from collections.abc import Callable
from functools import cmp_to_key

import msgspec
import pytest
from hypothesis import given, strategies as st

from gpuyard.model.queues import (
    ClusterQueue,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    ResourceGroup,
    ResourceQuota,
    Usage,
)
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import fair_share, quota
from gpuyard.scheduling.ordering.between import BetweenRules, in_turn
from gpuyard.scheduling.ordering.turns import TurnRules

GPU = FlavorResource("h100", "gpu")
TURNS = TurnRules()


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A workload with what the rules look at."""

    workload: Workload
    queue: str
    usage: Usage = Usage()
    borrowing: int = 0
    has_quota: bool = False
    is_preemptor: bool = False


def offer(key, queue="a", *, gpus=1, at=0, priority=0, **facts):
    return Offer(
        workload=Workload(key=key, pod_sets=(), created_ns=at, priority=priority),
        queue=queue,
        usage=Usage(((GPU, gpus),)),
        **facts,
    )


def groups(gpus):
    return (ResourceGroup(("gpu",), (FlavorQuotas("h100", (ResourceQuota(
        resource="gpu", nominal=gpus),)),)),)  # fmt: skip


def a_tree(*, queues, cohorts=()):
    """Return a tree: queues as (name, cohort, gpus), cohorts as (name, parent)."""
    return quota.build(
        [ClusterQueue(name=name, cohort=cohort, resource_groups=groups(gpus))
         for name, cohort, gpus in queues],
        [Cohort(name=name, parent=parent) for name, parent in cohorts],
        flavors=["h100"],
    )  # fmt: skip


FLAT = [("a", "all", 4), ("b", "all", 4), ("c", "all", 4)]


def keys(contenders, rules, tree=None):
    tree = tree or a_tree(queues=FLAT)
    return [each.workload.key for each in in_turn(contenders, tree, rules, TURNS)]


@pytest.mark.parametrize(
    ("first", "second", "rules"),
    [
        pytest.param({"has_quota": True, "borrowing": 2}, {}, {}, id="who only seeks a place"),
        pytest.param({"borrowing": 0}, {"borrowing": 1, "priority": 9}, {}, id="borrows nearer"),
        pytest.param({"priority": 1, "at": 2}, {"at": 1}, {}, id="priority"),
        pytest.param(
            {"at": 1}, {"at": 2, "priority": 1}, {"priority_first": False}, id="age alone"
        ),
        pytest.param(
            {"is_preemptor": True, "borrowing": 1},
            {},
            {"preemptors_first": True},
            id="room is being made for it",
        ),
        pytest.param({"at": 1}, {"at": 2, "is_preemptor": True}, {}, id="which does not count"),
    ],
)
def test_by_borrowing(first, second, rules):
    both = [offer("second", "b", **second), offer("first", **first)]
    assert keys(both, BetweenRules(**rules)) == ["first", "second"]


FAIR = BetweenRules(by_share=True)


def used(tree, **gpus):
    for name, amount in gpus.items():
        quota.use(tree.cluster_queues[name], {GPU: amount})
    return tree


def test_the_smaller_share_wins_with_the_candidate_counted():
    tree = used(a_tree(queues=FLAT), a=4, b=3)
    both = [offer("a", "a", gpus=1), offer("b", "b", gpus=5)]
    assert keys(both, FAIR, tree) == ["a", "b"]


def test_who_stays_within_its_quota_comes_before_who_borrows_what_it_asks_for():
    tree = used(a_tree(queues=FLAT), a=4)
    both = [offer("a", "a", priority=9), offer("b", "b")]
    assert keys(both, FAIR, tree) == ["b", "a"]


def test_what_starts_counts_for_the_next():
    """After its first workload, queue a borrows more than b does."""
    tree = used(a_tree(queues=FLAT), a=4, b=5)
    turns = in_turn([offer("a", "a", gpus=3), offer("b", "b", gpus=3)], tree, FAIR, TURNS)
    first = next(turns)
    quota.use(tree.cluster_queues[first.queue], dict(first.usage.quota))
    assert (first.queue, next(turns).queue) == ("a", "b")


def test_a_cohort_competes_as_a_whole():
    """Queue c has nothing yet, but its cohort has more than queue a."""
    tree = used(
        a_tree(
            queues=[("a", "root", 4), ("b", "team", 4), ("c", "team", 0)],
            cohorts=[("root", ""), ("team", "root")],
        ),
        a=5,
        b=6,
    )
    assert keys([offer("c", "c"), offer("a", "a")], FAIR, tree) == ["a", "c"]


def test_among_trees_priority_and_age_decide():
    tree = a_tree(queues=[("a", "x", 1), ("b", "y", 1), ("c", "", 1)])
    waiting = [offer("a", "a", at=3), offer("b", "b", at=2), offer("c", "c", priority=1, at=9)]
    assert keys(waiting, FAIR, tree) == ["c", "b", "a"]


def test_several_of_one_queue_come_in_their_own_order():
    waiting = [offer("new", "a", at=1), offer("held", "a", at=9, has_quota=True)]
    assert keys(waiting, FAIR) == ["held", "new"]


def test_a_preemptor_first_where_the_rules_say_so():
    tree = used(a_tree(queues=FLAT), a=9)
    both = [offer("a", "a", is_preemptor=True), offer("b", "b")]
    assert keys(both, FAIR, tree) == ["b", "a"]
    rules = BetweenRules(by_share=True, preemptors_first=True)
    assert keys(both, rules, tree) == ["a", "b"]


# -- against a tournament that recomputes everything at every step


def naive(waiting, tree):
    """Yield the winners of tournaments that are played from the start each time."""
    left = list(waiting)
    while left:
        winner = _winner(None, left, tree)
        left.remove(winner)
        yield winner


def _winner(cohort, left, tree):
    children = (
        cohort.children
        if cohort
        else [n for n in [*tree.cohorts.values(), *tree.cluster_queues.values()] if not n.parent]
    )
    best = []
    for child in children:
        if child.is_cohort:
            candidate = _winner(child, left, tree)
        else:
            mine = [each for each in left if tree.cluster_queues[each.queue] is child]
            candidate = min(mine, key=lambda each: each.workload.created_ns, default=None)
        if candidate is not None:
            best.append((_share(child, candidate, tree), candidate))
    return min(best, key=cmp_to_key(_compare))[1] if best else None


def _share(node, candidate, tree):
    leaf, requests = tree.cluster_queues[candidate.queue], dict(candidate.usage.quota)
    quota.use(leaf, requests)
    share = fair_share.dominant_share(node)
    quota.release(leaf, requests)
    return share


def _compare(one, other):
    borrows = [share.is_borrowing_on(dict(each.usage.quota)) for share, each in (one, other)]
    if borrows[0] != borrows[1]:
        return borrows[0] - borrows[1]
    by_share = fair_share.compare(one[0], other[0])
    return by_share or one[1].workload.created_ns - other[1].workload.created_ns


@st.composite
def situations(draw: Callable):
    cohorts = [("root", ""), ("left", "root"), ("right", "root"), ("deep", "left"), ("other", "")]
    names = [name for name, _ in cohorts] + [""]
    queues = [
        (f"q{index}", draw(st.sampled_from(names)), draw(st.integers(0, 5)))
        for index in range(draw(st.integers(1, 6)))
    ]
    ages = draw(st.permutations(range(len(queues))))
    waiting = [
        offer(f"w{index}", name, gpus=draw(st.integers(0, 6)), at=ages[index])
        for index, (name, _, _) in enumerate(queues)
    ]
    usage = {name: draw(st.integers(0, 9)) for name, _, _ in queues}
    starts = draw(st.lists(st.booleans(), min_size=len(queues), max_size=len(queues)))
    return queues, cohorts, waiting, usage, starts


@given(situations())
def test_heaps_change_nothing(situation):
    queues, cohorts, waiting, usage, starts = situation
    answers = []
    for play in (lambda tree: in_turn(waiting, tree, FAIR, TURNS), lambda t: naive(waiting, t)):
        tree = used(a_tree(queues=queues, cohorts=cohorts), **usage)
        answers.append([])
        for each, is_started in zip(play(tree), starts, strict=True):
            answers[-1].append(each.workload.key)
            if is_started:
                quota.use(tree.cluster_queues[each.queue], dict(each.usage.quota))
    assert answers[0] == answers[1]
