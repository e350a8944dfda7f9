"""Reproduce the published Tiresias results of the Pollux artifact, job by job, to the second.

Pollux' authors (OSDI'21) simulated 8 workloads of 160 jobs on 16 nodes of 4 GPUs, and the same at
half, one and a half and twice the load, under Tiresias among others, and published when each of the
6,400 jobs ended. This program lets the same jobs live in `gpuyard.twin.rounds` under
`gpuyard.scheduling.rounds.TIRESIAS` and compares every one of them.

Eight cells of the tables are known to us by measurement only. Where a job stands on a number of
nodes that was not measured and its batch per GPU lies between two measured ones, the artifact's
answer hangs on which diagonal of a rectangle Qhull happened to take (`gpuyard.twin.step_time`).
`CUTS` states these diagonals for the rectangles that any of the jobs ever meets, as scipy 1.13.1
cuts them; of all rectangles in the tables about half go either way. ``--mean`` leaves them out:
then most jobs still agree, and the rest says what the choice is worth.

Data: petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/ (Apache-2.0), as a tar archive
or a folder: PATH, or pollux/pollux_osdi21_workloads_results.tar.gz below ``GPUYARD_DATA``.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gpuyard.scheduling.rounds import TIRESIAS
from gpuyard.traces import pollux
from gpuyard.traces.pollux import Artifact
from gpuyard.traces.trace import TraceError
from gpuyard.twin.rounds import Arrival, RoundsRun, run
from gpuyard.twin.step_time import Cut, Rectangle
from gpuyard.twin.training import Application, Training

ARCHIVE = Path("pollux") / "pollux_osdi21_workloads_results.tar.gz"
SECOND_NS = 10**9

CUTS: Mapping[str, Mapping[Rectangle, Cut]] = {
    "bert": {Rectangle(4, 6, 12, 8, 11): "rising"},
    "cifar10": {
        Rectangle(4, 6, 8, 182, 257): "rising",
        Rectangle(4, 6, 12, 257, 363): "falling",
        Rectangle(4, 6, 16, 182, 257): "falling",
        Rectangle(6, 8, 16, 182, 257): "rising",
    },
    "deepspeech2": {Rectangle(4, 6, 12, 40, 57): "rising"},
    "imagenet": {
        Rectangle(6, 8, 24, 115, 163): "falling",
        Rectangle(12, 16, 48, 115, 163): "falling",
    },
}

Applications = Mapping[str, Application]


class Replayed(NamedTuple):
    """One workload lived through; `cpu_s` is the CPU time of that alone."""

    run: RoundsRun
    cpu_s: float

    @property
    def completion_s(self) -> dict[str, float]:
        """Seconds from submission to completion, by job; a job that never ended has none."""
        return {
            one.workload: (one.completed_ns - one.created_ns) / SECOND_NS
            for one in self.run.outcomes
            if one.completed_ns is not None
        }


class Compared(NamedTuple):
    """All workloads of one load against the published completion times."""

    load: str
    exact: int
    jobs: int
    mean_s: float
    published_mean_s: float
    worst_s: float
    cpu_s: float

    @property
    def is_met(self) -> bool:
        """Tell whether every job ended in the published second."""
        return self.exact == self.jobs

    @property
    def line(self) -> str:
        """What to print."""
        return (
            f"load {self.load}   {self.exact:>4} of {self.jobs:>4} jobs to the second"
            f"   mean {self.mean_s:9.2f} s, published {self.published_mean_s:9.2f}"
            f"   worst difference {self.worst_s:g} s   {self.cpu_s:.2f} CPU s"
            f"{'' if self.is_met else '   MISSED'}"
        )


def applications(
    artifact: Artifact, cuts: Mapping[str, Mapping[Rectangle, Cut]] = CUTS
) -> Applications:
    """Return everything that was measured, by name."""
    return {name: pollux.load_application(artifact, name, cuts.get(name)) for name in pollux.EPOCHS}


def replay(artifact: Artifact, measured: Applications, name: str) -> Replayed:
    """Let the jobs of workload file `name` live."""
    jobs = pollux.load_jobs(artifact, name)
    start = time.process_time()
    trainings: dict[tuple[str, int], Training] = {}
    for job in jobs:
        kind = job.application, job.batch
        if kind not in trainings:
            trainings[kind] = Training(measured[job.application], job.batch)
    arrivals = [Arrival(job.workload, trainings[job.application, job.batch]) for job in jobs]
    outcome = run(pollux.fleet(), arrivals, TIRESIAS)
    return Replayed(outcome, time.process_time() - start)


def differences(ours: Mapping[str, float], published: Mapping[str, float]) -> dict[str, float]:
    """Return by job how far ours is off, in seconds; infinite where one side lacks the job."""
    return {
        job: ours[job] - published[job] if job in ours and job in published else float("inf")
        for job in ours.keys() | published.keys()
    }


def compare(artifact: Artifact, measured: Applications) -> Iterator[Compared]:
    """Yield each load compared; the mean is the mean of its workloads' means, as published."""
    for load, folder in pollux.LOADS.items():
        summary = pollux.load_summary(artifact, "tiresias", load)
        exact, jobs, worst_s, cpu_s = 0, 0, 0.0, 0.0
        means = []
        for workload, published in summary.jcts.items():
            replayed = replay(artifact, measured, f"{folder}/{workload}.csv")
            ours = replayed.completion_s
            off = differences(ours, published)
            exact += sum(difference == 0 for difference in off.values())
            jobs += len(off)
            worst_s = max(worst_s, *map(abs, off.values()))
            cpu_s += replayed.cpu_s
            means.append(sum(ours.values()) / max(len(ours), 1))
        mean_s = sum(means) / len(means)
        yield Compared(load, exact, jobs, mean_s, summary.mean, worst_s, cpu_s)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verification.tiresias", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("path", nargs="?", metavar="PATH", help="the artifact's simulator/ folder")
    parser.add_argument("--mean", action="store_true", help="do without the stated diagonals")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print one line per load; return 1 when any job is off."""
    arguments = _arguments(argv)
    folder = os.environ.get("GPUYARD_DATA")
    if not arguments.path and not folder:
        print("verification.tiresias: give PATH or set GPUYARD_DATA to the folder with pollux/")
        return 2
    try:
        artifact = Artifact(arguments.path or Path(folder or "") / ARCHIVE)
        measured = applications(artifact, {} if arguments.mean else CUTS)
        compared = []
        for one in compare(artifact, measured):
            print(one.line, flush=True)
            compared.append(one)
    except TraceError as error:
        print(f"verification.tiresias: {error}")
        return 2
    exact, jobs = sum(one.exact for one in compared), sum(one.jobs for one in compared)
    print(f"{exact} of {jobs} jobs to the second")
    return 0 if all(one.is_met for one in compared) else 1


if __name__ == "__main__":
    sys.exit(main())
