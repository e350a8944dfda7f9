"""A report page with everything on it, for the tests that look at pages.

The numbers are invented, but shaped like the real thing: three policies over a week of a cluster
with 512 GPUs, several seeds, loads from 0.5 to 1.3, waits per class over five decades.
"""

import numpy as np

from gpuyard.twin.page.content import (
    Bar,
    BarPlot,
    BarSeries,
    Column,
    Figure,
    Fold,
    Heading,
    LinePlot,
    Mark,
    Page,
    Role,
    Row,
    Sentence,
    Series,
    Source,
    Strip,
    StripItem,
    Table,
    Text,
)
from gpuyard.twin.page.numbers import written

HOUR, DAY = 3_600.0, 86_400.0
GPUS = 512
POLICIES: tuple[tuple[str, Role], ...] = (
    ("gpuyard", "ours"),
    ("kube-scheduler default", "peer-1"),
    ("MostAllocated, whole gangs", "peer-2"),
)
CLASSES = (
    "Inference replica",
    "Notebook, shared GPU",
    "Fine-tuning, 1 node",
    "Training, many nodes",
)
LOADS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
MEAN_WAITS = {  # seconds, at each load
    "gpuyard": (0, 0, 3, 40, 420, 3_100, 12_500, 39_000, 84_000),
    "kube-scheduler default": (0, 2, 60, 900, 9_800, 44_000, 95_000, 160_000, 230_000),
    "MostAllocated, whole gangs": (0, 0, 6, 140, 1_900, 12_000, 41_000, 88_000, 131_000),
}


def example_page() -> Page:
    """Return the same page every time."""
    return Page(
        title="One week on 512 GPUs: what a placement policy is worth",
        subtitle=(
            "Three ways to place the same 9,412 workloads on 64 nodes with H100, A100 and L4 GPUs, "
            "compared in virtual time at loads from 0.5 to 1.3."
        ),
        sentences=_sentences(),
        strip=_strip(),
        blocks=(
            Heading(
                "gpus",
                "GPUs over the week",
                "At load 0.9. Lines are medians of 8 seeds, bands "
                "reach from the 10th to the 90th percentile.",
            ),
            _over_time(
                "allocated",
                "Allocated GPUs",
                "Held by any pod, working or waiting for its gang.",
                (431, 448, 437),
                width="full",
                marks=(Mark(5 * DAY, "weekend"), Mark(1.6 * DAY, "two nodes drained")),
            ),
            _over_time(
                "useful",
                "Useful GPUs",
                "Held by workloads that run with all their members.",
                (428, 391, 421),
            ),
            _over_time(
                "partial",
                "GPUs held by partial gangs",
                "Paid for, and doing nothing until the rest of the gang starts.",
                (0, 57, 0),
            ),
            Heading("waits", "Waits", "From submission to the start of the last pod."),
            _waits("median-wait", "Median wait", 1.0),
            _waits("long-wait", "Longest tenth of waits", 14.0),
            Heading(
                "load",
                "Where it matters and where it does not",
                "Below load 0.7 there is room for everybody and the three are the same.",
            ),
            _sweep(),
            _fragmentation(),
            Heading("rows", "Rows behind the numbers"),
            *_folds(),
        ),
        not_modelled=(
            "Network contention: a gang runs at the same speed wherever its nodes stand.",
            "Image pulls and weight loading: a pod starts the moment it is bound.",
            "Failures: no node, GPU or link breaks during the week.",
            "People: nobody gives up waiting, and nobody submits twice.",
        ),
        source=Source(
            command="gpuyard demo --seeds 8 -o html --to report.html",
            version="gpuyard 0.1.0",
            seeds="seeds 0–7, medians with 10–90 % intervals",
            inputs=("Generated workload mix `demo-week`, 64 nodes, 512 GPUs",),
        ),
    )


def _sentences() -> tuple[Sentence, ...]:
    return (
        Sentence(
            (
                "gpuyard turns ",
                Figure("6,216", "row-useful"),
                " more GPU-hours a week into finished work than the default scheduler, worth ",
                Figure("$18,650", "row-useful"),
                ".",
            ),
            "At load 0.9. 10–90 % interval over 8 seeds: 5,480 to 7,030 GPU-hours.",
        ),
        Sentence(
            (
                "A multi-node training job waits ",
                Figure("1 h 50 min", "row-training"),
                " instead of ",
                Figure("14 h 20 min", "row-training"),
                ".",
            ),
            "Median. The longest tenth: 9\u00a0h instead of 3\u00a0d\u00a02\u00a0h.",
        ),
        Sentence(
            (
                "The largest gang that could start on Thursday noon was ",
                Figure("128 GPUs", "fold-gangs"),
                "; under the default scheduler it was ",
                Figure("24", "fold-gangs"),
                ".",
            ),
            "Median over seeds, with the cluster 84\u00a0% full.",
        ),
        Sentence(
            (
                "Notebooks are the ones who pay: their median wait grows from ",
                Figure("4 s", "row-notebook"),
                " to ",
                Figure("31 s", "row-notebook", "worse"),
                ".",
            ),
            "They no longer start on nodes kept whole for gangs.",
        ),
        Sentence(
            (
                "Below load ",
                Figure("0.7", "fold-sweep"),
                " there is nothing to gain: all three policies start everything within a minute.",
            ),
            "Packing costs nothing there either.",
        ),
    )


def _strip() -> Strip:
    return Strip(
        "Why believe this: published results that this version reproduces",
        (
            StripItem(
                name="FGD paper, 8 traces × 10 seeds × 5 policies, within 0.01",
                result="400 of 400 rows",
            ),
            StripItem(
                name="kube-scheduler's own filter and score tables", result="612 of 612 rows"
            ),
            StripItem(
                name="Random placement, 30 seeds", result="largest |z| 1.8", rows="fold-sweep"
            ),
            StripItem(
                name="Duration model against the published percentiles",
                result="p95 off by 6 %",
                verdict="warn",
            ),
        ),
    )


def _over_time(plot_id, title, caption, levels, *, width="half", marks=()) -> LinePlot:
    times = np.arange(0, 7 * DAY + 1, 300.0)
    series = []
    for (name, role), level in zip(POLICIES, levels, strict=True):
        rng = np.random.default_rng(len(name))
        daily = 1 + 0.07 * np.sin((times / DAY - 0.3) * 2 * np.pi) - 0.1 * (times > 5 * DAY)
        noise = np.convolve(rng.normal(0, 1, len(times) + 47), np.ones(48) / 12, mode="valid")
        middle = np.clip(
            level * daily * np.minimum(1, 0.15 + times / (10 * HOUR)) + noise * level / 90, 0, GPUS
        )
        spread = level * 0.018 + np.abs(noise) * level / 160
        series.append(
            Series(
                name=name,
                role=role,
                x=tuple(times.tolist()),
                y=tuple(middle.tolist()),
                low=tuple((middle - spread).tolist()),
                high=tuple(np.minimum(middle + spread, GPUS).tolist()),
            )
        )
    if levels[0] > 0:
        series.append(Series(name="All 512 GPUs", role="limit", x=(0.0, 7 * DAY), y=(GPUS, GPUS)))
    return LinePlot(
        id=plot_id,
        title=title,
        caption=caption,
        series=tuple(series),
        x_label="time since start",
        y_label="GPUs",
        x_unit="seconds",
        y_max=float(GPUS) if levels[0] else None,
        marks=marks,
        rows="fold-useful",
        width=width,
    )


def _waits(plot_id: str, title: str, factor: float) -> BarPlot:
    medians = {
        "gpuyard": (2.0, 31.0, 900.0, 6600.0),
        "kube-scheduler default": (2.0, 4.0, 2400.0, 51600.0),
        "MostAllocated, whole gangs": (0.0, 12.0, 1500.0, 19800.0),
    }
    return BarPlot(
        id=plot_id,
        title=title,
        groups=CLASSES,
        value_label="wait",
        unit="seconds",
        log=True,
        width="half",
        caption="Whiskers reach from the 10th to the 90th percentile of 8 seeds.",
        rows="fold-waits",
        series=tuple(
            BarSeries(
                name=name,
                role=role,
                bars=tuple(
                    Bar(value=value * factor, low=value * factor * 0.72, high=value * factor * 1.5)
                    for value in medians[name]
                ),
            )
            for name, role in POLICIES
        ),
    )


def _sweep() -> LinePlot:
    return LinePlot(
        id="sweep",
        title="Mean wait by load",
        x_label="offered load (GPUs asked for ÷ available)",
        y_label="mean wait",
        y_unit="seconds",
        y_log=True,
        rows="fold-sweep",
        caption="On a log axis. Left of the line nobody gains.",
        marks=(Mark(0.7, "nothing to gain below"),),
        series=tuple(
            Series(
                name=name,
                role=role,
                x=LOADS,
                y=tuple(map(float, MEAN_WAITS[name])),
                low=tuple(value * 0.8 for value in MEAN_WAITS[name]),
                high=tuple(value * 1.3 for value in MEAN_WAITS[name]),
            )
            for name, role in POLICIES
        ),
    )


def _fragmentation() -> BarPlot:
    values = {
        "gpuyard": (6.1, 1.2),
        "kube-scheduler default": (23.8, 4.4),
        "MostAllocated, whole gangs": (11.3, 1.4),
    }
    return BarPlot(
        id="lost",
        title="GPUs that nobody can use",
        groups=("Fragmented", "No CPU or memory left beside them"),
        value_label="share of all GPUs",
        unit="percent",
        rows="fold-waits",
        caption="Mean over the week at load 0.9; fragmentation as defined in the FGD paper.",
        series=tuple(
            BarSeries(
                name=name,
                role=role,
                bars=tuple(
                    Bar(value=value, low=value * 0.9, high=value * 1.12) for value in values[name]
                ),
            )
            for name, role in POLICIES
        ),
    )


def _folds() -> tuple[Fold, ...]:
    ends = Text(("A wait ends when the last pod starts.",))
    return (
        Fold(id="fold-useful", summary="GPU-hours and money", blocks=(_useful_rows(),)),
        Fold(id="fold-waits", summary="Waits by class", blocks=(_wait_rows(), ends)),
        Fold(id="fold-gangs", summary="Largest gang that could start", blocks=(_gang_rows(),)),
        Fold(id="fold-sweep", summary="The load sweep", blocks=(_sweep_rows(),)),
    )


def _useful_rows() -> Table:
    rows = (
        ("kube-scheduler default", "75,264", "65,688", "9,576", "197,064"),
        ("MostAllocated, whole gangs", "73,416", better("70,728"), "0", "212,184"),
        ("gpuyard", "72,408", better("71,904"), "0", "215,712"),
    )
    return Table(
        id="table-useful",
        title="GPU-hours of the week at load 0.9",
        columns=(
            Column("Policy"),
            Column("Allocated", "GPU-hours", "right"),
            Column("Useful", "GPU-hours", "right"),
            Column("In partial gangs", "GPU-hours", "right"),
            Column("Worth", "$ a week", "right"),
        ),
        rows=tuple(Row(cells, "row-useful" if cells[0] == "gpuyard" else "") for cells in rows),
        caption="Medians of 8 seeds.",
    )


def _wait_rows() -> Table:
    training = (CLASSES[3], better("1 h 50 min"), "14 h 20 min", "5 h 30 min")
    notebook = (CLASSES[1], Figure("31 s", tone="worse"), "4 s", "12 s")
    return Table(
        id="table-waits",
        title="Median wait by class",
        columns=(Column("Class"), *(Column(name, "median", "right") for name, _ in POLICIES)),
        rows=(
            Row((CLASSES[0], "2 s", "2 s", "0 s")),
            Row(notebook, "row-notebook"),
            Row((CLASSES[2], better("15 min"), "40 min", "25 min")),
            Row(training, "row-training"),
        ),
    )


def _sweep_rows() -> Table:
    means = zip(*(MEAN_WAITS[name] for name, _ in POLICIES), strict=True)
    return Table(
        id="table-sweep",
        title="Mean wait by load",
        columns=(
            Column("Load", align="right"),
            *(Column(name, "mean", "right") for name, _ in POLICIES),
        ),
        rows=tuple(
            Row((f"{load:.1f}", *(written(wait, "seconds") for wait in row)))
            for load, row in zip(LOADS, means, strict=True)
        ),
    )


def _gang_rows() -> Table:
    return Table(
        id="table-gangs",
        title="Largest gang that could start, Thursday 12:00",
        columns=(
            Column("Policy"),
            Column("Largest gang", "GPUs", "right"),
            Column("10–90 %", "GPUs", "right"),
        ),
        rows=(Row(("gpuyard", "128", "96–160")), Row(("kube-scheduler default", "24", "16–40"))),
    )


def better(text: str) -> Figure:
    """Return a number with the mark of an improvement."""
    return Figure(text, tone="better")
