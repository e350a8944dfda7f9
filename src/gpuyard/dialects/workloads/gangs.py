"""Marks by which an object says that its pods start together, or asks a scheduler that sees to it.

Each ecosystem has marks of its own: labels and annotations on the object or on its pods, a field
of the PodSpec, or a field of the kind. One table lists them all. A mark says *who* is asked
(`system`), and where it can be told, how many pods are the least (`minimum`).

A queue of Kueue admits all pods or none, so its label counts as a mark; the KAI scheduler makes a
pod group for every workload in its queues. A scheduler's name alone is a mark only where that
scheduler groups pods by itself.

Sources: Kueue v0.20 (pkg/controller/constants, jobs/pod), Volcano apis v1.15 (scheduling/v1beta1),
scheduler-plugins v0.33 (apis/scheduling/v1alpha1), KAI v0.9 (pkg/podgrouper), YuniKorn k8shim
(``yunikorn.apache.org``), Koordinator v1.6 (apis/extension), KubeRay v1.7 (``ray.io/``),
k8s.io/api 1.37 (PodSpec.schedulingGroup; in 1.35 workloadRef; JobSpec.scheduling), JobSet v0.13
and LWS v0.10 (exclusive placement keeps a job together in one domain, but starts it pod by pod: no
mark).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path

System = Literal[
    "kueue",
    "kubernetes",
    "volcano",
    "coscheduling",
    "kai",
    "yunikorn",
    "koordinator",
    "ray",
    "slurm",
    "kubeflow",
]
Where: TypeAlias = Literal["labels", "annotations"]


class GangMark(msgspec.Struct, frozen=True, kw_only=True):
    """One mark, who reads it, and what it says."""

    system: System
    path: Path
    value: str
    minimum: int | None = None
    """The fewest pods that may start, where the mark or its neighbour tells."""


_KEYS: tuple[tuple[System, Where, str, str], ...] = (
    # who, labels or annotations, the key, and the neighbouring key with the smallest number
    ("kueue", "labels", "kueue.x-k8s.io/queue-name", ""),
    ("kueue", "labels", "kueue.x-k8s.io/pod-group-name", "kueue.x-k8s.io/pod-group-total-count"),
    ("volcano", "annotations", "scheduling.k8s.io/group-name", ""),
    (
        *("volcano", "annotations", "scheduling.volcano.sh/group-name"),
        "scheduling.volcano.sh/group-min-member",
    ),
    (
        *("volcano", "annotations", "scheduling.volcano.sh/group-min-member"),
        "scheduling.volcano.sh/group-min-member",
    ),
    ("coscheduling", "labels", "scheduling.x-k8s.io/pod-group", ""),
    (
        *("coscheduling", "labels", "pod-group.scheduling.sigs.k8s.io"),
        "pod-group.scheduling.sigs.k8s.io/min-available",
    ),
    (
        *("coscheduling", "labels", "pod-group.scheduling.sigs.k8s.io/name"),
        "pod-group.scheduling.sigs.k8s.io/min-available",
    ),
    ("kai", "labels", "kai.scheduler/queue", ""),
    ("kai", "annotations", "pod-group-name", ""),
    ("kai", "annotations", "kai.scheduler/batch-min-member", "kai.scheduler/batch-min-member"),
    ("yunikorn", "annotations", "yunikorn.apache.org/task-group-name", ""),
    ("yunikorn", "annotations", "yunikorn.apache.org/task-groups", ""),
    (
        *("koordinator", "annotations", "gang.scheduling.koordinator.sh/name"),
        "gang.scheduling.koordinator.sh/min-available",
    ),
    ("ray", "labels", "ray.io/gang-scheduling-enabled", ""),
)
_OFF = {("ray.io/gang-scheduling-enabled", "false")}

_SCHEDULERS: dict[str, System] = {
    "kai-scheduler": "kai",  # its pod-grouper makes a group of every workload
    "slurm-bridge-scheduler": "slurm",
    "volcano": "volcano",  # controllers make a PodGroup of each object with an owner
}
_NUMBER = re.compile(r"[0-9]{1,9}")


def metadata_marks(metadata: Mapping[str, object], path: Path) -> Iterator[GangMark]:
    """Return the marks among the labels and annotations of `metadata`, which lies at `path`."""
    kept: dict[str, dict[str, str]] = {
        where: plain.texts(metadata, where) for where in ("labels", "annotations")
    }
    if not any(kept.values()):
        return
    both = {**kept["labels"], **kept["annotations"]}
    for system, where, key, neighbour in _KEYS:
        value = kept[where].get(key)
        if value and (key, value.lower()) not in _OFF:
            yield GangMark(
                system=system,
                path=(*path, where, key),
                value=value,
                minimum=_whole(both.get(neighbour, "")),
            )


def spec_marks(spec: Mapping[str, object], path: Path) -> Iterator[GangMark]:
    """Return the marks among the fields of the PodSpec at `path`."""
    for field, name in ("schedulingGroup", "podGroupName"), ("workloadRef", "podGroup"):
        group = plain.text(spec, field, name)
        if group:
            yield GangMark(system="kubernetes", path=(*path, field), value=group)
    scheduler = plain.text(spec, "schedulerName")
    if scheduler in _SCHEDULERS:
        yield GangMark(
            system=_SCHEDULERS[scheduler], path=(*path, "schedulerName"), value=scheduler
        )


def job_marks(job: Mapping[str, object], path: Path) -> Iterator[GangMark]:
    """Return the mark of the JobSpec at `path`: ``scheduling.schedulingPolicy.gang`` (1.37)."""
    place = ("scheduling", "schedulingPolicy", "gang")
    gang = plain.get(job, *place)
    if isinstance(gang, Mapping):
        yield GangMark(
            system="kubernetes",
            path=(*path, *place),
            value="gang",
            minimum=plain.whole(gang, "minCount"),
        )


def policy_marks(value: Mapping[str, object]) -> Iterator[GangMark]:
    """Return the mark of a Kubeflow job: ``runPolicy.schedulingPolicy``, or a runtime's policy."""
    for place in ("spec", "runPolicy", "schedulingPolicy"), ("spec", "podGroupPolicy"):
        policy = plain.get(value, *place)
        if isinstance(policy, Mapping) and policy:
            yield GangMark(
                system="kubeflow",
                path=place,
                value=place[-1],
                minimum=plain.whole(policy, "minAvailable"),
            )


def _whole(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None
