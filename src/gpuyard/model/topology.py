"""Where the members of a workload may stand to each other: levels, domains, requests.

A *Topology* is an ordered list of node labels, from the widest (a block) to the narrowest (often
the host). Nodes with the same values of the first n labels form a *domain* of level n. A request
says at which level the pods of a pod set belong into one domain, and how badly.

Words and meaning: Kueue v0.19.2, apis/kueue/v1beta2 (topology_types.go, PodSetTopologyRequest,
TopologyAssignment) and its annotations ``kueue.x-k8s.io/podset-*-topology``.
"""

from typing import Literal

import msgspec

from gpuyard.model.resources import Resources

HOSTNAME = "kubernetes.io/hostname"

TopologyMode = Literal["required", "preferred", "unconstrained"]


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Node labels that name domains, the widest first."""

    name: str
    levels: tuple[str, ...]


class SliceRequest(msgspec.Struct, frozen=True, cache_hash=True):
    """So many consecutive pods belong into one domain of `level`."""

    level: str
    size: int


class TopologyRequest(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """How the pods of a pod set want to stand.

    ``required``: all in one domain of `level`, or none. ``preferred``: in one domain of `level`
    where that is possible, else of the next wider level, at last in several. ``unconstrained``:
    anywhere in the topology. `slices` go from the widest level to the narrowest; pod sets that name
    the same `group` get the same domain: one leader, and its workers. `only_groups`: its group is
    all that the pod set names, for itself it asks for no topology. `alone_in`: in the domains of
    this level where its pods stand, nobody else stands who asked for the same (two ComputeDomains
    in one NVLink clique break each other: NVIDIA/k8s-dra-driver-gpu #892).
    """

    mode: TopologyMode
    level: str = ""
    slices: tuple[SliceRequest, ...] = ()
    group: str = ""
    only_groups: bool = False
    alone_in: str = ""


class DomainCount(msgspec.Struct, frozen=True):
    """So many pods in the domain with these label values."""

    values: tuple[str, ...]
    count: int


class TopologyAssignment(msgspec.Struct, frozen=True):
    """How many pods of a pod set go into which domain, in the order of their ranks.

    `alone_in` is the level in whose domains it stands alone, "" where it does not matter.
    """

    levels: tuple[str, ...]
    domains: tuple[DomainCount, ...]
    alone_in: str = ""


class TopologyUsage(msgspec.Struct, frozen=True):
    """What a pod set holds in the domains of a flavor: each of its pods takes `per_pod`."""

    flavor: str
    per_pod: Resources
    domains: tuple[DomainCount, ...]
    alone_in: str = ""


Packing = Literal["best-fit", "least-free-capacity"]


class TopologyRules(msgspec.Struct, frozen=True, kw_only=True):
    """How places are chosen where several would do; the defaults are Kueue's.

    `unconstrained_packing`: pods that may stand anywhere fill the smallest gaps first
    (``least-free-capacity``), or as few domains as the others do (``best-fit``).
    `balances_preferred`: pods with a preferred level are spread evenly over as few domains as hold
    them, not filled up one after the other. `respects_preferred_nodes`: nodes that a pod's affinity
    prefers come before a tighter fit. `keeps_running_pods`: a workload that grows or shrinks keeps
    the places of the pods that stay. `leaves_bare_pods`: a workload that is a single pod without an
    owner is not moved from a failed host, for nobody would make the pod anew.
    """

    unconstrained_packing: Packing = "least-free-capacity"
    balances_preferred: bool = False
    respects_preferred_nodes: bool = False
    keeps_running_pods: bool = False
    leaves_bare_pods: bool = True
