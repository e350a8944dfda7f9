"""``gpuyard demo``: a generated week under what people really run, and under gpuyard."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuyard.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from gpuyard.studies.demo.findings import Findings
    from gpuyard.twin.page.content import Sentence


@click.command(
    "demo",
    epilog="""
    Examples:

    \b
      gpuyard demo
      gpuyard demo -o html --to demo.html
      gpuyard demo --fleet 8x8xH100+4x8xL4 --load 0.9 --seeds 5
      gpuyard demo --keep-record teams.jsonl.gz
    """,
)
@click.option("--fleet", metavar="NxGxMODEL+…", help="Nodes x GPUs x model. [default: 64 nodes]")
@click.option(
    "--load",
    "loads",
    type=click.FloatRange(0, 10, min_open=True),
    multiple=True,
    metavar="L",
    help="A load of the sweep, may be repeated; the middle one is the one "
    "shown in detail. [default: 0.5 0.7 0.9 1.1 1.3]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many generated weeks at the load shown in detail; the sweep takes the first two.",
)
@click.option(
    "--keep-record",
    "kept_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what every pass over the teams' queues saw and decided under gpuyard to a file "
    "(.gz: compressed); gpuyard replay --record FILE computes it again.",
)
@output.options("table", "json", "html")
def command(
    *,
    fleet: str | None,
    loads: tuple[float, ...],
    seeds: int,
    kept_path: Path | None,
    form: str,
    to: Path | None,
    no_color: bool,
) -> None:
    """Compare a week of a mixed cluster under three policies, and teams under four.

    64 nodes with 512 H100, A100 and L4 GPUs: training gangs, fine-tuning, inference, notebooks
    and batch, at several loads and seeds, in virtual time, over all cores; about a minute. Then
    teams with queues and quota share a quarter of the fleet for three days, and a deployment grows
    at the expense of a gang.
    """
    from gpuyard.scheduling.presets import preset
    from gpuyard.studies.demo import story, teams, weeks as study
    from gpuyard.studies.demo.findings import Findings
    from gpuyard.traces.fleet import parse_fleet

    output.check_writable(to)
    output.check_writable(kept_path, "--keep-record")
    scenario = study.scenario(fleet, loads, seeds)
    parse_fleet(scenario.fleet)  # refuse a bad line before the work begins
    weeks, shared = [], []
    chosen = teams.tasks(scenario, None if kept_path is None else str(kept_path))
    with output.progress("living through weeks", len(study.tasks(scenario)) + len(chosen)) as step:
        for days in teams.days(chosen):
            shared.append(days)
            step()
        for week in study.weeks(scenario):
            weeks.append(week)
            step()
    findings = Findings(
        scenario=scenario,
        weeks=tuple(weeks),
        teams=tuple(shared),
        story=story.live("gpuyard", preset("gpuyard")),
    )
    if form == "json":
        import msgspec

        told = {"weeks": weeks, "teams": shared, "story": findings.story}
        output.write(msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n", to)
    elif form == "html":
        output.write(_as_page(findings), to)
        if to is not None:
            _draw_sentences(findings, output.console(no_color=no_color))
    else:
        console = output.console(no_color=no_color)
        with console.capture() as captured:
            _draw(findings, console)
        output.write(captured.get(), to)


def _as_page(findings: "Findings") -> str:
    from gpuyard.studies.demo.page import page
    from gpuyard.twin.page import render

    return render(page(findings, command=output.command_line(), version=output.version()))


def _draw_sentences(findings: "Findings", console: "Console") -> None:
    from gpuyard.studies.demo.page import sentences

    scenario = findings.scenario
    week = findings.weeks[0]
    seeds = "one seed" if len(scenario.seeds) == 1 else f"{len(scenario.seeds)} seeds"
    console.print(
        f"{week.gpus} GPUs, {scenario.fleet}, {scenario.days:g} days, "
        f"{seeds}, load {scenario.main_load:g}\n"
    )
    for sentence in sentences(findings):
        console.print(f"• {_plain(sentence)}")


def _draw(findings: "Findings", console: "Console") -> None:
    from gpuyard.studies.demo.findings import mean_gang, useful, waits_of
    from gpuyard.studies.demo.weeks import PROBE

    _draw_sentences(findings, console)
    console.print()
    scenario = findings.scenario
    kinds = findings.kinds
    grid = output.table(
        [("policy", False), *((kind, True) for kind in kinds), ("held GPU-h", True)],
    )
    for one in scenario.contenders:
        waits = [f"{findings.spread(one, waits_of(kind)).mean / 3600:.2f}" for kind in kinds]
        held = findings.spread(one, lambda week: week.held_gpu_h).mean
        grid.add_row(one.name, *waits, f"{held:,.0f}")
    output.draw(
        console,
        f"Mean waits in hours by class, at load {scenario.main_load:g}",
        grid,
        spare=("held GPU-h", *kinds),
    )
    loads = [f"load {load:g}" for load in sorted(scenario.loads)]
    sweep = output.table([("policy", False), *((load, True) for load in loads)])
    gpus_per_pod = PROBE.devices.count if PROBE.devices else 0
    for figure, digits in ((useful, 0), (mean_gang, 1)):
        scale = 1 if figure is useful else gpus_per_pod
        for one in scenario.contenders:
            spreads = [findings.spread(one, figure, load) for load in sorted(scenario.loads)]
            sweep.add_row(one.name, *(f"{value.mean * scale:,.{digits}f}" for value in spreads))
        if figure is useful:
            sweep.add_section()
    output.draw(
        console,
        "Useful GPU-hours by load; below, the H100 gang (GPUs) that could start, at any time",
        sweep,
        spare=[load for load in loads if load != f"load {scenario.main_load:g}"],
    )
    _draw_sharing(findings, console)
    console.print("The same with plots: gpuyard demo -o html --to demo.html")


def _draw_sharing(findings: "Findings", console: "Console") -> None:
    if findings.teams:
        _draw_teams(findings, console)
    if findings.story is not None:
        from gpuyard.studies.demo.sharing import clock

        console.print(f"A deployment grows on {findings.story.gpus} GPUs")
        for scene in findings.story.scenes:
            console.print(f"• {clock(scene.at_s)} {scene.words}")
        console.print()


def _draw_teams(findings: "Findings", console: "Console") -> None:
    from gpuyard.studies.demo.teams import CONTENDERS

    by_name = {one.contender: one for one in findings.teams}
    grid = output.table(
        [
            ("policy", False),
            ("useful", True),
            ("lost", True),
            ("wait", True),
            ("p95", True),
            ("evictions", True),
        ]
    )
    for known in CONTENDERS:
        one = by_name[known.name]
        grid.add_row(
            one.contender,
            f"{one.useful_gpu_h:,.0f}",
            f"{one.lost_gpu_h:,.0f}",
            f"{one.wait.mean_s / 3600:.2f}",
            f"{one.wait.p95_s / 3600:.2f}",
            f"{one.evictions:,}",
        )
    first = findings.teams[0]
    output.draw(
        console,
        f"Teams that share {first.gpus} GPUs for {first.days:g} days: GPU-hours, mean and 95th "
        "percentile of waits in hours",
        grid,
        spare=("evictions", "p95", "lost", "wait"),
    )


def _plain(sentence: "Sentence") -> str:
    words = "".join(word if isinstance(word, str) else word.text for word in sentence.words)
    return f"{words} ({sentence.note})" if sentence.note else words
