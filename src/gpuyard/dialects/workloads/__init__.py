"""Workloads of every ecosystem, looked at in one way.

`workload(value)` takes a Kubernetes object as plain JSON and returns a view of it, or `None` where
its kind is not in the table (`table.ROWS`: the one place that knows where a kind keeps its pod
templates). Nothing here raises on what an object contains; what has the wrong type reads as empty.

    >>> found = workload(
    ...     {
    ...         "apiVersion": "apps/v1",
    ...         "kind": "Deployment",
    ...         "metadata": {"name": "llm"},
    ...         "spec": {
    ...             "replicas": 2,
    ...             "template": {
    ...                 "spec": {
    ...                     "containers": [
    ...                         {
    ...                             "name": "vllm",
    ...                             "args": ["--tensor-parallel-size=4"],
    ...                             "resources": {"limits": {"nvidia.com/gpu": 4}},
    ...                         }
    ...                     ]
    ...                 }
    ...             },
    ...         },
    ...     }
    ... )
    >>> found.title, found.pods_total, found.gpus_total
    ('Deployment llm', 2, 8)
    >>> pod = found.pods[0]
    >>> pod.gpus, pod.role, pod.path
    (4, 'pod', ('spec', 'template'))
    >>> container = pod.containers[0]
    >>> container.flag("--tensor-parallel-size", "-tp").value
    '4'
    >>> container.gpu_asks[0].path
    ('spec', 'template', 'spec', 'containers', 0, 'resources', 'limits', 'nvidia.com/gpu')
    >>> container.mount("/dev/shm") is None, container.env("NCCL_DEBUG") is None
    (True, True)
    >>> pod.spec.text("priorityClassName"), pod.spec.at("priorityClassName")
    ('', ('spec', 'template', 'spec', 'priorityClassName'))

Where to look: `workload.Workload` and `workload.PodView`, `containers.ContainerView`,
`kinds.WorkloadKind` (what a row means), `gpus` (resource names), `claims` (DRA), `gangs` (who
starts pods together). A rule that asks "is something missing?" looks at `PodView.is_complete`
first: a TrainJob or a KServe service leaves much to a runtime that is another object.
"""

from collections.abc import Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads.claims import Claim, ClaimKind, ClaimLookup
from gpuyard.dialects.workloads.commands import Flag
from gpuyard.dialects.workloads.containers import ContainerView, EnvVar, Mount
from gpuyard.dialects.workloads.gangs import GangMark
from gpuyard.dialects.workloads.gpus import GpuAsk, GpuResource, gpu_resource
from gpuyard.dialects.workloads.kinds import TemplateAt, WorkloadKind
from gpuyard.dialects.workloads.table import KINDS, ROWS
from gpuyard.dialects.workloads.views import View
from gpuyard.dialects.workloads.workload import PodView, Workload

__all__ = [
    "KINDS",
    "ROWS",
    "Claim",
    "ClaimKind",
    "ClaimLookup",
    "ContainerView",
    "EnvVar",
    "Flag",
    "GangMark",
    "GpuAsk",
    "GpuResource",
    "Mount",
    "PodView",
    "TemplateAt",
    "View",
    "Workload",
    "WorkloadKind",
    "api_group",
    "gpu_resource",
    "workload",
]


def workload(value: object, *, claims: ClaimLookup | None = None) -> Workload | None:
    """Return the view of a Kubernetes object, `None` where its kind is not in the table.

    `claims` finds the ResourceClaims and ResourceClaimTemplates of the object's namespace; without
    it the devices that a pod claims are not known.
    """
    if not isinstance(value, Mapping):
        return None
    api_version, kind = plain.text(value, "apiVersion"), plain.text(value, "kind")
    row = KINDS.get((api_group(api_version), kind)) if api_version else None
    return None if row is None else Workload(value, row, claims or _none_given)


def api_group(api_version: str) -> str:
    """Return the group of an ``apiVersion``, "" for core."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def _none_given(_kind: ClaimKind, _name: str) -> None:
    return None
