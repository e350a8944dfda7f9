"""Workloads that run with fewer pods than they would like: what must be there, and what may come.

A pod set with `min_count` is worth starting with so many pods. The *core* is the workload with its
minimal counts: a gang, all or nothing. Every further pod is an *extra*: a workload of its own that
waits in the same queue once the core runs. So growing is admission and shrinking is eviction, pod
by pod, with no rule of their own, and quota, fair shares, caps and ledgers count what is there.

Extras stand one step of priority below their core: cores of the same priority start before them,
and may evict them where a queue lets lower priority go. Losing one costs a rescale, not the job.

A pod set that requires one topology domain gets no extras: a pod that came later could not be held
to the domain of the others. It starts with what fits, between `min_count` and `count`, and keeps it
(partial admission, as in Kueue).
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gpuyard.model.workloads import PodSet, Workload

STEP = 1  # of priority, between a core and its extras
MARK = "+"  # in the key of an extra; no Kubernetes name contains it


class Elastic(NamedTuple):
    """A workload in parts; without extras the core is the workload itself."""

    core: Workload
    extras: tuple[Workload, ...]


def split(workload: Workload) -> Elastic:
    """Return what must be there before anything runs, and what may join it one by one.

    Extras come in the order of the pod sets, and within one in the order of its pods' ranks.
    """
    extras = tuple(
        _extra(workload, pod_set, index)
        for pod_set in workload.pod_sets
        for index in _beyond_the_core(pod_set)
    )
    if not extras:
        return Elastic(workload, ())
    pod_sets = tuple(_in_core(pod_set) for pod_set in workload.pod_sets)
    return Elastic(msgspec.structs.replace(workload, pod_sets=pod_sets), extras)


def core_of(key: str) -> str:
    """Return the key of the core that an extra belongs to; of a core its own."""
    return key.partition(MARK)[0]


def is_extra(key: str) -> bool:
    """Tell whether a workload is an extra."""
    return MARK in key


def _beyond_the_core(pod_set: PodSet) -> Iterator[int]:
    return iter(range(_in_core(pod_set).count, pod_set.count))


def _in_core(pod_set: PodSet) -> PodSet:
    """Return the part of a pod set that belongs to the core; it cannot shrink any more."""
    must_stay_together = pod_set.topology is not None and pod_set.topology.mode == "required"
    if pod_set.min_count is None or must_stay_together:
        return pod_set
    return msgspec.structs.replace(
        pod_set, count=min(pod_set.count, pod_set.min_count), min_count=None
    )


def _extra(workload: Workload, pod_set: PodSet, index: int) -> Workload:
    one = msgspec.structs.replace(pod_set, count=1, min_count=None)
    return msgspec.structs.replace(
        workload,
        key=f"{workload.key}{MARK}{pod_set.name}-{index}",
        pod_sets=(one,),
        priority=workload.priority - STEP,
        uid=f"{workload.uid}{MARK}{pod_set.name}-{index:06}",
    )
