"""How each role looks, told apart without colour: by dash, marker and fill.

Colours are Okabe and Ito's ("Color Universal Design", 2008), darkened for white paper and
lightened for dark screens until each stands at 3:1 or better against its background (WCAG 2.2,
1.4.11); `tests/unit/test_page_looks.py` computes it.
"""

import math
from typing import Literal

import msgspec

from gpuyard.twin.page.content import Role
from gpuyard.twin.page.markup import Markup, coordinate, element, join

Marker = Literal["circle", "square", "triangle", "diamond", "cross", "none"]
Fill = Literal["solid", "tint", "hatch", "outline", "cross-hatch"]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One role's appearance. `dash` is an SVG dash pattern in pixels, empty for a solid line."""

    light: str
    dark: str
    dash: str
    marker: Marker
    fill: Fill
    stroke_px: float = 2.0


LOOKS: dict[Role, Look] = {
    "ours": Look(
        light="#0067a5", dark="#56b4e9", dash="", marker="circle", fill="solid", stroke_px=2.6
    ),
    "peer-1": Look(light="#c2510b", dark="#f08c4a", dash="7 4", marker="square", fill="tint"),
    "peer-2": Look(light="#007a5c", dark="#2fc095", dash="2 3", marker="triangle", fill="hatch"),
    "peer-3": Look(
        light="#a24c88", dark="#dd94c3", dash="10 3 2 3", marker="diamond", fill="outline"
    ),
    "peer-4": Look(
        light="#7a6a00", dark="#d8c84a", dash="4 2 1 2 1 2", marker="cross", fill="cross-hatch"
    ),
    "limit": Look(
        light="#6b747b", dark="#98a3ab", dash="1 3", marker="none", fill="outline", stroke_px=1.5
    ),
}

PAPER_LIGHT, PAPER_DARK = "#fdfdfb", "#14181b"


def marker(role: Role, x: float, y: float, size: float = 4.0) -> Markup:
    """Return the role's marker around (x, y); nothing for a role that has none."""
    shape = LOOKS[role].marker
    if shape == "none":
        return join(())
    return element("path", {"class": f"marker {role}", "d": _MARKERS[shape](x, y, size)})


def pattern(role: Role, pattern_id: str) -> Markup:
    """Return the hatching that `fill_of` refers to; nothing for a role that needs none."""
    strokes = {"hatch": "M0 6L6 0", "cross-hatch": "M0 6L6 0M0 0L6 6"}.get(LOOKS[role].fill)
    if strokes is None:
        return join(())
    lines = element("path", {"class": f"hatching {role}", "d": strokes})
    tile = {"id": pattern_id, "width": "6", "height": "6", "patternUnits": "userSpaceOnUse"}
    return element("defs", None, element("pattern", tile, lines))


def bar(role: Role, box: tuple[float, float, float, float], pattern_id: str) -> Markup:
    """Return a bar as (x, y, width, height); hatched ones use the pattern with that id."""
    fill = LOOKS[role].fill
    x, y, width, height = box
    hatching = f"url(#{pattern_id})" if "hatch" in fill else None
    return element(
        "rect",
        {
            "class": f"bar {role} {fill}",
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "fill": hatching,
        },
    )


def colour_rules(theme: Literal["light", "dark"]) -> str:
    """Return the CSS variables of all roles for one theme."""
    return "".join(
        f"--{role}:{look.light if theme == 'light' else look.dark};" for role, look in LOOKS.items()
    )


def role_rules() -> str:
    """Return the CSS that gives each role its colour, dash and stroke."""
    rules = []
    for role, look in LOOKS.items():
        dash = f"stroke-dasharray:{look.dash};" if look.dash else ""
        rules.append(f".{role}{{--role:var(--{role})}}")
        rules.append(f".line.{role}{{{dash}stroke-width:{coordinate(look.stroke_px)}px}}")
    return "\n".join(rules)


def _circle(x: float, y: float, size: float) -> str:
    radius = coordinate(size)
    across = coordinate(2 * size)
    start = _points((x - size, y))
    return f"{start}a{radius} {radius} 0 1 0 {across} 0a{radius} {radius} 0 1 0 -{across} 0Z"


def _square(x: float, y: float, size: float) -> str:
    half = size * 0.9
    corners = (
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    )
    return _points(*corners) + "Z"


def _triangle(x: float, y: float, size: float) -> str:
    reach = size * 1.4
    wide = reach * math.sqrt(3) / 2
    return _points((x, y - reach), (x + wide, y + reach / 2), (x - wide, y + reach / 2)) + "Z"


def _diamond(x: float, y: float, size: float) -> str:
    reach = size * 1.25
    return _points((x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)) + "Z"


def _cross(x: float, y: float, size: float) -> str:
    return _points((x - size, y - size), (x + size, y + size)) + _points(
        (x - size, y + size), (x + size, y - size)
    )


def _points(*points: tuple[float, float]) -> str:
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)


_MARKERS = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "diamond": _diamond,
    "cross": _cross,
}
