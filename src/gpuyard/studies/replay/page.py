"""A replay as a page: the paper's curves, or waits and use over time."""

from collections.abc import Callable, Sequence

from gpuyard.studies.replay.runs import Replay, TimedSample
from gpuyard.twin.fill import Sample
from gpuyard.twin.page.content import (
    Block,
    Column,
    Figure,
    LinePlot,
    Page,
    Role,
    Row,
    Sentence,
    Series,
    Source,
    Table,
    Unit,
    Width,
)
from gpuyard.twin.page.numbers import written

ROLES: tuple[Role, ...] = ("ours", "peer-1", "peer-2", "peer-3", "peer-4")
SERIES_MAX = len(ROLES)  # lines that can be told apart without colour


def page(replays: Sequence[Replay], *, trace: str, command: str, version: str) -> Page:
    """Return the page of one or several replays of a trace; the first has the leading colour.

    Raises
    ------
    ValueError
        for more than `SERIES_MAX` replays: nobody could tell their lines apart.

    """
    if len(replays) > SERIES_MAX:
        msg = f"{len(replays)} policies on one page; compare at most {SERIES_MAX}"
        raise ValueError(msg)
    first = replays[0]
    blocks = _fill(replays) if first.protocol == "fill" else _timed(replays)
    return Page(
        title=f"{trace}: {', '.join(one.policy for one in replays)}",
        subtitle=(
            f"{first.arrivals:,} arrivals at {first.nodes:,} nodes with {first.gpus:,} GPUs, "
            f"protocol {first.protocol}"
        ),
        sentences=tuple(_sentence(one) for one in replays),
        blocks=(*blocks, _counts(replays)),
        not_modelled=("Latency of decisions, image pulls, failures, speed by place.",),
        source=Source(command=command, version=version, seeds=f"seed {first.seed}"),
    )


def _sentence(replay: Replay) -> Sentence:
    return Sentence(
        (
            f"{replay.policy} starts ",
            Figure(f"{replay.placed:,}", "counts"),
            f" of {replay.arrivals:,}.",
        )
    )


def _fill(replays: Sequence[Replay]) -> tuple[Block, ...]:
    return (
        _curves(replays, "allocated", "Allocated GPUs", lambda one: one.allocated_pct, "full"),
        _curves(replays, "frag", "Fragmented GPUs, of all", lambda one: one.frag_pct_of_cluster),
        _curves(
            replays, "frag-idle", "Fragmented GPUs, of the idle", lambda one: one.frag_pct_of_idle
        ),
    )


def _curves(
    replays: Sequence[Replay],
    plot_id: str,
    title: str,
    value: Callable[[Sample], float],
    width: Width = "half",
) -> LinePlot:
    series = []
    for role, replay in zip(ROLES, replays, strict=False):
        points = [one for one in replay.samples if isinstance(one, Sample)]
        x = tuple(float(one.arrived_pct) for one in points)
        series.append(Series(name=replay.policy, role=role, x=x, y=tuple(map(value, points))))
    return LinePlot(
        id=plot_id,
        title=title,
        caption="Mean over the arrivals of each percent.",
        series=tuple(series),
        x_label="GPUs asked for so far, of all",
        y_label="of all GPUs" if plot_id != "frag-idle" else "of idle GPUs",
        x_unit="percent",
        y_unit="percent",
        rows="counts",
        width=width,
    )


def _timed(replays: Sequence[Replay]) -> tuple[Block, ...]:
    rows = tuple(
        Row(
            (
                replay.policy,
                wait.kind,
                f"{wait.workloads:,}",
                *(written(one, "seconds") for one in (wait.mean_s, wait.p50_s, wait.p95_s)),
                f"{wait.never_started:,}",
            )
        )
        for replay in replays
        for wait in replay.waits
    )
    columns = (
        Column("policy"),
        Column("class"),
        *(
            Column(name, align="right")
            for name in ("workloads", "mean wait", "median", "95th percentile", "never started")
        ),
    )
    return (
        _over_time(replays, "useful", "Useful GPUs", lambda one: one.useful_pct, "percent"),
        _over_time(replays, "waiting", "GPUs waited for", lambda one: one.waiting_gpus, "number"),
        Table(id="waits", title="Waits by class", columns=columns, rows=rows),
    )


def _over_time(
    replays: Sequence[Replay],
    plot_id: str,
    title: str,
    value: Callable[[TimedSample], float],
    unit: Unit,
) -> LinePlot:
    series = []
    for role, replay in zip(ROLES, replays, strict=False):
        points = [one for one in replay.samples if isinstance(one, TimedSample)]
        series.append(Series(name=replay.policy, role=role, **_steps(points, value)))
    return LinePlot(
        id=plot_id,
        title=title,
        series=tuple(series),
        x_label="time since the start of the trace",
        y_label="of all GPUs" if unit == "percent" else "GPUs",
        x_unit="seconds",
        y_unit=unit,
        rows="counts",
    )


def _steps(
    points: Sequence[TimedSample], value: Callable[[TimedSample], float]
) -> dict[str, tuple[float, ...]]:
    """Return x and y of a line that keeps each value until the next instant."""
    x = [one.at_s for one in points for _ in range(2)][1:]
    y = [value(one) for one in points for _ in range(2)][:-1]
    return {"x": tuple(x), "y": tuple(y)}


def _counts(replays: Sequence[Replay]) -> Table:
    columns = (
        Column("policy"),
        Column("ties"),
        *(Column(name, align="right") for name in ("arrivals", "placed", "failed")),
    )
    rows = tuple(
        Row(
            (
                one.policy,
                one.tie_break,
                f"{one.arrivals:,}",
                f"{one.placed:,}",
                f"{one.failed:,}",
            )
        )
        for one in replays
    )
    return Table(id="counts", title="Counts", columns=columns, rows=rows)
