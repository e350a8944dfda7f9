"""What is asked of a tree: levels and sizes, looked up and checked once.

A pod set says which level it wants and how (`TopologyRequest`); a tree knows levels by number. In
between lies what may be wrong with a request: a level that the topology does not have, slices wider
than the pods' own domain, layers that do not divide. Each is refused here, with a code.

The level that is meant: the one that is named (``required``, ``preferred``); with slices only, the
widest; else the narrowest, also where a pod set asks for nothing and its queue has only flavors
with a topology.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go (levelKey,
buildSliceSizeAtLevel, HasLevel, findLeaderAndWorkers). Where we differ, on purpose: Kueue's webhook
sees to it that pods come in whole slices and that a group is one leader and its workers, and
without it drops the pods that are left over; here both are refused.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gpuyard.model.resources import Resources
from gpuyard.model.topology import (
    SliceRequest,
    TopologyAssignment,
    TopologyRequest,
    TopologyRules,
)
from gpuyard.model.workloads import PodSet
from gpuyard.scheduling.topology.refusals import Refusal, RefusalCode
from gpuyard.scheduling.topology.tree import DomainTree

ANYWHERE = TopologyRequest(mode="unconstrained")


class PodSetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """So many pods of a pod set want places, each of which takes `per_pod` (without the pod).

    `previous` is where pods of this pod set stand already.
    """

    pod_set: PodSet
    count: int
    per_pod: Resources
    previous: TopologyAssignment | None = None

    @property
    def name(self) -> str:
        """The name of the pod set."""
        return self.pod_set.name

    @property
    def topology(self) -> TopologyRequest:
        """What the pod set asks for; a pod set that says nothing may stand anywhere."""
        return self.pod_set.topology or ANYWHERE


class Group(NamedTuple):
    """Pod sets that are placed together: one leader at most, and its workers."""

    workers: PodSetRequest
    leader: PodSetRequest | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its pod sets."""
        return (
            (self.workers.name,) if self.leader is None else (self.workers.name, self.leader.name)
        )


class Ask(NamedTuple):
    """What is looked for in a tree, in its own numbers.

    `pods` in slices of `slice_size`, each inside one domain of `slice_level` (without slices:
    single pods on leaves), all of them in one domain of `level` or, unless `is_required`, of a
    wider one. `inner_sizes[level]` is the size of the slices of an inner layer, 0 where there is
    none. `best_fit` tells the two ways of packing apart.
    """

    pods: int
    level: int
    slice_level: int
    slice_size: int
    inner_sizes: tuple[int, ...]
    layers: tuple[SliceRequest, ...] = ()  # all of them, where there are several
    leaders: int = 0
    is_required: bool = False
    is_unconstrained: bool = False
    best_fit: bool = True

    @property
    def slices(self) -> int:
        """Whole slices."""
        return self.pods // self.slice_size


def groups(requests: Sequence[PodSetRequest]) -> list[Group] | Refusal:
    """Return the groups in the order of their first pod set; of two the smaller is the leader."""
    together: dict[str | int, list[PodSetRequest]] = {}
    for index, request in enumerate(requests):
        together.setdefault(request.topology.group or index, []).append(request)
    found: list[Group] = []
    for members in together.values():
        if len(members) == 1:
            found.append(Group(members[0]))
            continue
        workers, leader = members[:2]
        if leader.count > workers.count:
            workers, leader = leader, workers
        if len(members) > 2 or leader.count != 1:  # noqa: PLR2004  a leader and its workers
            return Refusal(
                code="no-group",
                pod_sets=tuple(member.name for member in members),
                topology="",
                level=members[0].topology.group,
            )
        found.append(Group(workers, leader))
    return found


def wanted_level(levels: Sequence[str], request: TopologyRequest) -> str:
    """Return the label of the level that `request` means."""
    if request.mode != "unconstrained":
        return request.level
    return levels[0] if request.slices else levels[-1]


def has_levels(levels: Sequence[str], request: TopologyRequest | None) -> bool:
    """Tell whether a topology with `levels` has every level that a pod set names.

    A pod set that asks for nothing does not ask for this topology either.
    """
    if request is None:
        return False
    named = {wanted_level(levels, request), *(layer.level for layer in request.slices)}
    return named <= set(levels)


def resolve(tree: DomainTree, topology: str, group: Group, rules: TopologyRules) -> Ask | Refusal:
    """Return what is asked of `tree`, or why it makes no sense there; `topology` is its name."""
    request = group.workers.topology
    refused = _Refusing(group, topology)
    label = wanted_level(tree.levels, request)
    layers = request.slices or (SliceRequest(tree.levels[-1], 1),)
    level, slice_level = tree.level_of(label), tree.level_of(layers[0].level)
    if any(layer.size <= 0 for layer in layers):
        return refused.because("no-slice-size")
    if level is None:
        return refused.because("no-level", label)
    if request.alone_in and tree.level_of(request.alone_in) is None:
        return refused.because("no-level", request.alone_in)
    if slice_level is None:
        return refused.because("no-slice-level", layers[0].level)
    if slice_level < level:
        return refused.because("slice-above-pod-set", layers[0].level, label)
    inner_sizes = _inner_sizes(tree, layers, slice_level, refused)
    if isinstance(inner_sizes, Refusal):
        return inner_sizes
    if group.workers.count % layers[0].size:
        return refused.because(
            "no-whole-slices", layers[0].level, needed=group.workers.count, have=layers[0].size
        )
    is_unconstrained = request.mode == "unconstrained"
    return Ask(
        pods=group.workers.count,
        leaders=0 if group.leader is None else 1,
        level=level,
        slice_level=slice_level,
        slice_size=layers[0].size,
        inner_sizes=inner_sizes,
        layers=layers if len(layers) > 1 else (),
        is_required=request.mode == "required",
        is_unconstrained=is_unconstrained,
        best_fit=not is_unconstrained or rules.unconstrained_packing == "best-fit",
    )


class _Refusing(NamedTuple):
    """Who is refused, and where."""

    group: Group
    topology: str

    def because(
        self,
        code: RefusalCode,
        level: str = "",
        other_level: str = "",
        *,
        needed: int = 0,
        have: int = 0,
    ) -> Refusal:
        """Return the refusal."""
        return Refusal(
            code=code,
            pod_sets=self.group.names,
            topology=self.topology,
            level=level,
            other_level=other_level,
            needed=needed,
            have=have,
        )


def _inner_sizes(
    tree: DomainTree, layers: Sequence[SliceRequest], slice_level: int, refused: _Refusing
) -> tuple[int, ...] | Refusal:
    """Return by level the size in whose multiples pods go there, 0 where no inner layer says."""
    sizes = [0] * len(tree.levels)
    wider_level, wider = slice_level, layers[0]
    for layer in layers[1:]:
        level = tree.level_of(layer.level)
        if level is None:
            return refused.because("no-layer-level", layer.level)
        if level <= wider_level:
            return refused.because("layer-not-below", layer.level, wider.level)
        if wider.size % layer.size:
            return refused.because("layer-does-not-divide", needed=layer.size, have=wider.size)
        sizes[wider_level + 1 : level + 1] = [layer.size] * (level - wider_level)
        wider_level, wider = level, layer
    return tuple(sizes)
