"""The twin in two calls: a trace and a policy go in, numpy arrays come out.

This is the part of a study that a notebook wants; `gpuyard.studies.replay` and
`gpuyard.studies.demo` put several of these side by side.
"""

from gpuyard.model.deltas import MixEntry
from gpuyard.model.workloads import TimedWorkload
from gpuyard.scheduling.mix import typical_mix
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import preset
from gpuyard.traces.trace import Trace
from gpuyard.twin.fill import FillRun, fill as fill_nodes
from gpuyard.twin.timed import Setting, TimedRun, run

SECOND_NS = 10**9


def fill(trace: Trace, policy: str | Policy, *, seed: int = 0) -> FillRun:
    """Let the workloads of `trace` come one by one and never leave.

    `policy` is a preset's name or a `Policy`, `seed` decides what it leaves to chance. The arrays
    of the result have one entry per arrival; amounts are thousandths of a device.

    Raises
    ------
    UnknownPolicyError
        for a name that no preset has.

    """
    arrivals = (timed.workload for timed in trace.workloads)
    return fill_nodes(
        trace.nodes, arrivals, mix_of(trace.workloads), _policy(policy).placement, seed=seed
    )


def live(
    trace: Trace, policy: str | Policy, *, seed: int = 0, until_s: float | None = None
) -> TimedRun:
    """Let the workloads of `trace` arrive, wait, run and end.

    The run is watched until `until_s` seconds of virtual time, by default until no workload
    arrives, starts or ends any more; who arrives later has waited for 0. ``result.timeline`` has
    one entry per instant, ``result.jobs`` one per workload; instants and durations are integers in
    nanoseconds.

    Raises
    ------
    UnknownPolicyError
        for a name that no preset has.

    """
    setting = Setting(
        nodes=trace.nodes,
        arrivals=trace.workloads,
        mix=mix_of(trace.workloads),
        until_ns=None if until_s is None else round(until_s * SECOND_NS),
    )
    return run(setting, _policy(policy), seed=seed)


def mix_of(workloads: tuple[TimedWorkload, ...]) -> tuple[MixEntry, ...]:
    """Return the typical pods of `workloads`, against which fragmentation is measured."""
    return typical_mix(
        pod_set.template.request
        for timed in workloads
        for pod_set in timed.workload.pod_sets
        for _ in range(pod_set.count)
    )


def _policy(policy: str | Policy) -> Policy:
    return preset(policy) if isinstance(policy, str) else policy
