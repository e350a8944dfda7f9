"""What the pointer reads off a line plot: a small table of ready text for each plot.

The script on the page does no arithmetic and knows no units; it finds the nearest column of this
table and shows it. Values come from the samples themselves. Where there are too many samples to
carry along, the lowest and highest of each stretch stay, as in the drawing.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from gpuyard.twin.page.content import LinePlot, Series, Unit
from gpuyard.twin.page.lines import x_range
from gpuyard.twin.page.markup import Markup, clean
from gpuyard.twin.page.numbers import written
from gpuyard.twin.page.scale import Scale
from gpuyard.twin.page.thin import thin

COLUMNS_MAX = 320  # per plot
SHARES = 10_000  # places along the axis are whole ten-thousandths of its length


class _Named(msgspec.Struct, frozen=True):
    name: str
    role: str
    values: list[str]


class _Readout(msgspec.Struct, frozen=True):
    """`x` where along the axis, in ten-thousandths; `at` what it is called; a value per series."""

    x: list[int]
    at: list[str]
    series: list[_Named]


def readouts(plots: Sequence[LinePlot]) -> Markup:
    """Return all tables as JSON that cannot end the <script> it stands in."""
    tables = {plot.id: _readout(plot) for plot in plots}
    text = msgspec.json.encode(tables).decode()
    for dangerous in "<>&\u2028\u2029":
        text = text.replace(dangerous, f"\\u{ord(dangerous):04x}")
    return Markup(text)


def _readout(plot: LinePlot) -> _Readout:
    columns = _columns(plot)
    along = Scale(range=x_range(plot), start=0, end=SHARES)
    return _Readout(
        x=[round(along.at(x)) for x in columns],
        at=[written(x, plot.x_unit) for x in columns],
        series=[
            _Named(clean(series.name), series.role, _values(series, columns, plot.y_unit))
            for series in plot.series
        ],
    )


def _columns(plot: LinePlot) -> list[float]:
    """Return the x that can be read, ascending: every sample's, or those that matter most."""
    every = sorted({x for series in plot.series for x in series.x})
    if len(every) <= COLUMNS_MAX:
        return every
    share = max(8, COLUMNS_MAX // len(plot.series))
    kept = {
        series.x[index]
        for series in plot.series
        for index in thin(np.array(series.x), np.array(series.y), share)
    }
    return sorted(kept)


def _values(series: Series, columns: Sequence[float], unit: Unit) -> list[str]:
    """Return the nearest sample at each column; nothing before the first and after the last."""
    if not series.x:
        return [""] * len(columns)
    x = np.array(series.x)
    return [
        _value(series, _nearest(x, column), unit) if x[0] <= column <= x[-1] else ""
        for column in columns
    ]


def _nearest(x: np.ndarray[tuple[int], np.dtype[np.float64]], column: float) -> int:
    after = min(int(np.searchsorted(x, column)), len(x) - 1)
    before = max(after - 1, 0)
    return before if column - x[before] < x[after] - column else after


def _value(series: Series, index: int, unit: Unit) -> str:
    text = written(series.y[index], unit)
    if not series.low:
        return text
    low, high = written(series.low[index], unit), written(series.high[index], unit)
    return f"{text} ({low} to {high})"
