"""The two filters for devices, and how many requests fit on devices side by side."""

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gpuyard.model.workloads import DeviceRequest
from gpuyard.scheduling.feasibility.devices import DEVICE_FIT, DEVICE_MODEL, side_by_side
from tests.small_fleet import node, snapshot_of, template


def answer(gpus, used, asked):
    """Return what both filters say of a node, some of whose devices are in use."""
    pods = [("n", template(0, 1, milli=milli), (index,)) for index, milli in used.items()]
    snapshot = snapshot_of(node("n", gpus=gpus), node("wide", gpus="ABCABC"), pods=pods)
    shape = snapshot.shape(asked)
    slots = np.array([snapshot.slot_of["n"]])
    says = [bool(rule.passes(snapshot, shape, slots)[0]) for rule in (DEVICE_MODEL, DEVICE_FIT)]
    return snapshot, shape, says


@pytest.mark.parametrize(
    ("gpus", "used", "asked", "has_model", "fits"),
    [
        pytest.param("AA", {}, template(0, 2), True, True, id="as many as there are"),
        pytest.param("AA", {}, template(0, 3), False, False, id="more than there are"),
        pytest.param("", {}, template(0, 1), False, False, id="no device"),
        pytest.param("AB", {}, template(0, 2), True, True, id="any model will do"),
        pytest.param("AB", {}, template(0, 1, models="B"), True, True, id="the right model"),
        pytest.param("AB", {}, template(0, 2, models="B"), False, False, id="one of two is right"),
        pytest.param("ABC", {}, template(0, 2, models="BC"), True, True, id="one of several"),
        pytest.param("A", {}, template(0, 1, models="Z"), False, False, id="unheard-of model"),
        pytest.param("Aa", {}, template(0, 2), False, False, id="a broken one is none"),
        pytest.param("AA", {0: 1000}, template(0, 2), True, False, id="the node would do, empty"),
        pytest.param("AA", {0: 1}, template(0, 2), True, False, id="a thousandth is missing"),
        pytest.param("A", {0: 600}, template(0, 1, milli=400), True, True, id="the rest suffices"),
        pytest.param("A", {0: 601}, template(0, 1, milli=400), True, False, id="it does not"),
        pytest.param("AB", {0: 1000}, template(0, 1, models="A"), True, False, id="wrong one free"),
        pytest.param("AA", {0: 900}, template(0, 2, milli=500), True, False, id="on each device"),
    ],
)
def test_filters(gpus, used, asked, has_model, fits):
    assert answer(gpus, used, asked)[2] == [has_model, fits]


def test_no_devices_asked_concerns_nobody():
    snapshot = snapshot_of(node("n"))
    shape = snapshot.shape(template())
    assert not DEVICE_MODEL.concerns(shape)
    assert not DEVICE_FIT.concerns(shape)


@pytest.mark.parametrize(
    ("gpus", "used", "asked", "model", "fit"),
    [
        pytest.param("", {}, template(0, 1), "node(s) had no GPU", None, id="none"),
        pytest.param("A", {}, template(0, 2), "node(s) had fewer than 2 GPU", None, id="few"),
        pytest.param(
            "AA", {}, template(0, 1, models="BC"), "node(s) had fewer than 1 B|C", None, id="model"
        ),
        pytest.param(
            "AA",
            {0: 700},
            template(0, 2, milli=500),
            None,
            "1 GPUs with 500 milli left, 2 needed",
            id="left",
        ),
    ],
)
def test_reasons(gpus, used, asked, model, fit):
    snapshot, shape, _ = answer(gpus, used, asked)
    slot = snapshot.slot_of["n"]
    if model:
        (said,) = DEVICE_MODEL.reasons(snapshot, shape, slot)
        assert (said.text, said.resolvable) == (model, False)
    if fit:
        (said,) = DEVICE_FIT.reasons(snapshot, shape, slot)
        assert (said.text, said.resolvable) == (fit, True)


@pytest.mark.parametrize(
    ("left", "count", "milli", "expected"),
    [
        pytest.param([1000, 1000], 1, 1000, 2, id="whole ones"),
        pytest.param([1000] * 5, 2, 1000, 2, id="pairs of whole ones"),
        pytest.param([1000, 700], 1, 300, 5, id="shares: three and two"),
        pytest.param([1000, 1000], 2, 500, 2, id="two pairs of halves share two devices"),
        pytest.param([1000, 400], 2, 500, 0, id="a pair needs two devices"),
        pytest.param([1000, 1000, 500], 2, 250, 5, id="four, four and two quarters: five pairs"),
        pytest.param([1000, 250, 250], 2, 250, 2, id="four quarters of one device help only twice"),
        pytest.param([-1000, 1000], 1, 1000, 1, id="an over-full device takes nothing away"),
        pytest.param([], 1, 1000, 0, id="none"),
    ],
)
def test_side_by_side(left, count, milli, expected):
    asked = DeviceRequest(count=count, milli=milli)
    assert side_by_side(np.array([left], dtype=np.int64), asked).tolist() == [expected]


def most_by_trying(shares, count):
    """Return how many requests fit, each on `count` different devices, by trying everything."""
    best = 0
    for chosen in itertools.combinations(range(len(shares)), count):
        if all(shares[index] for index in chosen):
            rest = tuple(share - (index in chosen) for index, share in enumerate(shares))
            best = max(best, 1 + most_by_trying(rest, count))
    return best


@given(shares=st.lists(st.integers(0, 3), min_size=1, max_size=4), count=st.integers(1, 3))
def test_side_by_side_is_the_most_that_any_choice_could_hold(shares, count):
    left = np.array([[share * 250 + 100 for share in shares]], dtype=np.int64)
    asked = DeviceRequest(count=count, milli=250)
    assert side_by_side(left, asked).tolist() == [most_by_trying(tuple(shares), count)]
