"""Which cloud a pod is written for, and what its GPU nodes are called there.

A pod names its cloud by the labels that it selects. The values are those of the clouds' own
documentation; where new ones come with every machine, only the way of writing them is known.

Sources: GKE documentation, About GPUs and Compute Engine GPU models; Karpenter v1 and
karpenter-provider-aws v1, well-known labels; Amazon EKS documentation, managed node groups; AKS
documentation, Use GPUs and Spot node pools; NVIDIA GPU Feature Discovery v0.17.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import PodView

Cloud = Literal["GKE", "EKS", "AKS"]

GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"
AWS_GPU_NAME = ("karpenter.k8s.aws/instance-gpu-name", "eks.amazonaws.com/instance-gpu-name")
PRODUCT = "nvidia.com/gpu.product"

CLOUD_OF: tuple[tuple[str, Cloud], ...] = (
    ("cloud.google.com/", "GKE"),
    ("karpenter.k8s.aws/", "EKS"),
    ("eks.amazonaws.com/", "EKS"),
    ("k8s.amazonaws.com/", "EKS"),
    ("kubernetes.azure.com/", "AKS"),
    ("karpenter.azure.com/", "AKS"),
)
"""Prefixes of labels that only one cloud gives."""

ACCELERATORS: Mapping[str, tuple[str, ...]] = {
    "k80": ("nvidia-tesla-k80",),
    "p4": ("nvidia-tesla-p4",),
    "p100": ("nvidia-tesla-p100",),
    "v100": ("nvidia-tesla-v100",),
    "t4": ("nvidia-tesla-t4",),
    "l4": ("nvidia-l4",),
    "a100": ("nvidia-tesla-a100", "nvidia-a100-80gb"),
    "h100": ("nvidia-h100-80gb", "nvidia-h100-mega-80gb"),
    "h200": ("nvidia-h200-141gb",),
    "b200": ("nvidia-b200",),
    "gb200": ("nvidia-gb200",),
}
"""What GKE calls each model in its label."""

CLOSED: Mapping[str, tuple[str, ...]] = {
    "cloud.google.com/gke-spot": ("true",),
    "cloud.google.com/gke-preemptible": ("true",),
    "cloud.google.com/gke-gpu-sharing-strategy": ("time-sharing", "mps"),
    "karpenter.sh/capacity-type": ("spot", "on-demand", "reserved"),
    "eks.amazonaws.com/capacityType": ("ON_DEMAND", "SPOT", "CAPACITY_BLOCK"),
    "kubernetes.azure.com/scalesetpriority": ("spot",),
    "nvidia.com/gpu.present": ("true",),
}
"""Labels that only ever have these values."""


class Wanted(msgspec.Struct, frozen=True):
    """One value of a node label that a pod requires."""

    path: Path
    key: str
    value: str
    is_only: bool
    """No other value would do."""


def wanted(pod: PodView) -> Iterator[Wanted]:
    """Return the label values that a pod requires of its node."""
    for key, value in plain.texts(pod.spec.value, "nodeSelector").items():
        yield Wanted(pod.spec.at("nodeSelector", key), key, value, is_only=True)
    terms = (
        *("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"),
        "nodeSelectorTerms",
    )
    for number, term in pod.spec.mappings(*terms):
        for index, one in plain.mappings(term, "matchExpressions"):
            if plain.text(one, "operator") == "In":
                values = plain.words(one, "values")
                for place, value in values:
                    path = pod.spec.at(*terms, number, "matchExpressions", index, "values", place)
                    key = plain.text(one, "key")
                    yield Wanted(path, key, value, is_only=len(values) == 1)


def cloud_of(key: str) -> Cloud | None:
    """Return the cloud that gives a label, `None` where any may."""
    return next((cloud for prefix, cloud in CLOUD_OF if key.startswith(prefix)), None)


def clouds(pod: PodView) -> list[Cloud]:
    """Return the clouds whose labels a pod requires, each once."""
    found = (cloud_of(one.key) for one in wanted(pod))
    return list(dict.fromkeys(cloud for cloud in found if cloud))
