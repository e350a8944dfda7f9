"""Draws a `LinePlot`: axes, bands, lines, marks, and the name of each line at its end.

A legend makes the reader look back and forth and match colours, so wherever there is room a line
carries its name, and names that would collide move apart. On a telephone there is no room: there
the legend above the plot shows each line's dash and marker instead.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from gpuyard.twin.page.content import LinePlot, Mark, Series
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
    y_axis,
)
from gpuyard.twin.page.labels import LINE_HEIGHT, spread, text_width, wrap
from gpuyard.twin.page.looks import marker
from gpuyard.twin.page.markup import Markup, coordinate, element, join
from gpuyard.twin.page.numbers import written
from gpuyard.twin.page.scale import Range, Scale, exact_range, linear_range, log_range
from gpuyard.twin.page.thin import thin

POINTS_MAX = 600  # per line, on the widest drawing
MARKED_POINTS_MAX = 24  # with more points than this, only the last one carries the marker
MARK_ROWS_MAX = 3
Y_TICKS_MAX = 6
LEADER_PX = 4.0  # a name moved further than this from its line is tied to it by a thin line
LINE_PX = FONT_PX * LINE_HEIGHT

Point = tuple[float, float]


class _Axes(msgspec.Struct, frozen=True):
    frame: Frame
    x: Scale
    y: Scale
    mark_rows: tuple[int, ...]


def draw(plot: LinePlot, size: Size) -> Markup:
    """Return the drawing of `plot` for one size."""
    names = _names(plot, size)
    axes = _axes(plot, size, names)
    frame = axes.frame
    parts = [
        y_axis(frame, axes.y.ticks(at_most=Y_TICKS_MAX)),
        x_axis(frame, fitting_ticks(axes.x), plot.x_label),
        rule((frame.left, frame.bottom), (frame.right, frame.bottom), "axis"),
        text(0, FONT_PX, plot.y_label, "label"),
        *(_marks(plot, axes)),
        *(_band(series, axes, size) for series in plot.series if series.low),
        *(_line(series, axes, size) for series in reversed(plot.series)),  # the first lies on top
        *_end_names(plot, axes, names),
    ]
    if not _has_values(plot):
        middle = ((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2)
        parts.append(text(*middle, "Nothing was measured", "label", "middle"))
    parts.append(rule((frame.left, frame.top), (frame.left, frame.bottom), "cursor"))
    return drawing(plot.id, size, frame, (plot.title, described(plot)), parts)


def described(plot: LinePlot) -> str:
    """Return in words what the lines show, for those who cannot see them."""
    spoken = [f"{plot.y_label} over {plot.x_label}."]
    for series in plot.series:
        values = [value for value in series.y if math.isfinite(value)]
        if values:
            low, high, last = (
                written(value, plot.y_unit) for value in (min(values), max(values), values[-1])
            )
            spoken.append(f"{series.name}: from {low} to {high}, {last} at the end.")
        else:
            spoken.append(f"{series.name}: nothing measured.")
    return " ".join(spoken)


def x_range(plot: LinePlot) -> Range:
    """Return what the horizontal axis spans: exactly the data."""
    return exact_range((x for series in plot.series for x in series.x), unit=plot.x_unit)


def _axes(plot: LinePlot, size: Size, names: Sequence[tuple[str, ...]]) -> _Axes:
    values = [v for series in plot.series for v in (*series.y, *series.low, *series.high)]
    if plot.y_log:
        across = log_range(values, unit=plot.y_unit)
    else:
        across = linear_range(values, unit=plot.y_unit, from_zero=plot.y_from_zero, high=plot.y_max)
    bottom = size.height - X_AXIS_PX
    y = Scale(range=across, start=bottom, end=0)
    left = 10 + widest([tick.label for tick in y.ticks(at_most=Y_TICKS_MAX)])
    right = size.width - max(24.0, 14 + widest([line for name in names for line in name]))
    x = Scale(range=x_range(plot), start=left, end=right)
    rows = _mark_rows(plot.marks, x)
    top = FONT_PX * 2 + (max(rows) + 1 if rows else 0) * LINE_PX
    y = Scale(range=across, start=bottom, end=top)
    return _Axes(Frame(left, top, right, bottom), x, y, rows)


def _line(series: Series, axes: _Axes, size: Size) -> Markup:
    points_max = round(POINTS_MAX * size.width / WIDE.width)
    kept = thin(np.array(series.x), np.array(series.y), points_max)
    points = [_point(series.x[index], series.y[index], axes) for index in kept]
    shown = [point for point in points if point is not None]
    marked = shown if len(shown) <= MARKED_POINTS_MAX else shown[-1:]
    alone = [run[0] for run in _runs(points) if len(run) == 1]
    return join(
        (
            element("path", {"class": f"line {series.role}", "d": _path(points)}),
            *(marker(series.role, *point) for point in marked),
            *(
                element("circle", {"class": f"dot {series.role}", "cx": x, "cy": y, "r": 2})
                for x, y in alone
                if len(marked) < len(shown)
            ),
        )
    )


def _band(series: Series, axes: _Axes, size: Size) -> Markup:
    """Fill between low and high, in one piece per stretch where both are known."""
    points_max = round(POINTS_MAX * size.width / WIDE.width)
    low, high = np.array(series.low), np.array(series.high)
    missing = ~(np.isfinite(low) & np.isfinite(high))
    low[missing] = high[missing] = np.nan
    x = np.array(series.x)
    edges = [
        _runs([_point(x[index], edge[index], axes) for index in thin(x, edge, points_max)])
        for edge in (low, high)
    ]
    pieces = [
        "M" + "L".join(_pair(point) for point in (*above, *reversed(below))) + "Z"
        for below, above in zip(*edges, strict=False)
    ]
    return element("path", {"class": f"band {series.role}", "d": "".join(pieces)})


def _marks(plot: LinePlot, axes: _Axes) -> list[Markup]:
    """Write what happens at a moment above the plot, where no line can run through the words."""
    parts = []
    for mark, row in zip(plot.marks, axes.mark_rows, strict=True):
        at, baseline = axes.x.at(mark.x), axes.frame.top - row * LINE_PX - 6
        start, _ = _mark_words(mark, axes.x)
        parts.append(rule((at, baseline - FONT_PX + 3), (at, axes.frame.bottom), "mark"))
        anchor, inset = ("start", 5) if start >= at else ("end", -5)
        parts.append(text(at + inset, baseline, mark.label, "note", anchor))
    return parts


def _mark_rows(marks: Sequence[Mark], x: Scale) -> tuple[int, ...]:
    """Return for each mark the lowest row in which its words touch no earlier mark's."""
    rows: list[int] = []
    for index, mark in enumerate(marks):
        start, end = _mark_words(mark, x)
        taken = {
            row
            for row, (left, right) in zip(
                rows, (_mark_words(earlier, x) for earlier in marks[:index]), strict=True
            )
            if left < end and start < right
        }
        free = (row for row in range(MARK_ROWS_MAX) if row not in taken)
        rows.append(next(free, MARK_ROWS_MAX - 1))
    return tuple(rows)


def _mark_words(mark: Mark, x: Scale) -> tuple[float, float]:
    """Return from where to where the words of a mark reach: right of its line if they fit there."""
    at, width = x.at(mark.x), text_width(mark.label, FONT_PX) + 10
    return (at, at + width) if at + width <= x.end else (at - width, at)


def _end_names(plot: LinePlot, axes: _Axes, names: Sequence[tuple[str, ...]]) -> list[Markup]:
    """Write each name beside the last point of its line, moved apart where they would touch."""
    ends = [_last_point(series, axes) for series in plot.series]
    named = [
        (series, end, name)
        for series, end, name in zip(plot.series, ends, names, strict=False)
        if end
    ]
    heights = [len(name) * LINE_PX + 3 for _, _, name in named]
    frame = axes.frame
    middles = spread([end[1] for _, end, _ in named], heights, frame.top - 10, frame.bottom + 10)
    parts = []
    for (series, end, name), middle in zip(named, middles, strict=True):
        if abs(middle - end[1]) > LEADER_PX:
            parts.append(rule((frame.right + 3, end[1]), (frame.right + 11, middle), "leader"))
        baseline = middle - (len(name) - 1) * LINE_PX / 2 + FONT_PX * 0.35
        parts.extend(
            text(frame.right + 13, baseline + line * LINE_PX, words, f"name {series.role}")
            for line, words in enumerate(name)
        )
    return parts


def _names(plot: LinePlot, size: Size) -> list[tuple[str, ...]]:
    """Return the lines of each end name; none on a narrow drawing or where there is one line."""
    if size is NARROW or len(plot.series) < 2:  # noqa: PLR2004 - one line needs no name
        return []
    width_px = 170.0 if size is WIDE else 104.0
    return [wrap(series.name, width_px, FONT_PX) for series in plot.series]


def _has_values(plot: LinePlot) -> bool:
    return any(math.isfinite(value) for series in plot.series for value in series.y)


def _last_point(series: Series, axes: _Axes) -> Point | None:
    points = (
        _point(x, y, axes) for x, y in zip(reversed(series.x), reversed(series.y), strict=True)
    )
    return next((point for point in points if point is not None), None)


def _point(x: float, y: float, axes: _Axes) -> Point | None:
    return (axes.x.at(x), axes.y.at(y)) if math.isfinite(y) and math.isfinite(x) else None


def _runs(points: Sequence[Point | None]) -> list[list[Point]]:
    """Return the stretches between gaps."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(points: Sequence[Point | None]) -> str:
    return "".join("M" + "L".join(map(_pair, run)) for run in _runs(points) if len(run) > 1)


def _pair(point: Point) -> str:
    return f"{coordinate(point[0])} {coordinate(point[1])}"
