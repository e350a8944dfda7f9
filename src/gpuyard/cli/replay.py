"""``gpuyard replay``: a trace under one policy or several, or a record computed once more."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuyard.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from gpuyard.model.policy import TieBreak
    from gpuyard.studies.replay.records import Checked
    from gpuyard.studies.replay.runs import Protocol, Replay

MARKS_PCT = (50, 90, 95, 100, 110, 130)  # of the columns of the paper's table, where they occur


@click.command(
    "replay",
    epilog="""
    Examples:

    \b
      gpuyard replay --nodes nodes.csv --pods pods.csv --policy fgd
      gpuyard replay --nodes nodes.csv --pods pods.csv --compare fgd,best-fit,random --seed 42
      gpuyard replay --nodes nodes.csv --pods pods.csv --protocol timed --policy kube -o json
      gpuyard replay --nodes nodes.csv --pods pods.csv --keep-record run.jsonl.gz
      gpuyard replay --record run.jsonl.gz

    \b
    Policies: best-fit, clustering, dot-product, fgd, gpuyard, kai, kube,
    kube-most-allocated, kueue, packing, random; docs/reference/policies.md says
    what each does.

    The forms of the files: openb's (gzip or plain), and our own CSV or Parquet tables; see
    docs/reference/traces.md. Exit code 1 where a plan of a record comes out differently, 2 for
    anything that cannot be read.
    """,
)
@click.option(
    "--nodes",
    "nodes_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The fleet.",
)
@click.option(
    "--pods",
    "pods_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What arrives at it.",
)
@click.option(
    "--sequence",
    "sequence_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Published arrival sequences of an openb pod list (fill).",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Which sequence of --sequence (default: the smallest); without it, the seed of an order "
    "of our own (fill, openb's form) and of all chance.",
)
@click.option(
    "--protocol",
    type=click.Choice(["fill", "timed"]),
    default="fill",
    show_default=True,
    help="fill: arrive one by one, never leave. timed: arrive, wait, run, end.",
)
@click.option("--policy", "policy_name", metavar="NAME", help="The policy. [default: fgd]")
@click.option(
    "--compare", metavar="P1,P2,…", help="Several policies, over all cores, side by side."
)
@click.option(
    "--tie-break",
    type=click.Choice(["rank", "random"]),
    help="Who wins among equal scores: the smallest node rank, or chance. "
    "[default: the policy's own]",
)
@click.option(
    "--keep-record",
    "kept_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what every cycle saw and decided to a file (.gz: compressed).",
)
@click.option(
    "--record",
    "record_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead of a trace: compute every plan of a kept record again, with its own policy or "
    "--policy, and say where the first one differs.",
)
@output.options("table", "json", "csv", "html")
def command(
    *,
    nodes_path: Path | None,
    pods_path: Path | None,
    sequence_path: Path | None,
    seed: int | None,
    protocol: "Protocol",
    policy_name: str | None,
    compare: str | None,
    tie_break: "TieBreak | None",
    kept_path: Path | None,
    record_path: Path | None,
    form: str,
    to: Path | None,
    no_color: bool,
) -> None:
    """Replay a trace through a placement policy.

    In the fill protocol (the FGD paper's) pods arrive until they have asked for more than there
    is: how full does the fleet become before fragments stop it? In the timed protocol workloads
    wait, run and end: who waits how long?
    """
    output.check_writable(to)
    if record_path is not None:
        _check_record(record_path, policy_name, tie_break, form, to)
        return
    if nodes_path is None or pods_path is None:
        raise click.UsageError("a trace needs --nodes and --pods; or give a record with --record")
    if kept_path is not None and compare is not None:
        raise click.UsageError("--keep-record keeps the record of one policy; use --policy")
    output.check_writable(kept_path, "--keep-record")
    from gpuyard.studies.cores import over_cores
    from gpuyard.studies.replay import runs as study

    if sequence_path is not None and protocol == "timed":
        raise click.UsageError(
            "--sequence orders arrivals in --protocol fill; the timed one has times"
        )
    names = _names(policy_name, compare, form)
    policies = {name: study.named_policy(name, tie_break) for name in names}
    inputs = study.load_inputs(
        nodes_path, pods_path, protocol=protocol, sequence_path=sequence_path, seed=seed
    )
    tasks = [
        study.Task(
            inputs=inputs,
            name=name,
            policy=policy,
            seed=inputs.seed,
            record_path=None if kept_path is None else str(kept_path),
        )
        for name, policy in policies.items()
    ]
    replays = []
    with output.progress(f"replaying {inputs.trace}", len(tasks)) as step:
        for replay in over_cores(study.replay, tasks):
            replays.append(replay)
            step()
    if form == "json":
        output.write(_as_json(replays if compare else replays[0]), to)
    else:
        _answer(replays, inputs.trace, form, to, no_color=no_color)


def _check_record(
    path: Path,
    policy_name: str | None,
    tie_break: "TieBreak | None",
    form: str,
    to: Path | None,
) -> None:
    """Compute a record again; end with exit code 1 where a plan differs."""
    from gpuyard.scheduling.presets import preset
    from gpuyard.studies.replay.records import check
    from gpuyard.studies.replay.runs import with_ties

    context = click.get_current_context()
    for parameter in ("nodes_path", "pods_path", "sequence_path", "seed", "protocol", "compare"):
        _exclude(context, parameter)
    _exclude(context, "kept_path")
    if form not in {"table", "json"}:
        raise click.UsageError(f"--record answers as table or json, not as {form}")
    policy = None if policy_name is None else preset(policy_name)
    if tie_break is not None:
        if policy is None:
            raise click.UsageError("--tie-break changes a policy; name it with --policy")
        policy = with_ties(policy, tie_break)
    checked = check(path, policy, policy_name or "")
    output.write(_as_json(checked) if form == "json" else _verdict(checked), to)
    if checked.difference is not None:
        context.exit(1)


def _exclude(context: click.Context, parameter: str) -> None:
    """Refuse an option of a trace beside --record."""
    if context.get_parameter_source(parameter) is click.core.ParameterSource.DEFAULT:
        return
    option = next(one for one in context.command.params if one.name == parameter)
    raise click.UsageError(
        f"--record has its own trace and seed; leave {option.opts[0]} out, or leave --record out"
    )


def _verdict(checked: "Checked") -> str:
    """Return in sentences what came of computing a record again."""
    difference = checked.difference
    under = f"policy {checked.policy}" if checked.policy else "its policy"
    if difference is None:
        count = f"{checked.cycles:,} cycles of {checked.record} under {under}"
        return f"{count}: every plan is the same.\n"
    return (
        f"{checked.record}:{difference.line}: under {under} the plan of cycle {difference.cycle}, "
        f"at {difference.now_ns / 10**9:,.3f} s, is the first that differs.\n"
        f"  workload    {difference.workload}\n"
        f"  recorded    {difference.recorded}\n"
        f"  recomputed  {difference.recomputed}\n"
    )


def _names(policy_name: str | None, compare: str | None, form: str) -> list[str]:
    """Return the policies asked for, each once and no more than can be shown."""
    if compare is None:
        return ["fgd" if policy_name is None else policy_name]
    if policy_name is not None:
        raise click.UsageError("--policy and --compare exclude each other; give one of them")
    names = [name.strip() for name in compare.split(",")]
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if "" in names:
        raise click.UsageError(f"--compare {compare!r} lacks a name; write it like fgd,kube")
    if twice:
        raise click.UsageError(f"--compare names {twice[0]!r} twice; name each policy once")
    if form == "html":
        from gpuyard.studies.replay.page import SERIES_MAX

        if len(names) > SERIES_MAX:
            raise click.UsageError(
                f"{len(names)} policies on one page; compare at most {SERIES_MAX}, or use -o csv"
            )
    return names


def _answer(
    replays: "list[Replay]", trace: str, form: str, to: Path | None, *, no_color: bool
) -> None:
    if form == "csv":
        output.write(_as_csv(replays), to)
    elif form == "html":
        from gpuyard.studies.replay.page import page
        from gpuyard.twin.page import render

        made_by = {"command": output.command_line(), "version": output.version()}
        output.write(render(page(replays, trace=trace, **made_by)), to)
    else:
        console = output.console(no_color=no_color)
        with console.capture() as captured:
            _draw(replays, console)
        output.write(captured.get(), to)


def _as_json(document: "Replay | list[Replay] | Checked") -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _as_csv(replays: "list[Replay]") -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = replays[0].samples[0].__struct_fields__ if replays[0].samples else ()
    writer.writerow(("policy", "seed", *fields))
    for replay in replays:
        for sample in replay.samples:
            values = (getattr(sample, name) for name in fields)
            writer.writerow((replay.policy, replay.seed, *values))
    return text.getvalue()


def _draw(replays: "list[Replay]", console: "Console") -> None:
    first = replays[0]
    console.print(
        f"{first.arrivals:,} arrivals at {first.nodes:,} nodes with {first.gpus:,} GPUs, "
        f"protocol {first.protocol}, seed {first.seed}"
    )
    if first.protocol == "fill":
        _draw_fill(replays, console)
    else:
        _draw_timed(replays, console)


def _draw_fill(replays: "list[Replay]", console: "Console") -> None:
    from gpuyard.twin.fill import Sample

    curves = [
        {one.arrived_pct: one for one in replay.samples if isinstance(one, Sample)}
        for replay in replays
    ]
    marks = [mark for mark in MARKS_PCT if all(mark in curve for curve in curves)]
    marks = marks or sorted(set.intersection(*(set(curve) for curve in curves)))[-1:]
    headings = [("policy", False), ("placed", True), ("failed", True)]
    headings += [(f"@{mark} %", True) for mark in marks]
    grid = output.table([*headings, ("frag %", True), ("CPU s", True)])
    for replay, curve in zip(replays, curves, strict=True):
        allocated = [f"{curve[mark].allocated_pct:.2f}" for mark in marks]
        frag = f"{curve[marks[-1]].frag_pct_of_cluster:.2f}" if marks else "-"
        counts = [f"{replay.placed:,}", f"{replay.failed:,}"]
        grid.add_row(replay.policy, *counts, *allocated, frag, f"{replay.seconds:.2f}")
    output.draw(
        console,
        "Allocated GPUs in % of all, when so much had been asked for; frag: idle GPUs that the "
        "typical pod cannot use, at the end",
        grid,
        spare=("failed", "@50 %", "@110 %", "@95 %", "CPU s", "@90 %", "@100 %", "placed"),
    )


def _draw_timed(replays: "list[Replay]", console: "Console") -> None:
    grid = output.table(
        [
            ("policy", False),
            ("class", False),
            ("workloads", True),
            ("mean wait", True),
            ("p50", True),
            ("p95", True),
            ("never started", True),
            ("CPU s", True),
        ],
    )
    for replay in replays:
        for index, wait in enumerate(replay.waits):
            grid.add_row(
                replay.policy if index == 0 else "",
                wait.kind,
                f"{wait.workloads:,}",
                *(_span(seconds) for seconds in (wait.mean_s, wait.p50_s, wait.p95_s)),
                f"{wait.never_started:,}",
                f"{replay.seconds:.2f}" if index == 0 else "",
            )
    output.draw(
        console,
        "Waiting times by class of workload; who never started waited until the end",
        grid,
        spare=("CPU s", "p50", "workloads", "p95", "never started"),
    )


def _span(seconds: float) -> str:
    """Return a duration as people say it: 42 s, 7 min, 3.5 h, 2.1 d."""
    for size, unit in ((86_400, "d"), (3_600, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"  # noqa: PLR2004
