"""How to choose, as plain data: which scores with which weights, and how ties fall.

A policy holds no callables and no code reads its name: two policies with the same values decide
the same. Presets are public values in `gpuyard.scheduling.presets`.
"""

from typing import Literal

import msgspec

from gpuyard.model.workloads import WorkloadClass

ScoreName = Literal[
    "fgd",
    "best-fit",
    "dot-product",
    "packing",
    "clustering",
    "random",
    "least-allocated",
    "most-allocated",
    "requested-to-capacity-ratio",
    "balanced-allocation",
    "taint-toleration",
    "node-affinity",
    "inter-pod-affinity",
    "topology-spread",
    "bin-pack",
    "spread",
    "shared-device",
    "cpu-only-node",
]
DeviceChoice = Literal["best-fit", "distributed", "fgd", "random", "first"]
TieBreak = Literal["rank", "random"]
GangStart = Literal["pod-by-pod", "all-or-nothing"]


class ResourceWeight(msgspec.Struct, frozen=True, cache_hash=True):
    """A resource that a score counts, and how much."""

    name: str
    weight: int = 1


class ShapePoint(msgspec.Struct, frozen=True, cache_hash=True):
    """A point of the RequestedToCapacityRatio function: utilisation in percent, score 0..10."""

    utilization: int
    score: int


DEVICES = "devices"  # in a list of resources: the node's devices, in thousandths
CPU_AND_MEMORY = (ResourceWeight("cpu"), ResourceWeight("memory"))


class WeightedScore(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """A score by name, its weight in the sum, and the arguments that its rule reads.

    `resources` and `shape` are arguments of kube-scheduler's resource scores,
    `hard_pod_affinity_weight` and `ignore_preferred_terms_of_existing_pods` of its inter-pod score;
    the ``largest_*`` are the largest node that best-fit, dot-product and clustering measure by.
    """

    name: ScoreName
    weight: int = 1
    resources: tuple[ResourceWeight, ...] = CPU_AND_MEMORY
    shape: tuple[ShapePoint, ...] = ()
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False
    largest_cpu_milli: int = 128_000
    largest_device_milli: int = 8_000


class Profile(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """How workloads of some classes are placed, where that differs from the rest.

    `replicas_apart` names a topology key: pods of these classes prefer domains of it that hold none
    of the same labels and namespace, as much as the weight of ``inter-pod-affinity`` among `scores`
    says. Empty: nothing is added to what their templates ask for.
    """

    classes: tuple[WorkloadClass, ...]
    scores: tuple[WeightedScore, ...]
    devices: DeviceChoice = "best-fit"
    replicas_apart: str = ""


class PlacementPolicy(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Where pods go: which scores with which weights, which devices, and how ties fall.

    `profiles` say so for classes of workload that are placed in another way, the first that names
    the class.
    """

    scores: tuple[WeightedScore, ...]
    devices: DeviceChoice = "best-fit"
    tie_break: TieBreak = "rank"
    gangs: GangStart = "all-or-nothing"
    rows_kept_max: int = 4096  # shapes whose score rows are kept; beyond it they are recomputed
    profiles: tuple[Profile, ...] = ()
