"""The demo's report: five sentences, plots, the rows behind them, and what is not modelled."""

from collections.abc import Callable, Sequence

from gpuyard.studies.demo import PRICE_SOURCE, PROBE, Contender, Week
from gpuyard.studies.findings import Findings, Spread, mean_gang, spread, useful, waits_of
from gpuyard.studies.validity import strip
from gpuyard.twin.page.content import (
    Bar,
    BarPlot,
    BarSeries,
    Block,
    Column,
    Figure,
    Fold,
    Heading,
    LinePlot,
    Mark,
    Page,
    Row,
    Sentence,
    Series,
    Source,
    Table,
    Unit,
    Width,
)
from gpuyard.twin.page.numbers import written

HOUR_S = 3600.0
WEEKEND_S = 5 * 24 * HOUR_S
NOT_MODELLED = tuple(
    " ".join(paragraph.split())
    for paragraph in """
    Queues, quota, fair share, preemption and scaling: placement and gangs only, for everybody.

    Speed by place: a workload runs as long wherever it lands, whatever the network between its
    nodes; CPU, memory and GPU shares are granted as asked.

    The latency of decisions, image pulls and weight loading: a pod starts the moment it is bound.

    Failures of nodes and GPUs, workloads that are sent again after they failed, people who give up
    waiting.

    Services that scale by their queues: replicas come and go by the clock.

    What else an incomplete gang does: its members give up after 600 s (torchrun's rendezvous) and
    come back after 10 s to 6 min (Kubernetes' Job controller), without end.

    Real weeks: sizes, run times and arrivals follow published figures where there are any, and
    assumptions where there are none; docs/reference/traces.md names each.
    """.strip().split("\n\n")
)


def page(findings: Findings, *, command: str, version: str) -> Page:
    """Return the report of a demo."""
    scenario = findings.scenario
    first = findings.weeks[0]
    names = "; ".join(one.name for one in scenario.contenders)
    seeds = ", ".join(str(seed) for seed in scenario.seeds)
    lowest, highest = min(scenario.loads), max(scenario.loads)
    loads = f"loads from {lowest:g} to {highest:g}" if lowest < highest else f"load {lowest:g}"
    return Page(
        title=f"A week on {first.gpus} GPUs: what placement is worth",
        subtitle=(
            f"The same generated weeks under three ways to place them, in virtual time, at "
            f"{loads}: {names}."
        ),
        sentences=sentences(findings),
        strip=strip(),
        blocks=(
            *_over_time(findings),
            *_waits(findings),
            *(_sweep(findings) if lowest < highest else ()),  # a line needs two points
            Heading("rows", "Rows behind the numbers"),
            _useful_rows(findings),
            _wait_rows(findings),
            _gang_rows(findings),
            _sweep_rows(findings),
        ),
        not_modelled=NOT_MODELLED,
        source=Source(
            command=command,
            version=version,
            seeds=f"seeds {seeds}: means, bands from the smallest to the largest"
            if len(scenario.seeds) > 1
            else f"seed {seeds}",
            inputs=(f"generated weeks for {scenario.fleet}", f"prices: {PRICE_SOURCE}"),
        ),
    )


def sentences(findings: Findings) -> tuple[Sentence, ...]:
    """Return the five sentences that a manager reads, which the terminal prints as well."""
    default = findings.peers[0]
    return (
        _worth(findings, default),
        _training(findings, default),
        _gang(findings, default),
        _worse(findings),
        _no_gain(findings),
    )


def _worth(findings: Findings, peer: Contender) -> Sentence:
    hours = findings.gain(peer, useful)
    money = findings.gain(peer, lambda week: week.usd)
    more = "fewer" if hours.mean < 0 else "more"
    whose = "Packing and whole gangs bring it, whoever does them: see the last line."
    return Sentence(
        (
            "gpuyard does ",
            Figure(_count(abs(hours.mean)), "rows-useful"),
            f" {more} GPU-hours of work a week than {peer.name}, worth ",
            Figure(f"${_count(abs(money.mean))}", "rows-useful"),
            ".",
        ),
        f"At load {findings.scenario.main_load:g}{_over_seeds(findings, hours)}. {PRICE_SOURCE}."
        + (f" {whose}" if hours.mean > 0 else ""),
    )


def _training(findings: Findings, peer: Contender) -> Sentence:
    if "training" not in findings.kinds:
        return Sentence(("These weeks have no training job over several nodes.",))
    before, after = (findings.spread(one, waits_of("training")) for one in (peer, findings.ours))
    held = findings.spread(peer, lambda week: week.held_gpu_h)
    return Sentence(
        (
            "A training job over several nodes waits ",
            Figure(_span(after.mean), "row-training"),
            " instead of ",
            Figure(_span(before.mean), "row-training"),
            ".",
        ),
        f"Means. Under {peer.name}, members that wait for the rest of their gang hold "
        f"{_count(held.mean)} GPU-hours a week for nothing.",
    )


def _gang(findings: Findings, peer: Contender) -> Sentence:
    low = min(findings.scenario.loads)
    per_pod = PROBE.devices.count if PROBE.devices else 0
    after, before = (
        findings.spread(one, mean_gang, low).mean * per_pod for one in (findings.ours, peer)
    )
    if not after and not before:
        return Sentence(("No node with eight free H100 was there at any time, under either.",))
    return Sentence(
        (
            f"At load {low:g} the largest H100 gang that could start at any time has ",
            Figure(f"{after:.0f} GPUs", "rows-gang"),
            " instead of ",
            Figure(f"{before:.0f}", "rows-gang"),
            ".",
        ),
        "Whole nodes of eight, mean over the week; at higher loads all that is free is taken.",
    )


def _worse(findings: Findings) -> Sentence:
    peer = findings.peers[0]
    losses = findings.losers(peer)
    if not losses:
        return Sentence((f"No class of workload waits longer than under {peer.name}.",))
    worst, others = losses[0], ", ".join(loss.kind for loss in losses[1:])
    return Sentence(
        (
            f"Who pays: {worst.kind} workloads wait ",
            Figure(_span(worst.after_s), f"row-{worst.kind}", "worse"),
            " instead of ",
            Figure(_span(worst.before_s), f"row-{worst.kind}"),
            ".",
        ),
        f"Mean at load {findings.scenario.main_load:g}, against {peer.name}."
        + (f" Also longer: {others}." if others else ""),
    )


def _no_gain(findings: Findings) -> Sentence:
    closest = findings.peers[-1]
    none, lost = findings.loads_without_gain(closest), findings.loads_with_loss(closest)
    hours = findings.gain(closest, useful)
    note = (
        f"At load {findings.scenario.main_load:g}: {_signed(hours.mean)} GPU-hours a week"
        f"{_over_seeds(findings, hours)}."
    )
    if lost:
        where = Figure(_loads(lost), "rows-sweep", "worse")
        return Sentence((f"Against {closest.name} we lose GPU-hours at load ", where, "."), note)
    if len(none) == len(findings.scenario.loads):
        words = f"Against {closest.name} we gain no GPU-hours at any load: placement alone is "
        return Sentence((words, Figure("even", "rows-sweep"), "."), note)
    if not none:
        words = f"Against {closest.name} we gain GPU-hours at "
        return Sentence((words, Figure("every load", "rows-sweep"), "."), note)
    where = Figure(_loads(none), "rows-sweep")
    return Sentence((f"Against {closest.name} there is nothing to gain at load ", where, "."), note)


# --- Plots --------------------------------------------------------------------------------------


def _over_time(findings: Findings) -> tuple[Block, ...]:
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


def _waits(findings: Findings) -> tuple[Block, ...]:
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


def _sweep(findings: Findings) -> tuple[Block, ...]:
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


# --- Rows ---------------------------------------------------------------------------------------


def _useful_rows(findings: Findings) -> Fold:
    rows = tuple(
        Row(
            (
                contender.name,
                str(week.seed),
                *map(_count, (week.useful_gpu_h, week.held_gpu_h, week.given_up, week.usd)),
            )
        )
        for contender in findings.scenario.contenders
        for week in findings.of(contender)
    )
    columns = (
        Column("policy"),
        Column("seed", align="right"),
        Column("useful", "GPU-hours", "right"),
        Column("held by incomplete gangs", "GPU-hours", "right"),
        Column("starts given up", "", "right"),
        Column("useful", "USD", "right"),
    )
    table = Table(
        id="table-useful",
        title=f"One week at load {findings.scenario.main_load:g}",
        columns=columns,
        rows=rows,
    )
    return Fold(id="rows-useful", summary="GPU-hours and money", blocks=(table,))


def _wait_rows(findings: Findings) -> Fold:
    tables = []
    for kind in findings.kinds:
        rows = []
        for contender in findings.scenario.contenders:
            for week in findings.of(contender):
                wait = week.waits[kind]
                spans = (_span(one) for one in (wait.mean_s, wait.p50_s, wait.p95_s))
                counts = (_count(wait.workloads), *spans, _count(wait.never_started))
                rows.append(Row((contender.name, str(week.seed), *counts)))
        columns = (
            Column("policy"),
            Column("seed", align="right"),
            Column("workloads", align="right"),
            Column("mean", align="right"),
            Column("median", align="right"),
            Column("95th percentile", align="right"),
            Column("never started", align="right"),
        )
        tables.append(Table(id=f"row-{kind}", title=kind, columns=columns, rows=tuple(rows)))
    return Fold(id="rows-waits", summary="Waits by class", blocks=tuple(tables))


def _gang_rows(findings: Findings) -> Fold:
    columns = (
        Column("policy"),
        *(Column(f"load {load:g}", "GPUs", "right") for load in sorted(findings.scenario.loads)),
    )
    per_pod = PROBE.devices.count if PROBE.devices else 0
    rows = tuple(
        Row(
            (
                contender.name,
                *(
                    f"{findings.spread(contender, mean_gang, load).mean * per_pod:.1f}"
                    for load in sorted(findings.scenario.loads)
                ),
            )
        )
        for contender in findings.scenario.contenders
    )
    table = Table(
        id="table-gang",
        title="Largest H100 gang that could start, mean over the week and the seeds",
        columns=columns,
        rows=rows,
    )
    return Fold(id="rows-gang", summary="Largest gang that could start", blocks=(table,))


def _sweep_rows(findings: Findings) -> Fold:
    columns = (
        Column("load", align="right"),
        Column("policy"),
        Column("useful", "GPU-hours", "right"),
        Column("smallest", "GPU-hours", "right"),
        Column("largest", "GPU-hours", "right"),
        Column("mean wait", align="right"),
        Column("never started", align="right"),
    )
    rows = []
    for load in sorted(findings.scenario.loads):
        for one in findings.scenario.contenders:
            hours = findings.spread(one, useful, load)
            wait = findings.spread(one, lambda week: week.wait.mean_s, load)
            never = findings.spread(one, lambda week: week.wait.never_started, load)
            counts = (_count(hours.mean), _count(hours.low), _count(hours.high))
            cells = (f"{load:g}", one.name, *counts, _span(wait.mean), _count(never.mean))
            rows.append(Row(cells))
    table = Table(
        id="table-sweep", title="Every load, over the seeds", columns=columns, rows=tuple(rows)
    )
    return Fold(id="rows-sweep", summary="The load sweep", blocks=(table,))


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _signed(value: float) -> str:
    text = f"{value:+,.0f}".replace("-", "\u2212")
    return "0" if text.strip("+\u2212") == "0" else text


def _over_seeds(findings: Findings, value: Spread) -> str:
    """Return how far the seeds are apart; one seed says nothing about that."""
    if len(findings.scenario.seeds) == 1:
        return ", one seed"
    low, high = _signed(value.low), _signed(value.high)
    return f", between {low} and {high} over {len(findings.scenario.seeds)} seeds"


def _loads(loads: Sequence[float]) -> str:
    return ", ".join(f"{load:g}" for load in loads)


def _span(seconds: float) -> str:
    return written(seconds, "seconds")
