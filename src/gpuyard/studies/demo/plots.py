"""The demo's plots: GPUs over the week, waits by class, and everything by load."""

from collections.abc import Callable, Sequence

from gpuyard.studies.demo.findings import Findings, Spread, spread, waits_of
from gpuyard.studies.demo.weeks import Contender, Week
from gpuyard.twin.page.content import (
    Bar,
    BarPlot,
    BarSeries,
    Block,
    Heading,
    LinePlot,
    Mark,
    Series,
    Unit,
    Width,
)

HOUR_S = 3600.0
WEEKEND_S = 5 * 24 * HOUR_S


def over_time(findings: Findings) -> tuple[Block, ...]:
    """Return what became of the GPUs, hour by hour."""
    load = f"{findings.scenario.main_load:g}"
    return (
        Heading(
            "gpus",
            "GPUs over the week",
            f"At load {load}. Lines are hourly means over the "
            "seeds, bands reach from the smallest to the largest.",
        ),
        _hours(
            findings,
            "useful",
            "Useful GPUs",
            "Held by workloads that are complete and run.",
            lambda week: week.useful,
        ),
        _hours(
            findings,
            "allocated",
            "Allocated GPUs",
            "Held by any pod, working or waiting.",
            lambda week: week.allocated,
            "half",
        ),
        _hours(
            findings,
            "held",
            "GPUs held by incomplete gangs",
            "Paid for, and idle until the rest of the gang starts.",
            lambda week: week.held,
            "half",
        ),
        _hours(
            findings,
            "fragment",
            "Fragmented GPUs",
            "Idle, and of no use to the typical pod (the FGD paper's measure).",
            lambda week: week.fragment,
            "half",
        ),
        _hours(
            findings,
            "unreachable",
            "GPUs out of reach",
            "Idle and large enough, but CPU or memory beside them is gone.",
            lambda week: week.unreachable,
            "half",
        ),
    )


def _hours(
    findings: Findings,
    plot_id: str,
    title: str,
    caption: str,
    column: Callable[[Week], Sequence[float]],
    width: Width = "full",
) -> LinePlot:
    series = []
    for contender in findings.scenario.contenders:
        hours = [
            spread(values) for values in zip(*map(column, findings.of(contender)), strict=True)
        ]
        series.append(_series(contender, [(at + 0.5) * HOUR_S for at in range(len(hours))], hours))
    if width == "full":
        gpus, end_s = findings.weeks[0].gpus, findings.scenario.days * 24 * HOUR_S
        all_of_them = (float(gpus), float(gpus))
        series.append(Series(name=f"all {gpus}", role="limit", x=(0.0, end_s), y=all_of_them))
    return LinePlot(
        id=plot_id,
        title=title,
        caption=caption,
        series=tuple(series),
        x_label="time since Monday 00:00",
        y_label="GPUs",
        x_unit="seconds",
        marks=(Mark(WEEKEND_S, "weekend"),) if findings.scenario.days > 5 else (),  # noqa: PLR2004
        rows="rows-useful",
        width=width,
    )


def waits(findings: Findings) -> tuple[Block, ...]:
    """Return the waits by class."""
    return (
        Heading(
            "waits",
            "Waits",
            "From arrival to the start of the last pod; who had not started "
            "at the end of the week has waited until then.",
        ),
        _wait_bars(findings, "wait-mean", "Mean wait", waits_of),
        _wait_bars(
            findings,
            "wait-p95",
            "95th percentile of the waits",
            lambda kind: lambda week: week.waits[kind].p95_s if kind in week.waits else 0.0,
        ),
    )


def _wait_bars(
    findings: Findings,
    plot_id: str,
    title: str,
    figure: Callable[[str], Callable[[Week], float]],
) -> BarPlot:
    return BarPlot(
        id=plot_id,
        title=title,
        caption=f"At load {findings.scenario.main_load:g}, on a log axis; whiskers reach from the "
        "smallest to the largest seed.",
        groups=findings.kinds,
        series=tuple(
            BarSeries(
                name=contender.name,
                role=contender.role,
                bars=tuple(
                    _bar(findings.spread(contender, figure(kind))) for kind in findings.kinds
                ),
            )
            for contender in findings.scenario.contenders
        ),
        value_label="wait",
        unit="seconds",
        log=True,
        rows="rows-waits",
        width="half",
    )


def sweep(findings: Findings) -> tuple[Block, ...]:
    """Return use and waits by load."""
    gpu_h = findings.weeks[0].gpus * 24 * findings.scenario.days

    def wait(week: Week) -> float:
        return week.wait.mean_s

    def useful_pct(week: Week) -> float:
        return 100 * week.useful_gpu_h / gpu_h

    return (
        Heading(
            "load",
            "Where it matters and where it does not",
            "The same weeks with fewer and with more workloads.",
        ),
        _by_load(
            findings,
            "sweep-useful",
            "Useful GPU-hours by load",
            useful_pct,
            "share of all GPU-hours",
            "percent",
        ),
        _by_load(findings, "sweep-wait", "Mean wait by load", wait, "mean wait", "seconds"),
    )


def _by_load(
    findings: Findings,
    plot_id: str,
    title: str,
    figure: Callable[[Week], float],
    y_label: str,
    y_unit: Unit,
) -> LinePlot:
    loads = sorted(findings.scenario.loads)
    return LinePlot(
        id=plot_id,
        title=title,
        caption="Bands reach from the smallest to the largest seed.",
        series=tuple(
            _series(one, loads, [findings.spread(one, figure, load) for load in loads])
            for one in findings.scenario.contenders
        ),
        x_label="offered load (GPU-hours asked for ÷ there)",
        y_label=y_label,
        y_unit=y_unit,
        rows="rows-sweep",
        width="half",
    )


def _series(contender: Contender, x: Sequence[float], values: Sequence[Spread]) -> Series:
    return Series(
        name=contender.name,
        role=contender.role,
        x=tuple(x),
        y=tuple(value.mean for value in values),
        low=tuple(value.low for value in values),
        high=tuple(value.high for value in values),
    )


def _bar(value: Spread) -> Bar:
    return Bar(value=value.mean, low=value.low, high=value.high)
