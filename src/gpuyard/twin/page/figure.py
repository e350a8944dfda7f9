"""A plot with what surrounds it: title, link to its rows, caption, legend, drawings.

Lines carry their names wherever there is room, so their legend shows only where there is none;
CSS decides. Bars always have one. Either shows dash, marker or hatching beside the colour.
"""

from gpuyard.twin.page import bars, lines
from gpuyard.twin.page.content import BarPlot, LinePlot, Role
from gpuyard.twin.page.frame import SIZES, rule
from gpuyard.twin.page.looks import bar, marker, pattern
from gpuyard.twin.page.markup import NOTHING_TO_SHOW, Markup, element, escape, join


def figure_of(plot: LinePlot | BarPlot) -> Markup:
    """Return the <figure> of a plot, drawn for each width it may be seen at."""
    sizes = SIZES[plot.width]
    if isinstance(plot, LinePlot):
        drawings = [lines.draw(plot, size) for size in sizes]
    else:
        drawings = [bars.draw(plot, size) for size in sizes]
    caption = element("p", {"class": "caption"}, escape(plot.caption))
    return element(
        "figure",
        {
            "class": f"plot {plot.width}",
            "id": plot.id,
            "data-readout": plot.id if isinstance(plot, LinePlot) else None,
        },
        _head(plot),
        caption if plot.caption else NOTHING_TO_SHOW,
        _legend(plot),
        *drawings,
    )


def _head(plot: LinePlot | BarPlot) -> Markup:
    title = element("h3", None, escape(plot.title))
    if not plot.rows:
        return title
    spoken = element("span", {"class": "unseen"}, escape(f" behind {plot.title}"))
    link = element("a", {"class": "rows", "href": f"#{plot.rows}"}, Markup("Rows"), spoken)
    return element("div", {"class": "head"}, title, link)


def _legend(plot: LinePlot | BarPlot) -> Markup:
    """Return what is what; nothing where there is only one thing."""
    if len(plot.series) < 2:  # noqa: PLR2004 - one series needs no legend
        return NOTHING_TO_SHOW
    entries = []
    for series in plot.series:
        swatch = _swatch(plot, series.role)
        entries.append(element("li", None, swatch, element("span", None, escape(series.name))))
    kind = "lines" if isinstance(plot, LinePlot) else "bars"
    return element("ul", {"class": f"legend {kind}"}, *entries)


def _swatch(plot: LinePlot | BarPlot, role: Role) -> Markup:
    if isinstance(plot, LinePlot):
        drawn = join((rule((0, 7), (30, 7), f"line {role}"), marker(role, 15, 7)))
    elif plot.log:
        drawn = marker(role, 7, 7, bars.MARKER_PX)
    else:
        pattern_id = f"{plot.id}-legend-{role}"
        drawn = join((pattern(role, pattern_id), bar(role, (1, 1, 24, 12), pattern_id)))
    is_point = isinstance(plot, BarPlot) and plot.log
    return element(
        "svg",
        {
            "class": "swatch point" if is_point else "swatch",
            "viewBox": "0 0 14 14" if is_point else "0 0 30 14",
            "aria-hidden": "true",
        },
        drawn,
    )
