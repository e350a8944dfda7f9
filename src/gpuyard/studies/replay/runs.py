"""One trace under one policy or several: the study behind ``gpuyard replay``.

*fill* lets pods come one by one and never leave; *timed* lets them arrive, wait, run and end
(`gpuyard.twin.fill`, `gpuyard.twin.timed`). In *fill* the order is that of a published sequence
where one is given, else, for an openb pod list and a seed, one of our own (shuffled, clones added
or the rest cut at 130 % of the GPUs, as the paper does), else the trace's own.
"""

import time
from typing import Literal

import msgspec
import numpy as np

from gpuyard.model.deltas import MixEntry
from gpuyard.model.nodes import Node
from gpuyard.model.policy import TieBreak
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, TimedWorkload
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import preset
from gpuyard.studies.notebook import mix_of
from gpuyard.studies.replay.records import keeping
from gpuyard.traces import openb
from gpuyard.traces.arrivals import in_sequence
from gpuyard.traces.read import is_openb_pods, read_trace
from gpuyard.traces.trace import FilePath, TraceError
from gpuyard.twin.fill import Sample, fill, samples
from gpuyard.twin.record import Head, Recorder
from gpuyard.twin.timed import Setting, TimedRun, run

Protocol = Literal["fill", "timed"]
SECOND_NS = 10**9
TIMED_SAMPLES = 1000


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet, what arrives at it in this order, and what its typical pods are."""

    trace: str
    protocol: Protocol
    seed: int
    nodes: tuple[Node, ...]
    arrivals: tuple[TimedWorkload, ...]
    mix: tuple[MixEntry, ...]


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting times of one class of workload, in seconds; who never started waited to the end."""

    kind: str
    workloads: int
    mean_s: float
    p50_s: float
    p95_s: float
    never_started: int


class TimedSample(msgspec.Struct, frozen=True, kw_only=True):
    """The yard at one instant; percentages are of all devices."""

    at_s: float
    allocated_pct: float
    useful_pct: float
    frag_pct_of_cluster: float
    unreachable_pct_of_cluster: float
    waiting_gpus: float


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one policy made of a trace. `seconds` is the CPU time of the replay."""

    policy: str
    protocol: Protocol
    tie_break: TieBreak
    seed: int
    nodes: int
    gpus: int
    arrivals: int
    placed: int
    failed: int
    samples: tuple[Sample, ...] | tuple[TimedSample, ...]
    seconds: float
    waits: tuple[Waits, ...] = ()


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One replay to run, small enough to send to another process.

    `record_path` is the file that keeps its record, if it shall be kept.
    """

    inputs: Inputs
    name: str
    policy: Policy
    seed: int
    record_path: str | None = None


def named_policy(name: str, tie_break: TieBreak | None) -> Policy:
    """Return the preset `name`, with its ties broken as asked."""
    policy = preset(name)
    return policy if tie_break is None else with_ties(policy, tie_break)


def with_ties(policy: Policy, tie_break: TieBreak) -> Policy:
    """Return the same policy with its ties broken as asked."""
    placement = msgspec.structs.replace(policy.placement, tie_break=tie_break)
    return msgspec.structs.replace(policy, placement=placement)


def load_inputs(
    nodes_path: FilePath,
    pods_path: FilePath,
    *,
    protocol: Protocol,
    sequence_path: FilePath | None = None,
    seed: int | None = None,
) -> Inputs:
    """Read a trace and put its arrivals in order.

    Raises
    ------
    TraceError
        where a file cannot be used, with its line and what to do.

    """
    trace = read_trace(nodes_path, pods_path)
    nodes, arrivals, drawn = trace.nodes, trace.workloads, seed or 0
    if protocol == "fill" and (sequence_path is not None or seed is not None):
        if is_openb_pods(pods_path):
            nodes, arrivals, drawn = _in_sequence(nodes, pods_path, sequence_path, seed)
        elif sequence_path is not None:
            raise TraceError(
                pods_path,
                1,
                "--sequence orders an openb pod list, and this is a table with an order of its "
                "own; leave --sequence out",
            )
    return Inputs(
        trace=trace.name,
        protocol=protocol,
        seed=drawn,
        nodes=nodes,
        arrivals=arrivals,
        mix=mix_of(trace.workloads),
    )


def _in_sequence(
    nodes: tuple[Node, ...], pods_path: FilePath, sequence_path: FilePath | None, seed: int | None
) -> tuple[tuple[Node, ...], tuple[TimedWorkload, ...], int]:
    """Return the nodes ranked and the pods ordered as in a sequence, and the sequence's seed."""
    pods, drawn = openb.load_pods(pods_path), seed or 0
    if sequence_path is None:
        sequence = openb.shuffled_sequence(pods, nodes, drawn)
    else:
        sequences = openb.load_sequences(sequence_path)
        drawn = min(sequences, default=0) if seed is None else seed
        sequence = openb.load_sequence(sequence_path, drawn)
        openb.check_sequence_fits(
            sequence_path, sequence, pod_count=len(pods), node_count=len(nodes)
        )
    by_name = sorted(nodes, key=lambda node: node.name)
    ranked = tuple(
        msgspec.structs.replace(node, rank=rank)
        for node, rank in zip(by_name, sequence.node_rank, strict=True)
    )
    return ranked, tuple(TimedWorkload(one, None) for one in in_sequence(pods, sequence)), drawn


def replay(task: Task) -> Replay:
    """Run one policy over the inputs, and keep its record where that was asked for.

    Raises
    ------
    TraceError
        where the record cannot be written.

    """
    run_protocol = _fill if task.inputs.protocol == "fill" else _timed
    if task.record_path is None:
        return run_protocol(task, None)
    head = Head(policy_name=task.name, trace=task.inputs.trace, seed=task.seed, policy=task.policy)
    with keeping(task.record_path, head) as recorder:
        return run_protocol(task, recorder)


def _fill(task: Task, recorder: Recorder | None) -> Replay:
    inputs = task.inputs
    begun = time.process_time()
    done = fill(
        inputs.nodes,
        (timed.workload for timed in inputs.arrivals),
        inputs.mix,
        task.policy.placement,
        seed=task.seed,
        recorder=recorder,
    )
    placed = int(done.placed.sum())
    return Replay(
        policy=task.name,
        protocol="fill",
        tie_break=task.policy.placement.tie_break,
        seed=task.seed,
        nodes=done.nodes,
        gpus=done.devices,
        arrivals=len(done.placed),
        placed=placed,
        failed=len(done.placed) - placed,
        samples=samples(done),
        seconds=time.process_time() - begun,
    )


def _timed(task: Task, recorder: Recorder | None) -> Replay:
    inputs = task.inputs
    begun = time.process_time()
    setting = Setting(nodes=inputs.nodes, arrivals=inputs.arrivals, mix=inputs.mix)
    done = run(setting, task.policy, seed=task.seed, recorder=recorder)
    started = int((done.jobs.started_ns >= 0).sum())
    return Replay(
        policy=task.name,
        protocol="timed",
        tie_break=task.policy.placement.tie_break,
        seed=task.seed,
        nodes=done.nodes,
        gpus=done.devices,
        arrivals=len(inputs.arrivals),
        placed=started,
        failed=len(inputs.arrivals) - started,
        samples=timed_samples(done),
        seconds=time.process_time() - begun,
        waits=waits(done),
    )


def waits(done: TimedRun) -> tuple[Waits, ...]:
    """Return the waiting times of a run by class of workload."""
    kinds = np.array(done.jobs.kind)
    never = done.jobs.started_ns < 0
    return tuple(
        Waits(
            kind=kind,
            workloads=len(waited_ns),
            mean_s=float(waited_ns.mean() / SECOND_NS),
            p50_s=float(np.percentile(waited_ns, 50) / SECOND_NS),
            p95_s=float(np.percentile(waited_ns, 95) / SECOND_NS),
            never_started=int(never[kinds == kind].sum()),
        )
        for kind, waited_ns in done.jobs.waited_by_kind().items()
    )


def timed_samples(done: TimedRun) -> tuple[TimedSample, ...]:
    """Return the run at every instant at which something happened.

    Where those are more than `TIMED_SAMPLES`, at so many instants evenly spread over its time.
    """
    line = done.timeline
    at_ns = line.at_ns
    if len(at_ns) > TIMED_SAMPLES:
        spans_ns = np.linspace(0, done.until_ns - at_ns[0], TIMED_SAMPLES).astype(np.int64)
        at_ns = at_ns[0] + spans_ns  # instants beyond 2**53 would be rounded, also below the first
    rows = np.searchsorted(line.at_ns, at_ns, side="right") - 1
    total = max(done.devices, 1) * WHOLE_DEVICE_MILLI / 100
    return tuple(
        TimedSample(
            at_s=float(instant_ns) / SECOND_NS,
            allocated_pct=float(line.allocated_milli[row] / total),
            useful_pct=float(line.useful_milli[row] / total),
            frag_pct_of_cluster=float(line.fragment_milli[row] / total),
            unreachable_pct_of_cluster=float(line.unreachable_milli[row] / total),
            waiting_gpus=float(line.waiting_milli[row] / WHOLE_DEVICE_MILLI),
        )
        for instant_ns, row in zip(at_ns, rows, strict=True)
    )
