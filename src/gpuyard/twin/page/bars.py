"""Draws a `BarPlot`: horizontal bars in groups, intervals as whiskers, values written out.

Horizontal, because the names of workload classes are words, and because rows can be added without
anything becoming thinner. On a log axis a bar would claim that its length means something, so a
value is a marker there, with a dotted line that leads the eye to its row.
"""

import math
from collections.abc import Iterator

import msgspec

from gpuyard.twin.page.content import Bar, BarPlot, Role
from gpuyard.twin.page.frame import (
    FONT_PX,
    NARROW,
    WIDE,
    X_AXIS_PX,
    Frame,
    Size,
    drawing,
    fitting_ticks,
    rule,
    text,
    widest,
    x_axis,
)
from gpuyard.twin.page.labels import LINE_HEIGHT, shortened, wrap
from gpuyard.twin.page.looks import bar as bar_shape, marker, pattern
from gpuyard.twin.page.markup import Markup, join
from gpuyard.twin.page.numbers import written
from gpuyard.twin.page.scale import Range, Scale, linear_range, log_range

BAR_PX, ROW_PX, GROUP_GAP_PX = 13.0, 19.0, 18.0
MARKER_PX = 4.6
GROUP_WORDS_PX = 24.0  # on a narrow drawing the name of a group has a row of its own
BASELINE = FONT_PX * 0.35
LINE_PX = FONT_PX * LINE_HEIGHT


class _Layout(msgspec.Struct, frozen=True):
    """Where things stand; `size` has the height that the rows need."""

    size: Size
    frame: Frame
    scale: Scale

    @property
    def zero(self) -> float:
        """Where bars begin; on a log axis, where the axis does."""
        spanned = self.scale.range
        return self.frame.left if spanned.log else self.scale.at(max(0.0, spanned.low))


class _Row(msgspec.Struct, frozen=True):
    """One bar in its row."""

    bar: Bar
    role: Role
    middle: float


def draw(plot: BarPlot, size: Size) -> Markup:
    """Return the drawing of `plot` for one size."""
    layout = _layout(plot, size)
    frame = layout.frame
    parts = [
        join(pattern(series.role, _pattern_id(plot, size, series.role)) for series in plot.series),
        x_axis(frame, fitting_ticks(layout.scale), plot.value_label, grid=True),
        *_group_names(plot, layout),
        *(_drawn(row, plot, layout) for row in _rows(plot, size)),
    ]
    if not plot.log:
        parts.append(rule((layout.zero, frame.top), (layout.zero, frame.bottom), "axis"))
    return drawing(plot.id, layout.size, frame, (plot.title, described(plot)), parts)


def described(plot: BarPlot) -> str:
    """Return all values in words."""
    spoken = [f"{plot.value_label}."]
    for index, group in enumerate(plot.groups):
        values = ", ".join(
            f"{series.name} {written(series.bars[index].value, plot.unit)}"
            for series in plot.series
        )
        spoken.append(f"{group}: {values}.")
    return " ".join(spoken)


def _layout(plot: BarPlot, size: Size) -> _Layout:
    rows = [bar for series in plot.series for bar in series.bars]
    above = GROUP_WORDS_PX if size is NARROW else 0.0
    group_px = above + ROW_PX * len(plot.series) + GROUP_GAP_PX
    top = 4.0
    bottom = top + max(group_px * len(plot.groups), 3 * LINE_PX)
    left = 12.0
    if size is not NARROW:
        left += max(
            (widest(wrap(name, _words_px(size), FONT_PX)) for name in plot.groups), default=0
        )
    right = size.width - 16 - widest([written(bar.value, plot.unit) for bar in rows])
    frame = Frame(left, top, right, bottom)
    scale = Scale(range=_range(plot, rows), start=left, end=right)
    return _Layout(Size(size.name, size.width, bottom + X_AXIS_PX), frame, scale)


def _range(plot: BarPlot, rows: list[Bar]) -> Range:
    values = [
        value for bar in rows for value in (bar.value, bar.low, bar.high) if value is not None
    ]
    if plot.log:
        return log_range(values, unit=plot.unit)
    return linear_range(values, unit=plot.unit, from_zero=True)


def _rows(plot: BarPlot, size: Size) -> Iterator[_Row]:
    for index in range(len(plot.groups)):
        start = _group_top(plot, size, index) + (GROUP_WORDS_PX if size is NARROW else 0.0)
        for place, series in enumerate(plot.series):
            yield _Row(series.bars[index], series.role, start + (place + 0.5) * ROW_PX)


def _drawn(row: _Row, plot: BarPlot, layout: _Layout) -> Markup:
    """Return whisker, bar or marker, and the value right of whatever reaches furthest."""
    bar, scale, zero, middle = row.bar, layout.scale, layout.zero, row.middle
    if not math.isfinite(bar.value):
        return text(zero + 6, middle + BASELINE, written(math.nan), "note")
    end = scale.at(bar.value)
    edge = max(end, zero)
    shape = [_guide(row, end, layout) if plot.log else _bar(row, end, plot, layout)]
    if bar.low is not None and bar.high is not None:
        low, high = scale.at(bar.low), scale.at(bar.high)
        if high > low:
            shape.append(_whisker(low, high, middle, row.role))
        edge = max(edge, high)
    if plot.log:
        shape.append(marker(row.role, end, middle, MARKER_PX))
        edge += MARKER_PX
    return join((*shape, text(edge + 7, middle + BASELINE, written(bar.value, plot.unit), "value")))


def _bar(row: _Row, end: float, plot: BarPlot, layout: _Layout) -> Markup:
    width = max(abs(end - layout.zero), 0.5)  # a bar of zero is a hairline, not an absence
    box = (min(layout.zero, end), row.middle - BAR_PX / 2, width, BAR_PX)
    return bar_shape(row.role, box, _pattern_id(plot, layout.size, row.role))


def _guide(row: _Row, end: float, layout: _Layout) -> Markup:
    return rule((layout.frame.left, row.middle), (end, row.middle), f"guide {row.role}")


def _whisker(low: float, high: float, middle: float, role: Role) -> Markup:
    return join(
        (
            rule((low, middle), (high, middle), f"whisker {role}"),
            rule((low, middle - 4), (low, middle + 4), f"whisker {role}"),
            rule((high, middle - 4), (high, middle + 4), f"whisker {role}"),
        )
    )


def _group_names(plot: BarPlot, layout: _Layout) -> list[Markup]:
    """Write names beside their rows, or above them where there is no room beside."""
    parts = []
    rows_px = ROW_PX * len(plot.series)
    for index, name in enumerate(plot.groups):
        top = _group_top(plot, layout.size, index)
        if layout.size.name == NARROW.name:
            line = shortened(name, layout.size.width, FONT_PX)
            parts.append(text(0, top + FONT_PX + 2, line, "group"))
            continue
        lines = wrap(name, _words_px(layout.size), FONT_PX)
        first = top + rows_px / 2 - (len(lines) - 1) * LINE_PX / 2 + BASELINE
        parts.extend(
            text(layout.frame.left - 12, first + place * LINE_PX, line, "group", "end")
            for place, line in enumerate(lines)
        )
    return parts


def _group_top(plot: BarPlot, size: Size, index: int) -> float:
    above = GROUP_WORDS_PX if size.name == NARROW.name else 0.0
    return 4.0 + index * (above + ROW_PX * len(plot.series) + GROUP_GAP_PX) + GROUP_GAP_PX / 2


def _words_px(size: Size) -> float:
    return 180.0 if size.name == WIDE.name else 150.0


def _pattern_id(plot: BarPlot, size: Size, role: Role) -> str:
    return f"{plot.id}-{size.name}-{role}"
