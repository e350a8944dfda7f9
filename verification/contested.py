"""Let teams contend for one fleet under Kueue's policy and under ours, and compare what they get.

Three contests: the busy end of the timed openb trace on a thinned fleet, and generated weeks of the
demo's fleet at two loads (`gpuyard.studies.contested` says how, and what is left out). Measured:
the wait of a workload, mean and 95th percentile, all the time that it wanted to run and held
nothing; the GPU-hours that evictions cost; and the largest gang of 8-GPU pods that could have
started, on average over time. The bar: ``gpuyard`` is worse than ``kueue`` on none of them, beyond
`NOISE` of it, and in each contest better on at least one by `BETTER`. Who waits longer under ours
is told by class of workload.

On openb nothing is worse and nothing better by 20 %: GPU-hours lost fall by 19.9 %. Inference does
not wait before it evicts (`preempt_at_once`). Without that, losses fall by 83 % there, and the 95th
percentile of waits rises from 0 to 14 s, for then more than 5 % of the workloads wait.

Data: openb below ``GPUYARD_DATA``.
"""

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpuyard.studies.contested.contest import CONTENDERS, HOUR_NS, Contest, generated, openb
from gpuyard.studies.cores import over_cores
from gpuyard.traces.read import read_trace
from gpuyard.twin.shared_fleet import SharedRun, run

LOADS = (0.9, 1.1)
BETTER = 0.20
NOISE = 0.01
SECONDS_PER_HOUR = 3600
PODS = Path("openb") / "openb_pod_list_default.csv.gz"
NODES = Path("openb") / "openb_node_list_gpu_node.csv.gz"


class Task(NamedTuple):
    """One contender in one contest: "openb", or the load of a generated week."""

    contest: str
    contender: str
    data: str
    seed: int


class Measured(NamedTuple):
    """What one contender came to; `waiting_share`: of the workloads, those that waited at all."""

    mean_wait_h: float
    p95_wait_s: float
    waiting_share: float
    lost_gpu_h: float
    largest_gang_pods: float
    useful_gpu_h: float
    evictions: int
    wait_h_by_kind: Mapping[str, float]
    setting: str


class Measure(NamedTuple):
    """A column of the table: which field, and which way is better."""

    title: str
    field: str
    more_is_better: bool


MEASURES = (
    Measure("mean wait, h", "mean_wait_h", more_is_better=False),
    Measure("p95 wait, s", "p95_wait_s", more_is_better=False),
    Measure("GPU-hours lost", "lost_gpu_h", more_is_better=False),
    Measure("largest gang, pods", "largest_gang_pods", more_is_better=True),
)


def live(task: Task) -> Measured:
    """Let one contender live through one contest."""
    contest = _contest(task)
    return _measured(contest, run(contest.fleet, CONTENDERS[task.contender]))


def gain(measure: Measure, kueue: Measured, gpuyard: Measured) -> float:
    """Return by which part of Kueue's figure ours is better; negative where it is worse.

    Where Kueue's is 0 and ours is not, there is no part: infinitely worse or better.
    """
    theirs, ours = getattr(kueue, measure.field), getattr(gpuyard, measure.field)
    if not theirs:
        is_better = ours == theirs or measure.more_is_better
        return 0.0 if ours == theirs else math.inf if is_better else -math.inf
    return float((ours - theirs) / theirs if measure.more_is_better else (theirs - ours) / theirs)


def verdict(gains: Mapping[str, float]) -> str:
    """Return "met", or what is missing; `gains` by measure."""
    missing = [
        f"worse on {title}" if math.isinf(by) else f"worse by {-by:.0%} on {title}"
        for title, by in gains.items()
        if by < -NOISE
    ]
    if max(gains.values()) < BETTER:
        missing.append(f"better by {max(gains.values()):.1%} at most")
    return ", ".join(missing) or "met"


def _contest(task: Task) -> Contest:
    if task.contest != "openb":
        return generated(float(task.contest), task.seed)
    data = Path(task.data)
    return openb(read_trace(data / NODES, data / PODS), seed=task.seed)


def _measured(contest: Contest, lived: SharedRun) -> Measured:
    waits_h = np.array([one.waited_ns for one in lived.outcomes]) / HOUR_NS
    kinds = sorted({one.kind for one in lived.outcomes})
    return Measured(
        mean_wait_h=float(waits_h.mean()),
        p95_wait_s=float(np.percentile(waits_h, 95)) * SECONDS_PER_HOUR,
        waiting_share=float((waits_h > 0).mean()),
        lost_gpu_h=sum(one.lost_device_ns for one in lived.outcomes) / HOUR_NS,
        largest_gang_pods=lived.mean_startable_pods,
        useful_gpu_h=sum(one.useful_device_ns for one in lived.outcomes) / HOUR_NS,
        evictions=sum(one.evictions for one in lived.outcomes),
        wait_h_by_kind={
            kind: float(waits_h[[one.kind == kind for one in lived.outcomes]].mean())
            for kind in kinds
        },
        setting=(
            f"{contest.gpus} GPUs, {len(contest.fleet.arrivals)} workloads, load "
            f"{contest.load:.2f}; left out: {contest.left_out} that ask for a part of a GPU"
        ),
    )


def _tell(name: str, kueue: Measured, gpuyard: Measured) -> str:
    print(f"{name}: {kueue.setting}")
    print(f"  {'':20} {'kueue':>9} {'gpuyard':>9} {'better by':>10}")
    gains = {measure.title: gain(measure, kueue, gpuyard) for measure in MEASURES}
    for measure in MEASURES:
        theirs, ours = getattr(kueue, measure.field), getattr(gpuyard, measure.field)
        by = gains[measure.title]
        said = ("worse" if by < 0 else "better") if math.isinf(by) else f"{by:.0%}"
        print(f"  {measure.title:20} {theirs:9.2f} {ours:9.2f} {said:>10}")
    print(f"  {'wait at all':20} {kueue.waiting_share:9.1%} {gpuyard.waiting_share:9.1%}")
    print(f"  {'useful GPU-hours':20} {kueue.useful_gpu_h:9.0f} {gpuyard.useful_gpu_h:9.0f}")
    print(f"  {'evictions':20} {kueue.evictions:9} {gpuyard.evictions:9}")
    longer = [
        f"{kind} ({before:.2f} h, now {gpuyard.wait_h_by_kind[kind]:.2f} h)"
        for kind, before in kueue.wait_h_by_kind.items()
        if gpuyard.wait_h_by_kind[kind] > before
    ]
    print(f"  wait longer with gpuyard: {', '.join(longer) or 'no class'}")
    result = verdict(gains)
    print(f"  bar: {result}")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.contested", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("contests", nargs="*", help="openb, or a load such as 0.9 (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals and owners (default: 1)")
    given = parser.parse_args(arguments)
    data = os.environ.get("GPUYARD_DATA", "")
    names = given.contests or ["openb", *(f"{load:g}" for load in LOADS)]
    if "openb" in names and not (Path(data) / PODS).is_file():
        parser.error(f"no {PODS} below GPUYARD_DATA; name loads to run without it")
    tasks = [Task(name, who, data, given.seed) for name in names for who in CONTENDERS]
    measured = over_cores(live, tasks)
    results = [
        _tell(
            name if name == "openb" else f"generated, load {name}", next(measured), next(measured)
        )
        for name in names
    ]
    met = sum(result == "met" for result in results)
    print(f"{met} of {len(results)} contests: worse on nothing, better by 20 % on something")
    return 0 if met == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
