"""Reproduce the published experiments of FGD, to the last digit.

The authors of "Beware of Fragmentation" (FGD, USENIX ATC'23) published, for each trace, seed and
policy, allocation and fragmentation at every percent of arrived load. This program replays the same
arrivals through `gpuyard.twin.fill` and compares all of them: a row is exact when each of its 131
points agrees within 0.01 (the published rounding) in all three measures.

The random policy cannot be reproduced draw by draw; ``--random`` compares the mean allocation at
100 % arrival of 30 seeds of our own with the published ten by a z-score. ``--ties`` is the negative
control: FGD with ties left to chance must lose its advantage (89.9 ± 0.5 instead of 95.23).

Data: hkust-adsl/kubernetes-scheduler-simulator, experiments/analysis/expected_results (Apache-2.0),
found through ``GPUYARD_DATA``.
"""

import argparse
import csv
import gzip
import io
import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from gpuyard.model.deltas import MixEntry
from gpuyard.model.nodes import Node
from gpuyard.model.policy import PlacementPolicy
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.mix import typical_mix
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.traces import openb
from gpuyard.traces.arrivals import in_sequence
from gpuyard.twin.fill import FillRun, Sample, fill, samples

POLICIES = {
    "dot-product": "02-DotProd",
    "clustering": "03-GpuClustering",
    "packing": "04-GpuPacking",
    "best-fit": "05-BestFit",
    "fgd": "06-FGD",
}
RANDOM = "01-Random"
MEASURES = {
    "allocated_pct": "analysis_allo_discrete.csv.gz",
    "frag_pct_of_cluster": "analysis_frag_discrete.csv.gz",
    "frag_pct_of_idle": "analysis_frag_ratio_discrete.csv.gz",
}
POINTS = range(131)
TOLERANCE = 0.01 + 1e-9  # the published figures are rounded to 0.01
SEEDS = range(42, 52)
OWN_SEEDS = range(1000, 1030)
Z_MAX = 3.0
TIES_MEAN, TIES_TOLERANCE = 89.9, 0.5

Expected = dict[tuple[str, str, int], dict[str, tuple[float, ...]]]


class Experiment(NamedTuple):
    """One replay to run."""

    data: Path
    trace: str
    seed: int
    policy: PlacementPolicy
    published_order: bool = True


class Outcome(NamedTuple):
    """One comparison: what to print, whether it is met, and how many rows it stands for."""

    line: str
    is_met: bool
    exact: int = 0
    rows: int = 0
    z: float = 0.0


class Replayed(NamedTuple):
    """What a replay gave, small enough to send between processes."""

    curve: tuple[Sample, ...]
    seconds: float


def published(data: Path) -> Expected:
    """Return the published curves by (trace, published policy name, seed) and measure."""
    expected: Expected = {}
    for measure, file in MEASURES.items():
        with gzip.open(data / "fgd_expected" / file, "rt") as lines:
            for row in csv.DictReader(lines):
                trace = row["workload"].removeprefix("openb_pod_list_")
                key = trace, row["sc_policy"], int(row["seed"])
                curve = tuple(float(row[str(point)]) for point in POINTS)
                expected.setdefault(key, {})[measure] = curve
    return expected


def inputs(
    experiment: Experiment,
) -> tuple[tuple[Node, ...], tuple[Workload, ...], tuple[MixEntry, ...]]:
    """Return nodes, arrivals and typical pods of an experiment."""
    folder = experiment.data / "openb"
    nodes_path = folder / "openb_node_list_gpu_node.csv.gz"
    pods = openb.load_pods(folder / f"openb_pod_list_{experiment.trace}.csv.gz")
    if experiment.published_order:
        sequences = experiment.data / "fgd_sequences" / f"{experiment.trace}.json.gz"
        sequence = openb.load_sequence(sequences, experiment.seed)
    else:
        sequence = openb.shuffled_sequence(pods, openb.load_nodes(nodes_path), experiment.seed)
    nodes = openb.load_nodes(nodes_path, sequence.node_rank)
    return nodes, in_sequence(pods, sequence), typical_mix(pod.request for pod in pods)


def replay(experiment: Experiment) -> Replayed:
    """Run one experiment; `seconds` is the CPU time of the replay itself."""
    nodes, arrivals, mix = inputs(experiment)
    start = time.process_time()
    run: FillRun = fill(nodes, arrivals, mix, experiment.policy, seed=experiment.seed)
    seconds = time.process_time() - start
    return Replayed(samples(run), seconds)


def worst_difference(curve: Iterable[Sample], expected: dict[str, tuple[float, ...]]) -> float:
    """Return the largest difference over all points and measures; infinite where one is missing."""
    by_percent = {sample.arrived_pct: sample for sample in curve}
    if set(by_percent) != set(POINTS):
        return float("inf")
    differences: list[float] = [
        abs(getattr(by_percent[point], measure) - expected[measure][point])
        for measure in MEASURES
        for point in POINTS
    ]
    worst = float(np.max(differences))
    return float("inf") if np.isnan(worst) else worst


def compare(
    data: Path, traces: Iterable[str], seeds: Iterable[int], pool: ProcessPoolExecutor
) -> Iterator[Outcome]:
    """Yield an outcome per trace and policy, met where every row is exact."""
    expected = published(data)
    seeds = tuple(seeds)
    for trace in traces:
        for name, published_name in POLICIES.items():
            runs = [Experiment(data, trace, seed, PLACEMENTS[name]) for seed in seeds]
            exact, worst, seconds = 0, 0.0, 0.0
            for run, replayed in zip(runs, pool.map(replay, runs), strict=True):
                wanted = expected[trace, published_name, run.seed]
                difference = worst_difference(replayed.curve, wanted)
                exact += difference <= TOLERANCE
                worst = max(worst, difference)
                seconds += replayed.seconds
            line = (
                f"{trace:<12} {name:<12} {exact:>3} of {len(seeds):>3} rows exact"
                f"   worst difference {worst:.4f}   {seconds / len(seeds):6.2f} CPU s per replay"
            )
            yield Outcome(line, exact == len(seeds), exact=exact, rows=len(seeds))


def at_full_load(curve: Iterable[Sample]) -> float:
    """Return the allocation in percent when as much was asked for as there is."""
    by_percent = {sample.arrived_pct: sample for sample in curve}
    return by_percent[100].allocated_pct


def compare_random(
    data: Path, traces: Iterable[str], pool: ProcessPoolExecutor
) -> Iterator[Outcome]:
    """Yield an outcome per trace: the z-score of our thirty seeds against the published ten."""
    expected = published(data)
    for trace in traces:
        theirs = np.array([expected[trace, RANDOM, seed]["allocated_pct"][100] for seed in SEEDS])
        runs = [Experiment(data, trace, seed, PLACEMENTS["random"], False) for seed in OWN_SEEDS]
        ours = np.array([at_full_load(replayed.curve) for replayed in pool.map(replay, runs)])
        error = np.sqrt(theirs.var(ddof=1) / len(theirs) + ours.var(ddof=1) / len(ours))
        z = float((ours.mean() - theirs.mean()) / error)
        line = (
            f"{trace:<12} random       {ours.mean():.2f} ± {ours.std(ddof=1):.2f} ours"
            f"   {theirs.mean():.2f} ± {theirs.std(ddof=1):.2f} published   z {z:+.2f}"
        )
        yield Outcome(line, abs(z) < Z_MAX, z=z)


def compare_ties(data: Path, pool: ProcessPoolExecutor) -> Iterator[Outcome]:
    """Yield the negative control: FGD on the default trace with ties left to chance."""
    policy = msgspec.structs.replace(PLACEMENTS["fgd"], tie_break="random")
    runs = [Experiment(data, "default", seed, policy) for seed in SEEDS]
    ours = np.array([at_full_load(replayed.curve) for replayed in pool.map(replay, runs)])
    line = f"default      fgd, random ties: {ours.mean():.2f} ± {ours.std(ddof=1):.2f}, not 95.23"
    yield Outcome(line, abs(float(ours.mean()) - TIES_MEAN) <= TIES_TOLERANCE)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verification.fgd", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--traces", help="comma-separated names (default: all published)")
    parser.add_argument("--seeds", type=_numbers, help="comma-separated (default: 42 to 51)")
    parser.add_argument("--random", action="store_true", help="also the random policy")
    parser.add_argument("--ties", action="store_true", help="also the negative control")
    return parser.parse_args(argv)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def main(argv: list[str] | None = None) -> int:
    """Print one line per comparison; return 1 when any of them misses."""
    arguments = _arguments(argv)
    folder = os.environ.get("GPUYARD_DATA")
    if not folder or not (Path(folder) / "fgd_expected").is_dir():
        print("verification.fgd: set GPUYARD_DATA to the folder with fgd_expected/ and openb/")
        return 2
    data = Path(folder)
    known = sorted({trace for trace, _, _ in published(data)})
    traces = arguments.traces.split(",") if arguments.traces else known
    unknown = sorted(set(traces) - set(known))
    if unknown:
        print(f"verification.fgd: no published results for {', '.join(unknown)}; known: {known}")
        return 2
    seeds = arguments.seeds or tuple(SEEDS)
    if beyond := sorted(set(seeds) - set(SEEDS)):
        print(f"verification.fgd: no published results for seeds {beyond}; known: {[*SEEDS]}")
        return 2
    outcomes: list[Outcome] = []
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    with ProcessPoolExecutor() as pool:
        comparisons = [compare(data, traces, seeds, pool)]
        comparisons += [compare_random(data, traces, pool)] if arguments.random else []
        comparisons += [compare_ties(data, pool)] if arguments.ties else []
        for outcome in itertools.chain(*comparisons):
            print(outcome.line if outcome.is_met else f"{outcome.line}   MISSED")
            outcomes.append(outcome)
    print(summary(outcomes))
    return 0 if all(outcome.is_met for outcome in outcomes) else 1


def summary(outcomes: Iterable[Outcome]) -> str:
    """Return one line on all comparisons."""
    done = list(outcomes)
    missed = sum(not one.is_met for one in done)
    exact, rows = sum(one.exact for one in done), sum(one.rows for one in done)
    said = [f"{missed} comparisons missed" if missed else "all reproduced"]
    if rows:
        said.append(f"{exact} of {rows} experiments exact")
    if any(one.z for one in done):
        said.append(f"largest |z| of the random policy {max(abs(one.z) for one in done):.2f}")
    return ", ".join(said)


if __name__ == "__main__":
    sys.exit(main())
