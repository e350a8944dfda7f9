"""Least attained service: queues by what was attained, and first come, first served within one."""

import pytest

from gpuyard.model.rounds import LeastAttained, Standing
from gpuyard.scheduling.ordering.attained_service import moves_down_after_ns, standing, turn

TWO = LeastAttained(thresholds_device_ns=(100,))
THREE = LeastAttained(thresholds_device_ns=(100, 1000))
ONE = LeastAttained(thresholds_device_ns=())
FIRST = Standing(entered_ns=5)


@pytest.mark.parametrize(
    ("order", "before", "attained", "expected"),
    [
        pytest.param(TWO, FIRST, 0, FIRST, id="who had nothing stays in the first queue"),
        pytest.param(TWO, FIRST, 99, FIRST, id="below the threshold nothing changes"),
        pytest.param(
            TWO, FIRST, 100, Standing(queue=1, entered_ns=70), id="at the threshold it moves down"
        ),
        pytest.param(
            TWO,
            Standing(queue=1, entered_ns=70),
            500,
            Standing(queue=1, entered_ns=70),
            id="in the last queue it keeps its place",
        ),
        pytest.param(
            THREE, FIRST, 2000, Standing(queue=2, entered_ns=70), id="past two thresholds at once"
        ),
        pytest.param(
            THREE,
            Standing(queue=2, entered_ns=8),
            50,
            Standing(queue=2, entered_ns=8),
            id="nobody moves up again",
        ),
        pytest.param(ONE, FIRST, 10**30, FIRST, id="without thresholds there is one queue"),
    ],
)
def test_standing(order, before, attained, expected):
    assert standing(order, before, attained, 70) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((0, 900), (1, 5), id="the lower queue is served first"),
        pytest.param((0, 5), (0, 900), id="within a queue who entered first"),
        pytest.param((1, 5), (1, 6), id="and so in the last queue"),
    ],
)
def test_turn(first, second):
    one, other = (Standing(queue=queue, entered_ns=ns) for queue, ns in (first, second))
    assert turn(one) < turn(other)


def test_equal_turns_keep_the_order_of_arrival():
    entries = [("b", FIRST), ("a", FIRST)]
    assert sorted(entries, key=lambda entry: turn(entry[1])) == entries


@pytest.mark.parametrize(
    ("order", "queue", "attained", "device_milli", "expected"),
    [
        pytest.param(TWO, 0, 0, 4000, 25, id="devices times time"),
        pytest.param(TWO, 0, 1, 4000, 25, id="rounded up: not a nanosecond before"),
        pytest.param(TWO, 0, 97, 4000, 1, id="soon"),
        pytest.param(TWO, 0, 0, 500, 200, id="half a device attains half as fast"),
        pytest.param(TWO, 0, 150, 4000, 0, id="overdue"),
        pytest.param(TWO, 1, 150, 4000, None, id="below the last queue there is none"),
        pytest.param(THREE, 1, 150, 2000, 425, id="the next threshold of three queues"),
        pytest.param(TWO, 0, 0, 0, None, id="without devices nothing is attained"),
    ],
)
def test_moves_down_after(order, queue, attained, device_milli, expected):
    before = Standing(queue=queue, entered_ns=0)
    assert moves_down_after_ns(order, before, attained, device_milli) == expected


@pytest.mark.parametrize(
    "thresholds",
    [
        pytest.param((0,), id="nobody ever stands in the first queue"),
        pytest.param((-5, 5), id="negative"),
        pytest.param((10, 10), id="twice the same"),
        pytest.param((10, 5), id="descending"),
    ],
)
def test_thresholds_ascend(thresholds):
    with pytest.raises(ValueError, match="must be positive and ascend"):
        LeastAttained(thresholds_device_ns=thresholds)
