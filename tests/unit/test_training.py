"""Training jobs: how a batch is split, what a step is worth, when epochs end."""

import pytest

from gpuyard.twin.progress import NOTHING_DONE, Done, End
from gpuyard.twin.step_time import StepTime, StepTimes
from gpuyard.twin.training import (
    Application,
    Training,
    Validation,
    gradients,
    split,
)

SECOND_NS = 10**9
STEP_S = 0.5
SYNC_S = 0.25


def validation(batch, progress, grad_sqr=None, grad_var=None):
    """Return a run whose gradient has no variance: a step brings as much however large it is."""
    epochs = len(progress)
    return Validation(
        batch=batch,
        progress=tuple(map(float, progress)),
        grad_sqr=tuple(grad_sqr or [1.0] * epochs),
        grad_var=tuple(grad_var or [0.0] * epochs),
    )


def application(*validations, local_batch_max=100, step_s=STEP_S):
    curve = {batch: StepTime(step_s, SYNC_S) for batch in (1, 1000)}
    return Application(
        name="toy",
        epochs=len(validations[0].progress),
        local_batch_max=local_batch_max,
        step_times=StepTimes({(1,): curve, (2,): curve, (1, 1): curve, (4,): curve}, {}),
        validations=validations,
    )


WIDE = application(validation(10, [100]), validation(400, [100]))


@pytest.mark.parametrize(
    ("batch", "pods", "local_batch", "passes"),
    [
        pytest.param(10, 1, 10, 1, id="the smallest batch on one pod"),
        pytest.param(20, 2, 10, 1, id="halves"),
        pytest.param(21, 2, 11, 1, id="whole samples, rounded up"),
        pytest.param(20, 1, 10, 2, id="one pod with more than the smallest accumulates"),
        pytest.param(300, 1, 100, 3, id="as often as the device's memory asks for"),
        pytest.param(400, 2, 100, 2, id="two pods, twice"),
        pytest.param(202, 2, 51, 2, id="passes are even, too"),
        pytest.param(399, 2, 100, 2, id="up to the largest validated batch"),
        pytest.param(400, 3, 66, 2, id="and never beyond it"),
    ],
)
def test_split(batch, pods, local_batch, passes):
    how = split(WIDE, batch, pods)
    assert (how.local_batch, how.passes) == (local_batch, passes)


@pytest.mark.parametrize(
    ("batch", "square", "variance"),
    [
        pytest.param(10, 1.0, 8.0, id="validated"),
        pytest.param(20, 3.0, 4.0, id="validated, the larger"),
        pytest.param(15, 2.0, 6.0, id="linear between two"),
    ],
)
def test_gradients(batch, square, variance):
    measured = application(
        validation(10, [1, 2], [1, 9], [8, 9]), validation(20, [1, 2], [3, 9], [4, 9])
    )
    squares, variances = gradients(measured, batch)
    assert (squares[0], variances[0]) == (square, variance)
    assert (squares[1], variances[1]) == (9, 9)


@pytest.mark.parametrize("batch", [9, 21])
def test_a_batch_that_was_not_validated_has_no_gradient(batch):
    measured = application(validation(10, [1]), validation(20, [1]))
    with pytest.raises(ValueError, match=f"toy was not validated with a batch of {batch}"):
        gradients(measured, batch)


@pytest.mark.parametrize(
    ("grad_sqr", "grad_var", "steps_per_step"),
    [
        pytest.param(1.0, 0.0, 1.0, id="no variance: a large batch is worth no more"),
        pytest.param(0.0, 1.0, 2.0, id="only variance: worth its size"),
        pytest.param(1.0, 1.0, 4 / 3, id="between"),
    ],
)
def test_what_a_step_of_twice_the_batch_is_worth(grad_sqr, grad_var, steps_per_step):
    measured = application(
        validation(10, [120], [grad_sqr], [grad_var]), validation(20, [120], [grad_sqr], [grad_var])
    )
    end = Training(measured, 20).end(NOTHING_DONE, (2,))
    assert end.at_ns == round(120 / steps_per_step * STEP_S) * SECOND_NS


def test_every_pass_but_the_last_saves_the_exchange():
    measured = application(validation(10, [100]), validation(40, [100]), local_batch_max=10)
    # 40 on two pods: two passes, a step takes 0.5 s and 0.25 s for the other pass
    assert Training(measured, 40).end(NOTHING_DONE, (2,)).at_ns == 75 * SECOND_NS


def test_an_epoch_ends_at_the_earliest_mark_of_all_runs():
    measured = application(validation(10, [120, 240]), validation(20, [100, 220]))
    assert Training(measured, 10).end(NOTHING_DONE, (1,)).at_ns == 110 * SECOND_NS


MARKS = application(validation(10, [2.6, 5.2, 7.8]), step_s=1.0)  # each epoch takes 2.6 s


@pytest.mark.parametrize(
    ("done", "at_s", "seen_s"),
    [
        pytest.param(
            NOTHING_DONE, 9, 8.6, id="the sum of rounded epochs; the last is seen exactly"
        ),
        pytest.param(Done(0, 0.3), 8, 7.6, id="2.3 s left of the first epoch"),
        pytest.param(Done(1, 2.6), 6, 5.6, id="from the second epoch on"),
        pytest.param(Done(2, 5.2), 3, 2.6, id="the last epoch"),
        pytest.param(Done(2, 6.6), 1, 1.2, id="rounded down: seen after it says it ended"),
    ],
)
def test_end(done, at_s, seen_s):
    end = Training(MARKS, 10).end(done, (1,))
    assert end.at_ns == at_s * SECOND_NS
    assert end.seen_ns == pytest.approx(seen_s * SECOND_NS, abs=2)


@pytest.mark.parametrize(
    ("done", "worked_s", "expected"),
    [
        pytest.param(NOTHING_DONE, 0, (0, 0.0), id="no work, no progress"),
        pytest.param(NOTHING_DONE, 2, (0, 2.0), id="within an epoch"),
        pytest.param(NOTHING_DONE, 3, (1, 2.6), id="the epoch ended in the third second"),
        pytest.param(NOTHING_DONE, 4, (1, 3.6), id="the next began when it did, rounded"),
        pytest.param(NOTHING_DONE, 6, (2, 5.2), id="two epochs"),
        pytest.param(Done(0, 1.6), 2, (1, 3.6), id="one second was left"),
        pytest.param(Done(0, 0.3), 2, (0, 2.3), id="2.3 s are not over after 2 s"),
        pytest.param(Done(0, 2.5), 1, (1, 3.6), id="an epoch of no second"),
        pytest.param(NOTHING_DONE, 9, (3, 7.8), id="all epochs"),
        pytest.param(NOTHING_DONE, 99, (3, 7.8), id="nothing comes after the last"),
    ],
)
def test_after(done, worked_s, expected):
    assert Training(MARKS, 10).after(done, (1,), worked_s * SECOND_NS) == pytest.approx(expected)


def test_a_rotation_is_as_fast():
    training = Training(MARKS, 10)
    curve = {10: StepTime(1.0, 0.1), 3: StepTime(1.0, 0.1)}
    ring = StepTimes({(1, 2): curve}, {})
    turned = Training(
        Application(
            name="ring",
            epochs=3,
            local_batch_max=100,
            step_times=ring,
            validations=(validation(10, [3, 6, 9]), validation(20, [3, 6, 9])),
        ),
        10,
    )
    assert turned.end(NOTHING_DONE, (2, 1)) == turned.end(NOTHING_DONE, (1, 2))
    assert isinstance(training.end(NOTHING_DONE, (1,)), End)
