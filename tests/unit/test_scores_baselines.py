"""The baselines of FGD's evaluation, by hand: best-fit, dot product, packing, clustering, random.

The largest node is 128 cores and 8 devices in all of them.
"""

from collections import Counter

import numpy as np
import pytest

from gpuyard.model.policy import ShapePoint, WeightedScore
from gpuyard.scheduling.scores import SCORES, best_fit
from tests.small_fleet import node, placer_of, snapshot_of, template


def score(name, asked, *nodes, pods=(), **arguments):
    snapshot = snapshot_of(*nodes, pods=pods)
    term = WeightedScore(name=name, **arguments)
    slots = np.arange(len(nodes))
    rng = np.random.default_rng(0)
    return SCORES[name].raw(snapshot, snapshot.shape(asked), term, slots, rng).tolist()


@pytest.mark.parametrize(
    ("cpu", "gpus", "asked", "expected"),
    [
        pytest.param(128_000, 8, template(128_000, 8), 100, id="nothing is left"),
        pytest.param(128_000, 8, template(0), 0, id="everything is left"),
        # CPU left 96/128 = 0.75, devices left 7/8: 100 (1 - 0.375 - 0.4375) = 18.75
        pytest.param(128_000, 8, template(32_000, 1), 18, id="truncated"),
        # 32/128 and 1.5/8: 100 (1 - 0.125 - 0.09375) = 78.125
        pytest.param(64_000, 2, template(32_000, 1, milli=500), 78, id="a share"),
        # 300/128 = 2.34: 100 (1 - 1.17) = -17.2, truncated towards 0
        pytest.param(300_000, 0, template(0), -17, id="larger than the largest"),
    ],
)
def test_best_fit(cpu, gpus, asked, expected):
    assert score("best-fit", asked, node("n", cpu, "A" * gpus)) == [expected]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param([18, 78, 48], [0, 100, 50], id="stretched"),
        pytest.param([10, 13, 17], [0, 42, 100], id="rounded down"),
        pytest.param([7, 7], [0, 0], id="all equal: all 0"),
        pytest.param([-17, 3], [0, 100], id="below zero"),
    ],
)
def test_best_fit_normalised(raw, expected):
    assert best_fit.normalise(np.array(raw)).tolist() == expected


@pytest.mark.parametrize(
    ("cpu", "gpus", "asked", "expected"),
    [
        pytest.param(128_000, 8, template(128_000, 8), 0, id="all of the largest node"),
        pytest.param(128_000, 8, template(0), 100, id="asks for nothing"),
        # (1 · 0.25 + 1 · 0.125) / 2 = 0.1875
        pytest.param(128_000, 8, template(32_000, 1), 81, id="an empty node"),
        # (0.5 · 0.25 + 0.25 · 0.0625) / 2 = 0.0703
        pytest.param(64_000, 2, template(32_000, 1, milli=500), 92, id="less is left, so better"),
    ],
)
def test_dot_product(cpu, gpus, asked, expected):
    assert score("dot-product", asked, node("n", cpu, "A" * gpus)) == [expected]


@pytest.mark.parametrize(
    ("gpus", "used", "asked", "expected"),
    [
        pytest.param("AAAA", {}, template(0, 1), 29, id="empty node: 33 - devices"),
        pytest.param("A" * 20, {}, template(0, 1), 20, id="empty node, at least its devices"),
        pytest.param("AAAa", {}, template(0, 1), 30, id="a broken device is none"),
        pytest.param("AAAA", {0: 500}, template(0, 1), 49, id="used node: 50 - free ones taken"),
        pytest.param("AAAA", {0: 500}, template(0, 3), 47, id="used node, three free ones"),
        pytest.param("A" * 20, {0: 500}, template(0, 19), 33, id="used node, at least 33"),
        # the device has 50 % left: 100 - 50 // 10
        pytest.param("AAAA", {0: 500}, template(0, 1, milli=400), 95, id="shared: 100 - left / 10"),
        pytest.param("AAAA", {0: 500, 1: 300}, template(0, 1, milli=400), 95, id="the fullest"),
        # 55.5 % is cut to 55, 55 // 10 = 5
        pytest.param("AA", {0: 445}, template(0, 1, milli=400), 95, id="whole percents"),
        # 50 % and 70 %: 100 - 120 // 10
        pytest.param("AAA", {0: 500, 1: 300}, template(0, 2, milli=400), 88, id="the sum of both"),
        pytest.param("AA", {0: 500}, template(0, 2, milli=400), 49, id="one shared, one free"),
        pytest.param("AA", {0: 500}, template(0), 0, id="asks for no device"),
    ],
)
def test_packing(gpus, used, asked, expected):
    pods = [("n", template(0, 1, milli=milli), (index,)) for index, milli in used.items()]
    others = [node("wide", gpus="A" * 20)]  # so that arrays are wider than the node
    assert score("packing", asked, node("n", gpus=gpus), *others, pods=pods)[0] == expected


SHARE, ONE, TWO = template(0, 1, milli=500), template(0, 1), template(0, 2)


@pytest.mark.parametrize(
    ("running", "asked", "expected"),
    [
        # 25 · (8 - devices left) / 8, rounded down, plus 75, 50, 25 or 0
        pytest.param([], ONE, 12 + 25, id="nobody asks for devices there"),
        pytest.param([template(0)], ONE, 12 + 25, id="pods without devices are nobody"),
        pytest.param([ONE], ONE, 15 + 75, id="only its own kind"),
        pytest.param([SHARE], ONE, 14 + 0, id="only others"),
        pytest.param([ONE, SHARE], ONE, 17 + 50, id="its own kind beside others"),
        pytest.param([template(0, 1, milli=200)], SHARE, 13 + 75, id="all shares are one kind"),
        pytest.param([ONE], TWO, 15 + 0, id="one and two are different kinds"),
        pytest.param([ONE], template(0), 0, id="asks for no device"),
    ],
)
def test_clustering(running, asked, expected):
    pods = [("n", of) for of in running]
    assert score("clustering", asked, node("n", gpus="AAAA"), pods=pods) == [expected]


def test_clustering_forgets_who_left():
    snapshot = snapshot_of(node("n", gpus="AAAA"))
    with snapshot.trial():
        placer_of(snapshot, "clustering").place("p", SHARE)
    shape = snapshot.shape(ONE)
    term = WeightedScore(name="clustering")
    raw = SCORES["clustering"].raw(snapshot, shape, term, np.array([0]), np.random.default_rng(0))
    assert raw.tolist() == [12 + 25]


def test_the_largest_node_is_an_argument():
    small = {"largest_cpu_milli": 16_000, "largest_device_milli": 4_000}
    where = node("n", 8000, "AA")
    assert score("best-fit", template(0), where, **small) == [50]
    assert score("dot-product", template(8000, 2), where, **small) == [75]
    assert score("clustering", ONE, where, **small) == [12 + 25]


def test_random_is_fair_and_goes_by_rank():
    nodes = [node("z", rank=0), node("y", rank=1), node("x", rank=2)]
    snapshot = snapshot_of(*nodes)
    term, slots = WeightedScore(name="random"), np.arange(3)
    rng = np.random.default_rng(1)
    drawn = Counter(
        tuple(SCORES["random"].raw(snapshot, snapshot.shape(ONE), term, slots, rng).tolist())
        for _ in range(3000)
    )
    assert set(drawn) == {(100, 0, 0), (0, 100, 0), (0, 0, 100)}
    assert all(900 < times < 1100 for times in drawn.values())
    for seed in range(5):
        forth = placer_of(snapshot_of(*nodes), "random", seed).place("p", template())
        back = placer_of(snapshot_of(*reversed(nodes)), "random", seed).place("p", template())
        assert forth.node == back.node


@pytest.mark.parametrize("name", [name for name in SCORES if SCORES[name].reads == "use"])
def test_a_score_that_reads_use_says_the_same_of_any_part_of_the_nodes(name):
    nodes = [node(f"n{index}", 8000 * (index + 1), "A" * index) for index in range(1, 6)]
    pods = [("n3", SHARE), ("n4", ONE), ("n5", TWO), ("n5", SHARE)]
    snapshot = snapshot_of(*nodes, pods=pods, mix=[(ONE.request, 0.6), (SHARE.request, 0.4)])
    asked = template(1000, 1, milli=500, memory=10)
    points = (ShapePoint(0, 0), ShapePoint(100, 10))
    shape, term = snapshot.shape(asked), WeightedScore(name=name, shape=points)
    raw = SCORES[name].raw
    rng = np.random.default_rng(0)
    together = raw(snapshot, shape, term, np.arange(5), rng).tolist()
    alone = [int(raw(snapshot, shape, term, np.array([slot]), rng)[0]) for slot in range(5)]
    assert together == alone


def test_memory_is_no_part_of_the_published_scores():
    plenty, little = node("n", memory=10**9), node("n", memory=1)
    for name in ("best-fit", "dot-product", "packing", "clustering"):
        assert score(name, ONE, plenty) == score(name, ONE, little)
