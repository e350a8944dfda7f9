"""The Alibaba *openb* trace (gpu-v2023) and the arrival sequences of the FGD experiments.

Three kinds of file, plain or gzip:

* node lists ``sn,cpu_milli,memory_mib,gpu,model`` (1,213 GPU nodes, 6,212 GPUs);
* pod lists ``name,cpu_milli,memory_mib,num_gpu,gpu_milli`` and, in all but the ``multigpu`` files,
  ``gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time`` (seconds from the start of
  the trace; ``gpu_spec`` names the models that will do, ``A|B``);
* sequences ``{seed: {"pods": [...], "node_rank": [...]}}``: the order in which one experiment of
  the paper saw its pods, as positions in the rows of the pod list (a clone repeats a position), and
  the rank of every node, nodes sorted by ``sn``.

Sources: alibaba/clusterdata ``cluster-trace-gpu-v2023``; Weng et al., "Beware of Fragmentation"
(FGD), USENIX ATC'23, and its simulator hkust-adsl/kubernetes-scheduler-simulator. The trace knows
no limit on pods per node: nodes offer no ``pods`` and requests ask for none.

``gpu_spec`` is split and sorted, but a model that is named twice stays twice: the paper's classes
are told apart by the very string (merged, ``gpuspec10`` would have 244 classes instead of 249 and
another mix), and which nodes will do is the same either way.
"""

import random
from collections.abc import Collection, Iterable, Sequence as Listed

import msgspec

from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, DeviceRequest, Request
from gpuyard.traces.fits import MIB_BYTES, asked, first_too_large
from gpuyard.traces.rows import Row, read_rows, read_text, suggestion, unique
from gpuyard.traces.trace import FilePath, TraceError

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")

CPU_MILLI_MAX = 10**9
MEMORY_MIB_MAX = 10**9
GPUS_PER_NODE_MAX = 1024
ARRIVALS_MAX = 10_000_000
PUBLISHED_LOAD = 1.3  # the experiments go on until pods ask for 130 % of all GPUs


class OpenbPod(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a pod list; files without times give 0, `None`, `None`."""

    name: str
    request: Request
    created_ns: int = 0
    deleted_ns: int | None = None
    scheduled_ns: int | None = None
    qos: str = ""
    phase: str = ""
    line: int = 0


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment's order: positions in the pod list, and the rank of each node by name."""

    pods: tuple[int, ...]
    node_rank: tuple[int, ...]


def load_nodes(path: FilePath, node_rank: Listed[int] | None = None) -> tuple[Node, ...]:
    """Return the nodes of a node list, sorted by name, with `node_rank` or their position as rank.

    A node's pool is its GPU model, and empty for nodes without GPUs.
    """
    rows = sorted(unique(read_rows(path, NODE_COLUMNS), "sn"), key=lambda row: row.cells["sn"])
    ranks = range(len(rows)) if node_rank is None else node_rank
    if len(ranks) != len(rows):
        raise TraceError(
            path,
            None,
            f"{len(rows)} nodes, but the sequence ranks {len(ranks)}; use the node list it is for",
        )
    return tuple(_node(row, rank) for row, rank in zip(rows, ranks, strict=True))


def load_pods(path: FilePath, models: Collection[str] | None = None) -> tuple[OpenbPod, ...]:
    """Return the pods of a pod list in the order of its rows.

    With `models` (those of the node list: `gpu_models`) any other in ``gpu_spec`` is an error.
    """
    requests: dict[tuple[str, ...], Request] = {}  # rows that ask for the same share one object
    pods = []
    for row in unique(read_rows(path, POD_COLUMNS), "name"):
        cells = row.cells
        key = (*(cells[column] for column in POD_COLUMNS[1:]), row.text("gpu_spec"))
        if key not in requests:
            requests[key] = _request(row, models)
        pods.append(_pod(row, requests[key]))
    return tuple(pods)


def by_name(pods: Iterable[OpenbPod]) -> tuple[OpenbPod, ...]:
    """Return the pods sorted by name, the order in which the paper's protocol starts."""
    return tuple(sorted(pods, key=lambda pod: pod.name))


def gpu_models(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the names of all device models in the fleet."""
    return frozenset(device.model for node in nodes for device in node.devices)


def load_sequence(path: FilePath, seed: int) -> Sequence:
    """Return the published arrival sequence of `seed`."""
    sequences = load_sequences(path)
    if seed not in sequences:
        known = ", ".join(str(known) for known in sorted(sequences))
        raise TraceError(path, None, f"no sequence for seed {seed}; the file has {known}")
    return sequences[seed]


def load_sequences(path: FilePath) -> dict[int, Sequence]:
    """Return all arrival sequences of a file by their seed."""
    text = read_text(path)
    try:
        sequences = msgspec.json.decode(text, type=dict[int, Sequence])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise TraceError(
            path,
            None,
            f"not a sequence file ({error}); "
            'write {"SEED": {"pods": [...], "node_rank": [...]}}',
        ) from None
    for seed, sequence in sequences.items():
        _check_sequence(path, seed, sequence)
    return sequences


def check_sequence_fits(
    path: FilePath, sequence: Sequence, *, pod_count: int, node_count: int
) -> None:
    """Raise `TraceError` unless the sequence of `path` belongs to a trace of this size."""
    largest = max(sequence.pods)
    if largest >= pod_count:
        raise TraceError(
            path,
            None,
            f"the sequence names row {largest} of a pod list of {pod_count} rows (from 0); "
            "use the pod list it is for",
        )
    if len(sequence.node_rank) != node_count:
        raise TraceError(
            path,
            None,
            f"the sequence ranks {len(sequence.node_rank)} nodes, the node list has {node_count}; "
            "use the node list it is for",
        )


def check_fits_somewhere(path: FilePath, nodes: Iterable[Node], pods: Listed[OpenbPod]) -> None:
    """Raise `TraceError` for the first pod that is larger than every node, whatever its models."""
    too_large = first_too_large(nodes, (pod.request for pod in pods))
    if too_large is not None:
        pod = pods[too_large]
        raise TraceError(
            path,
            pod.line,
            f"pod {pod.name!r} asks for {asked(pod.request)}, more than any node has; "
            "correct the row or take the node list it is for",
        )


def shuffled_sequence(
    pods: Listed[OpenbPod], nodes: Iterable[Node], seed: int, load: float = PUBLISHED_LOAD
) -> Sequence:
    """Return a sequence of the paper's protocol for a seed that was not published.

    Same distribution, not the same draws: the published ones come from Go's generator.
    """
    rng = random.Random(seed)  # noqa: S311  a simulation, not a secret
    fleet = tuple(nodes)
    gpu_milli_total = WHOLE_DEVICE_MILLI * sum(len(node.devices) for node in fleet)
    arrivals = shuffled_arrivals(pods, rng, gpu_milli_total=gpu_milli_total, load=load)
    ranks = list(range(len(fleet)))
    rng.shuffle(ranks)
    return Sequence(pods=arrivals, node_rank=tuple(ranks))


def shuffled_arrivals(
    pods: Listed[OpenbPod],
    rng: random.Random,
    *,
    gpu_milli_total: int,
    load: float = PUBLISHED_LOAD,
) -> tuple[int, ...]:
    """Return positions in `pods` in random order, clones added or the rest cut to meet `load`.

    All pods are shuffled. Where they ask for more than `load` x `gpu_milli_total`, the end is cut
    (the published ``multigpu30`` and above); where they ask for less, clones drawn from all pods
    follow until the next one's share of one GPU would not fit below it.
    """
    limit_milli = load * gpu_milli_total
    order = list(range(len(pods)))
    rng.shuffle(order)
    asked_milli = 0
    for taken, position in enumerate(order):
        asked_milli += _total_milli(pods[position].request)
        if asked_milli > limit_milli:
            return tuple(order[:taken])
    while asked_milli > 0 and len(order) < ARRIVALS_MAX:
        position = rng.randrange(len(pods))
        devices = pods[position].request.devices
        if asked_milli + (devices.milli if devices else 0) > limit_milli:
            break
        asked_milli += _total_milli(pods[position].request)
        order.append(position)
    return tuple(order)


def _node(row: Row, rank: int) -> Node:
    gpus = row.integer("gpu", 0, GPUS_PER_NODE_MAX)
    model = row.cells["model"]
    if gpus and not model:
        raise row.error(f"{gpus} GPUs without a model; name it in column model")
    return Node(
        name=row.cells["sn"],
        allocatable=cpu_and_memory(row),
        devices=(Device(model=model),) * gpus,
        rank=rank,
        pool=model if gpus else "",
    )


def _pod(row: Row, request: Request) -> OpenbPod:
    created_ns = row.seconds_ns("creation_time") or 0
    deleted_ns = row.seconds_ns("deletion_time")
    scheduled_ns = row.seconds_ns("scheduled_time")
    if scheduled_ns is not None and scheduled_ns < created_ns:
        raise row.error("scheduled_time lies before creation_time; correct the times")
    if deleted_ns is not None and deleted_ns < (scheduled_ns or created_ns):
        raise row.error(
            "deletion_time lies before scheduled_time or creation_time; correct the times"
        )
    return OpenbPod(
        name=row.cells["name"],
        request=request,
        created_ns=created_ns,
        deleted_ns=deleted_ns,
        scheduled_ns=scheduled_ns,
        qos=row.text("qos"),
        phase=row.text("pod_phase"),
        line=row.line,
    )


def _request(row: Row, models: Collection[str] | None) -> Request:
    resources = cpu_and_memory(row)
    count = row.integer("num_gpu", 0, GPUS_PER_NODE_MAX)
    if count == 0:
        return Request(resources=resources)
    milli = row.integer("gpu_milli", 1, WHOLE_DEVICE_MILLI)
    wanted = model_names(row, "gpu_spec", models)
    return Request(
        resources=resources,
        devices=DeviceRequest(count=count, milli=milli, models=wanted),
    )


def model_names(row: Row, column: str, models: Collection[str] | None) -> tuple[str, ...]:
    """Return the names of an ``A|B`` cell, sorted; with `models`, each must be one of them."""
    wanted = tuple(sorted(name for name in row.text(column).split("|") if name))
    for name in wanted:
        if models is not None and name not in models:
            raise row.error(f"unknown GPU model {name!r}{suggestion(name, models)}")
    return wanted


def cpu_and_memory(row: Row) -> Resources:
    """Return the amounts of a row, nodes and pods alike."""
    cpu_milli = row.integer("cpu_milli", 0, CPU_MILLI_MAX)
    memory_mib = row.integer("memory_mib", 0, MEMORY_MIB_MAX)
    return Resources(((CPU, cpu_milli), (MEMORY, memory_mib * MIB_BYTES)))


def _total_milli(request: Request) -> int:
    return request.devices.total_milli if request.devices else 0


def _check_sequence(path: FilePath, seed: int, sequence: Sequence) -> None:
    if not sequence.pods:
        raise TraceError(path, None, f"seed {seed} names no pods; leave the seed out")
    if min(sequence.pods) < 0:
        raise TraceError(
            path, None, f"seed {seed} names row {min(sequence.pods)}; rows count from 0"
        )
    if sorted(sequence.node_rank) != list(range(len(sequence.node_rank))):
        raise TraceError(
            path,
            None,
            f"node_rank of seed {seed} is no permutation; give each node one rank, from 0",
        )
