"""The arrays: slots, columns, growth, order, and what a node's own facts write into them."""

import numpy as np
import pytest

from gpuyard.model.workloads import DeviceRequest
from gpuyard.scheduling.fleet import FIRST_ROWS, NO_MODEL, UNLIMITED, Fleet
from tests.small_fleet import node


def fleet_of(*nodes):
    fleet = Fleet()
    for one in nodes:
        fleet.write_node(fleet.take_slot(), one)
    return fleet


def test_a_node_is_written_as_if_nothing_ran_on_it():
    fleet = fleet_of(node("n", 4000, "AbA", memory=7, amounts={"nic": 2}))
    columns = [fleet.resources[name] for name in ("cpu", "memory", "pods", "nic")]
    assert fleet.allocatable[0, columns].tolist() == [4000, 7, UNLIMITED, 2]
    assert fleet.free[0].tolist() == fleet.allocatable[0].tolist()
    assert not fleet.scored[0].any()
    assert fleet.device_free[0].tolist() == [1000, 0, 1000]
    assert fleet.device_model[0].tolist() == [0, NO_MODEL, 0]
    assert fleet.models == {"A": 0}


def test_a_stated_number_of_pods_is_a_limit():
    fleet = fleet_of(node("n", amounts={"pods": 110}))
    assert fleet.free[0, fleet.resources["pods"]] == 110


def test_writing_again_leaves_nothing_of_before():
    fleet = fleet_of(node("n", 4000, "AAA", amounts={"nic": 2}))
    fleet.write_node(0, node("n", 1000, "B"))
    assert fleet.allocatable[0].tolist() == [1000, 1000, UNLIMITED, 0]
    assert fleet.device_free[0].tolist() == [1000, 0, 0]
    assert fleet.device_model[0].tolist() == [1, NO_MODEL, NO_MODEL]


def test_a_freed_slot_is_blank_and_the_last_one_freed_is_used_first():
    fleet = fleet_of(node("a", gpus="A"), node("b", gpus="A"), node("c", gpus="A"))
    for slot in (0, 2):
        fleet.free_slot(slot)
    assert fleet.present.tolist() == [False, True, False]
    assert fleet.device_free.tolist() == [[0], [1000], [0]]
    assert fleet.device_model.tolist() == [[NO_MODEL], [0], [NO_MODEL]]
    assert not fleet.allocatable[[0, 2]].any()
    assert [fleet.take_slot() for _ in range(3)] == [2, 0, 3]


def test_growth_keeps_everything():
    count = 3 * FIRST_ROWS
    fleet = fleet_of(*(node(f"n{index:03}", index, "A" * (index % 4)) for index in range(count)))
    fleet.resource_column("nic")
    assert fleet.size == count
    assert len(fleet.free) == len(fleet.device_free) == len(fleet.order) == count
    assert fleet.free[:, 0].tolist() == list(range(count))
    assert fleet.device_free.sum(axis=1).tolist() == [1000 * (index % 4) for index in range(count)]
    assert (fleet.device_model >= 0).sum(axis=1).tolist() == [index % 4 for index in range(count)]
    assert not fleet.free[:, fleet.resources["nic"]].any()


def test_a_new_column_is_seen_at_once():
    fleet = fleet_of(node("n"))
    column = fleet.resource_column("nic")
    fleet.free[0, column] = 5
    assert fleet.resource_column("nic") == column
    assert fleet.free[0, column] == 5


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        pytest.param({"a": 0, "b": 0, "c": 0}, "abc", id="equal ranks go by name"),
        pytest.param({"b": 0, "a": 0}, "ab", id="not by slot"),
        pytest.param({"a": 2, "b": 1, "c": 3}, "bac", id="the smallest rank first"),
    ],
)
def test_order(ranks, expected):
    fleet = fleet_of(*(node(name, rank=rank) for name, rank in ranks.items()))
    names = list(ranks)
    assert "".join(names[slot] for slot in np.argsort(fleet.order)) == expected


def test_order_follows_ranks_and_names_that_change():
    fleet = fleet_of(node("a", rank=0), node("b", rank=1), node("c", rank=2))
    assert fleet.order.tolist() == [0, 1, 2]
    fleet.write_node(0, node("a", rank=9))
    assert fleet.order.tolist() == [2, 0, 1]
    fleet.free_slot(1)
    assert fleet.order[2] < fleet.order[0]
    fleet.write_node(fleet.take_slot(), node("z", rank=5))
    assert fleet.order.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        pytest.param((1, 300), (1, 600), True, id="shares are one kind, whatever their size"),
        pytest.param((1, 1000), (1, 999), False, id="a whole device is no share"),
        pytest.param((1, 1000), (2, 1000), False, id="so many whole ones, so many kinds"),
    ],
)
def test_device_kind(first, second, same):
    fleet = fleet_of(node("n", gpus="A"))
    kinds = [
        fleet.device_kind(DeviceRequest(count=count, milli=milli))
        for count, milli in (first, second)
    ]
    assert (kinds[0] == kinds[1]) is same
    assert fleet.device_pods.shape == (1, len(set(kinds)))
