"""Amounts by resource name, and the sums of workloads and plans that are made of them."""

import pytest

from gpuyard.model.plan import Start
from gpuyard.model.resources import NOTHING, Resources
from gpuyard.model.workloads import Assignment, DeviceRequest
from tests.small_fleet import template, workload


def test_names_are_sorted_and_an_explicit_zero_is_kept():
    amounts = Resources.of({"memory": 5, "cpu": 0})
    assert amounts.amounts == (("cpu", 0), ("memory", 5))
    assert amounts == Resources.of([("cpu", 0), ("memory", 5)])
    assert amounts != Resources.of({"memory": 5})
    assert amounts.as_dict() == {"cpu": 0, "memory": 5}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("memory", 5, id="mentioned"),
        pytest.param("cpu", 0, id="an explicit zero"),
        pytest.param("nic", 0, id="not mentioned"),
    ],
)
def test_get(name, expected):
    assert Resources.of({"memory": 5, "cpu": 0}).get(name) == expected


@pytest.mark.parametrize(
    ("one", "other", "total", "largest"),
    [
        pytest.param({}, {}, {}, {}, id="nothing"),
        pytest.param({"a": 1}, {}, {"a": 1}, {"a": 1}, id="and nothing"),
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 2}, id="other names"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, id="the same name"),
        pytest.param({"b": 5, "a": 9}, {"b": 2}, {"a": 9, "b": 7}, {"a": 9, "b": 5}, id="both"),
        pytest.param({"a": -1}, {"b": -2}, {"a": -1, "b": -2}, {"a": -1, "b": 0}, id="below zero"),
    ],
)
def test_plus_and_at_least(one, other, total, largest):
    first, second = Resources.of(one), Resources.of(other)
    assert first.plus(second) == second.plus(first) == Resources.of(total)
    assert first.at_least(second) == Resources.of(largest)
    assert first == Resources.of(one)


def test_nothing_is_nothing():
    assert Resources.of({}) == NOTHING
    assert hash(NOTHING) == hash(Resources.of({}))


def test_a_workload_sums_over_its_pod_sets():
    gang = workload("w", (3, template(1, 2)), (2, template(1)), (4, template(1, 1, milli=250)))
    assert gang.pod_count == 9
    assert gang.device_milli == 3 * 2000 + 4 * 250
    assert DeviceRequest(count=2, milli=250).total_milli == 500


def test_a_start_sums_over_its_assignments():
    whole, share, none = template(1, 2), template(1, 1, milli=250), template(1)
    pods = [
        Assignment(pod=f"p{index}", template=of, node="n")
        for index, of in enumerate((whole, share, none))
    ]
    assert [one.device_milli for one in pods] == [2000, 250, 0]
    assert Start("w", tuple(pods)).device_milli == 2250
