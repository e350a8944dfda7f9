"""What wants to run: requests, pod templates, pod sets, workloads, and who runs where.

A *workload* is what starts together (a Job, a gang, one replica). It consists of pod sets, each a
number of like pods. A request stays in the units in which it was asked; what a unit is worth is a
fact of the node. Thousandths of a device (`DeviceRequest.milli`) are the unit of traces and of the
dialects with fractions (KAI, HAMi, Volcano, DRA capacity).
"""

from typing import Literal

import msgspec

from gpuyard.model.constraints import UNCONSTRAINED, Constraints, Labels
from gpuyard.model.resources import NOTHING, Resources
from gpuyard.model.topology import TopologyRequest

WHOLE_DEVICE_MILLI = 1000

WorkloadClass = Literal["training", "fine-tuning", "inference", "notebook", "batch"]


class DeviceRequest(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """`count` devices, `milli` thousandths of each, all on one node.

    `models` names the device models that will do; empty means any.
    """

    count: int
    milli: int = WHOLE_DEVICE_MILLI
    models: tuple[str, ...] = ()

    @property
    def total_milli(self) -> int:
        """Thousandths of a device over all devices of the request."""
        return self.count * self.milli


class Request(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """What one pod asks of its node.

    `scored` are the amounts that Kubernetes' resource scores count instead of `resources`
    (100m CPU and 200Mi per container that asks for none); `None` means the same as `resources`.
    """

    resources: Resources = NOTHING
    devices: DeviceRequest | None = None
    scored: Resources | None = None


class PodTemplate(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """One pod as placement sees it, before it is reduced to its shape."""

    request: Request
    constraints: Constraints = UNCONSTRAINED
    namespace: str = "default"
    labels: Labels = ()


class PodSet(msgspec.Struct, frozen=True, kw_only=True):
    """`count` like pods; `min_count` is how many make it worth starting (default: all)."""

    name: str
    count: int
    template: PodTemplate
    min_count: int | None = None
    topology: TopologyRequest | None = None


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What starts together. A larger `priority` goes first, then a smaller `queued_ns`.

    `key` is ``namespace/name`` in a cluster, `queue` the name of a LocalQueue of that namespace.
    `queued_ns` is `created_ns`, unless the workload was sent back to the end of its queue. `uid`
    tells it from an earlier one of the same name.
    """

    key: str
    pod_sets: tuple[PodSet, ...]
    created_ns: int
    kind: WorkloadClass = "batch"
    priority: int = 0
    user: str = ""
    queue: str = ""
    uid: str = ""
    sent_back_ns: int | None = None

    @property
    def queued_ns(self) -> int:
        """The instant that orders it among its equals."""
        return self.created_ns if self.sent_back_ns is None else self.sent_back_ns

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that the whole workload asks for."""
        return sum(
            pod_set.count * pod_set.template.request.devices.total_milli
            for pod_set in self.pod_sets
            if pod_set.template.request.devices
        )

    @property
    def pod_count(self) -> int:
        """Pods over all pod sets."""
        return sum(pod_set.count for pod_set in self.pod_sets)


class TimedWorkload(msgspec.Struct, frozen=True):
    """A workload and how long it runs once all its pods do; `None`: until the end."""

    workload: Workload
    runtime_ns: int | None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One pod on its node.

    `devices` are positions in the node's device list, each of which gives `request.devices.milli`;
    `None` where nobody has told us yet, and then only counts are known.
    """

    pod: str
    template: PodTemplate
    node: str
    devices: tuple[int, ...] | None = None
    terminating: bool = False

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that the pod holds."""
        asked = self.template.request.devices
        return asked.total_milli if asked else 0
