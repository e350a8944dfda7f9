"""Variables that NCCL's guide lists under Debugging, left in a manifest.

The guide knows two kinds. *System configuration* tells NCCL what it cannot see: which interface,
which adapter, which plugin, how much to log. *Debugging* overrules what it decides by itself; of
these the guide says that they should not be used in production nor kept in scripts, because they
cost speed or lead to crashes and hangs when the next version decides otherwise.

Clouds recommend a few of them for their machines all the same; where a manifest shows whose it is,
those are left alone. ``NCCL_CUMEM_HOST_ENABLE`` is left alone everywhere: the guide itself
names it for containers without NUMA calls.

Beside RDMA two variables are no matter of tuning: they turn off what the pod asks for.

Sources: NCCL user guide 2.28, docs/userguide/source/env.rst, both sections name by name; GKE
documentation, GPUDirect-TCPX(O) and RDMA; Azure HPC images, NCCL settings for ND; Oracle
oci-hpc-oke manifests.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.rdma.nics import EFA, nic_asks
from gpuyard.lint.rules.samples import POD, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

NAMES_SHOWN_MAX = 4
DEBUGGING: Final = frozenset(
    f"NCCL_{name}"
    for name in (
        *("P2P_DISABLE", "P2P_LEVEL", "P2P_DIRECT_DISABLE", "SHM_DISABLE", "BUFFSIZE", "NTHREADS"),
        *("MAX_NCHANNELS", "MIN_NCHANNELS", "CHECKS_DISABLE", "CHECK_POINTERS", "CHECK_MODE"),
        *("LAUNCH_MODE", "IB_DISABLE", "IB_AR_THRESHOLD", "IB_OOO_RQ", "IB_QPS_PER_CONNECTION"),
        *("IB_SPLIT_DATA_ON_QPS", "IB_CUDA_SUPPORT", "IB_PCI_RELAXED_ORDERING"),
        *("IB_ADAPTIVE_ROUTING", "IB_ECE_ENABLE", "IB_GDR_LEVEL", "MEM_SYNC_DOMAIN"),
        *("CUMEM_ENABLE", "NET_GDR_LEVEL", "NET_GDR_C2C", "NET_GDR_READ", "NET_SHARED_BUFFERS"),
        *("NET_SHARED_COMMS", "IGNORE_NET_MISMATCH", "IGNORE_COLLNET_MISMATCH"),
        *("SINGLE_RING_THRESHOLD", "LL_THRESHOLD", "TREE_THRESHOLD", "ALGO", "PROTO"),
        *("NVB_DISABLE", "PXN_DISABLE", "P2P_PXN_LEVEL", "PXN_C2C", "RUNTIME_CONNECT"),
        *("GRAPH_REGISTER", "LOCAL_REGISTER", "LEGACY_CUDA_REGISTER", "WIN_ENABLE"),
        *("SET_STACK_SIZE", "GRAPH_MIXING_SUPPORT", "GRAPH_STREAM_ORDERING", "DMABUF_ENABLE"),
        *("P2P_NET_CHUNKSIZE", "P2P_LL_THRESHOLD", "ALLOC_P2P_NET_LL_BUFFERS", "COMM_BLOCKING"),
        *("CGA_CLUSTER_SIZE", "MAX_CTAS", "MIN_CTAS", "NVLS_ENABLE", "IB_MERGE_NICS"),
        *("NET_MERGE_POLICY", "MNNVL_ENABLE", "MNNVL_UUID", "MNNVL_CLIQUE_ID", "RAS_ENABLE"),
        *("RAS_ADDR", "RAS_TIMEOUT_FACTOR", "LAUNCH_ORDER_IMPLICIT", "LAUNCH_RACE_FATAL"),
        *("IPC_USE_ABSTRACT_SOCKET", "SYM_GIN_KERNELS_ENABLE"),
    )
)
# By a part of a label or annotation key that shows whose machine it is: what that cloud recommends
RECOMMENDED: Final[Mapping[str, frozenset[str]]] = {
    cloud: frozenset(f"NCCL_{name}" for name in names)
    for cloud, names in {
        "gke.io/": (
            *("ALGO", "PROTO", "BUFFSIZE", "MAX_NCHANNELS", "MIN_NCHANNELS", "NET_GDR_LEVEL"),
            *(
                "NVLS_ENABLE",
                "P2P_NET_CHUNKSIZE",
                "P2P_PXN_LEVEL",
                "PXN_C2C",
                "IB_ADAPTIVE_ROUTING",
            ),
            *("IB_QPS_PER_CONNECTION", "IB_MERGE_NICS", "TREE_THRESHOLD", "GRAPH_MIXING_SUPPORT"),
        ),
        "kubernetes.azure.com/": (
            *("IB_PCI_RELAXED_ORDERING", "IB_QPS_PER_CONNECTION", "P2P_NET_CHUNKSIZE"),
            *("PXN_DISABLE", "MIN_NCHANNELS", "NET_GDR_LEVEL"),
        ),
        "oraclecloud.com/": (
            *("IB_QPS_PER_CONNECTION", "IB_SPLIT_DATA_ON_QPS", "BUFFSIZE", "CUMEM_ENABLE"),
            *("DMABUF_ENABLE", "IB_PCI_RELAXED_ORDERING", "NET_GDR_LEVEL", "ALGO"),
        ),
    }.items()
}
RECOMMENDED_ALIASES = {"cloud.google.com/": "gke.io/"}
TURNS_OFF = {"NCCL_IB_DISABLE": {"1"}, "NCCL_NET": {"socket"}}


def check_debugging(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find variables of the Debugging section, less what the pod's cloud recommends."""
    allowed = _recommended(pod)
    for container in pod.all_containers:
        mine = allowed | (
            {"NCCL_PROTO"} if EFA in container.limits else set()
        )  # EFA-PINNED says it
        found = [
            one
            for name, one in container.variables.items()
            if name in DEBUGGING and name not in mine
        ]
        if found:
            names = ", ".join(one.name for one in found[:NAMES_SHOWN_MAX])
            more = f" and {len(found) - NAMES_SHOWN_MAX} more" if found[NAMES_SHOWN_MAX:] else ""
            yield Hit(
                found[0].path,
                f"container {container.name} sets {count(len(found), 'variable')} of NCCL's "
                f"debugging section: {names}{more}",
            )


def check_turned_off(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that ask for a NIC and tell NCCL not to use it."""
    asks = {ask.container.path: ask for ask in nic_asks(pod)}
    for ask in asks.values():
        for name, values in TURNS_OFF.items():
            found = ask.container.env(name)
            if found is None or (found.value or "").lower() not in values:
                continue
            if _has_plugin(ask.container, name):
                continue
            yield Hit(
                found.path,
                f"container {ask.container.name} asks for {ask.name}, but NCCL is told not to use "
                f"it: {name}={found.value}",
            )


def _has_plugin(container: ContainerView, name: str) -> bool:
    """Tell whether IB verbs are off because a network plugin takes their place."""
    return name == "NCCL_IB_DISABLE" and (
        EFA in container.limits
        or container.env("NCCL_NET_PLUGIN") is not None
        or container.env("NCCL_NET") is not None
    )


def _recommended(pod: PodView) -> set[str]:
    """Return what the clouds recommend that the pod's selectors and annotations name."""
    keys = (*plain.mapping(pod.spec.value, "nodeSelector"), *pod.annotations, *pod.labels)
    found: set[str] = set()
    for part, names in RECOMMENDED.items():
        parts = (part, *(alias for alias, cloud in RECOMMENDED_ALIASES.items() if cloud == part))
        if any(one in key for key in keys for one in parts):
            found |= names
    return found


_QUIET = changed(
    POD,
    "      resources:\n        limits:\n          nvidia.com/gpu: 1\n",
    """\
      securityContext:
        capabilities:
          add: [IPC_LOCK]
      env:
        - name: NCCL_DEBUG
          value: WARN
      resources:
        limits:
          nvidia.com/gpu: 1
          rdma/hca_shared_devices_a: 1
""",
)

RULES = (
    Rule(
        id="NCCL-DEBUGGING",
        severity="info",
        title="NCCL decides what it can decide by itself",
        why="NCCL's guide says of these variables that they should not be kept in scripts: they "
        "cost speed, or lead to crashes and hangs once the next version decides better.",
        remedy="remove them; where one is needed for a machine, say so with a suppression",
        source="NCCL user guide 2.28, Environment Variables, Debugging",
        scope="pod",
        check=check_debugging,
        failing=changed(
            _QUIET,
            "        - name: NCCL_DEBUG\n          value: WARN\n",
            "        - name: NCCL_P2P_LEVEL # <- here\n          value: NVL\n",
        ),
        passing=_QUIET,
    ),
    Rule(
        id="NCCL-RDMA-OFF",
        severity="warning",
        title="NCCL may use the NIC that the pod asks for",
        why="The variable was set to get around a fault once. Now the pod holds a NIC, and NCCL "
        "goes over TCP all the same.",
        remedy="remove the variable, or the NIC resource",
        source="NCCL user guide 2.28, NCCL_IB_DISABLE and NCCL_NET",
        scope="pod",
        check=check_turned_off,
        failing=changed(
            _QUIET,
            "        - name: NCCL_DEBUG\n          value: WARN\n",
            '        - name: NCCL_IB_DISABLE # <- here\n          value: "1"\n',
        ),
        passing=_QUIET,
    ),
)
