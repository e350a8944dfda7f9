"""Making room for a whole pod group: the cluster is one domain, and groups may go as a whole.

What is running is divided into *units*: a group that can only be disrupted as one is one unit with
the priority of the group; every other pod is a unit by itself with its own. All units of lower
priority leave; if the group can start then, the units come back one by one for as long as it still
can, first those whose loss would break a disruption budget, then the others, in both cases the most
important first. So no unit is ever partly evicted, and none needlessly.

Whether the group can start is asked of the same function that starts it. It is asked once for each
unit, which would be costly where thousands run, so the places that the group found last are
remembered: a unit that comes back to other nodes cannot be in its way, unless the group's pods look
at pods in other nodes' domains.

Semantics: k8s.io/kubernetes v1.36.3, framework/preemption/podgrouppreemption.go and types.go.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.pod_groups import PodGroup
from gpuyard.model.workloads import Assignment, PendingPod
from gpuyard.scheduling.gang import start
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption import disruption, importance
from gpuyard.scheduling.preemption.per_node import as_booked
from gpuyard.scheduling.snapshot import Snapshot

Refusal = Literal[
    "PreemptionPolicyNever",
    "GroupIsPlacedByTopology",
    "NoVictims",  # nobody has a lower priority
    "NotEnough",  # even without all of them the group could not start
]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that go together or not at all."""

    pods: tuple[Assignment, ...]
    priority: int

    @property
    def nodes(self) -> frozenset[str]:
        """Return where its pods run."""
        return frozenset(pod.node for pod in self.pods)


class Eviction(msgspec.Struct, frozen=True, kw_only=True):
    """Who has to leave, the most important unit first, and how many units break a budget."""

    units: tuple[Unit, ...]
    pdb_violations: int = 0

    @property
    def victims(self) -> tuple[Assignment, ...]:
        """Return all pods that have to leave."""
        return tuple(pod for unit in self.units for pod in unit.pods)


CanStart = Callable[[Unit | None], bool]


def victims(
    placer: Placer,
    group: PodGroup,
    pods: Sequence[PendingPod],
    groups: Mapping[str, PodGroup],
    budgets: Sequence[DisruptionBudget] = (),
    *,
    standing: int = 0,
) -> Eviction | Refusal:
    """Return who has to leave so that `pods` of `group` can start, or why that is not to be had.

    `groups` are all that are known, `standing` is how many members have nodes. The snapshot stays
    as it is. A group that wants one domain is refused: each domain would ask for other victims.
    """
    why_not = refusal(group, pods)
    if why_not is not None:
        return why_not
    can_start = _Places(placer, group, pods, standing)
    found = units(placer.snapshot, groups)
    return chosen_units(placer.snapshot, group.priority, found, budgets, can_start)


def refusal(group: PodGroup, pods: Iterable[PendingPod]) -> Refusal | None:
    """Return why `group` may not preempt at all, `None` where it may."""
    if group.topology_key is not None:
        return "GroupIsPlacedByTopology"
    return None if all(pod.preempts for pod in pods) else "PreemptionPolicyNever"


def units(snapshot: Snapshot, groups: Mapping[str, PodGroup]) -> tuple[Unit, ...]:
    """Return everything that runs as units; a group is whole, wherever its pods are."""
    of_group: dict[str, list[Assignment]] = {}
    alone: list[Unit] = []
    for booking in snapshot.bookings.values():
        pod = as_booked(booking)
        if goes_as_one(pod, groups) is None:
            alone.append(Unit(pods=(pod,), priority=pod.priority))
        else:
            of_group.setdefault(pod.group, []).append(pod)
    whole = [
        Unit(pods=tuple(sorted(pods, key=lambda pod: pod.pod)), priority=groups[key].priority)
        for key, pods in of_group.items()
    ]
    return tuple(sorted([*alone, *whole], key=importance.of_unit))


def goes_as_one(pod: Assignment, groups: Mapping[str, PodGroup]) -> PodGroup | None:
    """Return the group with which `pod` is disrupted, `None` where it goes by itself."""
    group = groups.get(pod.group) if pod.group else None
    return group if group is not None and group.disruption == "group" else None


def chosen_units(
    snapshot: Snapshot,
    priority: int,
    running: Iterable[Unit],
    budgets: Sequence[DisruptionBudget],
    can_start: CanStart,
) -> Eviction | Refusal:
    """Return which of `running` have to leave for `can_start` to hold.

    `can_start` is asked of the snapshot as it then is, and told which unit came back last.
    """
    leaving = sorted((unit for unit in running if unit.priority < priority), key=importance.of_unit)
    if not leaving:
        return "NoVictims"
    with snapshot.trial():
        _remove(snapshot, leaving)
        if not can_start(None):
            return "NotEnough"
        breaking = disruption.breaking_units([unit.pods for unit in leaving], budgets)
        turns = sorted(range(len(leaving)), key=lambda index: not breaking[index])
        gone = []
        for index in turns:
            unit = leaving[index]
            for pod in unit.pods:
                snapshot.apply(PodBound(pod))
            if not can_start(unit):
                _remove(snapshot, [unit])
                gone.append(index)
    return Eviction(
        units=tuple(leaving[index] for index in sorted(gone)),
        pdb_violations=sum(breaking[index] for index in gone),
    )


class _Places:
    """Tells whether a group can start, and remembers where it last found places."""

    def __init__(
        self, placer: Placer, group: PodGroup, pods: Sequence[PendingPod], standing: int
    ) -> None:
        self._placer = placer
        self._group = group
        self._pods = pods
        self._standing = standing
        self._nodes: frozenset[str] = frozenset()

    def __call__(self, back: Unit | None) -> bool:
        """Tell whether the group can start, now that `back` has its places again."""
        if back is not None and not back.nodes & self._nodes and not self._looks_around():
            return True
        with self._placer.snapshot.trial():
            outcome = start.start(self._placer, self._group, self._pods, standing=self._standing)
        if outcome.starts:
            self._nodes = frozenset(member.node for member in outcome.members if member.node)
        return outcome.starts

    def _looks_around(self) -> bool:
        shapes = (self._placer.snapshot.shape(pod.template) for pod in self._pods)
        return any(self._placer.depends_on_pods(shape) for shape in shapes)


def _remove(snapshot: Snapshot, leaving: Iterable[Unit]) -> None:
    for unit in leaving:
        for pod in unit.pods:
            snapshot.apply(PodGone(pod.pod))
