"""GPUs that a pod asks for through dynamic resource allocation (DRA).

A pod names claims in ``spec.resourceClaims``: a ResourceClaim, or a ResourceClaimTemplate from
which one is made for it. What is asked for stands in that other object, which the caller looks up;
without it the pod is known to claim *something*, and no number is made up.

A request counts devices where it asks for an exact count of a device class that is known to hand
out GPUs. ``allocationMode: All``, alternatives (``firstAvailable``) that differ in number, and
classes with a name of the cluster's own leave the count open.

Semantics: k8s.io/api 1.37, resource/v1 types.go (``exactly``); resource/v1beta1 has the same fields
without that step. Class names: NVIDIA dra-driver-nvidia-gpu (``gpu``, ``mig``, ``vfio.gpu``), AMD
k8s-gpu-dra-driver, Intel resource-drivers-for-kubernetes.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import counts

GPU_CLASSES = frozenset(
    {
        "gpu.nvidia.com",
        "mig.nvidia.com",
        "vfio.gpu.nvidia.com",
        "gpu.amd.com",
        "gpu.intel.com",
        "gaudi.intel.com",
        "tpu.google.com",
    }
)

ClaimKind = Literal["ResourceClaim", "ResourceClaimTemplate"]
ClaimLookup = Callable[[ClaimKind, str], Mapping[str, object] | None]
"""Kind and name (in the workload's namespace) to the object, `None` where it was not given."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a pod's ``resourceClaims``."""

    name: str
    path: Path
    kind: ClaimKind
    object_name: str
    classes: tuple[str, ...]
    """The device classes asked for, sorted; empty where the claim's object was not given."""
    is_known: bool
    """The claim's object was given."""
    gpus: int | None
    """Devices of known GPU classes; `None` where that cannot be told."""
    requests: tuple[str, ...] = ()
    """The names of its requests, as containers may cite them."""

    @property
    def is_gpu(self) -> bool:
        """Tell whether the claim is known to ask for GPUs."""
        return any(name in GPU_CLASSES for name in self.classes)


def pod_claims(spec: Mapping[str, object], path: Path, lookup: ClaimLookup) -> tuple[Claim, ...]:
    """Return the claims of the PodSpec at `path`."""
    return tuple(
        _claim(entry, (*path, "resourceClaims", index), lookup)
        for index, entry in plain.mappings(spec, "resourceClaims")
    )


def _claim(entry: Mapping[str, object], path: Path, lookup: ClaimLookup) -> Claim:
    template = plain.text(entry, "resourceClaimTemplateName")
    kind: ClaimKind = "ResourceClaimTemplate" if template else "ResourceClaim"
    name = template or plain.text(entry, "resourceClaimName")
    found = lookup(kind, name) if name else None
    inside: Path = ("spec", "spec", "devices") if template else ("spec", "devices")
    requests = [each for _, each in plain.mappings(found, *inside, "requests")]
    classes = {name for each in requests for name in _classes(each)}
    return Claim(
        name=plain.text(entry, "name"),
        path=path,
        kind=kind,
        object_name=name,
        classes=tuple(sorted(classes)),
        is_known=found is not None,
        gpus=None if found is None else counts.total([_gpus(each) for each in requests]),
        requests=tuple(plain.text(each, "name") for each in requests),
    )


def _alternatives(request: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the ways in which a request can be met; one, unless it lists several."""
    several = [each for _, each in plain.mappings(request, "firstAvailable")]
    if several:
        return several
    exactly = plain.mapping(request, "exactly")
    return [exactly or request]


def _classes(request: Mapping[str, object]) -> list[str]:
    named = (plain.text(each, "deviceClassName") for each in _alternatives(request))
    return [name for name in named if name]


def _gpus(request: Mapping[str, object]) -> int | None:
    found = {_gpus_of_one(each) for each in _alternatives(request)}
    return found.pop() if len(found) == 1 else None


def _gpus_of_one(request: Mapping[str, object]) -> int | None:
    name = plain.text(request, "deviceClassName")
    if plain.is_true(request, "adminAccess"):
        return 0  # looks at devices that others hold
    if name not in GPU_CLASSES:
        # classes of network cards and channels are many; one that says gpu may well be GPUs
        return None if not name or "gpu" in name.lower() else 0
    if plain.text(request, "allocationMode") not in {"", "ExactCount"}:
        return None
    return counts.number(request, "count", default=1)
