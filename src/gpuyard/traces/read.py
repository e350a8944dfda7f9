"""One way in for a trace on disk, whatever its form.

Which form a file has is told by its header: a node list is openb's with a column ``sn``, a pod
list with ``num_gpu``; with ``gpus`` it is our own table. The two may be mixed. What follows is the
same for both: a GPU model that no node has, and a pod larger than any node, are errors.

openb with times: a pod is a workload of one pod. It arrives at ``creation_time`` and runs for
``deletion_time`` - ``scheduled_time``; one that was never scheduled (897 of the 8,152 pods of the
default list) runs for ``deletion_time`` - ``creation_time``, that is as long as its owner let it
wait; without a deletion time it runs until the trace ends. Pods of the same second arrive in the
order of the rows. ``qos`` LS (latency sensitive) is read as class inference, all else as batch:
our reading, the trace does not say what the pods did.
"""

from pathlib import Path

from gpuyard.model.nodes import Node
from gpuyard.model.workloads import PodSet, PodTemplate, Request, TimedWorkload, Workload
from gpuyard.traces.fits import asked, first_too_large
from gpuyard.traces.openb import OpenbPod, check_fits_somewhere, gpu_models, load_nodes, load_pods
from gpuyard.traces.parquet import is_parquet
from gpuyard.traces.rows import read_text
from gpuyard.traces.table import ReadWorkload, column_names, read_nodes, read_workloads
from gpuyard.traces.trace import FilePath, Trace, TraceError

LATENCY_SENSITIVE = "LS"
OUR_COLUMN = "gpus"


def read_trace(nodes_path: FilePath, pods_path: FilePath) -> Trace:
    """Return the fleet and what arrives at it; the trace is named after the pod list.

    Files are openb's or our own tables, plain or gzip; CPU is in thousandths, memory in bytes,
    instants and durations in nanoseconds, whatever the files count in.

    Raises
    ------
    TraceError
        where a file cannot be used, with its line and what to do.

    """
    nodes = load_fleet(nodes_path)
    workloads = load_workloads(pods_path, nodes)
    return Trace(Path(pods_path).name.partition(".")[0], nodes, workloads)


def load_fleet(path: FilePath) -> tuple[Node, ...]:
    """Return the nodes of an openb node list or of our own table."""
    if is_openb_nodes(path):
        return load_nodes(path)
    return read_nodes(path)


def load_workloads(path: FilePath, nodes: tuple[Node, ...]) -> tuple[TimedWorkload, ...]:
    """Return the workloads of an openb pod list or of our own table, in order of arrival."""
    models = gpu_models(nodes)
    if is_openb_pods(path):
        pods = load_pods(path, models)
        check_fits_somewhere(path, nodes, pods)
        return as_workloads(pods)
    read = read_workloads(path, models)
    _check_fits(path, nodes, read)
    return tuple(entry.timed for entry in read)


def is_openb_nodes(path: FilePath) -> bool:
    """Tell an openb node list from our own table; raise `TraceError` for neither."""
    return _is_openb(path, "sn")


def is_openb_pods(path: FilePath) -> bool:
    """Tell an openb pod list from our own table; raise `TraceError` for neither."""
    return _is_openb(path, "num_gpu")


def as_workloads(pods: tuple[OpenbPod, ...]) -> tuple[TimedWorkload, ...]:
    """Return openb's pods as workloads of one pod, by creation time, then in their order."""
    templates: dict[Request, PodTemplate] = {}
    arriving = sorted(pods, key=lambda pod: pod.created_ns)
    return tuple(_timed(pod, templates) for pod in arriving)


def runtime_ns(pod: OpenbPod) -> int | None:
    """Return how long `pod` ran, or was given, in nanoseconds; `None` if it was never deleted."""
    if pod.deleted_ns is None:
        return None
    begun_ns = pod.created_ns if pod.scheduled_ns is None else pod.scheduled_ns
    return pod.deleted_ns - begun_ns


def _is_openb(path: FilePath, openb_column: str) -> bool:
    columns = column_names(path)
    if openb_column not in columns and OUR_COLUMN not in columns:
        if not is_parquet(path):
            read_text(path)  # an empty or binary file has a better sentence of its own
        raise TraceError(
            path,
            1,
            f"the header has neither {openb_column} (openb) nor {OUR_COLUMN} (our own table); "
            "name the columns as docs/reference/traces.md says",
        )
    return openb_column in columns


def _timed(pod: OpenbPod, templates: dict[Request, PodTemplate]) -> TimedWorkload:
    if pod.request not in templates:
        templates[pod.request] = PodTemplate(request=pod.request)
    workload = Workload(
        key=pod.name,
        pod_sets=(PodSet(name="pod", count=1, template=templates[pod.request]),),
        created_ns=pod.created_ns,
        kind="inference" if pod.qos == LATENCY_SENSITIVE else "batch",
    )
    return TimedWorkload(workload, runtime_ns(pod))


def _check_fits(path: FilePath, nodes: tuple[Node, ...], read: tuple[ReadWorkload, ...]) -> None:
    """Raise `TraceError` for the first pod set whose pod is larger than every node."""
    members = [(entry, pod_set) for entry in read for pod_set in entry.timed.workload.pod_sets]
    too_large = first_too_large(nodes, (pod_set.template.request for _, pod_set in members))
    if too_large is not None:
        entry, pod_set = members[too_large]
        raise TraceError(
            path,
            entry.line,
            f"a pod of workload {entry.timed.workload.key!r} asks for "
            f"{asked(pod_set.template.request)}, more than any node has; "
            "correct the row or give a larger node",
        )
