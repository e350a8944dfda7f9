"""Where the time goes as the cluster grows: ``python -m benchmarks.scaling [POLICY...]``.

By design a placement of a known shape costs the nodes that changed since the shape was last asked
for, and one pass over all nodes to find the best. Whether it does is asked here by a fit over parts
of fills of different sizes (copies of openb's cluster and trace, as in `benchmarks.workloads`):

    CPU time = a · arrivals + b · placements + c · dirty nodes + d · placements · nodes

A dirty node is one that was filtered or scored again. Parts of a run differ much in how many there
are (rows are built at the beginning) and how many pods still find a place (few at the end), sizes
differ in the nodes, so the four are told apart. Relative errors are made small, and each part's
time is the best of `REPEATS`. Were the work superlinear beyond the pass over the nodes, the largest
size would lie above the fit: the last column is measured over fitted time.
"""

import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import SEED, FillInputs, data_folder, openb_inputs
from gpuyard.model.deltas import MixObserved, NodeObserved
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot

COPIES = (1, 2, 5, 10)
PARTS = 40
REPEATS = 3
POLICIES = ("fgd", "best-fit")
HEADER = (
    f"{'nodes':>7}{'arrivals':>10}{'CPU s':>8}{'µs/arrival':>12}{'dirty':>7}"
    f"{'arrivals':>11}{'placements':>11}{'dirty':>11}{'nodes':>11}{'measured/fit':>14}"
)


class Part(NamedTuple):
    """A stretch of a fill: what it took and what it did."""

    nodes: int
    cpu_s: float
    arrivals: int
    dirty: int  # nodes filtered or scored again
    placements: int


def parts(policy: str, copies: int) -> list[Part]:
    """Return the stretches of one fill, each with the best time of several."""
    inputs = openb_inputs(copies)
    runs = [stretches(policy, inputs) for _ in range(REPEATS)]
    return [min(same, key=lambda part: part.cpu_s) for same in zip(*runs, strict=True)]


def stretches(policy: str, inputs: FillInputs) -> list[Part]:
    """Return the stretches of one fill as they were."""
    snapshot = Snapshot()
    for node in inputs.nodes:
        snapshot.apply(NodeObserved(node))
    snapshot.apply(MixObserved(inputs.mix))
    placer = Placer(snapshot, PLACEMENTS[policy], np.random.default_rng(SEED))
    counted = placer.counted
    pods = [(arrival.key, arrival.pod_sets[0].template) for arrival in inputs.arrivals]
    found = []
    for stretch in np.array_split(np.arange(len(pods)), PARTS):
        dirty, placements = counted.nodes_refreshed + counted.nodes_scored, counted.placements
        begun = time.process_time()
        for index in stretch.tolist():
            placer.place(*pods[index])
        cpu_s = time.process_time() - begun
        dirty = counted.nodes_refreshed + counted.nodes_scored - dirty
        placements = counted.placements - placements
        found.append(Part(len(inputs.nodes), cpu_s, len(stretch), dirty, placements))
    return found


def features(measured: Sequence[Part]) -> NDArray[np.float64]:
    """Return what the fit explains the time of each part by: [part, coefficient]."""
    return np.array(
        [[one.arrivals, one.placements, one.dirty, one.placements * one.nodes] for one in measured],
        dtype=float,
    )


def report(policy: str, by_copies: dict[int, list[Part]]) -> list[str]:
    """Return the fit and one line per size."""
    measured = [part for one in by_copies.values() for part in one]
    taken = np.array([part.cpu_s for part in measured])
    fitted, *_ = np.linalg.lstsq(
        features(measured) / taken[:, None], np.ones(len(taken)), rcond=None
    )
    error = float(np.median(np.abs(features(measured) @ fitted / taken - 1)))
    a, b, c, d = fitted.tolist()
    costs = (
        f"{policy}: {a * 1e6:.1f} µs per arrival + {b * 1e6:.1f} µs per placement"
        f" + {c * 1e6:.2f} µs per dirty node + {d * 1e9:.2f} ns per placement and node"
        f" (median error {error:.1%})"
    )
    told = [costs, HEADER]
    for one in by_copies.values():
        cpu_s = sum(part.cpu_s for part in one)
        arrivals = sum(part.arrivals for part in one)
        shares = features(one).sum(axis=0) * fitted
        told.append(
            f"{one[0].nodes:>7}{arrivals:>10}{cpu_s:>8.2f}{cpu_s / arrivals * 1e6:>12.1f}"
            f"{sum(part.dirty for part in one) / arrivals:>7.1f}"
            + "".join(f"{share / shares.sum():>11.0%}" for share in shares)
            + f"{cpu_s / shares.sum():>14.2f}"
        )
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Print the fit of each policy; return 2 where the data is not there."""
    policies = list(sys.argv[1:] if argv is None else argv) or list(POLICIES)
    unknown = sorted(set(policies) - set(PLACEMENTS))
    if unknown:
        known = ", ".join(sorted(PLACEMENTS))
        print(f"benchmarks.scaling: unknown policy {unknown[0]!r} ({known})")
        return 2
    if data_folder() is None:
        print("benchmarks.scaling: set GPUYARD_DATA to the folder with openb/ in it")
        return 2
    for policy in policies:
        print("\n".join(report(policy, {copies: parts(policy, copies) for copies in COPIES})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
