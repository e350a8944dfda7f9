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

SentBackBy = Literal["readiness", "check", "borrower"]
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
    """`count` like pods; `min_count` is how many make it worth starting (default: all).

    Beside them there were `reclaimed` ones that are done and no longer asked for.
    """

    name: str
    count: int
    template: PodTemplate
    min_count: int | None = None
    topology: TopologyRequest | None = None
    reclaimed: int = 0


class SentBack(msgspec.Struct, frozen=True):
    """When a workload last lost its quota again, and to whom; this can change its turn.

    ``readiness``: its pods were not ready in time. ``check``: something that has to agree did not.
    ``borrower``: it was preempted by a queue that reclaimed quota while borrowing itself.
    """

    by: SentBackBy
    at_ns: int


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What starts together. A larger `effective_priority` goes first, then who is older.

    `key` and `queue` are ``namespace/name`` in a cluster, `queue` that of a LocalQueue. `uid` tells
    a workload from an earlier one of the same name. `elastic`: it may grow and shrink while it
    runs; `replaces` is the key of the workload whose quota it then takes over. It is not tried
    before `not_before_ns` (its back-off), nor as long as it is `held_back`. `preemptible` and
    `movable` are the owner's word: it may lose its place to others, or be stopped to start again
    in another one.
    """

    key: str
    pod_sets: tuple[PodSet, ...]
    created_ns: int
    kind: WorkloadClass = "batch"
    priority: int = 0
    priority_boost: int = 0
    user: str = ""
    queue: str = ""
    uid: str = ""
    sent_back: tuple[SentBack, ...] = ()
    elastic: bool = False
    replaces: str = ""
    not_before_ns: int = 0
    held_back: bool = False
    preemptible: bool = True
    movable: bool = True

    @property
    def effective_priority(self) -> int:
        """Return the priority with its boost."""
        return self.priority + self.priority_boost

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
    `None` where nobody has told us yet, and then only counts are known. `preempted` says that a
    terminating pod goes because a scheduler took its place away; `start_ns` is `None` until it
    runs; `group` is the key of its pod group.
    """

    pod: str
    template: PodTemplate
    node: str
    devices: tuple[int, ...] | None = None
    terminating: bool = False
    preempted: bool = False
    priority: int = 0
    start_ns: int | None = None
    group: str = ""

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that the pod holds."""
        asked = self.template.request.devices
        return asked.total_milli if asked else 0


class PendingPod(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that waits for a node.

    `preempts` is false where its priority class says ``preemptionPolicy: Never``. `nominated_node`
    is where victims were already asked to leave for it.
    """

    key: str
    template: PodTemplate
    priority: int = 0
    preempts: bool = True
    nominated_node: str = ""
    group: str = ""
    first_tried_ns: int = 0
