"""The part of the demo's report about teams: two sentences, plots, and the rows behind them."""

from collections.abc import Sequence

from gpuyard.studies.demo.rows import count, span
from gpuyard.studies.demo.story import Story
from gpuyard.studies.demo.teams import CONTENDERS, TeamDays
from gpuyard.twin.page.content import (
    Bar,
    BarPlot,
    BarSeries,
    Block,
    Column,
    Figure,
    Fold,
    Heading,
    Row,
    Sentence,
    Table,
)

KUEUE = "Kueue, cohorts and topology"
OURS = "gpuyard"
WORSE_S = 60.0  # a mean wait that grew by less is nobody's loss


def sentences(teams: Sequence[TeamDays], story: Story | None) -> tuple[Sentence, ...]:
    """Return what teams make of a shared fleet, and the story, a sentence each."""
    by_name = {one.contender: one for one in teams}
    told = [] if not {KUEUE, OURS} <= by_name.keys() else [_worth(by_name[KUEUE], by_name[OURS])]
    return (*told, *((_told(story),) if story else ()))


def _worth(theirs: TeamDays, ours: TeamDays) -> Sentence:
    hours = ours.useful_gpu_h - theirs.useful_gpu_h
    longer = [
        f"{kind} by {span(wait.mean_s - theirs.waits[kind].mean_s)}"
        for kind, wait in ours.waits.items()
        if wait.mean_s - theirs.waits[kind].mean_s > WORSE_S
    ]
    more = "more" if hours >= 0 else "fewer"
    return Sentence(
        (
            f"Where teams share {ours.gpus} GPUs, gpuyard does ",
            Figure(count(abs(hours)), "rows-teams"),
            f" {more} GPU-hours than Kueue in {ours.days:g} days, and a workload waits ",
            Figure(span(ours.wait.mean_s), "rows-teams"),
            " instead of ",
            Figure(span(theirs.wait.mean_s), "rows-teams"),
            ".",
        ),
        f"Mean, one seed. {ours.evictions} evictions and moves instead of {theirs.evictions}; "
        f"starts and evictions cost {count(ours.lost_gpu_h)} GPU-hours instead of "
        f"{count(theirs.lost_gpu_h)}. Longer than under Kueue: {', '.join(longer) or 'no class'}.",
    )


def _told(story: Story) -> Sentence:
    if story.ready_after_s is None or story.gone_after_s is None:
        return Sentence(
            ("A deployment grows from 4 replicas to 12, and not all of them ever start.",)
        )
    gangs = ", ".join(story.evicted)
    return Sentence(
        (
            "A deployment grows from 4 replicas to 12: ",
            Figure(gangs, "rows-story"),
            " leaves whole after ",
            Figure(span(story.gone_after_s), "rows-story"),
            ", eight replicas are ready after ",
            Figure(span(story.ready_after_s), "rows-story"),
            ".",
        ),
        f"{story.gpus} GPUs, grace {span(story.grace_s)}. "
        + (
            "It never comes back."
            if story.back_after_s is None
            else f"It is back when they have gone, after {span(story.back_after_s)}, and loses "
            f"{story.lost_gpu_h:.1f} GPU-hours: what was not saved, and two starts."
        ),
    )


def blocks(teams: Sequence[TeamDays], story: Story | None) -> tuple[Block, ...]:
    """Return plots and rows."""
    return (*(_teams(teams) if teams else ()), *(_story(story) if story else ()))


def _teams(teams: Sequence[TeamDays]) -> tuple[Block, ...]:
    first = teams[0]
    kinds = sorted({kind for one in teams for kind in one.waits})
    ordered = [one for known in CONTENDERS for one in teams if one.contender == known.name]
    roles = {known.name: known.role for known in CONTENDERS}
    return (
        Heading(
            "teams",
            "Teams that share a fleet",
            f"{first.gpus} GPUs and {first.days:g} days of the same workloads, whole GPUs only: "
            "equal shares for every team, who borrows gives back. One seed.",
        ),
        BarPlot(
            id="teams-wait",
            title="Mean wait where teams share",
            caption="On a log axis; all the time that a workload wanted to run and held nothing.",
            groups=tuple(kinds),
            series=tuple(
                BarSeries(
                    name=one.contender,
                    role=roles[one.contender],
                    bars=tuple(
                        Bar(value=one.waits[kind].mean_s if kind in one.waits else 0.0)
                        for kind in kinds
                    ),
                )
                for one in ordered
            ),
            value_label="wait",
            unit="seconds",
            log=True,
            rows="rows-teams",
        ),
        Fold(
            id="rows-teams",
            summary="Teams that share a fleet",
            blocks=(_team_table(ordered), *(_kind_table(ordered, kind) for kind in kinds)),
        ),
    )


def _team_table(teams: Sequence[TeamDays]) -> Table:
    return Table(
        id="table-teams",
        title="All workloads",
        columns=(
            Column("policy"),
            Column("useful", "GPU-hours", "right"),
            Column("lost", "GPU-hours", "right"),
            Column("evictions and moves", "", "right"),
            Column("mean wait", "", "right"),
            Column("95th percentile", "", "right"),
            Column("never started", "", "right"),
            Column("free 8-GPU nodes", "mean", "right"),
        ),
        rows=tuple(
            Row(
                (
                    one.contender,
                    count(one.useful_gpu_h),
                    count(one.lost_gpu_h),
                    count(one.evictions),
                    span(one.wait.mean_s),
                    span(one.wait.p95_s),
                    count(one.wait.never_started),
                    f"{one.startable_pods:.1f}",
                )
            )
            for one in teams
        ),
        caption="Lost: into starts that failed, work that was thrown away, and catching up.",
    )


def _kind_table(teams: Sequence[TeamDays], kind: str) -> Table:
    return Table(
        id=f"table-teams-{kind}",
        title=kind,
        columns=(
            Column("policy"),
            Column("workloads", "", "right"),
            Column("mean wait", "", "right"),
            Column("median", "", "right"),
            Column("95th percentile", "", "right"),
            Column("never started", "", "right"),
        ),
        rows=tuple(
            Row(
                (
                    one.contender,
                    count(wait.workloads),
                    *(span(each) for each in (wait.mean_s, wait.p50_s, wait.p95_s)),
                    count(wait.never_started),
                )
            )
            for one in teams
            if (wait := one.waits.get(kind)) is not None
        ),
    )


def _story(story: Story) -> tuple[Block, ...]:
    scenes = Table(
        id="table-story",
        title="What happened",
        columns=(Column("time", "", "right"), Column("event")),
        rows=tuple(Row((clock(scene.at_s), scene.words)) for scene in story.scenes),
    )
    groups = tuple(story.held)
    held = Table(
        id="table-held",
        title="Who held how many GPUs from then on",
        columns=(
            Column("time", "", "right"),
            *(Column(group, "GPUs", "right") for group in groups),
        ),
        rows=tuple(
            Row((clock(at_s), *(str(story.held[group][index]) for group in groups)))
            for index, at_s in enumerate(story.instants_s[:-1])
        ),
    )
    return (
        Heading(
            "story",
            "A deployment grows, a gang makes way, and comes back",
            f"{story.fleet}: serving owns 12 GPUs and uses 4, research owns 8 and uses 16. A pod "
            "is ready half a minute after it came to its node.",
        ),
        scenes,
        Fold(id="rows-story", summary="GPUs by group", blocks=(held,)),
    )


def clock(seconds: float) -> str:
    """Return an instant as hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
