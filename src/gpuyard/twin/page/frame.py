"""What every plot has around it: sizes, axes, grid, and the words of the axes.

A plot is drawn two or three times, each time laid out for the width it will be seen at, and CSS
shows the one that fits its container. One drawing that shrinks would shrink its words too (13 px
on a laptop are 4 px on a telephone), and words in HTML laid over a stretched drawing cannot give
way to each other. A drawing is thinned to its width, so all of them together stay small; and paper
is one more width.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from gpuyard.twin.page.content import Width
from gpuyard.twin.page.labels import shortened, text_width
from gpuyard.twin.page.markup import Attribute, Markup, element, escape, join
from gpuyard.twin.page.scale import Scale, Tick

FONT_PX = 13.0
TICK_GAP_PX = 12.0  # between the words of neighbouring ticks
X_TICKS_MAX = 12
X_AXIS_PX = 46.0  # below the frame: ticks, their values, the label


class Size(msgspec.Struct, frozen=True):
    """A width to draw for, and the height that looks well with it."""

    name: str
    width: float
    height: float


WIDE, MIDDLE, NARROW = Size("wide", 1040, 350), Size("middle", 560, 340), Size("narrow", 360, 300)
SIZES: dict[Width, tuple[Size, ...]] = {
    "full": (WIDE, MIDDLE, NARROW),
    "half": (MIDDLE, NARROW),
}


class Frame(msgspec.Struct, frozen=True):
    """The rectangle of a drawing in which data stand, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def drawing(
    plot_id: str, size: Size, frame: Frame, words: tuple[str, str], parts: Sequence[Markup]
) -> Markup:
    """Return the <svg> for one size; `words` are its title and its description."""
    title_id, about_id = f"{plot_id}-{size.name}-title", f"{plot_id}-{size.name}-about"
    return element(
        "svg",
        {
            "class": f"drawing {size.name}",
            "viewBox": f"0 0 {size.width:.0f} {size.height:.0f}",
            "role": "img",
            "aria-label": words[0],
            "aria-describedby": about_id,
            "data-left": frame.left,
            "data-right": frame.right,
        },
        element("title", {"id": title_id}, escape(words[0])),
        element("desc", {"id": about_id}, escape(words[1])),
        *parts,
    )


def text(x: float, y: float, content: str, kind: str, anchor: str = "start") -> Markup:
    """Return one line of words; `y` is its baseline."""
    attributes: dict[str, Attribute] = {"class": kind, "x": x, "y": y, "text-anchor": anchor}
    return element("text", attributes, escape(content))


def rule(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    """Return a straight line."""
    ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    return element("line", {"class": kind, **ends})


def y_axis(frame: Frame, ticks: Sequence[Tick]) -> Markup:
    """Return horizontal grid lines with their values to the left."""
    return join(
        part
        for tick in ticks
        for part in (
            rule((frame.left, tick.at), (frame.right, tick.at), "grid"),
            text(frame.left - 8, tick.at + FONT_PX * 0.35, tick.label, "tick", "end"),
        )
    )


def x_axis(frame: Frame, ticks: Sequence[Tick], label: str, *, grid: bool = False) -> Markup:
    """Return ticks under the frame with their values and the axis' label; grid lines if wanted."""
    top = frame.top if grid else frame.bottom
    parts = [
        part
        for tick in ticks
        for part in (
            rule((tick.at, top), (tick.at, frame.bottom + 5), "grid" if grid else "tick-line"),
            text(tick.at, frame.bottom + 7 + FONT_PX, tick.label, "tick", "middle"),
        )
    ]
    fitting = shortened(label, frame.right, FONT_PX)
    parts.append(text(frame.right, frame.bottom + X_AXIS_PX - 4, fitting, "label", "end"))
    return join(parts)


def fitting_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return as many ticks of a horizontal axis as can stand side by side."""
    for at_most in range(X_TICKS_MAX, 1, -1):
        ticks = scale.ticks(at_most=at_most)
        if _have_room(ticks):
            return ticks
    return scale.ticks(at_most=1)[:1]


def widest(labels: Sequence[str]) -> float:
    """Return the pixels that the widest of `labels` takes."""
    return max((text_width(label, FONT_PX) for label in labels), default=0.0)


def _have_room(ticks: Sequence[Tick]) -> bool:
    return all(
        after.at - before.at >= (widest([before.label]) + widest([after.label])) / 2 + TICK_GAP_PX
        for before, after in pairwise(ticks)
    )
