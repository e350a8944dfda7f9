"""A fleet in one line: ``4x8xH100+2x4xA100`` is 4 nodes with 8 H100 each and 2 with 4 A100 each.

In: the line. Out: nodes as a cluster would show them, in the order of the groups: pool (the model
in lower case), host name, zone (one per pool, an assumption: machines of one model are bought and
placed together) and the product label that GPU feature discovery, or AMD's labeller, writes.

CPU and memory beside the GPUs decide how many of them can be reached, so each model brings those of
a server that is really sold with it; a node with fewer GPUs gets its share of them. All of it is
allocatable: what the kubelet and the system keep back is not taken off.
"""

import re
from collections.abc import Iterable

import msgspec

from gpuyard.model.catalogue import DeviceModel, UnknownDeviceModel, device_model
from gpuyard.model.constraints import Labels
from gpuyard.model.nodes import Device, Node, Pool
from gpuyard.model.resources import CPU, MEMORY, Resources

NODES_MAX = 100_000
GPUS_PER_NODE_MAX = 64
GIB_BYTES = 2**30

GROUP = re.compile(r"([0-9]{1,6})x([0-9]{1,4})x(.+)")
EXAMPLE = "4x8xH100+2x4xA100"
PRODUCT_LABELS = {"nvidia": "nvidia.com/gpu.product", "amd": "amd.com/gpu.product-name"}
PRODUCT_PREFIXES = ("NVIDIA-", "Tesla-", "AMD_")


class FleetError(ValueError):
    """A fleet that cannot be read, in one sentence."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A machine on the market: its GPUs and what it has beside them."""

    gpus: int
    vcpus: int
    memory_gib: int


# Data sheets: NVIDIA DGX H100 and H200 (2 x Xeon 8480C: 112 cores, 224 threads, 2 TB), DGX B200
# (2 x Xeon 8570: 112 cores, 2 TB). Amazon EC2: p3.16xlarge, p3dn.24xlarge, p4d.24xlarge,
# p4de.24xlarge, g4dn.metal, g6.48xlarge, g6e.48xlarge. Azure: ND96isr MI300X v5, NV36ads A10 v5.
# openb's own node list: G2, G3 and P100.
SERVERS = {
    "P100": Server(gpus=2, vcpus=64, memory_gib=256),
    "G2": Server(gpus=8, vcpus=96, memory_gib=384),
    "G3": Server(gpus=8, vcpus=128, memory_gib=768),
    "V100M16": Server(gpus=8, vcpus=64, memory_gib=488),
    "V100M32": Server(gpus=8, vcpus=96, memory_gib=768),
    "T4": Server(gpus=8, vcpus=96, memory_gib=384),
    "L4": Server(gpus=8, vcpus=192, memory_gib=768),
    "A10": Server(gpus=1, vcpus=36, memory_gib=440),
    "L40S": Server(gpus=8, vcpus=192, memory_gib=1536),
    "A100-40": Server(gpus=8, vcpus=96, memory_gib=1152),
    "A100-80": Server(gpus=8, vcpus=96, memory_gib=1152),
    "H100": Server(gpus=8, vcpus=224, memory_gib=2048),
    "H200": Server(gpus=8, vcpus=224, memory_gib=2048),
    "B200": Server(gpus=8, vcpus=224, memory_gib=2048),
    "MI300X": Server(gpus=8, vcpus=96, memory_gib=1850),
}
ANY_SERVER = Server(gpus=8, vcpus=128, memory_gib=1024)  # assumption, for every other model

DEMO_FLEET_LINE = "24x8xH100+24x8xA100+16x8xL4"
DEMO_SHARED_POOLS = frozenset({"l4"})  # notebooks and small models share these GPUs


def parse_fleet(line: str) -> tuple[Node, ...]:
    """Return the nodes of ``NODESxGPUSxMODEL``, groups joined by ``+``.

    Raise `FleetError` with one sentence for anything else. A model's name is kept as the catalogue
    spells it, whatever its case in `line`; the rank of a node is its position.
    """
    nodes: list[Node] = []
    pools: dict[str, int] = {}  # nodes so far, by pool
    for group in line.split("+"):
        count, gpus, model, name = _group(line, group.strip())
        pool = name.casefold()
        first = pools.get(pool, 0)
        pools[pool] = first + count
        zone = f"zone-{list(pools).index(pool) + 1}"
        if len(nodes) + count > NODES_MAX:
            raise FleetError(f"fleet {line!r} has more than {NODES_MAX} nodes; ask for fewer")
        for index in range(first, first + count):
            host = f"{pool}-{index:03}"
            nodes.append(
                Node(
                    name=host,
                    allocatable=_beside(model, gpus),
                    devices=(Device(model=name),) * gpus,
                    rank=len(nodes),
                    labels=_labels(model, host, zone),
                    pool=pool,
                )
            )
    return tuple(nodes)


def pools_of(nodes: Iterable[Node], shared: frozenset[str] = frozenset()) -> tuple[Pool, ...]:
    """Return the pools of `nodes` by first appearance; those in `shared` time-slice their GPUs."""
    names = dict.fromkeys(node.pool for node in nodes)
    return tuple(
        Pool(name=name, sharing="time-slicing" if name in shared else "exclusive") for name in names
    )


def _group(line: str, group: str) -> tuple[int, int, DeviceModel, str]:
    """Return nodes, GPUs per node, model and the model's name of one group."""
    match = GROUP.fullmatch(group)
    if match is None:
        raise FleetError(
            f"fleet {line!r} has the group {group!r}; write NODESxGPUSxMODEL, "
            f"groups joined by +, like {EXAMPLE}"
        )
    count, gpus, asked = int(match[1]), int(match[2]), match[3].strip()
    if not count or not 1 <= gpus <= GPUS_PER_NODE_MAX:
        raise FleetError(
            f"fleet {line!r} has {count} nodes with {gpus} GPUs each in {group!r}; "
            f"write at least 1 node and 1 to {GPUS_PER_NODE_MAX} GPUs"
        )
    try:
        model = device_model(asked)
    except UnknownDeviceModel as error:
        raise FleetError(f"fleet {line!r}: {error}") from None
    spelt = {name.casefold(): name for name in (model.name, *model.aliases)}
    return count, gpus, model, spelt[asked.casefold()]


def _beside(model: DeviceModel, gpus: int) -> Resources:
    """Return CPU and memory of a node with so many GPUs of `model`: its share of a server's."""
    server = SERVERS.get(model.name, ANY_SERVER)
    return Resources.of(
        {
            CPU: server.vcpus * 1000 * gpus // server.gpus,
            MEMORY: server.memory_gib * gpus // server.gpus * GIB_BYTES,
        }
    )


def _labels(model: DeviceModel, host: str, zone: str) -> Labels:
    labels = {"kubernetes.io/hostname": host, "topology.kubernetes.io/zone": zone}
    product = next((name for name in model.aliases if name.startswith(PRODUCT_PREFIXES)), None)
    if product is not None and model.vendor in PRODUCT_LABELS:
        labels[PRODUCT_LABELS[model.vendor]] = product
    return tuple(sorted(labels.items()))


DEMO_FLEET = parse_fleet(DEMO_FLEET_LINE)  # 64 nodes, 512 GPUs
