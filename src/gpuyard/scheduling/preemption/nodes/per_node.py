"""Making room for one pod: on which nodes, and who would have to go there.

For each node that a filter turned down, but that an eviction could mend, a dry run: all pods of
lower priority leave; if the pod fits then, they come back one by one for as long as it still fits,
first those whose loss would break a disruption budget, then the others, in both cases the most
important first. Who cannot come back is a victim. No victim is needless: each was refused while
everybody reprieved before it was back.

The search begins at a node left to chance, so that the same nodes are not always hit, and stops
when `PreemptionRules` has enough candidates. Nodes where even the loss of every lower pod would
not do are ruled out at once (`reach`). A dry run is a trial of the snapshot: nothing of it stays.

Pods that the pod itself needs near it (required affinity) may be among those that leave; then the
node is no candidate, as in Kubernetes.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/framework/preemption/preemption.go
(findCandidates, DryRunPreemption) and plugins/defaultpreemption (SelectVictimsOnNode).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.disruption import DisruptionBudget, PreemptionRules
from gpuyard.model.reasons import Rejection
from gpuyard.model.workloads import Assignment, PendingPod, PodTemplate
from gpuyard.scheduling.feasibility import FILTERS
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.nodes import disruption, importance
from gpuyard.scheduling.preemption.nodes.reach import within_reach
from gpuyard.scheduling.snapshot import Booking, Snapshot

NAME = "DefaultPreemption"
NO_VICTIMS = Rejection(filter=NAME, text="No preemption victims found for incoming pod")
NOT_HELPFUL = Rejection(
    filter=NAME, text="Preemption is not helpful for scheduling", resolvable=False
)
KUBE_RULES = PreemptionRules()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and who has to leave it: at least one pod, the most important first."""

    node: str
    victims: tuple[Assignment, ...]
    pdb_violations: int = 0


def candidates(
    placer: Placer,
    pod: PendingPod,
    budgets: Sequence[DisruptionBudget] = (),
    rules: PreemptionRules = KUBE_RULES,
    *,
    slots: IntArray | None = None,
    offset: int | None = None,
) -> tuple[Candidate, ...]:
    """Return nodes where `pod` would fit once the victims have left, by rank of the node.

    `slots` are the nodes to look at, in order, by default those that an eviction could mend;
    `offset` is where among them the search begins, by default left to the placer's chance.
    """
    snapshot = placer.snapshot
    looked_at = mendable(placer, pod.template) if slots is None else slots
    if not len(looked_at):
        return ()
    if offset is None:
        offset = int(placer.rng.integers(len(looked_at)))
    wanted = max(len(looked_at) * rules.candidates_min_pct // 100, rules.candidates_min)
    reachable = np.roll(_reachable(placer, pod, looked_at), -offset)
    in_turn = np.roll(looked_at, -offset)[reachable].tolist()
    found = _first_found((dry_run(snapshot, pod, slot, budgets) for slot in in_turn), wanted)
    order = snapshot.fleet.order
    return tuple(sorted(found, key=lambda each: int(order[snapshot.slot_of[each.node]])))


def _first_found(dry_runs: Iterable[Candidate | None], wanted: int) -> list[Candidate]:
    """Return the first candidates, until there are so many and one that breaks no budget.

    Of those that break one, no more than `wanted` are kept.
    """
    harmless: list[Candidate] = []
    breaking: list[Candidate] = []
    for candidate in dry_runs:
        if candidate is None:
            continue
        if not candidate.pdb_violations:
            harmless.append(candidate)
        elif len(breaking) < wanted:
            breaking.append(candidate)
        if harmless and len(harmless) + len(breaking) >= wanted:
            break
    return harmless + breaking


def mendable(placer: Placer, template: PodTemplate) -> IntArray:
    """Return the slots, by rank, that turn `template` down for more than the node itself."""
    snapshot = placer.snapshot
    slots = np.flatnonzero(placer.allowed_by_labels(snapshot.shape(template)))
    slots = slots[~fits(snapshot, template, slots)]
    by_rank: IntArray = slots[snapshot.fleet.order[slots].argsort()]
    return by_rank


def dry_run(
    snapshot: Snapshot,
    pod: PendingPod,
    slot: int,
    budgets: Sequence[DisruptionBudget] = (),
) -> Candidate | None:
    """Return who would have to leave the node in `slot`; `None` where that would not help."""
    here = np.array([slot])
    with snapshot.trial():
        leaving = remove_lower(snapshot, pod.priority, slot)
        if not leaving or not fits(snapshot, pod.template, here)[0]:
            return None
        victims: list[Assignment] = []
        violations = 0
        for booking, is_breaking in _in_turn(leaving, budgets):
            victim = booking.assignment
            snapshot.apply(PodBound(as_booked(booking)))
            if not fits(snapshot, pod.template, here)[0]:
                snapshot.apply(PodGone(victim.pod))
                victims.append(victim)
                violations += is_breaking
    if not victims:
        return None
    by_importance = tuple(sorted(victims, key=importance.of_pod))
    name = snapshot.nodes[slot].name
    return Candidate(node=name, victims=by_importance, pdb_violations=violations)


def fits(snapshot: Snapshot, template: PodTemplate, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether every filter lets `template` in as things stand."""
    shape = snapshot.shape(template)
    passing = np.ones(len(slots), dtype=np.bool_)
    for rule in FILTERS:
        if rule.concerns(shape):
            left = np.flatnonzero(passing)
            if not len(left):
                break
            passing[left] = rule.passes(snapshot, shape, slots[left])
    return passing


def explain(
    placer: Placer, pod: PendingPod, *, slots: IntArray | None = None
) -> tuple[tuple[Rejection, int], ...]:
    """Return why no node is a candidate, each reason with its number of nodes.

    A node that an eviction could mend says what still turns `pod` down when everybody of lower
    priority has left. Most frequent first, then by text.
    """
    snapshot = placer.snapshot
    looked_at = mendable(placer, pod.template) if slots is None else slots
    counted: Counter[Rejection] = Counter()
    for slot in looked_at.tolist():
        counted.update(_reasons(snapshot, pod, slot))
    others = int(np.count_nonzero(snapshot.fleet.present)) - len(looked_at)
    if others:
        counted[NOT_HELPFUL] += others
    return tuple(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0].text)))


def _reasons(snapshot: Snapshot, pod: PendingPod, slot: int) -> tuple[Rejection, ...]:
    here = np.array([slot])
    with snapshot.trial():
        if not remove_lower(snapshot, pod.priority, slot):
            return (NO_VICTIMS,)
        shape = snapshot.shape(pod.template)
        for rule in FILTERS:
            if rule.concerns(shape) and not rule.passes(snapshot, shape, here)[0]:
                return rule.reasons(snapshot, shape, slot)
    return ()


def _reachable(placer: Placer, pod: PendingPod, slots: IntArray) -> BoolArray:
    shape = placer.snapshot.shape(pod.template)
    reachable = placer.allowed_by_labels(shape)[slots]
    return reachable & within_reach(placer.snapshot, shape, pod.priority, slots)


def remove_lower(snapshot: Snapshot, priority: int, slot: int) -> list[Booking]:
    """Let every pod of lower priority leave `slot`; return them, the most important first."""
    leaving = sorted(
        (
            booking
            for booking in snapshot.pods_on[slot].values()
            if booking.assignment.priority < priority
        ),
        key=lambda booking: importance.of_pod(booking.assignment),
    )
    for booking in leaving:
        snapshot.apply(PodGone(booking.assignment.pod))
    return leaving


def as_booked(booking: Booking) -> Assignment:
    """Return an assignment that gets back the devices it was booked on, observed or predicted."""
    if booking.assignment.devices is not None or not booking.devices:
        return booking.assignment
    return msgspec.structs.replace(booking.assignment, devices=booking.devices)


def _in_turn(
    leaving: list[Booking], budgets: Sequence[DisruptionBudget]
) -> Iterator[tuple[Booking, bool]]:
    """Yield who may come back first, and whether its loss breaks a budget."""
    breaking = disruption.breaking_pods([each.assignment for each in leaving], budgets)
    for turn in (True, False):
        for booking, is_breaking in zip(leaving, breaking, strict=True):
            if is_breaking is turn:
                yield booking, is_breaking
