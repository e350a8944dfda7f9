"""Predict Kueue's published performance tests from its constants, and live them in our manner.

Kueue measures its scheduler with three generator files and publishes, as comments beside the limits
that its CI enforces, the means of many runs: how long all workloads took, how much of the quota
was used, how long each class waited. This program lets the same workloads live in
`gpuyard.twin.queued` and compares.

Nothing is fitted. What the prediction stands on are constants of Kueue's source and four stated
ones: a write takes 5 ms; so does the write with which the test runner ends a workload, or lets an
evicted one go; the API server takes 600 creates a second (500 to 700 were measured on two cores),
and a queue is three of them, so that queues begin 5 ms apart; decisions themselves take no time.

Three rows each:

``kueue``          Kueue's manner, and its client as in the test: 50 writes a second, burst 100
                   (minimalkueue/main.go). client-go limits each kind for itself, here Workloads.
``kueue+client``   Kueue's manner with our client: what of the difference is only the client.
``gpuyard``        Our manner and client. It leaves fairness between clients to the API server and
                   keeps to 400 writes a second, about what kube-scheduler binds on two cores.

``usage`` is quota that was held, from the decision to the end, as Kueue counts it. ``bound`` is the
time that capacity alone needs. Exit 0 only where the bars are met: kueue's makespan within 15 % of
the published baseline and 25 % of the published large-scale, gpuyard's within 15 % of the bound of
the baseline, and 15 CPU seconds for the decisions of 15,000 workloads in either manner.

Data: Kueue v0.19.2, test/performance/scheduler/configs (Apache-2.0), as ``NAME.generator.yaml`` in
a folder: PATH, or kueue_perf below ``GPUYARD_DATA``. ``tas`` is for information: it has no bar.
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.resources import CPU
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey
from gpuyard.traces.kueue_generator import GeneratedLoad, load_generator
from gpuyard.traces.trace import TraceError
from gpuyard.twin.queued import GPUYARD, KUEUE, Manner, QueuedRun, QueuedWorld, run
from gpuyard.twin.writes import WriteLimit

FOLDER = Path("kueue_perf")
SECOND_NS = 10**9
LATENCY_NS = 5 * 10**6
QUEUE_EVERY_NS = 5 * 10**6
CPU_MAX_S = 15.0
BOUND_OFF_MAX = 0.15
WORKLOADS_OF_CPU_BAR = 15_000


class Published(msgspec.Struct, frozen=True):
    """Means that Kueue publishes: rangespec.yaml beside each generator, comments."""

    makespan_s: float
    usage_pct: float
    admitted_s: Mapping[str, float]  # time to admission by class
    off_max: float | None = None  # how far the predicted makespan may be off


class Party(msgspec.Struct, frozen=True):
    """Who decides, and with which client he writes."""

    manner: Manner
    client: WriteLimit


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario lived by one party."""

    scenario: str
    party: str
    workloads: int
    makespan_s: float
    usage_pct: float
    admitted_s: Mapping[str, float]
    rounds: int
    tries: int
    writes: int
    evictions: int
    unfinished: int
    cpu_s: float
    bound_s: float


PUBLISHED = {
    "baseline": Published(351.116, 55.9, {"large": 16.5, "medium": 76.8, "small": 215.5}, 0.15),
    "large-scale": Published(
        1179.411, 38.64, {"large": 105.6, "medium": 256.4, "small": 700.4}, 0.25
    ),
    "tas": Published(
        401.472,
        62.41,
        {
            "large-balanced-rack": 37.9,
            "large-preferred-rack": 39.6,
            "large-required-rack": 39.6,
            "medium-balanced-rack": 106.3,
            "medium-preferred-rack": 106.3,
            "medium-required-rack": 107.1,
            "small-balanced-rack": 237.8,
            "small-preferred-rack": 246.1,
            "small-required-rack": 246.8,
        },
    ),
}


def parties(latency_ns: int = LATENCY_NS) -> dict[str, Party]:
    """Return who is compared, by name."""
    own = WriteLimit(per_second=400, burst=100, latency_ns=latency_ns)
    return {
        "kueue": Party(KUEUE, WriteLimit(per_second=50, burst=100, latency_ns=latency_ns)),
        "kueue+client": Party(KUEUE, own),
        "gpuyard": Party(GPUYARD, own),
    }


def live(load: GeneratedLoad, party: Party) -> tuple[QueuedRun, float]:
    """Return what becomes of `load`, and the CPU seconds of that alone."""
    places = {}
    if load.topology is not None:
        snapshot = Snapshot()
        for node in load.nodes:
            snapshot.apply(NodeObserved(node))
        places[load.flavor.name] = survey(snapshot, load.flavor, load.topology)
    queues = Queues(
        load.cluster_queues,
        flavors=[load.flavor],
        local_queues=load.local_queues,
        places=places,
    )
    latency_ns = party.client.latency_ns
    world = QueuedWorld(writes=party.client, end_ns=latency_ns, leave_ns=latency_ns)
    start = time.process_time()
    lived = run(queues, load.arrivals, party.manner, world)
    return lived, time.process_time() - start


def measure(scenario: str, name: str, load: GeneratedLoad, party: Party) -> Row:
    """Return the row of `scenario` lived by the party of that name."""
    lived, cpu_s = live(load, party)
    asked = {each.workload.key: asked_milli(each.workload) for each in load.arrivals}
    waits_ns: dict[str, list[int]] = defaultdict(list)
    for each in lived.outcomes:
        if each.admitted_ns is not None:
            waits_ns[load.classes[each.key]].append(each.admitted_ns - each.created_ns)
    held = sum(asked[each.key] * each.held_ns for each in lived.outcomes)
    return Row(
        scenario=scenario,
        party=name,
        workloads=len(load.arrivals),
        makespan_s=lived.end_ns / SECOND_NS,
        usage_pct=100 * held / max(1, sum(nominal_milli(load).values()) * lived.end_ns),
        admitted_s={
            name: sum(waited) / len(waited) / SECOND_NS for name, waited in sorted(waits_ns.items())
        },
        rounds=lived.rounds,
        tries=lived.tries,
        writes=lived.writes,
        evictions=sum(each.evictions for each in lived.outcomes),
        unfinished=sum(each.finished_ns is None for each in lived.outcomes),
        cpu_s=cpu_s,
        bound_s=bound_s(load),
    )


def bound_s(load: GeneratedLoad) -> float:
    """Return the seconds that nobody can beat: each cohort's work at its whole quota.

    Or, where that is later, the end of the last workload if it ran when it came.
    """
    cohort_of = {queue.name: queue.cohort for queue in load.cluster_queues}
    work: dict[str, int] = defaultdict(int)
    last_ns = 0
    for each in load.arrivals:
        runtime_ns = each.runtime_ns or 0
        queue = each.workload.queue.partition("/")[0]
        work[cohort_of[queue]] += asked_milli(each.workload) * runtime_ns
        last_ns = max(last_ns, each.workload.created_ns + runtime_ns)
    quota = nominal_milli(load)
    return max(last_ns, *(work[cohort] / quota[cohort] for cohort in work)) / SECOND_NS


def nominal_milli(load: GeneratedLoad) -> dict[str, int]:
    """Return the nominal CPU quota of each cohort."""
    nominal: dict[str, int] = defaultdict(int)
    for queue in load.cluster_queues:
        for group in queue.resource_groups:
            for flavor in group.flavors:
                nominal[queue.cohort] += sum(each.nominal for each in flavor.resources)
    return nominal


def asked_milli(workload: Workload) -> int:
    """Return the CPU that all pods of a workload ask for."""
    return sum(
        pod_set.count * pod_set.template.request.resources.get(CPU) for pod_set in workload.pod_sets
    )


def missed(row: Row) -> Iterator[str]:
    """Yield what `row` should have met and did not."""
    published = PUBLISHED[row.scenario]
    if row.unfinished:
        yield f"{row.unfinished} workloads never finished"
    if row.party == "kueue" and published.off_max is not None:
        off = row.makespan_s / published.makespan_s - 1
        if abs(off) > published.off_max:
            yield f"{off:+.1%} from the published makespan; {published.off_max:.0%} is the bar"
    if row.scenario != "baseline":
        return
    over = row.makespan_s / row.bound_s - 1
    if row.party == "gpuyard" and over > BOUND_OFF_MAX:
        yield f"{over:+.1%} from the bound; {BOUND_OFF_MAX:.0%} is the bar"
    if row.party != "kueue+client" and row.cpu_s > CPU_MAX_S * row.workloads / WORKLOADS_OF_CPU_BAR:
        yield f"{row.cpu_s:.1f} CPU s; {CPU_MAX_S:g} is the bar"


def lines(row: Row) -> Iterator[str]:
    """Yield what to print of `row`."""
    published = PUBLISHED[row.scenario]
    is_kueue = row.party == "kueue"
    against = f" (published {published.makespan_s:.1f})" if is_kueue else ""
    usage = f" ({published.usage_pct:.1f})" if is_kueue else ""
    yield (
        f"{row.scenario:<12}{row.party:<13} makespan {row.makespan_s:7.1f} s{against}, "
        f"bound {row.bound_s:.1f}   usage {row.usage_pct:.1f} %{usage}   "
        f"{row.rounds:,} rounds, {row.tries:,} tries, {row.writes:,} writes, "
        f"{row.evictions:,} evictions   {row.cpu_s:.1f} CPU s"
    )
    waits = (
        f"{name} {waited_s:.1f}" + (f" ({published.admitted_s[name]:.1f})" if is_kueue else "")
        for name, waited_s in row.admitted_s.items()
    )
    yield f"{'':<25} mean seconds to admission: {', '.join(waits)}"
    for one in missed(row):
        yield f"{'':<25} MISSED: {one}"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m verification.kueue_performance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", nargs="?", metavar="PATH", help="the folder of the generators")
    parser.add_argument("--only", choices=sorted(PUBLISHED), help="one scenario")
    parser.add_argument(
        "--latency-ms", type=int, default=LATENCY_NS // 10**6, help="of a write; default 5"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print two lines per scenario and party; return 1 when a bar is missed."""
    arguments = _arguments(argv)
    folder = os.environ.get("GPUYARD_DATA")
    if not arguments.path and not folder:
        print("verification.kueue_performance: give PATH or set GPUYARD_DATA")
        return 2
    if arguments.latency_ms < 0:
        print("verification.kueue_performance: a write takes no negative time; give 0 or more")
        return 2
    scenarios = [arguments.only] if arguments.only else list(PUBLISHED)
    has_missed = False
    for scenario in scenarios:
        path = Path(arguments.path or Path(folder or "") / FOLDER) / f"{scenario}.generator.yaml"
        try:
            load = load_generator(path, queue_every_ns=QUEUE_EVERY_NS)
        except TraceError as error:
            print(f"verification.kueue_performance: {error}")
            return 2
        for name, party in parties(arguments.latency_ms * 10**6).items():
            row = measure(scenario, name, load, party)
            print("\n".join(lines(row)), flush=True)
            has_missed |= any(missed(row))
    print("a bar was missed" if has_missed else "all bars met")
    return 1 if has_missed else 0


if __name__ == "__main__":
    sys.exit(main())
