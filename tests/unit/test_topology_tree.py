"""Domains as arrays: their order, their children, and what a leaf is called."""

import numpy as np
import pytest

from gpuyard.model.topology import HOSTNAME
from gpuyard.scheduling.topology.tree import grow

THREE = [
    ("b2", "r1", "n4"),
    ("b1", "r2", "n3"),
    ("b1", "r1", "n2"),
    ("b1", "r1", "n1"),
]


def test_domains_are_numbered_in_the_order_of_their_values():
    tree = grow(("block", "rack", HOSTNAME), THREE)
    assert tree.names == [["b1", "b2"], ["r1", "r2", "r1"], ["n1", "n2", "n3", "n4"]]
    assert [parents.tolist() for parents in tree.parents] == [[0, 0], [0, 0, 1], [0, 0, 1, 2]]


@pytest.mark.parametrize(
    ("level", "domains", "expected"),
    [
        pytest.param(0, [0], [0, 1], id="of one block"),
        pytest.param(0, [1, 0], [2, 0, 1], id="in the order of the blocks given"),
        pytest.param(1, [0, 2], [0, 1, 3], id="of racks that do not lie side by side"),
        pytest.param(1, [], [], id="of none"),
    ],
)
def test_children(level, domains, expected):
    tree = grow(("block", "rack", HOSTNAME), THREE)
    assert tree.children(level, np.array(domains, dtype=np.int64)).tolist() == expected


def test_ancestors():
    tree = grow(("block", "rack", HOSTNAME), THREE)
    assert tree.ancestors(0).tolist() == [0, 0, 0, 1]
    assert tree.ancestors(1).tolist() == [0, 0, 1, 2]
    assert tree.ancestors(0, 1).tolist() == [0, 0, 1]
    assert tree.ancestors(2).tolist() == [0, 1, 2, 3]


def test_a_host_is_called_by_its_name_alone():
    tree = grow(("block", "rack", HOSTNAME), THREE)
    assert tree.assigned_levels == (HOSTNAME,)
    assert tree.leaf_of == {("n1",): 0, ("n2",): 1, ("n3",): 2, ("n4",): 3}
    assert tree.path(2, 3) == ("b2", "r1", "n4")


def test_another_leaf_is_called_by_all_its_values():
    tree = grow(("block", "rack"), [("b2", "r1"), ("b1", "r1")])
    assert tree.assigned_levels == ("block", "rack")
    assert tree.leaf_of == {("b1", "r1"): 0, ("b2", "r1"): 1}


def test_a_path_that_comes_twice_is_one_leaf():
    assert grow(("block",), [("b",), ("b",)]).count(0) == 1


def test_a_topology_without_nodes_has_no_domains():
    tree = grow(("block", "rack"), [])
    assert [tree.count(level) for level in (0, 1)] == [0, 0]
    assert tree.leaf_of == {}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        pytest.param("block", 0, id="the widest"),
        pytest.param(HOSTNAME, 2, id="the narrowest"),
        pytest.param("row", None, id="unknown"),
    ],
)
def test_level_of(label, expected):
    assert grow(("block", "rack", HOSTNAME), THREE).level_of(label) == expected
