"""How a level of queues is divided, and a tree of them."""

from fractions import Fraction

import pytest

from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.scheduling.deserved.division import Claim, divide, divide_tree
from gpuyard.scheduling.deserved.shares import UNLIMITED, DeservedQueue, Quota, build


def claim(name, deserved=0, requested=100, weight=1, limit=UNLIMITED, **rest):
    return Claim(
        name=name,
        deserved=deserved,
        requested=requested,
        weight=Fraction(weight),
        limit=limit,
        **rest,
    )


def granted(claims):
    return {each.name: each.granted for each in claims}


@pytest.mark.parametrize(
    ("total", "claims", "expected", "left"),
    [
        pytest.param(8, [claim("a", 4), claim("b", 4)], {"a": 4, "b": 4}, 0, id="as deserved"),
        pytest.param(8, [claim("a", 4, 1), claim("b", 4, 2)], {"a": 1, "b": 2}, 5, id="as asked"),
        pytest.param(
            4, [claim("a", 4), claim("b", 4)], {"a": 4, "b": 4}, 0, id="deserving more than exists"
        ),
        pytest.param(
            6, [claim("a", UNLIMITED, 9)], {"a": 6}, 0, id="without bound: all there is, no more"
        ),
        pytest.param(
            6, [claim("a", UNLIMITED, 2), claim("b")], {"a": 2, "b": 4}, 0, id="its rest is shared"
        ),
        pytest.param(
            9, [claim("a", weight=2), claim("b")], {"a": 6, "b": 3}, 0, id="the rest by weight"
        ),
        pytest.param(
            9, [claim("a", weight=0), claim("b")], {"a": 0, "b": 9}, 0, id="weight 0: no rest"
        ),
        pytest.param(
            9, [claim("a", limit=0), claim("b")], {"a": 0, "b": 9}, 0, id="limit 0: nothing"
        ),
        pytest.param(
            9, [claim("a", 5, limit=2), claim("b", 1)], {"a": 2, "b": 7}, 0, id="never over a limit"
        ),
        pytest.param(
            9,
            [claim("a", requested=1), claim("b"), claim("c")],
            {"a": 1, "b": 4, "c": 4},
            0,
            id="what one does not need makes another round",
        ),
        pytest.param(
            9,
            [claim("a"), claim("b", priority=1, requested=7)],
            {"a": 2, "b": 7},
            0,
            id="the higher priority first, whatever the weights",
        ),
        pytest.param(
            7,
            [claim("new", created_ns=2), claim("old", created_ns=1)],
            {"new": 3, "old": 4},
            0,
            id="of equal fractions the crumb goes to the oldest",
        ),
        pytest.param(
            4,
            [claim("a", weight=3, created_ns=2), claim("b", weight=2)],
            {"a": 2, "b": 2},
            0,
            id="the crumb goes to the largest fraction: 2.4 and 1.6",
        ),
        pytest.param(
            2,
            [claim("b"), claim("a"), claim("c")],
            {"a": 1, "b": 1, "c": 0},
            0,
            id="of equal age by name",
        ),
    ],
)
def test_divide(total, claims, expected, left):
    assert divide(total, claims) == left
    assert granted(claims) == expected


@pytest.mark.parametrize(
    ("total", "claims", "expected"),
    [
        pytest.param(
            3500,
            [claim("a", requested=9000), claim("b", requested=9000, created_ns=1)],
            {"a": 2000, "b": 1500},
            id="whole units in rounds, then at most one unit of crumbs",
        ),
        pytest.param(
            2000,
            [claim("a", requested=500), claim("b", requested=9000)],
            {"a": 500, "b": 1500},
            id="who asks for a part gets a part, the rest goes on in whole units and crumbs",
        ),
    ],
)
def test_whole_units(total, claims, expected):
    assert divide(total, claims, unit=1000) == 0
    assert granted(claims) == expected


@pytest.mark.parametrize(
    ("k", "usage", "expected"),
    [
        pytest.param(0, Fraction(1), {"a": 5, "b": 5}, id="k 0: the past does not count"),
        pytest.param(1, Fraction(1, 2), {"a": 3, "b": 7}, id="used its half while b used nothing"),
        pytest.param(1, Fraction(1), {"a": 0, "b": 10}, id="used all: nothing"),
        pytest.param(9, Fraction(1), {"a": 0, "b": 10}, id="a part is never negative"),
    ],
)
def test_decayed_usage(k, usage, expected):
    # with k 1: a 1/2 + (1/2 − usage), b 1/2 + 1/2; at usage 1/2 that is 3.3 against 6.7 of 10
    claims = [claim("a", usage=usage), claim("b", created_ns=1)]
    divide(10, claims, k=Fraction(k))
    assert granted(claims) == expected


def test_a_level_divides_what_its_parent_got():
    tree = build(
        [
            DeservedQueue(name="x", quotas=(("gpu", Quota(deserved=2)),)),
            DeservedQueue(name="y", quotas=(("gpu", Quota(deserved=6)),)),
            DeservedQueue(name="x1", parent="x", quotas=(("gpu", Quota(deserved=8)),)),
            DeservedQueue(name="y1", parent="y", quotas=(("gpu", Quota()),)),
            DeservedQueue(
                name="y2",
                parent="y",
                quotas=(("gpu", Quota(weight_nano=2 * WEIGHT_ONE_NANO)),),
            ),
        ]
    )
    for leaf in ("x1", "y1", "y2"):
        tree.ask(leaf, {"gpu": 8})
    divide_tree(tree, {"gpu": 8}, {}, 0)
    fair = {name: share.fair["gpu"] for name, share in tree.shares.items()}
    assert fair == {"x": 2, "y": 6, "x1": 8, "y1": 2, "y2": 4}
