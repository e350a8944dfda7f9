"""How a pod asks for NICs: resource names, second networks, and what of it is certain.

A NIC comes to a pod as an extended resource. Its name is chosen by whoever set the device plugin
up, so a name alone says little; the usual ones are known here, and those that a
NetworkAttachmentDefinition of the run names are certain.

The same name may mean different things. ``rdma/…`` of the shared device plugin is a *slot* (63 of
them for one card), ``rdma/ib`` is one NIC on AKS and all of them on CoreWeave; they are counted as
*slots*. EFA, ``nvidia.com/hostdev`` and SR-IOV resources count *cards*.

Names: k8s-rdma-shared-dev-plugin (``rdma/…``), NVIDIA network-operator 26.1 (``nvidia.com/hostdev``
and SR-IOV names), sriov-network-operator (``openshift.io/…``), sriov-network-device-plugin
(``intel.com/…``, ``mellanox.com/…``), AWS EFA plugin; multus-cni v4 pkg/types for annotations.
"""

import json
import re
from collections.abc import Iterator, Mapping

import msgspec

from gpuyard.dialects.workloads import ContainerView, PodView, gpu_resource
from gpuyard.dialects.workloads.gpus import devices
from gpuyard.lint.world import Entry, World

EFA = "vpc.amazonaws.com/efa"
NETWORKS = "k8s.v1.cni.cncf.io/networks"
RESOURCE_NAME = "k8s.v1.cni.cncf.io/resourceName"
DEFINITION = "k8s.cni.cncf.io/NetworkAttachmentDefinition"
# Operators that make a definition of the same name (network-operator 26.1, sriov-network-operator)
MAKES_DEFINITIONS = (
    "mellanox.com/HostDeviceNetwork",
    "mellanox.com/IPoIBNetwork",
    "mellanox.com/MacvlanNetwork",
    "sriovnetwork.openshift.io/OVSNetwork",
    "sriovnetwork.openshift.io/SriovIBNetwork",
    "sriovnetwork.openshift.io/SriovNetwork",
)
_SLOTS = "rdma/"
_CARDS = re.compile(
    r"nvidia\.com/(?:hostdev[^/]*|[^/]*(?:sriov|rdma|roce|mlnx|cx[4-9]|bf3|_nic|nic_|rail)[^/]*)"
    r"|(?:intel|openshift|mellanox)\.(?:com|io)/[^/]*(?:sriov|rdma|roce|mlnx|ib_|hca)[^/]*"
    r"|vpc\.amazonaws\.com/efa"
)


class NicAsk(msgspec.Struct, frozen=True):
    """One container asks for one network resource."""

    name: str
    count: int
    container: ContainerView
    path: tuple[str | int, ...]


class Network(msgspec.Struct, frozen=True):
    """One second network of a pod: ``namespace/name@interface``."""

    name: str
    namespace: str = ""
    interface: str = ""


def is_slot(resource: str) -> bool:
    """Tell whether a resource counts slots on a card and not cards."""
    return resource.startswith(_SLOTS)


def is_nic(resource: str) -> bool:
    """Tell whether a resource is one of the usual names for NICs with RDMA."""
    return is_slot(resource) or bool(_CARDS.fullmatch(resource))


def nic_asks(pod: PodView) -> Iterator[NicAsk]:
    """Return what the pod's containers ask for of network resources with RDMA."""
    for container in pod.all_containers:
        for name in {**container.requests, **container.limits}:
            if "/" in name and gpu_resource(name) is None and is_nic(name):
                field = "limits" if name in container.limits else "requests"
                path = (*container.resources_path, field, name)
                yield NicAsk(name, devices(container.requested(name)), container, path)


def asked(pod: PodView, resource: str) -> int:
    """Return how many of `resource` the pod's containers ask for together."""
    return sum(devices(one.requested(resource)) for one in pod.containers)


def networks(pod: PodView) -> list[Network] | None:
    """Return the second networks that the pod's annotation names, `None` where it is unreadable."""
    return read_networks(pod.annotations.get(NETWORKS, ""))


def read_networks(written: str) -> list[Network] | None:
    """Read both dresses of the annotation: JSON, or ``ns/name@interface`` with commas."""
    text = written.strip()
    if not text.startswith("["):
        return [_short(part.strip()) for part in text.split(",") if part.strip()]
    try:
        listed = json.loads(text)
    except ValueError:
        return None
    found = []
    for each in listed:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            return None
        namespace, interface = each.get("namespace"), each.get("interface")
        found.append(
            Network(
                each["name"],
                namespace if isinstance(namespace, str) else "",
                interface if isinstance(interface, str) else "",
            )
        )
    return found


def definition(network: Network, pod: PodView, world: World) -> Entry | None:
    """Return the NetworkAttachmentDefinition of a network, if it was given."""
    near = world.entry(pod)
    namespace = network.namespace or near.namespace
    for one in world.once(_definitions).get(network.name, ()):
        if not one.namespace or not namespace or one.namespace == namespace:
            return one
    return None


def _definitions(world: World) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for one in world.of_kind(DEFINITION):
        found.setdefault(one.name, []).append(one)
    return found


def resource_of(definition: Entry) -> str:
    """Return the resource of which each attachment takes one, "" where there is none."""
    return definition.annotations.get(RESOURCE_NAME, "")


def demanded(pod: PodView, world: World) -> Mapping[str, int]:
    """Return how many of each resource the pod's second networks take, by definitions given."""
    found: dict[str, int] = {}
    for network in networks(pod) or ():
        known = definition(network, pod, world)
        resource = resource_of(known) if known else ""
        if resource:
            found[resource] = found.get(resource, 0) + 1
    return found


def _short(part: str) -> Network:
    rest, _, interface = part.partition("@")
    namespace, slash, name = rest.partition("/")
    return Network(name, namespace, interface) if slash else Network(namespace, "", interface)
