"""A Node as the layers see it: whether it has GPUs, what it offers, who labelled it.

That a node has GPUs is told by what it offers, or, while nothing works yet, by labels that the
cloud, node feature discovery or GPU feature discovery gave it. Labels: GKE documentation, "About
GPUs"; Karpenter v1 and EKS Auto Mode, well-known labels; AKS documentation, "Use GPUs";
NVIDIA/k8s-device-plugin v0.20.0, internal/lm; node-feature-discovery v0.19, pci source.
"""

from collections.abc import Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.core import DialectError
from gpuyard.dialects.core.instants import nanoseconds
from gpuyard.dialects.workloads import View, gpu_resource
from gpuyard.model.constraints import Taint

GPU_LABELS = (
    ("nvidia.com/gpu.present", "true"),
    ("feature.node.kubernetes.io/pci-10de.present", "true"),
    ("feature.node.kubernetes.io/pci-0302_10de.present", "true"),
    ("feature.node.kubernetes.io/pci-0300_10de.present", "true"),
    ("kubernetes.azure.com/accelerator", "nvidia"),
    ("karpenter.k8s.aws/instance-gpu-manufacturer", "nvidia"),
    ("eks.amazonaws.com/instance-gpu-manufacturer", "nvidia"),
)
GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"
COUNTS = (
    "nvidia.com/gpu.count",
    "cloud.google.com/gke-accelerator-count",
    "karpenter.k8s.aws/instance-gpu-count",
    "eks.amazonaws.com/instance-gpu-count",
)
PRODUCTS = (
    "nvidia.com/gpu.product",
    GKE_ACCELERATOR,
    "karpenter.k8s.aws/instance-gpu-name",
    "eks.amazonaws.com/instance-gpu-name",
)
DRIVER = "nvidia.com/cuda.driver-version.full"
DRIVER_PARTS = tuple(f"nvidia.com/cuda.driver.{part}" for part in ("major", "minor", "rev"))
VENDORS = frozenset({"nvidia", "amd"})  # whose layers these are
KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})
PASSING = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
YOUNG_NS = 10 * 60 * 10**9  # a driver container compiles for minutes before a node is ready


class GpuNode(View):
    """One Node."""

    def __init__(self, value: Mapping[str, object]) -> None:
        super().__init__(value, ())
        self.name = self.text("metadata", "name")
        self.labels = plain.texts(value, "metadata", "labels")
        self.offers = {
            name: amount
            for name, written in self.mapping("status", "allocatable").items()
            if _is_gpu(name) and (amount := _amount(written))
        }
        self.taints = tuple(
            Taint(plain.text(one, "key"), plain.text(one, "value"), plain.text(one, "effect"))  # type: ignore[arg-type]  # checked on the next line
            for _, one in self.mappings("spec", "taints")
            if plain.text(one, "effect") in KEEPS_OUT
            and not plain.text(one, "key").startswith(PASSING)
        )

    @property
    def has_gpus(self) -> bool:
        """Tell whether there are GPUs in it, offered or not."""
        return bool(
            self.offers
            or GKE_ACCELERATOR in self.labels
            or any(map(_is_gpu, self.mapping("status", "capacity")))
            or any(self.labels.get(key) == value for key, value in GPU_LABELS)
        )

    @property
    def is_ready(self) -> bool:
        """Tell whether its kubelet answers."""
        return any(
            plain.text(one, "type") == "Ready" and plain.text(one, "status") == "True"
            for _, one in self.mappings("status", "conditions")
        )

    def is_young(self, now_ns: int | None) -> bool:
        """Tell whether it has joined so recently that layers may still be on their way."""
        created = self.text("metadata", "creationTimestamp")
        if now_ns is None or not created:
            return False
        try:
            return now_ns - nanoseconds(created, "Node") < YOUNG_NS
        except DialectError:
            return False

    @property
    def labelled_count(self) -> int:
        """Return how many GPUs its labels speak of, 0 where they do not."""
        return next((int(n) for key in COUNTS if (n := self.labels.get(key, "")).isdecimal()), 0)

    @property
    def product(self) -> str:
        """Return the model of its GPUs as a label calls it."""
        return next((self.labels[key] for key in PRODUCTS if key in self.labels), "")

    @property
    def driver(self) -> str:
        """Return the version of the driver that GPU feature discovery met."""
        parts = [self.labels[key] for key in DRIVER_PARTS if key in self.labels]
        return self.labels.get(DRIVER, "") or ".".join(parts)


def _is_gpu(resource: str) -> bool:
    found = gpu_resource(resource)
    return found is not None and found.vendor in VENDORS and found.sharing != "part"


def _amount(written: object) -> int:
    return int(written) if isinstance(written, str | int) and str(written).isdecimal() else 0
