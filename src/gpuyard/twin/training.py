"""How fast a training job gets on: how many steps, and how much a step is worth.

A job trains with one batch size, whatever its placement. Its *throughput* is the batch over the
step time (`gpuyard.twin.step_time`); what does not fit into a device's memory is accumulated over
several passes. A step of a large batch brings a model further than one of a small batch, but not in
proportion; how much further was measured epoch by epoch as the squared length and the variance of
the gradient: ``gain = (variance + square) / (variance / scale + square)`` with `scale` the batch
over the smallest validated one. Progress is counted in steps of that smallest batch, an epoch ends
at a measured mark, and the job after its last epoch.

An epoch's end is rounded to a whole tick (a second), and the next epoch begins there: a job that is
left alone ends after the sum of rounded epochs. Whoever watches sees an epoch end only when its
exact end is over, which may be up to half a tick after the rounded one.

Semantics: Pollux (OSDI'21, section 3) as its artifact simulates it: petuum/adaptdl branch
osdi21-artifact @c793c7089bd3, simulator/simulator.py (`Job.step`, `Job.update_local_bsz`) and
applications.py. There progress is added up round by round; summed at once it differs in the last
bits only.
"""

from math import ceil

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.twin.progress import Done, End, Spread
from gpuyard.twin.step_time import StepTimes, first_rotation

TICK_NS = 10**9

FloatArray = NDArray[np.float64]


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """A measured training run with `batch`; one entry per epoch, taken at its end."""

    batch: int
    progress: tuple[float, ...]
    grad_sqr: tuple[float, ...]
    grad_var: tuple[float, ...]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one application; `validations` ascend by batch."""

    name: str
    epochs: int
    local_batch_max: int  # samples that fit onto one device
    step_times: StepTimes
    validations: tuple[Validation, ...]


class Split(msgspec.Struct, frozen=True):
    """How a batch is spread over pods: samples per pod and pass, and passes per step."""

    local_batch: int
    passes: int


class _Pace:
    """Everything that is constant while a job stays on one spread."""

    def __init__(self, marks: FloatArray, goodput: FloatArray) -> None:
        self.goodput = goodput  # [epoch] progress per second
        self.epoch_s: FloatArray = np.diff(marks) / goodput  # [epoch] a whole one, exact
        self.ticks: FloatArray = np.rint(self.epoch_s)
        self.ticks_from: FloatArray = np.append(self.ticks[::-1].cumsum()[::-1], 0.0)


class Training:
    """The runtime of jobs that train `application` with `batch` samples per step."""

    def __init__(self, application: Application, batch: int) -> None:
        """Look nothing up yet: what a spread means is computed when it is first asked for."""
        self.application = application
        self.batch = batch
        marks = [
            validation.progress[: application.epochs] for validation in application.validations
        ]
        self._marks: FloatArray = np.append(0.0, np.array(marks).min(axis=0))
        self._paces: dict[Spread, _Pace] = {}

    def end(self, done: Done, spread: Spread) -> End:
        """Return after how much work from `done` on the last epoch ends."""
        pace, last = self._pace(spread), self.application.epochs - 1
        left_s = (self._marks[done.epoch + 1] - done.progress) / pace.goodput[done.epoch]
        if done.epoch == last:
            return End(round(left_s) * TICK_NS, ceil(left_s * TICK_NS))
        before = round(left_s) + int(pace.ticks_from[done.epoch + 1] - pace.ticks[last])
        at_ns = (before + int(pace.ticks[last])) * TICK_NS
        return End(at_ns, before * TICK_NS + ceil(pace.epoch_s[last] * TICK_NS))

    def after(self, done: Done, spread: Spread, worked_ns: int) -> Done:
        """Return how far it is when it has worked for `worked_ns` from `done` on."""
        pace, worked_s = self._pace(spread), worked_ns / TICK_NS
        lasts = pace.epoch_s[done.epoch :].copy()
        lasts[0] = (self._marks[done.epoch + 1] - done.progress) / pace.goodput[done.epoch]
        begins = np.append(0.0, np.rint(lasts).cumsum())
        is_over = begins[:-1] + lasts <= worked_s
        passed = len(is_over) if is_over.all() else int(is_over.argmin())
        epoch = done.epoch + passed
        start = float(self._marks[epoch]) if passed else done.progress
        if epoch == self.application.epochs:
            return Done(epoch, start)
        since_s = max(0.0, worked_s - float(begins[passed]))
        return Done(epoch, start + float(pace.goodput[epoch]) * since_s)

    def _pace(self, spread: Spread) -> _Pace:
        spread = first_rotation(spread)
        if spread not in self._paces:
            self._paces[spread] = _Pace(self._marks, self._goodput(spread))
        return self._paces[spread]

    def _goodput(self, spread: Spread) -> FloatArray:
        """Return the progress per second in each epoch."""
        application, pods = self.application, sum(spread)
        how = split(application, self.batch, pods)
        time = application.step_times.at(spread, how.local_batch)
        step_s = time.step_s + (time.step_s - time.sync_s) * (how.passes - 1)
        batch = pods * how.local_batch * how.passes
        square, variance = gradients(application, batch)
        scale = batch / application.validations[0].batch
        gain: FloatArray = (variance + square) / (variance / scale + square)
        return gain / step_s


def split(application: Application, batch: int, pods: int) -> Split:
    """Return how `batch` is spread over `pods`, as evenly as whole samples allow.

    One pod alone with more than the smallest batch accumulates at least once: the variance of the
    gradient is measured from two passes. The batch never exceeds the largest validated one.
    """
    smallest, largest = application.validations[0].batch, application.validations[-1].batch
    each = ceil_div(batch, pods)
    passes = ceil_div(each, application.local_batch_max)
    if pods == 1 and batch > smallest:
        passes = max(2, passes)
    return Split(min(ceil_div(each, passes), largest // (pods * passes)), passes)


def gradients(application: Application, batch: int) -> tuple[FloatArray, FloatArray]:
    """Return square and variance of the gradient [epoch], linear between validated batches."""
    below = [one for one in application.validations if one.batch <= batch]
    above = [one for one in application.validations if one.batch >= batch]
    if not below or not above:
        msg = f"{application.name} was not validated with a batch of {batch}"
        raise ValueError(msg)
    low, high = below[-1], above[0]
    up = (batch - low.batch) / max(high.batch - low.batch, 1)
    epochs = application.epochs
    square = (1 - up) * np.array(low.grad_sqr[:epochs]) + up * np.array(high.grad_sqr[:epochs])
    variance = (1 - up) * np.array(low.grad_var[:epochs]) + up * np.array(high.grad_var[:epochs])
    return square, variance


def ceil_div(amount: int, parts: int) -> int:
    """Return `amount` over `parts`, rounded up."""
    return -(-amount // parts)
