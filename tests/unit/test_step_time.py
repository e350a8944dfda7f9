"""Step times from measured tables: by placement, by column, between columns, and not beyond."""

import pytest

from gpuyard.twin.step_time import (
    NotMeasuredError,
    Rectangle,
    StepTime,
    StepTimes,
    first_rotation,
)


def curve(**by_batch):
    return {int(batch[1:]): StepTime(step_s, step_s / 10) for batch, step_s in by_batch.items()}


PLACEMENTS = {
    (1,): curve(b10=1.0, b20=2.0, b40=3.0),
    (1, 2): curve(b10=4.0, b20=6.0),
    (2, 2): curve(b10=5.0),
    (1, 3): curve(b10=7.0, b20=9.0),
    (1, 1, 2): curve(b10=8.0, b20=20.0),
    (1, 2, 1, 2): curve(b10=10.0, b20=20.0),
}
AT_SCALE = {(4, 8): curve(b10=10.0, b20=12.0), (8, 8): curve(b10=30.0, b20=52.0)}
MEASURED = StepTimes(PLACEMENTS, AT_SCALE)
SQUARE = Rectangle(4, 8, 8, 10, 20)


def on(nodes, pods=8):
    """Return a spread of `pods` over so many nodes."""
    return (pods - nodes + 1,) + (1,) * (nodes - 1)


@pytest.mark.parametrize(
    ("spread", "batch", "step_s"),
    [
        pytest.param((1,), 10, 1.0, id="measured"),
        pytest.param((1,), 15, 1.5, id="between two measured batches"),
        pytest.param((1,), 30, 2.5, id="of several the nearest two"),
        pytest.param((2, 1), 20, 6.0, id="a rotation is the same ring"),
        pytest.param((2, 1, 2, 1), 15, 15.0, id="and so with four nodes"),
        pytest.param((3, 1), 10, 7.0, id="the placement itself, not the mean of its column"),
        pytest.param((2, 2, 2, 2), 15, 11.0, id="a column measured at scale"),
        pytest.param((2, 1, 1, 2), 10, 10.0, id="the mean of a column"),
        pytest.param((2, 2, 1, 1, 1, 1), 10, 20.0, id="half-way between two columns"),
    ],
)
def test_at(spread, batch, step_s):
    time = MEASURED.at(spread, batch)
    assert time == pytest.approx((step_s, step_s / 10))


def test_a_column_is_the_mean_of_its_placements_batch_by_batch():
    measured = StepTimes(
        {(1, 1, 4): curve(b10=2.0, b20=4.0), (1, 2, 3): curve(b10=4.0), (3, 2, 1): curve(b10=9.0)},
        {},
    )
    # (2, 2, 2) was not measured; three placements of 3 nodes and 6 pods were at 10, one at 20
    assert measured.at((2, 2, 2), 10).step_s == pytest.approx(5.0)
    assert measured.at((2, 2, 2), 15).step_s == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("cut", "nodes", "batch", "step_s"),
    [
        # corners: (4, 10) 10, (8, 10) 30, (4, 20) 12, (8, 20) 52
        pytest.param("rising", 6, 15, 31.0, id="on the rising diagonal"),
        pytest.param("falling", 6, 15, 21.0, id="on the falling diagonal"),
        pytest.param(None, 6, 15, 26.0, id="unless told the mean of both"),
        pytest.param("rising", 5, 15, 21.0, id="left above the rising diagonal"),
        pytest.param("rising", 7, 15, 36.0, id="right below the rising diagonal"),
        pytest.param("falling", 5, 15, 16.0, id="left below the falling diagonal"),
        pytest.param("falling", 7, 15, 31.0, id="right above the falling diagonal"),
        pytest.param("rising", 4, 15, 11.0, id="on the left edge no diagonal matters"),
        pytest.param("falling", 4, 15, 11.0, id="so with the other one"),
        pytest.param("rising", 6, 10, 20.0, id="nor on the lower edge"),
        pytest.param("falling", 6, 10, 20.0, id="with neither"),
        pytest.param("rising", 6, 20, 32.0, id="nor on the upper edge"),
    ],
)
def test_between_columns(cut, nodes, batch, step_s):
    measured = StepTimes({}, AT_SCALE, {SQUARE: cut} if cut else None)
    assert measured.at(on(nodes), batch).step_s == pytest.approx(step_s)


def test_a_cut_of_another_rectangle_says_nothing():
    elsewhere = StepTimes({}, AT_SCALE, {SQUARE._replace(pods=6): "rising"})
    assert elsewhere.at(on(6), 15) == StepTimes({}, AT_SCALE).at(on(6), 15)


def test_the_nearest_columns_count():
    measured = StepTimes({}, {**AT_SCALE, (6, 8): curve(b10=11.0), (16, 8): curve(b10=0.0)})
    assert measured.at(on(5), 10).step_s == pytest.approx(10.5)


def test_more_nodes_than_ever_measured_count_as_the_most():
    wide = StepTimes({}, {(2, 4): curve(b10=3.0), (3, 4): curve(b10=5.0)})
    assert wide.at((1, 1, 1, 1), 10).step_s == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("spread", "batch", "lacking"),
    [
        pytest.param((1,), 9, "9 samples per pod", id="smaller than measured"),
        pytest.param((1,), 41, "41 samples per pod", id="larger than measured"),
        pytest.param((5,), 10, "5 pods on 1 nodes", id="fewer nodes than any such column"),
        pytest.param((3, 3), 10, "6 pods on 2 nodes", id="no column on one side"),
        pytest.param((2, 2, 2, 1, 1), 21, "21 samples", id="larger than both columns have"),
    ],
)
def test_beyond_the_tables_there_is_no_answer(spread, batch, lacking):
    with pytest.raises(NotMeasuredError, match=lacking):
        MEASURED.at(spread, batch)


@pytest.mark.parametrize(
    ("spread", "expected"),
    [((4,), (4,)), ((3, 1), (1, 3)), ((2, 1, 1), (1, 1, 2)), ((2, 1, 3), (1, 3, 2))],
)
def test_first_rotation(spread, expected):
    assert first_rotation(spread) == expected
