"""Which resources are GPUs, and how many of them a pod asks for.

A *device* is what the scheduler counts: a whole GPU, a MIG instance, or one of the shares into
which time slicing or MPS cuts a GPU. Resources that measure a part of a device (its memory, its
cores) are known, but count no devices.

A container that names a limit only asks for as much (the API server copies it), and a pod asks for
what `gpuyard.dialects.core.effective_request` says: its containers together, or its largest init
container.

Names: NVIDIA k8s-device-plugin 0.20 (``nvidia.com/gpu``, ``mig-<profile>``, ``.shared`` where a
share is renamed), kubevirt-gpu-device-plugin (``pgpu``, ``vgpu``), AMD k8s-device-plugin
(``amd.com/gpu``; ``<compute>_<memory>`` partitions under the strategy ``mixed``), Intel GPU plugin
(``i915``, ``xe``), Intel Gaudi plugin (``habana.ai/gaudi``), GKE (``google.com/tpu``), AWS Neuron
plugin, HAMi and Volcano vGPU (``gpumem``, ``gpucores``, ``vgpu-*``).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from gpuyard.dialects import wire
from gpuyard.dialects.core.requests import effective_request
from gpuyard.dialects.plain import Path
from gpuyard.model.quantity import NANO_PER_UNIT, parse_nano

Sharing = Literal["whole", "partition", "share", "part"]

NVIDIA_GPU = "nvidia.com/gpu"


class GpuResource(msgspec.Struct, frozen=True):
    """What a resource name means."""

    name: str
    vendor: str
    sharing: Sharing
    """A whole device, a hardware partition of one, a share of one, or a part without a count."""
    profile: str = ""
    """The MIG profile (``1g.10gb``) or AMD partition (``cpx_nps4``)."""


class GpuAsk(msgspec.Struct, frozen=True, kw_only=True):
    """One container asks for one GPU resource, or for a DRA claim on GPUs."""

    resource: GpuResource
    count: int
    """Devices; 0 where what is written is no whole number."""
    written: object
    """The quantity as it stands in the document."""
    container: str
    path: Path
    """The key in ``limits``, or in ``requests`` where only that is given."""


_ROWS: tuple[tuple[str, str, Sharing], ...] = (
    (r"nvidia\.com/mig-(?P<profile>[0-9]+g\.[0-9a-z.+\-]+)\.shared", "nvidia", "share"),
    (r"nvidia\.com/mig-(?P<profile>[0-9]+(?:c\.[0-9]+)?g\.[0-9a-z.+\-]+)", "nvidia", "partition"),
    (r"nvidia\.com/gpu-?(?:mem|memory|cores)(?:-percentage)?", "nvidia", "part"),
    (r"nvidia\.com/[^/]+\.shared", "nvidia", "share"),
    (r"nvidia\.com/(?:gpu|pgpu)(?:-[^/]+)?", "nvidia", "whole"),
    (r"nvidia\.com/vgpu", "nvidia", "share"),
    (r"volcano\.sh/vgpu-number|volcano\.sh/gpu-number", "nvidia", "share"),
    (r"volcano\.sh/(?:vgpu|gpu)-(?:memory|cores|core\.percentage|mem\.128Mi)", "nvidia", "part"),
    (r"amd\.com/gpu", "amd", "whole"),
    (r"amd\.com/(?P<profile>(?:spx|dpx|tpx|qpx|cpx)_nps[0-9]+)", "amd", "partition"),
    (r"gpu\.intel\.com/(?:i915|xe)", "intel", "whole"),
    (r"gpu\.intel\.com/(?:tiles|millicores|memory\.max)", "intel", "part"),
    (r"habana\.ai/gaudi[0-9]*", "intel", "whole"),
    (r"google\.com/tpu", "google", "whole"),
    (r"aws\.amazon\.com/(?:neuron|neurondevice)", "aws", "whole"),
    (r"aws\.amazon\.com/neuroncore", "aws", "partition"),
)
_KNOWN = [(re.compile(pattern), vendor, sharing) for pattern, vendor, sharing in _ROWS]
_PREFIXES = ("nvidia.com/", "volcano.sh/", "amd.com/", "gpu.intel.com/", "habana.ai/")
_MORE_PREFIXES = ("google.com/", "aws.amazon.com/")


def gpu_resource(name: str) -> GpuResource | None:
    """Return what the resource `name` means, `None` where it is no accelerator."""
    if not name.startswith((*_PREFIXES, *_MORE_PREFIXES)):
        return None  # most names: cpu, memory
    for pattern, vendor, sharing in _KNOWN:
        if found := pattern.fullmatch(name):
            return GpuResource(name, vendor, sharing, found.groupdict().get("profile") or "")
    return None


def container_asks(
    name: str, requests: Mapping[str, object], limits: Mapping[str, object], resources: Path
) -> tuple[GpuAsk, ...]:
    """Return what one container asks for; `resources` is where its ResourceRequirements lie."""
    asks = []
    for key in {**limits, **requests}:
        known = gpu_resource(key)
        if known is not None:
            field = "limits" if key in limits else "requests"
            written = limits[key] if key in limits else requests[key]
            path = (*resources, field, key)
            asks.append(
                GpuAsk(
                    resource=known,
                    count=devices(written) if known.sharing != "part" else 0,
                    written=written,
                    container=name,
                    path=path,
                )
            )
    return tuple(asks)


def devices(written: object) -> int:
    """Return the devices that a quantity means; 0 where it is no whole number above 0."""
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        return 0
    try:
        nano = parse_nano(written)
    except ValueError:
        return 0
    return max(0, nano // NANO_PER_UNIT) if nano % NANO_PER_UNIT == 0 else 0


class ContainerAsks(msgspec.Struct, frozen=True):
    """What of a container decides how its asks add up in its pod."""

    asks: tuple[GpuAsk, ...]
    is_init: bool
    is_sidecar: bool


def pod_devices(containers: Iterable[ContainerAsks]) -> dict[str, int]:
    """Return the devices that a pod asks for, by resource name."""
    running: list[wire.Container] = []
    starting: list[wire.Container] = []
    for each in containers:
        wanted: dict[str, wire.Quantity] = {}
        for ask in each.asks:
            if ask.count:
                wanted[ask.resource.name] = ask.count
        part = wire.Container(
            resources=wire.ResourceRequirements(requests=wanted),
            restart_policy="Always" if each.is_sidecar else None,
        )
        (starting if each.is_init else running).append(part)
    pod = wire.Pod(spec=wire.PodSpec(containers=running, init_containers=starting))
    return effective_request(pod).resources.as_dict()
