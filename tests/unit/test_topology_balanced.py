"""Even shares instead of full domains: the threshold, the smallest set, and who falls back."""

import numpy as np
import pytest

from gpuyard.model.topology import HOSTNAME, TopologyRules
from gpuyard.scheduling.topology import Refusal, place
from gpuyard.scheduling.topology.balanced import by_room_and_entropy, evaluate, least_room, prune
from gpuyard.scheduling.topology.counts import LevelCounts, sum_up
from gpuyard.scheduling.topology.requests import Ask
from gpuyard.scheduling.topology.tree import grow
from tests.small_topology import ask, shown, yard

BALANCED = TopologyRules(balances_preferred=True)


def placed(cpus, *requests, rules=BALANCED):
    found = place(yard(cpus), requests, rules=rules)
    assert not isinstance(found, Refusal)
    return [shown(each) for each in found]


def counts_of(pods, leaders=(), beside=None):
    """Return counts of one level in slices of one pod."""
    alone = np.array(pods)
    with_leader = alone if beside is None else np.array(beside)
    return LevelCounts(
        pods=alone,
        slices=alone.copy(),
        pods_with_leader=with_leader.copy(),
        slices_with_leader=with_leader.copy(),
        leaders=np.array(leaders or [0] * len(pods)),
        affinity=np.zeros(len(pods), dtype=np.int64),
    )


def asked(pods, leaders=0, level=0, slice_level=0):
    return Ask(
        pods=pods,
        leaders=leaders,
        level=level,
        slice_level=slice_level,
        slice_size=1,
        inner_sizes=(0, 0),
    )


@pytest.mark.parametrize(
    ("cpus", "count", "wish", "expected"),
    [
        pytest.param(
            {"b/r1/n1": 10, "b/r2/n2": 10},
            12,
            "preferred rack",
            {"n1": 6, "n2": 6},
            id="even shares",
        ),
        pytest.param(
            {"b/r1/n1": 10, "b/r2/n2": 10},
            13,
            "preferred rack",
            {"n1": 7, "n2": 6},
            id="what is left goes to the first",
        ),
        pytest.param(
            {"b/r1/n1": 10, "b/r2/n2": 10, "b/r3/n3": 4},
            12,
            f"preferred {HOSTNAME}",
            {"n1": 10, "n3": 2},
            id="a host has no siblings in its rack: filled up",
        ),
        pytest.param(
            {"b1/r/n1": 12, "b1/r/n2": 4, "b2/r/n3": 8, "b2/r/n4": 8},
            14,
            f"preferred {HOSTNAME}",
            {"n3": 7, "n4": 7},
            id="the rack with the larger threshold",
        ),
        pytest.param(
            {"b/r/n1": 9, "b/r/n2": 6, "b/r/n3": 5},
            11,
            f"preferred {HOSTNAME}",
            {"n2": 6, "n3": 5},
            id="of two hosts the set with the least to spare",
        ),
    ],
)
def test_balanced_places(cpus, count, wish, expected):
    assert placed(cpus, ask(count, wish)) == [expected]


@pytest.mark.parametrize(
    ("wish", "rules"),
    [
        pytest.param("required block", BALANCED, id="required pods are not balanced"),
        pytest.param("preferred rack", TopologyRules(), id="nor are any unless the rules say so"),
    ],
)
def test_filled_up(wish, rules):
    hosts = {"b/r1/n1": 10, "b/r2/n2": 10}
    assert placed(hosts, ask(12, wish), rules=rules) == [{"n1": 10, "n2": 2}]


def test_slices_are_shared_whole():
    hosts = {"b/r1/n1": 12, "b/r2/n2": 12}
    request = ask(16, "preferred rack", slices=[(HOSTNAME, 4)])
    assert placed(hosts, request) == [{"n1": 8, "n2": 8}]


def test_a_leader_stands_in_one_of_the_domains():
    hosts = {"b/r/n1": 5, "b/r/n2": 5}
    wish = f"preferred {HOSTNAME}"
    leader = ask(1, wish, group="g", name="leader")
    workers = ask(8, wish, group="g", name="workers")
    assert placed(hosts, leader, workers) == [{"n1": 1}, {"n1": 4, "n2": 4}]


# --- Its parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pods", "leaders", "want", "expected"),
    [
        pytest.param([5, 3], [], asked(8), (2, None, 1), id="both to the brim"),
        pytest.param([5, 3], [], asked(9), None, id="one too many"),
        pytest.param([5, 0], [], asked(6), None, id="an empty one does not help"),
        pytest.param([5, 3], [1, 0], asked(5, 1), (2, 0, 1), id="the leader's first"),
        pytest.param([5, 3], [0, 0], asked(1, 1), None, id="nobody takes the leader"),
        pytest.param([5, 3], [1, 0], asked(4, 1), (1, 0, None), id="the leader's alone"),
    ],
)
def test_evaluate(pods, leaders, want, expected):
    beside = [amount - leads for amount, leads in zip(pods, leaders or [0, 0], strict=True)]
    found = evaluate(counts_of(pods, leaders, beside), np.arange(2), want)
    assert found == expected


@pytest.mark.parametrize(
    ("pods", "want", "expected"),
    [
        pytest.param([9, 6, 4, 2], 5, [1], id="one that holds it with the least to spare"),
        pytest.param([9, 6, 4, 2], 10, [1, 2], id="two that hold it exactly"),
        pytest.param([9, 6, 4, 2], 21, [0, 1, 2, 3], id="all of them"),
        pytest.param([9, 6, 4, 2], 22, None, id="not enough"),
        pytest.param([3, 3, 3], 3, [0], id="of equal ones the first in order"),
    ],
)
def test_least_room(pods, want, expected):
    domains = np.arange(len(pods))
    found = least_room(counts_of(pods), domains, domains, asked(want))
    assert (None if found is None else sorted(found.tolist())) == expected


def test_least_room_has_one_domain_for_the_leader():
    counts = counts_of([5, 4, 3], leaders=[0, 0, 1], beside=[5, 4, 2])
    domains = np.arange(3)
    assert sorted(least_room(counts, domains, domains, asked(6, 1)).tolist()) == [1, 2]


def leveled(pods):
    """Return a tree of racks with hosts, and what fits into each."""
    tree = grow(("rack", HOSTNAME), [tuple(path.split("/")) for path in pods])
    ask_hosts = asked(0, slice_level=1)
    ordered = [pods["/".join(tree.path(1, leaf))] for leaf in range(tree.count(1))]
    return tree, sum_up(tree, ask_hosts, counts_of(ordered))


def test_prune_leaves_out_hosts_and_then_racks_with_too_little():
    tree, levels = leveled({"r1/n1": 4, "r1/n2": 1, "r2/n3": 1, "r2/n4": 1})
    pruned = prune(tree, levels, asked(4, slice_level=1), np.arange(2), 2)
    assert pruned[1].slices.tolist() == [4, 0, 0, 0]
    assert pruned[0].slices.tolist() == [4, 0]
    assert levels[1].slices.tolist() == [4, 1, 1, 1]


def test_even_parts_come_before_uneven_ones():
    tree, levels = leveled({"r1/n1": 7, "r1/n2": 1, "r2/n3": 4, "r2/n4": 4, "r3/n5": 9})
    order = by_room_and_entropy(tree, levels, 0, np.arange(3))
    assert [tree.names[0][rack] for rack in order.tolist()] == ["r3", "r2", "r1"]
