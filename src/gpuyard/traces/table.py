"""Our own form of a trace: two tables, as CSV (plain or gzip) or Parquet.

One row of the workload table is one pod set. Rows with the same ``workload`` make up one workload:
what starts together. One row of the node table is ``count`` like nodes. The columns, their defaults
and examples stand in ``docs/reference/traces.md``; the two tuples below are their names and order.

What is written can be read back and is then equal, or it is not written: a workload that says more
than a row can hold (constraints, labels, other resources, a part of a mebibyte) is refused with its
name instead of losing something on the way.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

import msgspec

from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import CPU, MEMORY
from gpuyard.model.workloads import (
    WHOLE_DEVICE_MILLI,
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    TimedWorkload,
    Workload,
    WorkloadClass,
)
from gpuyard.traces.fits import MIB_BYTES
from gpuyard.traces.openb import GPUS_PER_NODE_MAX, cpu_and_memory, model_names
from gpuyard.traces.parquet import PARQUET_SUFFIX, is_parquet, parquet_bytes, read_parquet
from gpuyard.traces.rows import (
    SECOND_NS,
    Row,
    check_header,
    read_header,
    read_rows,
    shown,
    suggestion,
)
from gpuyard.traces.trace import FilePath, TraceError
from gpuyard.traces.whole import compressed_as_named, write_whole

WORKLOAD_COLUMNS = (
    "workload",
    "pod_set",
    "count",
    "cpu_milli",
    "memory_mib",
    "gpus",
    "gpu_milli",
    "gpu_models",
    "arrival_s",
    "runtime_s",
    "class",
    "priority",
    "user",
    "queue",
)
WORKLOAD_REQUIRED = ("workload", "cpu_milli", "memory_mib", "gpus", "arrival_s")
NODE_COLUMNS = ("name", "count", "cpu_milli", "memory_mib", "gpus", "gpu_model", "pool", "labels")
NODE_REQUIRED = ("name", "cpu_milli", "memory_mib", "gpus")

POD_SET = "main"
PODS_PER_SET_MAX = 100_000
NODES_MAX = 200_000
PRIORITY_MAX = 2**31 - 1  # Kubernetes keeps priorities in 32 bits
CLASSES: tuple[WorkloadClass, ...] = get_args(WorkloadClass)

Cells = tuple[str | int, ...]


class ReadWorkload(msgspec.Struct, frozen=True):
    """A workload of a file and the line of its first row."""

    timed: TimedWorkload
    line: int


def read_workloads(
    path: FilePath, models: frozenset[str] | None = None
) -> tuple[ReadWorkload, ...]:
    """Return the workloads of a table in order of arrival, then of their first rows.

    With `models`, any other name in ``gpu_models`` is an error.
    """
    rows_by_workload: dict[str, list[Row]] = {}
    for row in table_rows(path, WORKLOAD_REQUIRED):
        rows_by_workload.setdefault(row.name("workload"), []).append(row)
    requests: dict[Request, Request] = {}  # rows that ask for the same share one object
    read = [
        ReadWorkload(_workload(rows, models, requests), rows[0].line)
        for rows in rows_by_workload.values()
    ]
    return tuple(sorted(read, key=lambda entry: entry.timed.workload.created_ns))


def read_nodes(path: FilePath) -> tuple[Node, ...]:
    """Return the nodes of a table; their rank is their position."""
    nodes: list[Node] = []
    lines: dict[str, int] = {}
    for row in table_rows(path, NODE_REQUIRED):
        for node in _nodes(row, len(nodes)):
            if node.name in lines:
                raise row.error(
                    f"node {node.name!r} is named already by line {lines[node.name]}; rename one"
                )
            lines[node.name] = row.line
            nodes.append(node)
        if len(nodes) > NODES_MAX:
            raise row.error(f"more than {NODES_MAX} nodes; split the fleet")
    return tuple(nodes)


def write_workloads(path: FilePath, workloads: Iterable[TimedWorkload]) -> None:
    """Write the table of `workloads`; raise `TraceError` for one that rows cannot hold."""
    rows: list[Cells] = []
    names: set[str] = set()
    for timed in workloads:
        cells = _workload_cells(timed)
        _check_restores(path, timed, cells)
        if timed.workload.key in names:
            raise TraceError(path, None, f"two workloads are called {timed.workload.key!r}")
        names.add(timed.workload.key)
        rows += cells
    _write_table(path, WORKLOAD_COLUMNS, rows)


def write_nodes(path: FilePath, nodes: Iterable[Node]) -> None:
    """Write the table of `nodes`; raise `TraceError` for one that a row cannot hold."""
    rows: list[Cells] = []
    for rank, node in enumerate(nodes):
        cells = _node_cells(node)
        row = _as_row(path, NODE_COLUMNS, cells)
        if tuple(_nodes(row, rank)) != (node,):
            raise TraceError(
                path,
                None,
                f"node {node.name!r} says more than a row can hold (mixed or unhealthy devices, "
                "taints, other resources, a rank of its own); use a snapshot file",
            )
        rows.append(cells)
    _write_table(path, NODE_COLUMNS, rows)


def column_names(path: FilePath) -> tuple[str, ...]:
    """Return the columns of a table, CSV or Parquet."""
    return read_parquet(path)[0] if is_parquet(path) else read_header(path)


def table_rows(path: FilePath, required: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows of a table, CSV or Parquet, which must have the `required` columns."""
    if not is_parquet(path):
        yield from read_rows(path, required)
        return
    columns, rows = read_parquet(path)
    check_header(path, None, columns, required)
    yield from rows


# --- Rows to workloads --------------------------------------------------------------------------


def _workload(
    rows: Sequence[Row], models: frozenset[str] | None, requests: dict[Request, Request]
) -> TimedWorkload:
    first = rows[0]
    for row in rows[1:]:
        _check_agrees(first, row)
    created_ns = first.seconds_ns("arrival_s")
    if created_ns is None:
        raise first.error("arrival_s is empty; write the seconds after which the workload arrives")
    workload = Workload(
        key=first.name("workload"),
        pod_sets=_pod_sets(rows, models, requests),
        created_ns=created_ns,
        kind=_class(first),
        priority=first.integer("priority", -PRIORITY_MAX, PRIORITY_MAX, default=0),
        user=first.text("user"),
        queue=first.text("queue"),
    )
    return TimedWorkload(workload, first.seconds_ns("runtime_s"))


def _check_agrees(first: Row, row: Row) -> None:
    """Raise `TraceError` where two rows of a workload differ in what the whole workload has."""
    for column in ("arrival_s", "runtime_s", "class", "priority", "user", "queue"):
        if first.cells.get(column) != row.cells.get(column):
            raise row.error(
                f"{column} differs from line {first.line} of the same workload; "
                "write the same in all its rows"
            )


def _pod_sets(
    rows: Sequence[Row], models: frozenset[str] | None, requests: dict[Request, Request]
) -> tuple[PodSet, ...]:
    pod_sets: dict[str, PodSet] = {}
    for row in rows:
        name = row.text("pod_set", POD_SET)
        if name in pod_sets:
            raise row.error(f"pod_set {name!r} stands twice in this workload; rename one")
        request = _request(row, models)
        pod_sets[name] = PodSet(
            name=name,
            count=row.integer("count", 1, PODS_PER_SET_MAX, default=1),
            template=PodTemplate(request=requests.setdefault(request, request)),
        )
    return tuple(pod_sets.values())


def _request(row: Row, models: frozenset[str] | None) -> Request:
    resources = cpu_and_memory(row)
    count = row.integer("gpus", 0, GPUS_PER_NODE_MAX)
    if count == 0:
        return Request(resources=resources)
    milli = row.integer("gpu_milli", 1, WHOLE_DEVICE_MILLI, default=WHOLE_DEVICE_MILLI)
    devices = DeviceRequest(count=count, milli=milli, models=model_names(row, "gpu_models", models))
    return Request(resources=resources, devices=devices)


def _class(row: Row) -> WorkloadClass:
    name = row.text("class", "batch")
    for known in CLASSES:
        if name == known:
            return known
    raise row.error(f"unknown class {name!r}{suggestion(name, CLASSES)}")


# --- Rows to nodes ------------------------------------------------------------------------------


def _nodes(row: Row, rank: int) -> Iterator[Node]:
    name = row.name("name")
    gpus = row.integer("gpus", 0, GPUS_PER_NODE_MAX)
    model = row.text("gpu_model")
    if gpus and not model:
        raise row.error(f"{gpus} GPUs without a model; name it in column gpu_model")
    count = row.integer("count", 1, NODES_MAX, default=1)
    width = len(str(count - 1))
    node = Node(
        name=name,
        allocatable=cpu_and_memory(row),
        devices=(Device(model=model),) * gpus,
        labels=_labels(row),
        pool=row.text("pool", model if gpus else ""),
        rank=rank,
    )
    if count == 1:
        yield node
        return
    for index in range(count):
        yield msgspec.structs.replace(node, name=f"{name}-{index:0{width}}", rank=rank + index)


def _labels(row: Row) -> tuple[tuple[str, str], ...]:
    labels: dict[str, str] = {}
    for label in row.cells.get("labels", "").split("|"):
        key, equals, value = label.partition("=")
        if label and (not key or not equals or key in labels or not label.isprintable()):
            raise row.error(f"labels has {shown(label)}; write KEY=VALUE|KEY=VALUE, each key once")
        if label:
            labels[key] = value
    return tuple(sorted(labels.items()))


# --- Back to rows -------------------------------------------------------------------------------


def _workload_cells(timed: TimedWorkload) -> list[Cells]:
    workload = timed.workload
    return [
        (
            workload.key,
            pod_set.name,
            pod_set.count,
            *_request_cells(pod_set.template.request),
            seconds(workload.created_ns),
            "" if timed.runtime_ns is None else seconds(timed.runtime_ns),
            workload.kind,
            workload.priority,
            workload.user,
            workload.queue,
        )
        for pod_set in workload.pod_sets
    ]


def _request_cells(request: Request) -> Cells:
    devices = request.devices
    return (
        request.resources.get(CPU),
        request.resources.get(MEMORY) // MIB_BYTES,
        devices.count if devices else 0,
        devices.milli if devices else WHOLE_DEVICE_MILLI,
        "|".join(devices.models) if devices else "",
    )


def _node_cells(node: Node) -> Cells:
    models = Counter(device.model for device in node.devices)
    return (
        node.name,
        1,
        node.allocatable.get(CPU),
        node.allocatable.get(MEMORY) // MIB_BYTES,
        len(node.devices),
        next(iter(models), ""),
        node.pool,
        "|".join(f"{key}={value}" for key, value in node.labels),
    )


def seconds(instant_ns: int) -> str:
    """Return nanoseconds as seconds, with as few decimals as say it exactly."""
    whole, rest_ns = divmod(instant_ns, SECOND_NS)
    return f"{whole}.{rest_ns:09}".rstrip("0") if rest_ns else str(whole)


def _check_restores(path: FilePath, timed: TimedWorkload, cells: Sequence[Cells]) -> None:
    rows = [_as_row(path, WORKLOAD_COLUMNS, row) for row in cells]
    if not rows or _workload(rows, None, {}) != timed:
        raise TraceError(
            path,
            None,
            f"workload {timed.workload.key!r} says more than rows can hold (constraints, labels, "
            "minimum counts, other resources, parts of a MiB); use a snapshot file",
        )


def _as_row(path: FilePath, columns: tuple[str, ...], cells: Cells) -> Row:
    """Return the row as it will be read back."""
    return Row(str(path), 1, dict(zip(columns, (str(cell).strip() for cell in cells), strict=True)))


def _write_table(path: FilePath, columns: tuple[str, ...], rows: Sequence[Cells]) -> None:
    if not rows:
        raise TraceError(path, None, "nothing to write; a table has at least one row")
    if str(path).endswith(PARQUET_SUFFIX):
        write_whole(path, parquet_bytes(path, columns, rows))
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_whole(path, compressed_as_named(path, text.getvalue().encode()))
