"""The tree of queues, their limits, their order, reclaim, and least run times."""

import itertools

import pytest

from gpuyard.scheduling.deserved import limits, order, reclaim, runtimes
from gpuyard.scheduling.deserved.division import NANO
from gpuyard.scheduling.deserved.reclaim import Reclaimer
from gpuyard.scheduling.deserved.shares import (
    UNLIMITED,
    DeservedQueue,
    DeservedQueueError,
    Quota,
    build,
)


def queue(name, parent="", deserved=0, limit=UNLIMITED, **rest):
    quotas = (("gpu", Quota(deserved=deserved, limit=limit)),)
    return DeservedQueue(name=name, parent=parent, quotas=quotas, **rest)


def tree_of(*queues, held=(), fixed=(), fair=()):
    tree = build(queues)
    for name, amount in dict(held).items():
        tree.hold(name, {"gpu": amount}, preemptible=True)
    for name, amount in dict(fixed).items():
        tree.hold(name, {"gpu": amount}, preemptible=False)
    for name, amount in dict(fair).items():
        tree[name].fair["gpu"] = amount
    return tree


# -- the tree


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        pytest.param([queue("a"), queue("a")], "queue a appears twice", id="one name, two queues"),
        pytest.param([queue("a", "b")], "has the parent b, which does not exist", id="no parent"),
        pytest.param(
            [queue("a", "b"), queue("b", "a")], "queue a is below itself", id="a cycle of two"
        ),
        pytest.param([queue("a", "a")], "queue a is below itself", id="its own parent"),
    ],
)
def test_a_tree_that_contradicts_itself_is_refused(queues, said):
    with pytest.raises(DeservedQueueError, match=said):
        build(queues)


def test_what_a_leaf_holds_counts_in_all_its_ancestors():
    tree = tree_of(queue("x"), queue("y", "x"), queue("z", "y"))
    tree.ask("z", {"gpu": 3})
    tree.hold("z", {"gpu": 2}, preemptible=False)
    for name in "xyz":
        share = tree[name]
        assert (share.requested["gpu"], share.allocated["gpu"], share.fixed["gpu"]) == (3, 2, 2)
    twin = tree.copy()
    tree.hold("z", {"gpu": 2}, preemptible=False, times=-1)
    assert [tree[name].allocated["gpu"] for name in "xyz"] == [0, 0, 0]
    assert [twin[name].allocated["gpu"] for name in "xyz"] == [2, 2, 2]
    assert [step.name for step in twin["z"].to_root()] == ["z", "y", "x"]
    assert twin["z"].parent is not tree["y"]


# -- limits


@pytest.mark.parametrize(
    ("asked", "preemptible", "bound"),
    [
        pytest.param(2, True, None, id="within all limits"),
        pytest.param(3, True, ("limit gpu", 3, 2, "x"), id="an ancestor's limit binds too"),
        pytest.param(1, False, None, id="not preemptible, within what is deserved"),
        pytest.param(2, False, ("deserved gpu", 2, 1, "a"), id="not preemptible, beyond it"),
        pytest.param(0, False, None, id="nothing asked for, nothing bounds"),
    ],
)
def test_limits(asked, preemptible, bound):
    tree = tree_of(
        queue("x", deserved=9, limit=5),
        queue("a", "x", deserved=2, limit=9),
        held={"a": 2},
        fixed={"a": 1},
    )
    found = limits.over(tree["a"], {"gpu": asked}, preemptible=preemptible)
    assert bound == (found and (found.name, found.needed, found.have, found.where))


# -- order


def contender(tree, name, job=0, victims=()):
    return order.Contender(tree[name], {"gpu": job}, tuple({"gpu": each} for each in victims))


MEASURE = order.Measure({"gpu": 10}, {"gpu": 1})


@pytest.mark.parametrize(
    ("queues", "held", "fair", "jobs", "first"),
    [
        pytest.param(
            [queue("a"), queue("b", deserved=5)],
            {"a": 1, "b": 4},
            {"a": 1, "b": 3},
            {"a": 1},
            "a",
            id="1: not over the fair share, though the other one stays within its deserved",
        ),
        pytest.param(
            [queue("a", deserved=2, priority=1), queue("b", deserved=3)],
            {"a": 2, "b": 2},
            {"a": 4, "b": 4},
            {"a": 1, "b": 1},
            "b",
            id="2: within deserved with the job, before the priority",
        ),
        pytest.param(
            [queue("a"), queue("b", priority=101)],
            {"b": 3},
            {"a": 4, "b": 4},
            {"a": 1, "b": 1},
            "b",
            id="3: the higher priority, though it has more",
        ),
        pytest.param(
            [queue("a"), queue("b")],
            {"b": 3},
            {"b": 3},
            {"a": 1},
            "b",
            id="4: who may hold nothing comes last",
        ),
        pytest.param(
            [queue("a"), queue("b")],
            {"a": 1},
            {"a": 4, "b": 4},
            {"a": 1, "b": 3},
            "a",
            id="5: the smaller share with the job: 2/4 against 3/4",
        ),
        pytest.param(
            [queue("a"), queue("b")],
            {"a": 1},
            {"a": 4, "b": 4},
            {"a": 1, "b": 2},
            "b",
            id="6: of equal ones the smaller share without it",
        ),
        pytest.param(
            [queue("a", created_ns=1), queue("b", created_ns=2)],
            {},
            {"a": 4, "b": 3},
            {},
            "b",
            id="7: who may hold less",
        ),
        pytest.param(
            [queue("a", created_ns=2), queue("b", created_ns=1)],
            {},
            {"a": 4, "b": 4},
            {},
            "b",
            id="8: the older",
        ),
        pytest.param([queue("a"), queue("b")], {}, {}, {}, "a", id="then by name"),
    ],
)
def test_order(queues, held, fair, jobs, first):
    tree = tree_of(*queues, held=held, fair=fair)
    a, b = (contender(tree, name, jobs.get(name, 0)) for name in "ab")
    assert order.compare(a, b, MEASURE) == (-1 if first == "a" else 1)
    assert order.compare(b, a, MEASURE) == (1 if first == "a" else -1)
    assert order.compare(a, a, MEASURE) == 0


def test_victims_are_counted_as_gone():
    tree = tree_of(queue("a"), queue("b"), held={"a": 3, "b": 2}, fair={"a": 4, "b": 4})
    with_victims = contender(tree, "a", victims=(1, 1))
    assert order.compare(with_victims, contender(tree, "b"), MEASURE) == -1
    assert order.compare(contender(tree, "a"), contender(tree, "b"), MEASURE) == 1


def test_an_unlimited_queue_measures_by_the_cluster():
    tree = tree_of(queue("a", deserved=UNLIMITED), queue("b"), held={"a": 4, "b": 1}, fair={"b": 2})
    assert (
        MEASURE.dominant(tree["a"], {"gpu": 4}) == MEASURE.dominant(tree["b"], {"gpu": 1}) * 4 / 5
    )


# -- reclaim


@pytest.mark.parametrize(
    ("asked", "preemptible", "expected"),
    [
        pytest.param(2, True, True, id="up to the fair share"),
        pytest.param(3, True, False, id="not beyond it"),
        pytest.param(1, False, True, id="not preemptible: up to what is deserved"),
        pytest.param(2, False, False, id="not preemptible: not beyond it, though it is fair"),
    ],
)
def test_may_reclaim(asked, preemptible, expected):
    tree = tree_of(queue("a", deserved=3), held={"a": 1}, fixed={"a": 2}, fair={"a": 5})
    answer = reclaim.may_reclaim(tree, Reclaimer("a", {"gpu": asked}, preemptible))
    assert answer is expected


def legal(tree, asked, losses, *, preemptible=True, multiplier_nano=NANO):
    pieces = {name: [{"gpu": each} for each in amounts] for name, amounts in losses.items()}
    who = Reclaimer("a", {"gpu": asked}, preemptible)
    return reclaim.is_legal(tree, who, pieces, multiplier_nano)


@pytest.mark.parametrize(
    ("deserved", "held", "fair", "asked", "losses", "expected"),
    [
        pytest.param((2, 2), (0, 4), (2, 2), 2, {"b": [2]}, True, id="back to both fair shares"),
        pytest.param((0, 0), (0, 2), (2, 2), 2, {"b": [2]}, False, id="the victim has its share"),
        pytest.param(
            (0, 0), (0, 4), (2, 2), 1, {"b": [1, 1, 1]}, False, id="the third piece is its own"
        ),
        pytest.param(
            (0, 0), (0, 4), (2, 2), 1, {"b": [3]}, True, id="a whole gang goes, though it is more"
        ),
        pytest.param(
            (2, 1), (0, 3), (2, 4), 2, {"b": [2]}, True, id="deserved is guaranteed over fair"
        ),
        pytest.param(
            (2, 3), (0, 3), (2, 4), 2, {"b": [2]}, False, id="but not out of what is deserved"
        ),
        pytest.param(
            (0, 0), (3, 6), (2, 2), 1, {"b": [1]}, True, id="above fair, still below the sibling"
        ),
        pytest.param(
            (0, 0), (4, 6), (2, 2), 1, {"b": [1]}, False, id="as far above fair as the sibling"
        ),
        pytest.param((0, 0), (0, 4), (0, 2), 1, {"b": [1]}, False, id="nothing is fair to have"),
        pytest.param((0, 0), (5, 5), (2, 0), 1, {"b": [1]}, True, id="a sibling without a share"),
        pytest.param((0, 0), (0, 9), (2, 2), 2, {}, True, id="nobody loses, nobody objects"),
    ],
)
def test_reclaim_is_legal(deserved, held, fair, asked, losses, expected):
    tree = tree_of(
        queue("a", deserved=deserved[0]),
        queue("b", deserved=deserved[1]),
        held=dict(zip("ab", held, strict=True)),
        fair=dict(zip("ab", fair, strict=True)),
    )
    assert legal(tree, asked, losses) is expected


def test_queues_are_compared_where_their_paths_part():
    tree = tree_of(
        queue("x", deserved=2),
        queue("y", deserved=2),
        queue("a", "x", deserved=2),
        queue("a2", "x", deserved=0),
        queue("b", "y", deserved=2),
        queue("b2", "y", deserved=2),
        held={"b": 1, "b2": 3},
        fair={"x": 2, "y": 2, "a": 2, "b": 1, "b2": 1},
    )
    assert [each.name for each in reclaim.parting(tree, "a", "b")] == ["x", "y"]
    assert [each.name for each in reclaim.parting(tree, "b", "b2")] == ["b", "b2"]
    assert [each.name for each in reclaim.parting(tree, "b", "y")] == ["y", "y"]
    # b has its fair share, its department has twice its own
    assert legal(tree, 1, {"b": [1]})
    assert reclaim.may_lose(tree, Reclaimer("a", {"gpu": 1}, True), "b")


def test_what_cannot_be_preempted_stays_within_deserved_at_every_level():
    tree = tree_of(
        queue("x", deserved=1),
        queue("y"),
        queue("a", "x", deserved=2),
        queue("b", "y"),
        held={"b": 4},
        fair={"x": 2, "y": 2, "a": 2, "b": 2},
    )
    assert legal(tree, 2, {"b": [2]})
    assert not legal(tree, 2, {"b": [2]}, preemptible=False)
    assert legal(tree, 1, {"b": [1]}, preemptible=False)


def test_a_multiplier_wants_a_clearer_difference():
    tree = tree_of(queue("a"), queue("b"), held={"a": 3, "b": 6}, fair={"a": 2, "b": 2})
    assert legal(tree, 1, {"b": [1]})  # 4/2 against 5/2
    assert not legal(tree, 1, {"b": [1]}, multiplier_nano=NANO * 5 // 4)


@pytest.mark.parametrize(
    ("deserved", "held", "fair", "expected"),
    [
        pytest.param((0, 0), (0, 3), (2, 2), True, id="over its share"),
        pytest.param((0, 0), (0, 2), (2, 2), False, id="within its share"),
        pytest.param((2, 1), (0, 2), (2, 4), True, id="reclaimer deserves it, victim does not"),
        pytest.param((2, 3), (0, 2), (2, 4), False, id="victim is below what it deserves"),
        pytest.param((2, 2), (0, 2), (2, 4), True, id="victim has exactly what it deserves"),
        pytest.param((2, UNLIMITED), (0, 2), (2, 4), True, id="without bound there is no below"),
    ],
)
def test_may_lose(deserved, held, fair, expected):
    tree = tree_of(
        queue("a", deserved=deserved[0]),
        queue("b", deserved=deserved[1]),
        held=dict(zip("ab", held, strict=True)),
        fair=dict(zip("ab", fair, strict=True)),
    )
    assert reclaim.may_lose(tree, Reclaimer("a", {"gpu": 1}, True), "b") is expected


# -- least run times


def runtime_tree(**stated):
    parents = {"x": "", "y": "", "x1": "x", "x2": "x", "y1": "y", "x11": "x1", "x12": "x1"}
    return build(
        DeservedQueue(
            name=name,
            parent=parent,
            reclaim_min_runtime_ns=stated.get(name),
            preempt_min_runtime_ns=stated.get(name),
        )
        for name, parent in parents.items()
    )


@pytest.mark.parametrize(
    ("reclaimer", "victim", "stated", "lca", "queue_ns"),
    [
        pytest.param("x11", "x12", {"x12": 5, "x1": 7}, 5, 5, id="siblings: the victim's own"),
        pytest.param("x11", "x12", {"x1": 7}, 7, 7, id="siblings: else the parent's"),
        pytest.param("x2", "x12", {"x12": 5, "x1": 7}, 7, 5, id="below the common ancestor"),
        pytest.param("x2", "x12", {"x12": 5, "x": 9}, 9, 5, id="or the nearest above that"),
        pytest.param("y1", "x12", {"x12": 5, "x": 9}, 9, 5, id="two roots are siblings"),
        pytest.param("y1", "x12", {"x12": 5}, 1, 5, id="two roots: only the root's own word"),
        pytest.param("x2", "x12", {}, 1, 1, id="nobody says anything: the default"),
        pytest.param("x2", "x12", {"x1": 0, "x": 9}, 0, 0, id="zero is a word"),
    ],
)
def test_reclaim_min_runtime(reclaimer, victim, stated, lca, queue_ns):
    tree = runtime_tree(**stated)
    found = [
        runtimes.reclaim_min_runtime_ns(tree, reclaimer, victim, how, 1) for how in ("lca", "queue")
    ]
    assert found == [lca, queue_ns]


def test_preempt_min_runtime_is_the_nearest_upwards():
    tree = runtime_tree(x1=4, x=9)
    found = [runtimes.preempt_min_runtime_ns(tree[name], 1) for name in ("x12", "x2", "y1")]
    assert found == [4, 9, 1]


@pytest.mark.parametrize(
    ("started", "least", "now", "expected"),
    [
        pytest.param(None, 9, 0, False, id="never started"),
        pytest.param(10, 5, 14, True, id="before it has passed"),
        pytest.param(10, 5, 15, False, id="when it has passed"),
        pytest.param(10, 0, 10, False, id="no protection"),
        pytest.param(10, -5, 9, True, id="a negative one is none: from the start on"),
    ],
)
def test_is_protected(started, least, now, expected):
    assert runtimes.is_protected(started, least, now) is expected


@pytest.mark.parametrize(
    ("created", "delay", "now", "evicted", "expected"),
    [
        pytest.param(10, 0, 5, None, True, id="no delay"),
        pytest.param(10, 5, 14, None, False, id="within the delay"),
        pytest.param(10, 5, 15, None, True, id="after it"),
        pytest.param(10, 5, 15, 12, False, id="an eviction starts it anew"),
        pytest.param(10, 5, 15, 3, True, id="an eviction of an earlier life does not"),
    ],
)
def test_may_evict(created, delay, now, evicted, expected):
    assert runtimes.may_evict(created, delay, now, evicted) is expected


def test_saturation_rule_prevents_the_way_back():
    """After a legal reclaim the loser cannot take the same amount back at once."""
    for held_a, held_b, fair_a, fair_b in itertools.product(
        range(5), range(1, 7), range(4), range(4)
    ):
        tree = tree_of(
            queue("a"), queue("b"), held={"a": held_a, "b": held_b}, fair={"a": fair_a, "b": fair_b}
        )
        if not legal(tree, 1, {"b": [1]}):
            continue
        tree.hold("a", {"gpu": 1}, preemptible=True)
        tree.hold("b", {"gpu": 1}, preemptible=True, times=-1)
        back = Reclaimer("b", {"gpu": 1}, True)
        way_back = reclaim.may_reclaim(tree, back) and reclaim.is_legal(
            tree, back, {"a": [{"gpu": 1}]}
        )
        assert not way_back, (held_a, held_b, fair_a, fair_b)
