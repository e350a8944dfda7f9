"""A GPU and a NIC by claim, without a word that they should sit beside each other.

Dynamic resource allocation chooses a device for each request of a claim, wherever it finds one. A
constraint with ``matchAttribute: resource.kubernetes.io/pcieRoot`` makes it choose a pair below one
PCIe root. Without, a GPU may get the NIC of the other socket.

Said of claims for one GPU and one NIC. A claim for all eight of a node has all of the NICs anyway,
and one root for eight GPUs could not be met.

Sources: k8s.io/api 1.37, resource/v1 (DeviceConstraint); DRANET documentation, Topology and
alignment, with the measurement.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads.claims import GPU_CLASSES
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.samples import changed
from gpuyard.lint.world import Entry, World

NIC_CLASSES = frozenset({"dra.net", "mrdma.google.com"})  # DRANET, and its classes on GKE
TEMPLATE = "resource.k8s.io/ResourceClaimTemplate"


def check(claim: Entry, _world: World) -> Iterator[Hit]:
    """Find claims for a GPU and a NIC without any constraint between them."""
    base = ("spec", "spec", "devices") if claim.kind == TEMPLATE else ("spec", "devices")
    devices = [plain.mapping(one, "exactly") or one for _, one in claim.mappings(*base, "requests")]
    classes = [plain.text(one, "deviceClassName") for one in devices]
    gpus = sum(name in GPU_CLASSES for name in classes)
    nics = sum(name in NIC_CLASSES for name in classes)
    if gpus != 1 or nics != 1 or not all(map(_is_one, devices)):
        return
    if not claim.mappings(*base, "constraints"):
        yield Hit(
            (*base, "requests"),
            "the claim asks for 1 GPU and 1 NIC, and does not say that they are neighbours",
        )


def _is_one(request: Mapping[str, object]) -> bool:
    mode = plain.text(request, "allocationMode")
    return mode in {"", "ExactCount"} and plain.whole(request, "count") in {None, 1}


_CLAIM = """\
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata:
  name: gpu-and-nic
spec:
  spec:
    devices:
      requests:
        - name: gpu
          exactly:
            deviceClassName: gpu.nvidia.com
        - name: nic
          exactly:
            deviceClassName: dra.net
      constraints:
        - requests: [gpu, nic]
          matchAttribute: resource.kubernetes.io/pcieRoot
"""

RULES = (
    Rule(
        id="RDMA-PCIE-ROOT",
        severity="warning",
        title="A claimed GPU and NIC are below one PCIe root",
        why="Traffic between a GPU and a NIC of the other socket crosses the CPUs. DRANET measured "
        "29 instead of 47 GB/s in all-gather.",
        remedy="add a constraint with matchAttribute: resource.kubernetes.io/pcieRoot over both "
        "requests",
        source="kubernetes-sigs/dranet, documentation on topology alignment; k8s.io/api 1.37, "
        "resource/v1 DeviceConstraint",
        scope="object",
        kinds=("resource.k8s.io/ResourceClaim", TEMPLATE),
        check=check,
        failing=changed(
            _CLAIM[: _CLAIM.index("      constraints:")], "requests:", "requests: # <- here"
        ),
        passing=_CLAIM,
    ),
)
