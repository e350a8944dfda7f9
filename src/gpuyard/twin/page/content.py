"""What stands on a report page, as plain data.

The words, numbers and curves of a report are decided by whoever ran the twin; how they look is
decided by the other modules of this folder. These structs are the border: nothing here knows
about pixels, colours or HTML, and nothing beyond it knows about policies.

Three rules of a gpuyard report are built into the types:

* *Every number links to the rows behind it.* A number in a sentence or a cell is a `Figure` whose
  `rows` is the `id` of a `Table`, a `Row` or a `Fold`; `render` refuses a page with a dead link.
* *What is not modelled is said*, in `Page.not_modelled`, and what was checked, in `Page.strip`.
* *A thing looks the same everywhere.* Colour, dash and marker follow from the `Role` of a series,
  never from its position, so a policy keeps its looks from the first plot to the last.

Axis values are floats in the unit that `Unit` names. A NaN or infinite `y` is a gap: "not
measured" is drawn as nothing, never as zero.
"""

import math
from itertools import pairwise
from typing import Literal

import msgspec

Role = Literal["ours", "peer-1", "peer-2", "peer-3", "peer-4", "limit"]
"""Who a series speaks for. ``limit`` is a thin grey line: a capacity, a target, an ideal."""

Unit = Literal["number", "percent", "seconds"]
"""How an axis is labelled: 1,250 · 40 % · 6 h. ``seconds`` shows days, hours, minutes, seconds."""

Align = Literal["left", "right"]
Tone = Literal["plain", "better", "worse"]
Verdict = Literal["ok", "warn", "not-run"]
Width = Literal["full", "half"]


class Figure(msgspec.Struct, frozen=True):
    """A number (or a few words) with the place of the rows behind it, if it has one.

    `tone` adds a mark that does not rely on colour: ▲ better, ▼ worse.
    """

    text: str
    rows: str = ""
    tone: Tone = "plain"


Words = tuple[str | Figure, ...]
"""Running text: plain pieces and figures, joined without added spaces."""


class Sentence(msgspec.Struct, frozen=True):
    """One headline sentence; `note` is the small print under it (interval, condition, source)."""

    words: Words
    note: str = ""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One line: points in ascending `x`, with an optional band from `low` to `high` at each."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    role: Role = "ours"

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"series {self.name!r}: {len(self.x)} x for {len(self.y)} y")
        if not all(map(math.isfinite, self.x)):
            raise ValueError(f"series {self.name!r}: every x must be a finite number")
        if any(after < before for before, after in pairwise(self.x)):
            raise ValueError(f"series {self.name!r}: x must ascend")
        for bound in (self.low, self.high):
            if len(bound) not in (0, len(self.x)):
                raise ValueError(
                    f"series {self.name!r}: {len(bound)} band ends for {len(self.x)} points"
                )
        if bool(self.low) != bool(self.high):
            raise ValueError(f"series {self.name!r}: a band needs both low and high")


class Mark(msgspec.Struct, frozen=True):
    """A vertical line in a plot, with a word on what happens there."""

    x: float
    label: str


class LinePlot(msgspec.Struct, frozen=True, kw_only=True):
    """Lines over a common axis. `caption` says in one or two sentences what to see and how.

    `rows` is the id of the table or fold with the values. Axis labels are short: beyond 45 letters
    a telephone cuts them. On a log axis, values at or below zero
    sit on a line of their own labelled 0. `y_max` fixes the upper end (100 for percentages).
    """

    id: str
    title: str
    series: tuple[Series, ...]
    x_label: str
    y_label: str
    caption: str = ""
    x_unit: Unit = "number"
    y_unit: Unit = "number"
    y_from_zero: bool = True
    y_max: float | None = None
    y_log: bool = False
    marks: tuple[Mark, ...] = ()
    rows: str = ""
    width: Width = "full"


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One value with an optional interval. A NaN is "not measured" and says so."""

    value: float
    low: float | None = None
    high: float | None = None


class BarSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One bar per group of the plot, in the order of `BarPlot.groups`."""

    name: str
    bars: tuple[Bar, ...]
    role: Role = "ours"


class BarPlot(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of horizontal bars, one bar per series in each group, with the value written out.

    With `log` each value is a point instead of a bar: a bar's length means nothing without a zero.
    """

    id: str
    title: str
    groups: tuple[str, ...]
    series: tuple[BarSeries, ...]
    value_label: str
    caption: str = ""
    unit: Unit = "number"
    log: bool = False
    rows: str = ""
    width: Width = "full"

    def __post_init__(self) -> None:
        for series in self.series:
            if len(series.bars) != len(self.groups):
                raise ValueError(
                    f"bars {series.name!r}: {len(series.bars)} bars for {len(self.groups)} groups"
                )


class Column(msgspec.Struct, frozen=True):
    """A column head; the unit stands under the name in small print."""

    name: str
    unit: str = ""
    align: Align = "left"


class Row(msgspec.Struct, frozen=True):
    """One row; with an `id` a figure can point at exactly this row."""

    cells: Words
    id: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and columns. Cells are ready text: whoever makes the page decides on digits."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"table {self.id!r}: {len(row.cells)} cells for {len(self.columns)} columns"
                )


class Heading(msgspec.Struct, frozen=True):
    """Begins a section; `lead` is its opening paragraph."""

    id: str
    text: str
    lead: str = ""


class Text(msgspec.Struct, frozen=True):
    """A paragraph."""

    words: Words


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """Rows behind the numbers: closed until somebody asks, open on paper."""

    id: str
    summary: str
    blocks: tuple[Table | Text, ...]


Block = Heading | Text | LinePlot | BarPlot | Table | Fold


class StripItem(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the program itself: what was compared, with what result."""

    name: str
    result: str
    verdict: Verdict = "ok"
    rows: str = ""


class Strip(msgspec.Struct, frozen=True):
    """Why these numbers can be believed: published results that this version reproduces."""

    title: str
    items: tuple[StripItem, ...]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """How the page was made, so that anybody can make it again."""

    command: str
    version: str
    seeds: str = ""
    inputs: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report, from top to bottom. Consecutive half-width plots stand side by side."""

    title: str
    source: Source
    subtitle: str = ""
    sentences: tuple[Sentence, ...] = ()
    blocks: tuple[Block, ...] = ()
    not_modelled: tuple[str, ...] = ()
    strip: Strip | None = None
