"""The *fill* protocol: pods arrive one by one, never leave, and a pod that fits nowhere is lost.

It asks one question, how full a fleet becomes before fragments stop it, and is the protocol of the
FGD paper (USENIX ATC'23, section 6): arrivals go on until they have asked for more than the fleet
has. After every arrival three amounts are noted; the published curves are their means over all
arrivals that round to the same percentage of the fleet's devices.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.model.deltas import Delta, MixEntry, MixObserved, NodeObserved
from gpuyard.model.nodes import Node
from gpuyard.model.policy import PlacementPolicy
from gpuyard.model.reasons import Silent
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Workload
from gpuyard.scheduling import cycle
from gpuyard.scheduling.fragmentation import MixTable
from gpuyard.scheduling.placement import Counted, Placer
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin.measures import NodeStates, fragment
from gpuyard.twin.record import Recorder

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class FillRun(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, one entry per arrival; amounts in thousandths of a device."""

    nodes: int
    devices: int
    placed: NDArray[np.bool_]  # [arrival]
    arrived_milli: IntArray  # [arrival] asked for so far
    allocated_milli: IntArray  # [arrival] given so far
    fragment_milli: FloatArray  # [arrival] idle but of no use to the typical pod
    counted: Counted


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the arrivals that round to `arrived_pct` of the fleet's devices."""

    arrived_pct: int
    allocated_pct: float
    frag_pct_of_cluster: float
    frag_pct_of_idle: float


def fill(
    nodes: Iterable[Node],
    arrivals: Iterable[Workload],
    mix: tuple[MixEntry, ...],
    policy: PlacementPolicy,
    *,
    seed: int = 0,
    recorder: Recorder | None = None,
) -> FillRun:
    """Let `arrivals` come to empty `nodes`; `recorder` is told every fact and every plan."""
    snapshot = Snapshot()
    facts: list[Delta] = [*map(NodeObserved, nodes), MixObserved(mix)]
    for fact in facts:
        snapshot.apply(fact)
        if recorder is not None:
            recorder.told(fact)
    placer = Placer(snapshot, policy, np.random.default_rng(seed))
    placed: list[bool] = []
    asked: list[int] = []
    given: list[int] = []
    states = NodeStates(snapshot)
    silent = Silent()
    for workload in arrivals:
        pending = (cycle.Pending.whole(workload),)
        plan = cycle.run(placer, pending, silent)
        if recorder is not None:
            recorder.decided(pending, plan, workload.created_ns)
        placed.append(not plan.waits)
        asked.append(workload.device_milli)
        given.append(sum(start.device_milli for start in plan.starts))
        states.note()
    return FillRun(
        nodes=int(snapshot.fleet.present.sum()),
        devices=int((snapshot.fleet.device_model >= 0).sum()),
        placed=np.array(placed, dtype=np.bool_),
        arrived_milli=np.array(asked, dtype=np.int64).cumsum(),
        allocated_milli=np.array(given, dtype=np.int64).cumsum(),
        fragment_milli=states.totals(fragment(MixTable(mix, snapshot.fleet.models))),
        counted=placer.counted,
    )


def samples(run: FillRun) -> tuple[Sample, ...]:
    """Return the published curves, in percent.

    Every value is rounded to 0.01 first, then averaged over the arrivals of each percent.
    """
    total = run.devices * WHOLE_DEVICE_MILLI
    if not total or not len(run.placed):
        return ()
    percent = np.rint(run.arrived_milli * 100 / total).astype(np.int64)
    idle = np.maximum(total - run.allocated_milli, 1)
    curves = (
        run.allocated_milli / total,
        run.fragment_milli / total,
        np.minimum(run.fragment_milli / idle, 1.0),
    )
    count = np.bincount(percent)
    means = [np.bincount(percent, np.round(100 * curve, 2)) for curve in curves]
    return tuple(
        Sample(
            arrived_pct=int(at),
            allocated_pct=float(means[0][at] / count[at]),
            frag_pct_of_cluster=float(means[1][at] / count[at]),
            frag_pct_of_idle=float(means[2][at] / count[at]),
        )
        for at in np.flatnonzero(count)
    )
