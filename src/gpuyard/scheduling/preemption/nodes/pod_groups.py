"""Making room for a whole pod group: the cluster is one domain, and groups may go as a whole.

What is running is divided into *units*: a group that can only be disrupted as one is one unit with
the priority of the group; every other pod is a unit by itself with its own. All units of lower
priority leave; if the group can start then, the units come back one by one for as long as it still
can, first those whose loss would break a disruption budget, then the others, in both cases the most
important first. So no unit is ever partly evicted, and none needlessly.

Whether the group can start is asked of the same function that starts it. Asking once for each unit
would be costly where thousands run, so two shortcuts are taken that change no answer as long as a
unit that comes back never makes it easier to start. Units come back in batches, twice as many after
each yes and half as many after each no, so that only a unit that is asked about alone is lost. And
the places that the group found last are remembered: a unit that comes back to other nodes cannot be
in its way, unless the group's pods look at pods in other nodes' domains.

Semantics: k8s.io/kubernetes v1.36.3, framework/preemption/podgrouppreemption.go and types.go.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.pod_groups import PodGroup
from gpuyard.model.workloads import Assignment, PendingPod
from gpuyard.scheduling.gang import start
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.nodes import disruption, importance
from gpuyard.scheduling.preemption.nodes.importance import Unit
from gpuyard.scheduling.preemption.nodes.per_node import as_booked
from gpuyard.scheduling.snapshot import Snapshot

Refusal = Literal[
    "PreemptionPolicyNever",
    "GroupIsPlacedByTopology",
    "NoVictims",  # nobody has a lower priority
    "NotEnough",  # even without all of them the group could not start
]


class Eviction(msgspec.Struct, frozen=True, kw_only=True):
    """Who has to leave, the most important unit first, and how many units break a budget.

    `places` are nodes for the pods of the group, which are free once all of them have left.
    """

    units: tuple[Unit, ...]
    pdb_violations: int = 0
    places: tuple[Assignment, ...] = ()

    @property
    def victims(self) -> tuple[Assignment, ...]:
        """Return all pods that have to leave."""
        return tuple(pod for unit in self.units for pod in unit.pods)


CanStart = Callable[[Sequence[Unit]], bool]


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
    running = units(placer.snapshot, groups)
    found = chosen_units(placer.snapshot, group.priority, running, budgets, can_start)
    if isinstance(found, Eviction):
        return msgspec.structs.replace(found, places=can_start.found)
    return found


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

    `can_start` is asked of the snapshot as it then is, and told which units came back last.
    """
    leaving = sorted((unit for unit in running if unit.priority < priority), key=importance.of_unit)
    if not leaving:
        return "NoVictims"
    breaking = disruption.breaking_units([unit.pods for unit in leaving], budgets)
    turns = sorted(range(len(leaving)), key=lambda index: not breaking[index])
    with snapshot.trial():
        _remove(snapshot, leaving)
        if not can_start(()):
            return "NotEnough"
        gone = sorted(_not_back(snapshot, leaving, turns, can_start))
    return Eviction(
        units=tuple(leaving[index] for index in gone),
        pdb_violations=sum(breaking[index] for index in gone),
    )


def _not_back(
    snapshot: Snapshot, leaving: Sequence[Unit], turns: Sequence[int], can_start: CanStart
) -> Iterator[int]:
    """Let units come back in their turns for as long as the group can start; yield who cannot."""
    place, size = 0, 1
    while place < len(turns):
        batch = [leaving[index] for index in turns[place : place + size]]
        with snapshot.trial() as trial:
            for unit in batch:
                for pod in unit.pods:
                    snapshot.apply(PodBound(pod))
            are_back = can_start(batch)
            if are_back:
                trial.keep()
        if are_back:
            size *= 2
        elif len(batch) > 1:
            size = len(batch) // 2
            continue
        else:
            yield turns[place]
        place += len(batch)


class _Places:
    """Tells whether a group can start, and remembers where it last found places."""

    def __init__(
        self, placer: Placer, group: PodGroup, pods: Sequence[PendingPod], standing: int
    ) -> None:
        self._placer = placer
        self._group = group
        self._pods = pods
        self._standing = standing
        self._templates = tuple(dict.fromkeys(pod.template for pod in pods))
        self.found: tuple[Assignment, ...] = ()
        self._nodes: frozenset[str] = frozenset()

    def __call__(self, back: Sequence[Unit]) -> bool:
        """Tell whether the group can start, now that the units `back` have their places again."""
        are_elsewhere = all(self._nodes.isdisjoint(unit.nodes) for unit in back)
        if back and are_elsewhere and not self._looks_around():
            return True
        with self._placer.snapshot.trial():
            outcome = start.start(self._placer, self._group, self._pods, standing=self._standing)
        if outcome.starts:
            self.found = outcome.assignments
            self._nodes = frozenset(place.node for place in self.found)
        return outcome.starts

    def _looks_around(self) -> bool:
        shapes = (self._placer.snapshot.shape(template) for template in self._templates)
        return any(self._placer.depends_on_pods(shape) for shape in shapes)


def _remove(snapshot: Snapshot, leaving: Iterable[Unit]) -> None:
    for unit in leaving:
        for pod in unit.pods:
            snapshot.apply(PodGone(pod.pod))
