"""Plots draw what was measured, and nothing else."""

import itertools
import math
import re
from xml.etree import ElementTree as ET

import msgspec
import pytest

from gpuyard.twin.page import bars, lines
from gpuyard.twin.page.content import Bar, BarPlot, BarSeries, LinePlot, Mark, Series
from gpuyard.twin.page.figure import figure_of
from gpuyard.twin.page.frame import MIDDLE, NARROW, SIZES, WIDE

nan, inf = math.nan, math.inf
SIZES_ALL = (WIDE, MIDDLE, NARROW)


def plot_of(*series, **options):
    return LinePlot(id="p", title="A plot", x_label="x", y_label="y", series=series, **options)


def series_of(*y, name="gpuyard", **options):
    return Series(name=name, x=tuple(map(float, range(len(y)))), y=y, **options)


def bars_of(*values, names=("gpuyard",), **options):
    series = tuple(BarSeries(name=name, bars=tuple(Bar(value=v) for v in values)) for name in names)
    groups = tuple(f"class {index}" for index in range(len(values)))
    return BarPlot(
        id="b", title="Bars", groups=groups, series=series, value_label="wait", **options
    )


def drawn(plot, size=WIDE):
    draw = bars.draw if isinstance(plot, BarPlot) else lines.draw
    return ET.fromstring(draw(plot, size))


def classed(svg, kind):
    return [part for part in svg.iter() if kind in part.get("class", "").split()]


def words(svg):
    return [part.text for part in svg.iter("text")]


# --- Lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "strokes"),
    [
        pytest.param((1.0, 2.0, 3.0), 1, id="one stretch"),
        pytest.param((1.0, 2.0, nan, 4.0, 5.0), 2, id="a gap is not bridged"),
        pytest.param((1.0, inf, 2.0, 3.0), 1, id="infinite is a gap"),
        pytest.param((nan, 2.0, nan), 0, id="a point alone is no stroke"),
        pytest.param((nan, nan), 0, id="nothing measured"),
        pytest.param((), 0, id="nothing at all"),
        pytest.param((4.0,), 0, id="one point"),
        pytest.param((4.0, 4.0, 4.0), 1, id="constant"),
    ],
)
@pytest.mark.parametrize("size", SIZES_ALL, ids=lambda size: size.name)
def test_a_line_has_one_stroke_per_stretch(y, strokes, size):
    [line] = classed(drawn(plot_of(series_of(*y)), size), "line")
    assert line.get("d").count("M") == strokes


@pytest.mark.parametrize(("y", "shown"), [((nan, 2.0, nan), 1), ((4.0,), 1), ((nan,), 0)])
def test_a_point_without_neighbours_is_still_seen(y, shown):
    assert len(classed(drawn(plot_of(series_of(*y))), "marker")) == shown


def test_a_lone_point_in_a_long_series_is_a_dot():
    y = [1.0] * 100
    y[50:53] = [nan, 9.0, nan]
    assert len(classed(drawn(plot_of(series_of(*y))), "dot")) == 1


def test_without_a_single_value_the_plot_says_so():
    assert "Nothing was measured" in words(drawn(plot_of(series_of(nan, nan))))
    assert "Nothing was measured" in words(drawn(plot_of()))
    assert "Nothing was measured" not in words(drawn(plot_of(series_of(1.0))))


def test_a_long_series_is_thinned_to_the_drawing():
    y = tuple(math.sin(n / 50) for n in range(50_000))
    for size in SIZES_ALL:
        [line] = classed(drawn(plot_of(series_of(*y)), size), "line")
        assert line.get("d").count("L") <= lines.POINTS_MAX * size.width / WIDE.width


def test_every_point_lies_within_the_drawing():
    plot = plot_of(series_of(-1e9, 5.0, 1e12), series_of(0.0, 0.1, 0.2, name="small"), y_log=True)
    for size in SIZES_ALL:
        for line in classed(drawn(plot, size), "line"):
            for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", line.get("d")):
                assert 0 <= float(x) <= size.width
                assert 0 <= float(y) <= size.height


def test_a_band_breaks_where_either_edge_is_missing():
    series = series_of(
        1.0, 2.0, 3.0, 4.0, 5.0, low=(0.0, 1.0, nan, 3.0, 4.0), high=(2.0, 3.0, 4.0, 5.0, 6.0)
    )
    [band] = classed(drawn(plot_of(series)), "band")
    assert band.get("d").count("Z") == 2


def test_names_stand_at_line_ends_and_do_not_touch():
    plot = plot_of(*(series_of(1.0, 5.0 + n / 100, name=f"policy {n}") for n in range(5)))
    names = classed(drawn(plot), "name")
    baselines = sorted(float(name.get("y")) for name in names)
    assert {name.text for name in names} == {f"policy {n}" for n in range(5)}
    assert min(b - a for a, b in itertools.pairwise(baselines)) > 13


def test_a_line_without_values_has_no_name_at_its_end():
    plot = plot_of(series_of(1.0, name="a"), series_of(nan, name="b"))
    assert [name.text for name in classed(drawn(plot), "name")] == ["a"]


def test_a_telephone_gets_a_legend_instead_of_names():
    plot = plot_of(series_of(1.0, name="a"), series_of(2.0, name="b"))
    assert not classed(drawn(plot, NARROW), "name")
    assert 'class="legend lines"' in figure_of(plot)
    assert "legend" not in figure_of(plot_of(series_of(1.0)))


@pytest.mark.parametrize("size", SIZES_ALL, ids=lambda size: size.name)
def test_words_of_neighbouring_marks_do_not_touch(size):
    marks = tuple(Mark(at, f"what happened at {at}") for at in (0.0, 0.5, 1.0, 60.0, 99.0, 100.0))
    found = classed(drawn(plot_of(series_of(*map(float, range(101))), marks=marks), size), "note")
    assert len(found) == len(marks)
    assert all(0 <= float(note.get("x")) <= size.width for note in found)
    if size is WIDE:
        rows = [(note.get("y"), note.get("x")) for note in found]
        assert len({y for y, _ in rows}) == 3


def test_time_reads_as_days():
    series = Series(name="a", x=(0.0, 7 * 86_400.0), y=(0.0, 1.0))
    found = [
        word.replace("\u00a0", " ") for word in words(drawn(plot_of(series, x_unit="seconds")))
    ]
    assert {"1 d", "7 d"} <= set(found)


def test_a_reader_who_cannot_see_hears_the_numbers():
    spoken = lines.described(plot_of(series_of(1.0, 9.0, 4.0), series_of(nan, name="b")))
    assert spoken == "y over x. gpuyard: from 1 to 9, 4 at the end. b: nothing measured."


@pytest.mark.parametrize("width", SIZES)
def test_ids_of_all_drawings_differ(width):
    page = figure_of(plot_of(series_of(1.0, 2.0), width=width))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"x": (0.0,), "y": (1.0, 2.0)}, "1 x for 2 y", id="lengths"),
        pytest.param({"x": (1.0, 0.0), "y": (1.0, 2.0)}, "x must ascend", id="order"),
        pytest.param({"x": (nan,), "y": (1.0,)}, "every x must be a finite number", id="no place"),
        pytest.param(
            {"x": (0.0,), "y": (1.0,), "low": (0.0,)}, "both low and high", id="half a band"
        ),
        pytest.param(
            {"x": (0.0,), "y": (1.0,), "low": (0.0, 1.0), "high": (1.0,)}, "2 band ends", id="band"
        ),
    ],
)
def test_a_series_that_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Series(name="a", **wrong)


# --- Bars ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("size", SIZES_ALL, ids=lambda size: size.name)
@pytest.mark.parametrize(
    "values",
    [
        pytest.param((), id="no groups"),
        pytest.param((0.0,), id="zero"),
        pytest.param((5.0, 5.0), id="constant"),
        pytest.param((nan,), id="not measured"),
        pytest.param((-3.0, 4.0), id="negative"),
        pytest.param((1e-9, 1e12), id="far apart"),
    ],
)
def test_any_values_can_be_drawn(values, size, log):
    svg = drawn(bars_of(*values, names=("a", "b"), log=log), size)
    shown = sum(math.isfinite(value) for value in values) * 2
    assert len(classed(svg, "marker" if log else "bar")) == shown
    assert words(svg).count("not measured") == len(values) * 2 - shown


def test_a_bar_begins_at_zero_whatever_the_values():
    svg = drawn(bars_of(90.0, 100.0))
    [short, long] = [float(bar.get("width")) for bar in classed(svg, "bar")]
    assert short / long == pytest.approx(0.9, abs=0.01)


def test_a_negative_bar_lies_left_of_zero():
    [below, above] = classed(drawn(bars_of(-5.0, 5.0)), "bar")
    end_of_below = float(below.get("x")) + float(below.get("width"))
    assert end_of_below == pytest.approx(float(above.get("x")), abs=0.2)


def test_a_log_axis_has_points_not_bars():
    svg = drawn(bars_of(1.0, 1000.0, log=True))
    assert not classed(svg, "bar")
    assert len(classed(svg, "marker")) == 2


def test_every_value_is_written_out():
    assert {"1,250", "0.5"} <= set(words(drawn(bars_of(1250.0, 0.5))))


def test_whiskers_reach_from_low_to_high():
    plot = bars_of(10.0)
    bar = Bar(value=10.0, low=5.0, high=20.0)
    plot = msgspec.structs.replace(plot, series=(BarSeries(name="a", bars=(bar,)),))
    across = classed(drawn(plot), "whisker")[0]
    [rect] = classed(drawn(plot), "bar")
    start, width = float(rect.get("x")), float(rect.get("width"))
    assert float(across.get("x1")) == pytest.approx(start + width / 2, abs=0.2)
    assert float(across.get("x2")) == pytest.approx(start + width * 2, abs=0.2)


def test_each_series_needs_a_bar_per_group():
    with pytest.raises(ValueError, match="1 bars for 2 groups"):
        BarPlot(
            id="b",
            title="B",
            groups=("x", "y"),
            series=(BarSeries(name="a", bars=(Bar(value=1.0),)),),
            value_label="wait",
        )
