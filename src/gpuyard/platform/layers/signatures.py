"""By what a layer is recognised: images, names and commands of DaemonSets and Deployments.

The last part of an image's name is the surest sign, because mirrors and forks keep it. Where one
image serves several layers (the device plugin's also holds feature discovery and the MPS daemon),
the command or the name of the object decides; such rows come first. An image is matched from the
right at a ``/``: ``rocm/k8s-device-plugin`` does not match NVIDIA's.

Where each sign was read stands in its row.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import Workload
from gpuyard.platform.layers.words import Layer


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One way to recognise one layer; each given part must hold, of a part any pattern."""

    layer: Layer
    product: str
    images: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()  # names of init containers too: GKE installs drivers in one
    but_not: tuple[str, ...] = ()  # names of objects that only look like it
    resource: str = ""  # what a device plugin registers
    port: int = 0  # where an exporter listens, unless its container says
    source: str


OPERATOR = "NVIDIA/gpu-operator v26.7.0"
PLUGIN = "NVIDIA/k8s-device-plugin v0.20.0, deployments"
GKE = "GoogleCloudPlatform/container-engine-accelerators"
NFD = "kubernetes-sigs/node-feature-discovery v0.19, deployment/helm"
NETWORK = "Mellanox/network-operator v26.7"

NVIDIA_PLUGIN = ("nvidia/k8s-device-plugin", "k8s-device-plugin")
NVIDIA_GPU, AMD_GPU = "nvidia.com/gpu", "amd.com/gpu"

SIGNATURES: Final = (
    Signature(
        layer="labels",
        product="GPU feature discovery",
        commands=("gpu-feature-discovery",),
        source=f"{PLUGIN}/helm/nvidia-device-plugin/templates/daemonset-gfd.yml",
    ),
    Signature(
        layer="labels",
        product="GPU feature discovery",
        images=("gpu-feature-discovery",),
        source="NVIDIA/gpu-feature-discovery v0.8, image before it moved into the plugin's",
    ),
    Signature(
        layer="labels",
        product="GPU feature discovery",
        images=NVIDIA_PLUGIN,
        names=("*gpu-feature-discovery*",),
        source=f"{OPERATOR}, assets/gpu-feature-discovery",
    ),
    Signature(
        layer="driver",
        product="NVIDIA driver",
        names=("nvidia-driver-daemonset*",),
        source=f"{OPERATOR}, assets/state-driver and controllers/state_manager.go",
    ),
    Signature(
        layer="driver",
        product="NVIDIA driver",
        names=("nvidia-gpu-driver-*",),
        source=f"{OPERATOR}, internal/state/driver.go (NVIDIADriver)",
    ),
    Signature(
        layer="driver",
        product="GKE driver installer",
        containers=("nvidia-driver-installer",),
        source=f"{GKE}, nvidia-driver-installer/cos/daemonset-preloaded.yaml",
    ),
    Signature(
        layer="driver",
        product="GKE driver installer",
        names=("nvidia-driver-installer*",),
        source=f"{GKE}, daemonset.yaml",
    ),
    Signature(
        layer="toolkit",
        product="NVIDIA container toolkit",
        images=("container-toolkit",),
        source=f"{OPERATOR}, deployments/gpu-operator/values.yaml",
    ),
    Signature(
        layer="device-plugin",
        product="AMD device plugin",
        images=("rocm/k8s-device-plugin",),
        resource=AMD_GPU,
        source="ROCm/k8s-device-plugin, k8s-ds-amdgpu-dp.yaml",
    ),
    Signature(
        layer="device-plugin",
        product="GKE device plugin",
        images=("nvidia-gpu-device-plugin",),
        resource=NVIDIA_GPU,
        source=f"{GKE}, cmd/nvidia_gpu/device-plugin.yaml",
    ),
    Signature(
        layer="device-plugin",
        product="GKE device plugin",
        names=("nvidia-gpu-device-plugin*",),
        resource=NVIDIA_GPU,
        source="GKE 1.35, kube-system: nvidia-gpu-device-plugin-small-cos and its siblings",
    ),
    Signature(
        layer="device-plugin",
        product="HAMi device plugin",
        images=("projecthami/hami",),
        names=("*device-plugin*",),
        but_not=("*mock-device-plugin*",),
        resource=NVIDIA_GPU,
        source="Project-HAMi/HAMi, charts/hami/templates/device-plugin/daemonsetnvidia.yaml",
    ),
    Signature(
        layer="device-plugin",
        product="NVIDIA device plugin",
        images=NVIDIA_PLUGIN,
        but_not=("*mps-control-daemon*", "*gpu-feature-discovery*"),
        resource=NVIDIA_GPU,
        source=f"{PLUGIN}/static/nvidia-device-plugin.yml",
    ),
    Signature(
        layer="exporter",
        product="DCGM exporter",
        images=("dcgm-exporter",),
        port=9400,
        source="NVIDIA/dcgm-exporter 4.8.2, dcgm-exporter.yaml",
    ),
    Signature(
        layer="exporter",
        product="GKE DCGM exporter",
        images=("gke-dcgm-exporter",),
        port=9400,
        source="GKE 1.35, gke-managed-system/dcgm-exporter",
    ),
    Signature(
        layer="mig-manager",
        product="MIG manager",
        images=("k8s-mig-manager",),
        source=f"{OPERATOR}, deployments/gpu-operator/values.yaml",
    ),
    Signature(
        layer="nfd",
        product="NFD worker",
        commands=("nfd-worker",),
        source=f"{NFD}/node-feature-discovery/templates/worker.yaml",
    ),
    Signature(
        layer="nfd",
        product="NFD worker",
        names=("*nfd-worker", "*-feature-discovery-worker"),
        source=f"{NFD} and deployment/base/worker-daemonset",
    ),
    Signature(
        layer="dra-driver",
        product="NVIDIA DRA driver",
        images=("dra-driver-nvidia-gpu", "k8s-dra-driver-gpu"),
        source="NVIDIA/k8s-dra-driver-gpu, deployments/helm/dra-driver-nvidia-gpu/values.yaml",
    ),
    Signature(
        layer="dra-driver",
        product="NVIDIA DRA driver",
        names=("nvidia-dra-driver*",),
        source=f"{OPERATOR}, manifests/state-dra-driver",
    ),
    Signature(
        layer="network",
        product="network operator",
        images=("network-operator",),
        source=f"{NETWORK}, deployment/network-operator/values.yaml",
    ),
    Signature(
        layer="network",
        product="OFED driver",
        names=("mofed-*",),
        source=f"{NETWORK}, manifests/state-ofed-driver",
    ),
    Signature(
        layer="network",
        product="RDMA device plugin",
        images=("k8s-rdma-shared-dev-plugin",),
        source=f"{NETWORK}, example/crs",
    ),
    Signature(
        layer="network",
        product="RDMA device plugin",
        names=("rdma-shared-dp-ds*",),
        source=f"{NETWORK}, manifests/state-rdma-shared-device-plugin",
    ),
    Signature(
        layer="network",
        product="SR-IOV device plugin",
        images=("sriov-network-device-plugin",),
        source=f"{NETWORK}, example/crs",
    ),
    Signature(
        layer="network",
        product="EFA device plugin",
        images=("aws-efa-k8s-device-plugin",),
        source="aws/eks-charts, stable/aws-efa-k8s-device-plugin/values.yaml",
    ),
    Signature(
        layer="network",
        product="GKE NCCL installer",
        names=("nccl-rdma-installer*", "nccl-tcpx*-installer*"),
        source=f"{GKE}, gpudirect-rdma, gpudirect-tcpx, gpudirect-tcpxo",
    ),
    Signature(
        layer="queue",
        product="Kueue",
        images=("kueue",),
        source="kubernetes-sigs/kueue, charts/kueue/values.yaml",
    ),
    Signature(
        layer="queue",
        product="Volcano",
        images=("vc-scheduler",),
        source="volcano-sh/volcano, installer/volcano-development.yaml",
    ),
    Signature(
        layer="queue",
        product="KAI",
        images=("kai-scheduler/scheduler",),
        source="NVIDIA/KAI-Scheduler, deployments/kai-scheduler/values.yaml and README",
    ),
)


class Part(msgspec.Struct, frozen=True):
    """A layer that was recognised, and the image that it runs."""

    signature: Signature
    image: str


def parts_of(workload: Workload, name: str) -> Iterator[Part]:
    """Return the layers that an object runs, each once, by the first row that recognises it."""
    seen: set[Layer] = set()
    for pod in workload.pods:
        main = [one for _, one in pod.spec.mappings("containers")]
        first = [one for _, one in pod.spec.mappings("initContainers")]
        for signature in SIGNATURES:
            if signature.layer in seen or any(fnmatchcase(name, no) for no in signature.but_not):
                continue
            among = main + first if signature.containers else main
            found = next((one for one in among if _fits(signature, name, one)), None)
            if found is not None:
                seen.add(signature.layer)
                yield Part(signature, plain.text(found, "image"))


def _fits(signature: Signature, name: str, container: Mapping[str, object]) -> bool:
    if signature.containers and plain.text(container, "name") not in signature.containers:
        return False
    if signature.names and not any(fnmatchcase(name, one) for one in signature.names):
        return False
    if signature.images and not _is_image(plain.text(container, "image"), signature.images):
        return False
    return not signature.commands or _starts(container, signature.commands)


def _is_image(image: str, wanted: tuple[str, ...]) -> bool:
    repository = image.partition("@")[0]
    head, slash, tail = repository.rpartition("/")
    path = f"/{head}{slash}{tail.partition(':')[0]}"
    return any(path.endswith(f"/{one}") for one in wanted)


def _starts(container: Mapping[str, object], wanted: tuple[str, ...]) -> bool:
    words = [word for _, word in plain.words(container, "command")[:1]]
    words += [word for _, word in plain.words(container, "args")[:1]]
    return any(word.rpartition("/")[2] in wanted for word in words)
