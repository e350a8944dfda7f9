"""Nodes, their devices, and the pools they belong to."""

from typing import Literal

import msgspec

from gpuyard.model.constraints import Labels, Taint
from gpuyard.model.resources import NOTHING, Resources

Chooser = Literal["kubelet", "agent", "scheduler"]
Sharing = Literal["exclusive", "time-slicing", "mps", "mig"]


class Partition(msgspec.Struct, frozen=True):
    """A MIG instance: its profile and the first memory slice it occupies."""

    profile: str
    start: int


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One accelerator of a node; its position in `Node.devices` is its index."""

    model: str
    id: str = ""
    healthy: bool = True
    partitions: tuple[Partition, ...] = ()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One machine as observed. Ties between nodes go to the smallest `rank`, then name.

    Pods are kept from a node that is not `ready` by the taint that its lifecycle controller sets;
    the flag itself decides whether the node counts as capacity of a topology.
    """

    name: str
    allocatable: Resources = NOTHING
    devices: tuple[Device, ...] = ()
    rank: int = 0
    labels: Labels = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    pool: str = ""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes with one price, one sharing mode and one who picks the device.

    `chooser`: ``kubelet`` (a stock device plugin), ``agent`` (our plugin: the device that the
    scheduler predicts), ``scheduler`` (DRA: the scheduler's word).
    """

    name: str
    usd_per_device_hour: float = 0.0
    sharing: Sharing = "exclusive"
    chooser: Chooser = "agent"
