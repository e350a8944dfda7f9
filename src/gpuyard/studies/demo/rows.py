"""The rows behind the demo's numbers, and numbers as they are written there."""

from collections.abc import Sequence

from gpuyard.studies.demo.findings import Findings, Spread, mean_gang, useful
from gpuyard.studies.demo.weeks import PROBE
from gpuyard.twin.page.content import Column, Fold, Row, Table
from gpuyard.twin.page.numbers import written


def useful_rows(findings: Findings) -> Fold:
    """Return the GPU-hours and the money of every week at the main load."""
    rows = tuple(
        Row(
            (
                contender.name,
                str(week.seed),
                *map(count, (week.useful_gpu_h, week.held_gpu_h, week.given_up, week.usd)),
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


def wait_rows(findings: Findings) -> Fold:
    """Return the waits of every class in every week at the main load."""
    tables = []
    for kind in findings.kinds:
        rows = []
        for contender in findings.scenario.contenders:
            for week in findings.of(contender):
                wait = week.waits.get(kind)
                if wait is None:  # no such workload came that week
                    continue
                spans = (span(one) for one in (wait.mean_s, wait.p50_s, wait.p95_s))
                counts = (count(wait.workloads), *spans, count(wait.never_started))
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


def gang_rows(findings: Findings) -> Fold:
    """Return the largest gang that could start, by load."""
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


def sweep_rows(findings: Findings) -> Fold:
    """Return GPU-hours and waits at every load, over the seeds."""
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
            counts = (count(hours.mean), count(hours.low), count(hours.high))
            cells = (f"{load:g}", one.name, *counts, span(wait.mean), count(never.mean))
            rows.append(Row(cells))
    table = Table(
        id="table-sweep", title="Every load, over the seeds", columns=columns, rows=tuple(rows)
    )
    return Fold(id="rows-sweep", summary="The load sweep", blocks=(table,))


def count(value: float) -> str:
    """Return a whole number with thousands apart."""
    return f"{value:,.0f}"


def signed(value: float) -> str:
    """Return a difference with its sign; nothing is 0."""
    text = f"{value:+,.0f}".replace("-", "\u2212")
    return "0" if text.strip("+\u2212") == "0" else text


def over_seeds(findings: Findings, value: Spread) -> str:
    """Return how far the seeds are apart; one seed says nothing about that."""
    if len(findings.scenario.seeds) == 1:
        return ", one seed"
    low, high = signed(value.low), signed(value.high)
    return f", between {low} and {high} over {len(findings.scenario.seeds)} seeds"


def loads_of(loads: Sequence[float]) -> str:
    """Return loads one after the other."""
    return ", ".join(f"{load:g}" for load in loads)


def span(seconds: float) -> str:
    """Return a duration as people say it."""
    return written(seconds, "seconds")
