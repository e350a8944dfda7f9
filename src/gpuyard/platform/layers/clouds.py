"""Whose nodes these are, how pools are called there, and what a node's image brings along.

What a cloud builds into its images is in no list of DaemonSets. Where labels or the name of the
image say that it is there, it counts as installed (`BuiltIn.is_sure`); where only some images of a
family have it, a guess is offered to the reader and nothing is concluded from it.

Sources stand in each row; the marks of a distribution are the version suffix of its kubelet and the
labels that only it gives.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.words import Layer

Holds = Callable[[GpuNode], bool]


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of Kubernetes: how its nodes are known, and which labels name a pool."""

    name: str
    marks: Holds
    pools: tuple[str, ...] = ()
    source: str


class BuiltIn(msgspec.Struct, frozen=True, kw_only=True):
    """Layers that come with a node, without any object in the cluster."""

    cloud: str
    by: str
    layers: tuple[Layer, ...]
    holds: Holds
    is_sure: bool = True
    port: int = 0  # of the exporter among them
    source: str


def _kubelet(node: GpuNode) -> str:
    return node.text("status", "nodeInfo", "kubeletVersion")


def _image(node: GpuNode) -> str:
    return node.text("status", "nodeInfo", "osImage")


def _labelled(*keys: str) -> Holds:
    return lambda node: any(key in node.labels for key in keys)


def _versioned(mark: str) -> Holds:
    return lambda node: mark in _kubelet(node)


GKE, EKS, AKS, OPENSHIFT, RKE2, K3S = "GKE", "EKS", "AKS", "OpenShift", "RKE2", "K3s"
BARE = "bare metal"
SELF_MANAGED = "self-managed"

EKS_POOLS = (
    "eks.amazonaws.com/nodegroup",
    "karpenter.sh/nodepool",
    "alpha.eksctl.io/nodegroup-name",
)

CLOUDS: Final = (
    Cloud(
        name=OPENSHIFT,  # before the clouds: it also runs on them
        marks=_labelled("node.openshift.io/os_id"),
        pools=("hypershift.openshift.io/nodePool",),
        source="openshift/machine-config-operator, label node.openshift.io/os_id; HyperShift",
    ),
    Cloud(
        name=GKE,
        marks=lambda node: (
            "cloud.google.com/gke-nodepool" in node.labels or "-gke." in _kubelet(node)
        ),
        pools=("cloud.google.com/gke-nodepool",),
        source="GKE documentation, Node labels",
    ),
    Cloud(
        name=EKS,
        marks=lambda node: (
            "-eks-" in _kubelet(node)
            or any(key.startswith("eks.amazonaws.com/") for key in node.labels)
        ),
        pools=EKS_POOLS,
        source="Amazon EKS user guide, Managed node groups; Karpenter v1, well-known labels",
    ),
    Cloud(
        name=AKS,
        marks=_labelled("kubernetes.azure.com/cluster"),
        pools=("kubernetes.azure.com/agentpool", "agentpool"),
        source="AKS documentation, Use labels in a cluster",
    ),
    Cloud(name=RKE2, marks=_versioned("+rke2"), source="RKE2 releases, version strings"),
    Cloud(name=K3S, marks=_versioned("+k3s"), source="K3s releases, version strings"),
)

GKE_DRIVER = "cloud.google.com/gke-gpu-driver-version"
GKE_OPT_OUT = "gke-no-default-nvidia-gpu-device-plugin"
AKS_EXPORTER = "kubernetes.azure.com/dcgm-exporter"
AKS_EXPORTER_PORT = 19400

BUILT_IN: Final = (
    BuiltIn(
        cloud=GKE,
        by="GKE",
        layers=("driver",),
        holds=lambda node: node.labels.get(GKE_DRIVER, "disabled") != "disabled",
        source="GKE documentation, Run GPUs in Standard node pools, gpu-driver-version",
    ),
    BuiltIn(
        cloud=EKS,
        by="EKS Auto Mode",
        layers=("driver", "toolkit", "device-plugin"),
        holds=lambda node: node.labels.get("eks.amazonaws.com/compute-type") == "auto",
        source="Amazon EKS user guide, Deploy an accelerated workload (Auto Mode)",
    ),
    BuiltIn(
        cloud=EKS,
        by="the Bottlerocket image",
        layers=("driver", "toolkit", "device-plugin"),
        holds=lambda node: _image(node).startswith("Bottlerocket") and "-nvidia" in _image(node),
        source="Amazon EKS user guide, Install Kubernetes device plugin for GPUs, Considerations",
    ),
    BuiltIn(
        cloud=EKS,
        by="the AL2023 NVIDIA image",
        layers=("driver", "toolkit"),
        holds=lambda node: _image(node).startswith("Amazon Linux 2023"),
        is_sure=False,  # the AL2023 image without drivers has the same name
        source="Amazon EKS user guide, EKS optimized accelerated AL2023 AMIs",
    ),
    BuiltIn(
        cloud=AKS,
        by="AKS, managed GPU node",
        layers=("driver", "device-plugin", "exporter"),
        holds=lambda node: node.labels.get(AKS_EXPORTER) == "enabled",
        port=AKS_EXPORTER_PORT,
        source="AKS documentation, Fully managed GPU node pools (preview), Managed components",
    ),
    BuiltIn(
        cloud=AKS,
        by="the AKS image",
        layers=("driver",),
        holds=lambda _node: True,
        is_sure=False,  # not with --gpu-driver none, which no label shows
        source="AKS documentation, Use GPUs, skip GPU driver installation",
    ),
)


def cloud_of(node: GpuNode) -> str:
    """Return the distribution that a node belongs to."""
    found = next((cloud.name for cloud in CLOUDS if cloud.marks(node)), "")
    if found:
        return found
    return SELF_MANAGED if node.text("spec", "providerID") else BARE


def built_in(node: GpuNode, layer: Layer, *, sure: bool = True) -> BuiltIn | None:
    """Return what brings a layer along with the node; with `sure` false, what only may."""
    cloud = cloud_of(node)
    for row in BUILT_IN:
        if row.cloud == cloud and layer in row.layers and row.is_sure == sure and row.holds(node):
            return row
    return None


def pool_of(node: GpuNode) -> str:
    """Return the pool of a node: as its cloud calls it, else its machine type, else its GPUs."""
    labels = next((cloud.pools for cloud in CLOUDS if cloud.marks(node)), ())
    for key in (*labels, "node.kubernetes.io/instance-type", "nvidia.com/gpu.product"):
        value = node.labels.get(key, "")
        if value and value not in GENERIC_TYPES:
            return value
    return "GPU nodes"


GENERIC_TYPES = frozenset({"rke2", "k3s"})  # what these call every machine
