"""The demo's report: sentences, plots, the rows behind them, and what is not modelled."""

from collections.abc import Sequence

from gpuyard.studies.demo import sharing
from gpuyard.studies.demo.findings import (
    NO_GAIN_PCT,
    Findings,
    Loss,
    mean_gang,
    useful,
    waits_of,
)
from gpuyard.studies.demo.plots import over_time, sweep, waits
from gpuyard.studies.demo.rows import (
    count,
    gang_rows,
    loads_of,
    over_seeds,
    signed,
    span,
    sweep_rows,
    useful_rows,
    wait_rows,
)
from gpuyard.studies.demo.weeks import PRICE_SOURCE, PROBE, SWEEP_SEEDS_MAX, Contender
from gpuyard.studies.validity import strip
from gpuyard.twin.page.content import Figure, Heading, Page, Sentence, Source

NOT_MODELLED = tuple(
    " ".join(paragraph.split())
    for paragraph in """
    Queues, quota and preemption in the weeks of placement: these are placement and gangs only, for
    everybody. The days of teams have them, and no share of a GPU. Scaling is in neither.

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
    is_thin = lowest < highest and len(scenario.seeds) > SWEEP_SEEDS_MAX
    fewer = (
        f" at load {scenario.main_load:g}, the first {SWEEP_SEEDS_MAX} at others" if is_thin else ""
    )
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
            *over_time(findings),
            *waits(findings),
            *(sweep(findings) if lowest < highest else ()),  # a line needs two points
            *sharing.blocks(findings.teams, findings.story),
            Heading("rows", "Rows behind the numbers"),
            useful_rows(findings),
            wait_rows(findings),
            gang_rows(findings),
            sweep_rows(findings),
        ),
        not_modelled=NOT_MODELLED,
        source=Source(
            command=command,
            version=version,
            seeds=f"seeds {seeds}{fewer}: means, bands from the smallest to the largest"
            if len(scenario.seeds) > 1
            else f"seed {seeds}",
            inputs=(f"generated weeks for {scenario.fleet}", f"prices: {PRICE_SOURCE}"),
        ),
    )


def sentences(findings: Findings) -> tuple[Sentence, ...]:
    """Return the sentences that a manager reads, which the terminal prints as well."""
    default = findings.peers[0]
    return (
        _worth(findings, default),
        _training(findings, default),
        _gang(findings, default),
        _worse(findings),
        _no_gain(findings),
        *sharing.sentences(findings.teams, findings.story),
    )


def _worth(findings: Findings, peer: Contender) -> Sentence:
    hours = findings.gain(peer, useful)
    money = findings.gain(peer, lambda week: week.usd)
    more, less = ("fewer", "more") if hours.mean < 0 else ("more", "less")
    is_against = hours.mean * money.mean < 0  # more hours, but of cheaper GPUs
    unpriced = findings.scenario.unpriced
    prices = f" {PRICE_SOURCE}."
    if unpriced:
        prices += f" No price is known here of {', '.join(unpriced)}: counted as $0."
    whose = "Packing and whole gangs bring it, whoever does them: see the fifth line."
    return Sentence(
        (
            "gpuyard does ",
            Figure(count(abs(hours.mean)), "rows-useful"),
            f" {more} GPU-hours of work a week than {peer.name}, "
            + ("yet worth " if is_against else "worth "),
            Figure(f"${count(abs(money.mean))}", "rows-useful"),
            f" {less}." if is_against else ".",
        ),
        f"At load {findings.scenario.main_load:g}{over_seeds(findings, hours)}.{prices}"
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
            Figure(span(after.mean), "row-training"),
            " instead of ",
            Figure(span(before.mean), "row-training"),
            ".",
        ),
        f"Means. Under {peer.name}, members that wait for the rest of their gang hold "
        f"{count(held.mean)} GPU-hours a week for nothing.",
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
        f"Nodes with eight free H100, times {per_pod}: a mean over the week.",
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
            Figure(span(worst.after_s), f"row-{worst.kind}", "worse"),
            " instead of ",
            Figure(span(worst.before_s), f"row-{worst.kind}"),
            ".",
        ),
        f"Mean at load {findings.scenario.main_load:g}, against {peer.name}."
        + (f" Also longer: {others}." if others else "")
        + "".join(map(_also, findings.peers[1:], map(findings.losers, findings.peers[1:]))),
    )


def _also(peer: Contender, losses: Sequence[Loss]) -> str:
    """Return who waits longer than under another peer, the worst first."""
    kinds = ", ".join(f"{loss.kind} by {span(loss.after_s - loss.before_s)}" for loss in losses)
    return f" Longer than under {peer.name}: {kinds or 'nobody'}."


def _no_gain(findings: Findings) -> Sentence:
    closest = findings.peers[-1]
    none, lost = findings.loads_without_gain(closest), findings.loads_with_loss(closest)
    hours = findings.gain(closest, useful)
    note = (
        f"At load {findings.scenario.main_load:g}: {signed(hours.mean)} GPU-hours a week"
        f"{over_seeds(findings, hours)}."
    )
    if lost:
        where = Figure(loads_of(lost), "rows-sweep", "worse")
        return Sentence((f"Against {closest.name} we lose GPU-hours at load ", where, "."), note)
    if len(none) == len(findings.scenario.loads):
        words = (
            f"Against {closest.name} we gain at most {NO_GAIN_PCT:g}\u00a0% of GPU-hours at any "
            "load: placement alone is "
        )
        return Sentence((words, Figure("even", "rows-sweep"), "."), note)
    if not none:
        words = f"Against {closest.name} we gain GPU-hours at "
        return Sentence((words, Figure("every load", "rows-sweep"), "."), note)
    where = Figure(loads_of(none), "rows-sweep")
    return Sentence((f"Against {closest.name} there is nothing to gain at load ", where, "."), note)
