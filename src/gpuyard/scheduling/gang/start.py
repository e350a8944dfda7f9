"""Starting a pod group: all members in one pass, and one verdict for the group.

Members are placed one after the other, each seeing those before it; one that fits nowhere does not
stop the others. From the member on with which the group has as many places as it needs, the
barrier is open, and the group can start with those that found one. Where members found a place
only after others would have been evicted, and pods may preempt for themselves, the whole group
waits for that: nobody is bound. A group that cannot start leaves no trace in the snapshot.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/schedule_one_podgroup.go
(podGroupSchedulingDefaultAlgorithm, podGroupInfoForPod, submitPodGroupAlgorithmResult).
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.pod_groups import PodGroup
from gpuyard.model.workloads import Assignment, PendingPod
from gpuyard.scheduling.fleet import BoolArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.nodes.per_node import Candidate
from gpuyard.scheduling.snapshot import Snapshot

MakeRoom = Callable[[PendingPod], Candidate | None]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass found for one pod.

    `node` is empty where it fits nowhere; with `victims` it fits there once they have left.
    `passes` says that the barrier is open for it; else it would wait there.
    """

    pod: str
    node: str = ""
    passes: bool = False
    needs_preemption: bool = False
    assignment: Assignment | None = None
    victims: tuple[Assignment, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass found for the group: it starts, or waits for victims, or cannot start."""

    members: tuple[Member, ...]
    starts: bool = False
    waits_for_victims: bool = False

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """Return where the members are that found a place."""
        return tuple(each.assignment for each in self.members if each.assignment is not None)

    @property
    def bound(self) -> tuple[str, ...]:
        """Return who gets its node now."""
        return tuple(each.pod for each in self.members if self.starts and each.node)

    @property
    def nominated(self) -> tuple[str, ...]:
        """Return who is promised its node, to be bound when the victims have left."""
        return tuple(each.pod for each in self.members if self.waits_for_victims and each.node)

    @property
    def refused(self) -> tuple[str, ...]:
        """Return who goes back to the queue with nothing."""
        settled = {*self.bound, *self.nominated}
        return tuple(each.pod for each in self.members if each.pod not in settled)


def start(
    placer: Placer,
    group: PodGroup,
    pods: Sequence[PendingPod],
    *,
    standing: int = 0,
    within: BoolArray | None = None,
    make_room: MakeRoom | None = None,
) -> Outcome:
    """Place `pods` of `group`, of which `standing` other members have nodes; keep it if it starts.

    `within` tells for each slot whether it may be chosen. `make_room` names a node and victims for
    a pod that fits nowhere; without it no pod preempts for itself.
    """
    with placer.snapshot.trial() as trial:
        found: list[Member] = []
        places = standing
        for pod in order(pods):
            member = _place(placer, pod, within, make_room)
            places += bool(member.node)
            is_open = bool(member.node) and places >= group.min_count
            found.append(msgspec.structs.replace(member, passes=is_open))
        outcome = verdict(found)
        if outcome.starts:
            trial.keep()
    return outcome


def order(pods: Iterable[PendingPod]) -> list[PendingPod]:
    """Return members in their turn: priority, then who was first tried first, then the key."""
    return sorted(pods, key=lambda pod: (-pod.priority, pod.first_tried_ns, pod.key))


def verdict(members: Iterable[Member]) -> Outcome:
    """Return what becomes of a group whose members fared like this, in their turn.

    The last member for whom the barrier is open decides: if anybody up to there needs preemption,
    the group waits for it.
    """
    found = tuple(members)
    starts = waits = needs_preemption = False
    for member in found:
        if not member.node:
            continue
        needs_preemption = needs_preemption or member.needs_preemption
        if member.passes:
            starts, waits = not needs_preemption, needs_preemption
    return Outcome(members=found, starts=starts, waits_for_victims=waits)


def keep(snapshot: Snapshot, outcome: Outcome) -> None:
    """Bind the members of an outcome that was tried and undone."""
    for assignment in outcome.assignments:
        snapshot.apply(PodBound(assignment))


def _place(
    placer: Placer, pod: PendingPod, within: BoolArray | None, make_room: MakeRoom | None
) -> Member:
    snapshot = placer.snapshot
    choice = placer.choose(snapshot.shape(pod.template), within)
    if choice is not None:
        here = _assigned(pod, snapshot.nodes[choice.slot].name, choice.devices)
        snapshot.apply(PodBound(here))
        return Member(pod=pod.key, node=here.node, assignment=here)
    candidate = make_room(pod) if make_room is not None else None
    if candidate is None:
        return Member(pod=pod.key)
    for victim in candidate.victims:
        snapshot.apply(PodGone(victim.pod))
    promised = _assigned(pod, candidate.node, None)
    snapshot.apply(PodBound(promised))
    return Member(
        pod=pod.key,
        node=candidate.node,
        needs_preemption=True,
        assignment=promised,
        victims=candidate.victims,
    )


def _assigned(pod: PendingPod, node: str, devices: tuple[int, ...] | None) -> Assignment:
    return Assignment(
        pod=pod.key,
        template=pod.template,
        node=node,
        devices=devices,
        priority=pod.priority,
        group=pod.group,
    )
