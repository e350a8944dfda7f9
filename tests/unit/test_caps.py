"""Caps per user, queue and device model, at certain hours: what is left, and what binds."""

import datetime as dt

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gpuyard.model.caps import EACH, DailyWindow, UsageCap, Use
from gpuyard.scheduling.caps import is_open, left

HOUR = 3600 * 10**9
GPU = "nvidia.com/gpu"


def use(amount, user="ann", queue="ml", model="H100", resource=GPU):
    return Use(resource=resource, amount=amount, user=user, queue=queue, model=model)


def cap(amount, name="cap", **about):
    return UsageCap(name=name, resource=GPU, amount=amount, **about)


def found(caps, in_use=(), asked=None, now_ns=0):
    binding = left(caps, in_use, asked or use(1), now_ns)
    return binding and (binding.name, binding.have, binding.where)


@pytest.mark.parametrize(
    ("about", "in_use", "expected"),
    [
        pytest.param({}, [use(3), use(2, "bob")], (3, "everybody"), id="all together"),
        pytest.param({"user": "ann"}, [use(3), use(2, "bob")], (5, "user ann"), id="one user"),
        pytest.param({"user": "bob"}, [use(3)], None, id="another user"),
        pytest.param(
            {"user": EACH}, [use(3), use(2, "bob")], (5, "user ann"), id="each user alone"
        ),
        pytest.param(
            {"model": "H100"}, [use(3), use(2, model="A100")], (5, "model H100"), id="one model"
        ),
        pytest.param({"model": "A100"}, [], None, id="another model"),
        pytest.param(
            {"user": EACH, "model": "H100"},
            [use(3), use(2, model="A100"), use(1, "bob")],
            (5, "user ann, model H100"),
            id="each user, of one model",
        ),
        pytest.param(
            {"queue": "ml", "user": EACH},
            [use(3), use(2, queue="web")],
            (5, "user ann, queue ml"),
            id="each user in one queue",
        ),
        pytest.param({}, [use(3, resource="cpu")], (8, "everybody"), id="another resource"),
        pytest.param({}, [use(11)], (-3, "everybody"), id="negative where a cap came too late"),
    ],
)
def test_what_is_left(about, in_use, expected):
    assert found([cap(8, **about)], in_use) == (expected and ("cap", *expected))


def test_the_cap_that_leaves_least_binds_and_of_equal_ones_the_first():
    caps = [cap(8, "all"), cap(5, "mine", user="ann"), cap(5, "model", model="H100")]
    assert found(caps) == ("mine", 5, "user ann")
    assert found(caps, [use(5, "bob", model="A100")]) == ("all", 3, "everybody")


def test_another_resource_has_no_cap():
    assert found([cap(8)], asked=use(1, resource="cpu")) is None


def test_the_answer_says_what_was_asked_for():
    assert left([cap(8)], [], use(5), 0).needed == 5


def at(text):
    """Return an instant in UTC; 5 October 2026 is a Monday."""
    return int(dt.datetime.fromisoformat(f"{text}+00:00").timestamp()) * 10**9


OFFICE = DailyWindow(from_ns=8 * HOUR, until_ns=18 * HOUR, weekdays=(0, 1, 2, 3, 4))
NIGHT = DailyWindow(from_ns=20 * HOUR, until_ns=6 * HOUR, weekdays=(4,))
BERLIN = DailyWindow(from_ns=8 * HOUR, until_ns=18 * HOUR, utc_offset_ns=2 * HOUR)
SUNDAY = DailyWindow(weekdays=(6,))


@pytest.mark.parametrize(
    ("window", "when", "expected"),
    [
        pytest.param(OFFICE, "2026-10-05T08:00", True, id="it opens at its first instant"),
        pytest.param(OFFICE, "2026-10-05T07:59:59", False, id="not before"),
        pytest.param(OFFICE, "2026-10-05T18:00", False, id="it ends before its last"),
        pytest.param(OFFICE, "2026-10-04T12:00", False, id="Sunday"),
        pytest.param(OFFICE, "2026-10-09T12:00", True, id="Friday"),
        pytest.param(NIGHT, "2026-10-09T23:00", True, id="Friday night"),
        pytest.param(NIGHT, "2026-10-10T05:59", True, id="is also early on Saturday"),
        pytest.param(NIGHT, "2026-10-10T06:00", False, id="until six"),
        pytest.param(NIGHT, "2026-10-09T05:00", False, id="early on Friday is Thursday night"),
        pytest.param(BERLIN, "2026-10-05T06:00", True, id="eight in Berlin"),
        pytest.param(BERLIN, "2026-10-05T16:00", False, id="six in Berlin"),
        pytest.param(SUNDAY, "2026-10-04T00:00", True, id="a whole day from its start"),
        pytest.param(SUNDAY, "2026-10-04T23:59:59", True, id="to its end"),
        pytest.param(SUNDAY, "2026-10-05T00:00", False, id="and no longer"),
    ],
)
def test_windows(window, when, expected):
    assert is_open((window,), at(when)) is expected
    assert (found([cap(8, windows=(window,))], now_ns=at(when)) is not None) is expected


def test_one_open_window_is_enough_and_none_means_always():
    assert is_open((OFFICE, SUNDAY), at("2026-10-04T12:00"))
    assert is_open((), 0)


names = st.sampled_from(["ann", "bob"])
models = st.sampled_from(["H100", "A100"])
uses = st.lists(st.builds(use, st.integers(0, 5), names, st.sampled_from(["ml", "web"]), models))


@given(uses, st.integers(0, 30), st.sampled_from(["", EACH]), st.sampled_from(["", EACH]))
def test_starting_only_what_is_left_never_exceeds_a_cap(asked, amount, user, model):
    held = []
    caps = [cap(amount, user=user, model=model)]
    for each in asked:
        binding = left(caps, held, each, 0)
        if binding.needed <= binding.have:
            held.append(each)
    sums = {}
    for each in held:
        key = each.user if user else "", each.model if model else ""
        sums[key] = sums.get(key, 0) + each.amount
    assert all(total <= amount for total in sums.values())
