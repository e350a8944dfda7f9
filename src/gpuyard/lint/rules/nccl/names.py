"""Names of interfaces and adapters that NCCL is told to look for.

A pod of its own network namespace sees ``lo``, ``eth0`` and what second networks bring: ``net1``,
``net2``, or the name that the annotation gives. NCCL and Gloo look among these only. A name of the
host (``ens5``, ``ib0``, ``bond0``) matches none, and both refuse to start.

``NCCL_IB_HCA`` matches the beginning of a name: ``mlx5_1`` takes ``mlx5_10`` to ``mlx5_19`` too. A
``=`` before the list makes it exact.

``NCCL_IB_GID_INDEX`` picks a row of the adapter's GID table. The rows depend on the addresses of
the network namespace, so a number found on the host, or in another pod, is right by chance. NCCL
finds the row itself since 2.21.

Left alone: host networking; pods with claims, and with annotations or resources that may bring
interfaces we do not know.

Sources: NCCL user guide 2.28 (NCCL_SOCKET_IFNAME, NCCL_IB_HCA, NCCL_IB_GID_INDEX) and
src/misc/utils.cc (matchIf); multus-cni v4 (``net%d``), #1100; nccl #426, #890, #1573, #1587.
"""

import json
import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, EnvVar, PodView, gpu_resource
from gpuyard.lint.rule import Hit, Remove, Rule, Set
from gpuyard.lint.rules.rdma.nics import NETWORKS, networks
from gpuyard.lint.rules.samples import POD, TRAIN, changed
from gpuyard.lint.world import World

GKE_INTERFACES = "networking.gke.io/interfaces"
KNOWN = {
    *(NETWORKS, GKE_INTERFACES, "k8s.v1.cni.cncf.io/network-status"),
    *("v1.multus-cni.io/default-network", "networking.gke.io/default-interface"),
}
_MAY_BRING_INTERFACES = re.compile(r"network|interface|nic|eni|vlan|subnet|vpc", re.IGNORECASE)
_NUMBERED = re.compile(r"([a-z]+[0-9]*_)([0-9]+)(?::[0-9]+)?")
SEVERAL = 2
TEN = 10


def check_interface(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find names of interfaces that no pod of this template can have."""
    if (pod.workload.together or 0) < SEVERAL and pod.gpus < SEVERAL:
        return  # one process does not look for an interface
    present = _interfaces(pod)
    if present is None:
        return
    for container in pod.containers:
        for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"):
            found = container.env(name)
            if found is None or not found.value or _finds(found, present):
                continue
            yield Hit(
                found.path,
                f"container {container.name}: {name}={found.value} names no interface of a pod; "
                f"there will be {', '.join(sorted(present))}",
            )


def check_adapter(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find adapter names that match more than they say."""
    for container in pod.containers:
        found = container.env("NCCL_IB_HCA")
        if found is None or not found.value or found.value.startswith(("=", "^=")):
            continue
        short = _prefix(found.value.removeprefix("^").split(","))
        if short:
            exact = f"^={found.value[1:]}" if found.value.startswith("^") else f"={found.value}"
            yield Hit(
                found.path,
                f"container {container.name}: NCCL_IB_HCA={found.value} matches {short}0 to "
                f"{short}9 as well",
                remedy=f"write NCCL_IB_HCA={exact}",
                edits=(Set((*found.path, "value"), exact),),
            )


def check_gid(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find a row of the GID table fixed for pods that have networks of their own."""
    if pod.spec.is_true("hostNetwork"):
        return
    for container in pod.containers:
        found = container.env("NCCL_IB_GID_INDEX")
        if found is not None and (found.value or "").isdecimal():
            yield Hit(
                found.path,
                f"container {container.name} fixes NCCL_IB_GID_INDEX={found.value}, and the index "
                "differs from pod to pod",
                edits=_without(container),
            )


def _without(container: ContainerView) -> tuple[Remove, ...]:
    return (Remove(container.at("env")),) if len(container.mappings("env")) == 1 else ()


def _prefix(names: list[str]) -> str:
    """Return the first name that is the beginning of others a node may have, "" if none is.

    Nodes have up to twenty adapters; a list that names the tenth means it.
    """
    listed = [match for name in names if (match := _NUMBERED.fullmatch(name.strip()))]
    numbers = {int(match[2]) for match in listed}
    if any(number >= TEN for number in numbers):
        return ""
    return next((f"{match[1]}{match[2]}" for match in listed if int(match[2]) == 1), "")


def _interfaces(pod: PodView) -> set[str] | None:
    """Return the interfaces that a pod will have, `None` where that is not certain."""
    if not pod.is_complete or pod.spec.is_true("hostNetwork") or pod.claims:
        return None
    if any(key not in KNOWN and _MAY_BRING_INTERFACES.search(key) for key in pod.annotations):
        return None
    if any(map(_is_foreign, {name for one in pod.containers for name in one.limits})):
        return None
    found = {"lo", "eth0"}
    listed = networks(pod)
    given = _gke_interfaces(pod.annotations.get(GKE_INTERFACES, ""))
    if listed is None or given is None:
        return None
    found |= {one.interface or f"net{number}" for number, one in enumerate(listed, 1)}
    return found | given


def _is_foreign(resource: str) -> bool:
    is_known = resource.startswith(("rdma/", "vpc.amazonaws.com/efa")) or "/" not in resource
    return not is_known and gpu_resource(resource) is None


def _gke_interfaces(written: str) -> set[str] | None:
    try:
        listed = json.loads(written or "[]")
        return {one["interfaceName"] for one in listed}
    except (ValueError, TypeError, KeyError):
        return None


def _finds(variable: EnvVar, present: set[str]) -> bool:
    value = variable.value or ""
    if value.startswith("^") or not re.fullmatch(r"[=\w.,:@-]+", value):
        return True  # it names what not to take, or comes from a variable
    wanted = [name.strip().partition(":")[0] for name in value.removeprefix("=").split(",")]
    is_exact = value.startswith("=") or variable.name.startswith("GLOO")
    return any(
        one == name if is_exact else one.startswith(name) for name in wanted for one in present
    )


_ENV = "          env:\n            - name: {}\n              value: {}\n          resources:\n"
_ON_ETH0 = changed(TRAIN, "          resources:\n", _ENV.format("NCCL_SOCKET_IFNAME", "eth0"))
_EXACT = changed(
    POD,
    "      resources:\n",
    """\
      env:
        - name: NCCL_IB_HCA
          value: "=mlx5_0,mlx5_1"
      resources:
""",
)

RULES = (
    Rule(
        id="NCCL-INTERFACE",
        severity="error",
        title="The interface that NCCL is told to use is in the pod",
        why="A pod without host networking has eth0 and its second networks, not the interfaces of "
        "the node. NCCL stops with 'no socket interface found', on every rank.",
        remedy="leave the variable out, name eth0, or set hostNetwork: true",
        source="NCCL user guide 2.28, NCCL_SOCKET_IFNAME; multus-cni v4, interface names",
        scope="pod",
        check=check_interface,
        failing=changed(
            changed(_ON_ETH0, "value: eth0", "value: ens5"),
            "- name: NCCL_SOCKET_IFNAME",
            "- name: NCCL_SOCKET_IFNAME # <- here",
        ),
        passing=_ON_ETH0,
    ),
    Rule(
        id="NCCL-HCA-PREFIX",
        severity="warning",
        title="NCCL_IB_HCA names adapters exactly",
        why="Without a leading = each name is a prefix: mlx5_1 also takes mlx5_10 and mlx5_11, "
        "which are often the storage network. NCCL then sends over a slow or unconnected port.",
        remedy="put = before the list",
        source="NCCL user guide 2.28, NCCL_IB_HCA; NCCL 2.28, src/misc/utils.cc",
        scope="pod",
        check=check_adapter,
        has_fix=True,
        failing=changed(
            changed(_EXACT, '"=mlx5_0,mlx5_1"', '"mlx5_0,mlx5_1"'),
            "- name: NCCL_IB_HCA",
            "- name: NCCL_IB_HCA # <- here",
        ),
        passing=_EXACT,
    ),
    Rule(
        id="NCCL-GID-INDEX",
        severity="warning",
        title="The GID index is left for NCCL to find",
        why="The rows of the GID table depend on the addresses of the pod. A fixed row is another "
        "address in the next pod, or none: connections time out, or take RoCE v1.",
        remedy="remove NCCL_IB_GID_INDEX; NCCL 2.21 and later find it (for older ones, "
        "NCCL_IB_ROCE_VERSION_NUM=2)",
        source="k8snetworkplumbingwg/multus-cni #1100; NVIDIA/nccl #426, #890, #1573, #1587",
        scope="pod",
        check=check_gid,
        has_fix=True,
        failing=changed(
            POD,
            "      resources:\n",
            "      env:\n        - name: NCCL_IB_GID_INDEX # <- here\n"
            '          value: "3"\n      resources:\n',
        ),
        passing=_EXACT,
    ),
)
