"""What the resource scores of kube-scheduler count on a node: held, with the pod, and in all.

For each resource of a score's list: a resource that only some nodes have (devices, huge pages) is
left out when the pod does not ask for it, and any resource is left out on nodes that have none.
Left out means a capacity of zero here. Two ways of counting: *scored* takes 100m CPU and 200Mi for
each container that asks for none (so that pods without requests do not pile up), *plain* takes what
was asked. `DEVICES` in a list means the node's devices in thousandths, whatever resource name a
device plugin would give them: what ``nvidia.com/gpu`` is where every GPU is whole.

Semantics: k8s.io/kubernetes v1.36.3, plugins/noderesources/resource_allocation.go.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpuyard.model.policy import DEVICES, ResourceWeight
from gpuyard.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

ON_EVERY_NODE = (CPU, MEMORY, EPHEMERAL_STORAGE)


class Allocation(NamedTuple):
    """Amounts [slot, resource] of a score's resources, all zero where one is left out."""

    requested: IntArray  # by running pods and the new one
    held: IntArray  # by running pods
    capacity: IntArray

    @property
    def divisor(self) -> IntArray:
        """Return the capacity, with 1 in the place of 0."""
        return np.maximum(self.capacity, 1)


def scored(
    snapshot: "Snapshot", shape: Shape, resources: tuple[ResourceWeight, ...], slots: IntArray
) -> Allocation:
    """Return the allocation with something for every container."""
    asked = pod_amounts(shape, resources, plain=False)
    columns = _columns(snapshot, resources)
    held = snapshot.fleet.scored[slots[:, None], columns]
    capacity = snapshot.fleet.allocatable[slots[:, None], columns]
    _count_devices(snapshot, resources, slots, held, capacity)
    return _without_left_out(held, capacity, asked, resources)


def plain(
    snapshot: "Snapshot", shape: Shape, resources: tuple[ResourceWeight, ...], slots: IntArray
) -> Allocation:
    """Return the allocation as it was asked for."""
    asked = pod_amounts(shape, resources, plain=True)
    columns = _columns(snapshot, resources)
    capacity = snapshot.fleet.allocatable[slots[:, None], columns]
    held = capacity - snapshot.fleet.free[slots[:, None], columns]
    _count_devices(snapshot, resources, slots, held, capacity)
    return _without_left_out(held, capacity, asked, resources)


def pod_amounts(shape: Shape, resources: tuple[ResourceWeight, ...], *, plain: bool) -> IntArray:
    """Return what the pod asks of each of `resources`."""
    request = shape.request
    amounts = request.resources if plain or request.scored is None else request.scored
    devices = request.devices.total_milli if request.devices else 0
    return np.array(
        [
            devices if resource.name == DEVICES else amounts.get(resource.name)
            for resource in resources
        ],
        dtype=np.int64,
    )


def together(use: Allocation) -> Allocation:
    """Return one row for all nodes of `use` taken together, with the pod once."""
    held, capacity = use.held.sum(axis=0), use.capacity.sum(axis=0)
    asked = (use.requested - use.held).max(axis=0, initial=0)
    return Allocation((held + asked)[None, :], held[None, :], capacity[None, :])


def weighted_mean(scores: IntArray, counts: IntArray) -> IntArray:
    """Return for each slot the mean of `scores` [slot, resource], rounded down.

    `counts` [slot, resource] are the weights, 0 where a resource is left out; all 0 gives 0.
    """
    total = (scores * counts).sum(axis=1)
    mean: IntArray = total // np.maximum(counts.sum(axis=1), 1)
    return mean


def weights(resources: tuple[ResourceWeight, ...], allocation: Allocation) -> IntArray:
    """Return [slot, resource] the weight of each resource, 0 where it is left out."""
    by_resource = np.array([resource.weight for resource in resources], dtype=np.int64)
    return np.where(allocation.capacity == 0, 0, by_resource)


def _columns(snapshot: "Snapshot", resources: tuple[ResourceWeight, ...]) -> IntArray:
    columns = [snapshot.fleet.resource_column(resource.name) for resource in resources]
    return np.array(columns, dtype=np.int64)


def _count_devices(
    snapshot: "Snapshot",
    resources: tuple[ResourceWeight, ...],
    slots: IntArray,
    held: IntArray,
    capacity: IntArray,
) -> None:
    """Fill in the column of `DEVICES`, where the list has one."""
    for column, resource in enumerate(resources):
        if resource.name == DEVICES:
            fleet = snapshot.fleet
            capacity[:, column] = (fleet.device_model[slots] >= 0).sum(axis=1) * WHOLE_DEVICE_MILLI
            held[:, column] = capacity[:, column] - fleet.device_free[slots].sum(axis=1)


def _without_left_out(
    held: IntArray, capacity: IntArray, asked: IntArray, resources: tuple[ResourceWeight, ...]
) -> Allocation:
    """Blank what is left out; the number of pods is no resource that Kubernetes scores."""
    matters = np.array([resource.name in ON_EVERY_NODE for resource in resources], dtype=np.bool_)
    matters |= (asked > 0) & np.array([resource.name != PODS for resource in resources])
    counted = (capacity != 0) & matters
    return Allocation(
        np.where(counted, held + asked, 0),
        np.where(counted, held, 0),
        np.where(counted, capacity, 0),
    )
