"""GPUDirect RDMA has no way into the kernel.

A NIC reads GPU memory over one of two ways: DMA-BUF, which only the open kernel modules of the
driver offer, or the module nvidia-peermem, which the GPU operator loads where
``driver.rdma.enabled`` is set. A ClusterPolicy that asks for the closed modules and not for
nvidia-peermem has neither. Everything then works, through the memory of the host.

Said only where somebody has RDMA: a NicClusterPolicy, or a node with a NIC resource.

Sources: NVIDIA GPU operator v26.3, api/nvidia/v1 (kernelModuleType, useOpenKernelModules); its
documentation, GPUDirect RDMA and GPUDirect Storage.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.rdma.nics import is_nic
from gpuyard.lint.rules.samples import changed
from gpuyard.lint.world import Entry, World

DRIVER = ("spec", "driver")


def check(policy: Entry, world: World) -> Iterator[Hit]:
    """Find cluster policies whose driver lets no NIC reach GPU memory."""
    if policy.get(*DRIVER, "enabled") is False or policy.is_true(*DRIVER, "rdma", "enabled"):
        return
    if not _is_closed(policy) or not _has_rdma(world):
        return
    field = (
        "kernelModuleType" if policy.text(*DRIVER, "kernelModuleType") else "useOpenKernelModules"
    )
    yield Hit(
        (*DRIVER, field),
        "the driver's closed kernel modules offer no DMA-BUF, and driver.rdma.enabled is not true "
        "either",
        of="value",
    )


def _is_closed(policy: Entry) -> bool:
    kind = policy.text(*DRIVER, "kernelModuleType")
    if kind:
        return kind == "proprietary"
    return policy.get(*DRIVER, "useOpenKernelModules") is False


def _has_rdma(world: World) -> bool:
    if world.of_kind("mellanox.com/NicClusterPolicy"):
        return True
    nodes = world.of_kind("Node")
    return any(is_nic(name) for one in nodes for name in one.mapping("status", "allocatable"))


_POLICIES = """\
apiVersion: mellanox.com/v1alpha1
kind: NicClusterPolicy
metadata:
  name: nic-cluster-policy
---
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  driver:
    enabled: true
    kernelModuleType: open
"""

RULES = (
    Rule(
        id="RDMA-GPUDIRECT",
        severity="warning",
        title="The driver lets NICs reach GPU memory",
        why="Without DMA-BUF and without nvidia-peermem every byte between nodes is copied through "
        "the memory of the host. Nothing fails; NCCL's log lacks GDRDMA, and all-reduce takes "
        "several times as long.",
        remedy="set driver.kernelModuleType: open, or driver.rdma.enabled: true to load "
        "nvidia-peermem",
        source="NVIDIA GPU operator v26.3, GPUDirect RDMA and GPUDirect Storage; api/nvidia/v1",
        scope="object",
        kinds=("nvidia.com/ClusterPolicy",),
        check=check,
        failing=changed(_POLICIES, "Type: open", "Type: proprietary # <- here"),
        passing=_POLICIES,
    ),
)
