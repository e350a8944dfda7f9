"""The ways in which a workload could start, and how far it comes on each.

A way is a flavor for each pod set: what admission would choose now, or one flavor of the queue for
all. On a way a workload comes so far: do all its pods find nodes (room, topology, and a landing on
trial, by the functions that a cycle uses); is there quota; does a StrictFIFO head stand before it;
and if nothing of that, nobody has tried it. Nodes come before quota, so that what is blamed on
quota could be used with more of it.

The snapshot and the queues are the same afterwards, and so is chance.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from gpuyard.model.queues import Admission, PodSetAssignment
from gpuyard.model.reasons import Constraint
from gpuyard.model.topology import TopologyAssignment
from gpuyard.model.workloads import PodSet, PodTemplate, Workload
from gpuyard.scheduling.explain.binding import binding
from gpuyard.scheduling.feasibility import FILTERS
from gpuyard.scheduling.flavors import FlavorRequest, assign
from gpuyard.scheduling.flavors.assignment import FlavorAssignment
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.question import NotPlaced
from gpuyard.scheduling.flavors.requests import of_pending
from gpuyard.scheduling.flavors.topologies import FlavorTopologies
from gpuyard.scheduling.idle.asks import Ask
from gpuyard.scheduling.idle.steps import Step
from gpuyard.scheduling.landing import in_flavors, land
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.queues.rules import Simulation
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.topology import PodSetRequest, sentence

Flavors = Mapping[str, tuple[str, ...]]  # by pod set; none: any node will do

SHAPES_KEPT_MAX = 64
ELSEWHERE: Flavors = {}  # the way over nodes of no flavor at all


class Way(NamedTuple):
    """How far a workload comes with these flavors, and what stops it there."""

    flavors: Flavors
    step: Step
    sentence: str
    binding: Constraint | None = None


class Seeker(NamedTuple):
    """What is needed to look for ways."""

    placer: Placer
    queues: Queues
    policy: QueuePolicy
    rooms: dict[Shape, int]  # pods of a shape that find nodes, of the shapes looked at lately

    def room(self, shape: Shape) -> int:
        """Return how many pods of `shape` find nodes; without a limit it is beyond 64 bits."""
        if shape not in self.rooms:
            if len(self.rooms) >= SHAPES_KEPT_MAX:
                self.rooms.clear()
            self.rooms[shape] = sum(self.placer.room(shape).tolist())
        return self.rooms[shape]

    def template(self, pod_set: PodSet, flavors: Flavors) -> PodTemplate:
        """Return the pods of `pod_set` as they stand in their flavors."""
        given = [self.queues.flavors[name] for name in flavors.get(pod_set.name, ())]
        return in_flavors(pod_set.template, given)

    def shape(self, pod_set: PodSet, flavors: Flavors) -> Shape:
        """Return their shape."""
        return self.placer.snapshot.shape(self.template(pod_set, flavors))


def ways(seeker: Seeker, ask: Ask) -> Iterator[Way]:
    """Yield the ways for `ask`: that of admission, each flavor of its queue, then elsewhere."""
    workload = _smallest(seeker, ask.workload)
    found = _assign(seeker, ask, workload, None)
    if found.mode is Mode.FIT:
        flavors = {
            each.name: tuple(dict.fromkeys(choice.flavor for _, choice in each.choices))
            for each in found.pod_sets
        }
        yield _way(seeker, ask, flavors, found.admission(ask.queue), found)
    own = set(seeker.queues.flavors_of(ask.queue))
    for flavor in sorted(seeker.queues.flavors):
        yield _in_one_flavor(seeker, ask, workload, flavor, is_own=flavor in own)
    yield _elsewhere(seeker, ask, workload)


def _elsewhere(seeker: Seeker, ask: Ask, workload: Workload) -> Way:
    """Return how far it would come on nodes of no flavor."""
    short = _no_room(seeker, workload, ELSEWHERE)
    if short is not None:
        return short
    if not _lands(seeker, workload, ELSEWHERE, _anywhere(ask, workload)):
        return _apart(ask, ELSEWHERE)
    said = f"{ask.workload.key} would fit, and no flavor has its node"
    return Way(ELSEWHERE, Step.NO_QUOTA, said)


def _anywhere(ask: Ask, workload: Workload) -> Admission:
    return Admission(
        ask.queue,
        tuple(PodSetAssignment(name=each.name, count=each.count) for each in workload.pod_sets),
    )


def _apart(ask: Ask, flavors: Flavors) -> Way:
    said = f"the pods of {ask.workload.key} do not all find nodes together"
    return Way(flavors, Step.NOT_TOGETHER, said)


def _smallest(seeker: Seeker, workload: Workload) -> Workload:
    """Return `workload` with as few pods as it may start with."""
    if not seeker.policy.rules.flavors.partial_admission:
        return workload
    fewest = tuple(
        msgspec.structs.replace(each, count=min(each.count, each.min_count))
        if each.min_count is not None
        else each
        for each in workload.pod_sets
    )
    smallest: Workload = msgspec.structs.replace(workload, pod_sets=fewest)
    return smallest


def _in_one_flavor(
    seeker: Seeker, ask: Ask, workload: Workload, flavor: str, *, is_own: bool
) -> Way:
    flavors = {each.name: (flavor,) for each in workload.pod_sets}
    short = _no_room(seeker, workload, flavors)
    if short is not None:
        return short
    places = _places(seeker, workload, flavor)
    if isinstance(places, NotPlaced):
        refusal = places.refusal
        said = f"{ask.workload.key}: {sentence(refusal)}"
        level = f", level {refusal.level}" if refusal.level else ""
        missing = Constraint(
            name="slices" if refusal.in_slices else "pods",
            needed=refusal.needed,
            have=refusal.have,
            where=f"topology {refusal.topology}{level}",
        )
        return Way(flavors, Step.NOT_TOGETHER, said, missing if refusal.needed else None)
    standing = tuple(
        PodSetAssignment(
            name=each.name,
            count=each.count,
            flavors=tuple((name, flavor) for name, _ in each.template.request.resources.amounts)
            or (("", flavor),),
            topology=places.get(each.name),
        )
        for each in workload.pod_sets
    )
    admission = Admission(ask.queue, standing)
    found = _assign(seeker, ask, workload, flavor) if is_own else None
    return _way(seeker, ask, flavors, admission, found)


def _way(
    seeker: Seeker, ask: Ask, flavors: Flavors, admission: Admission, found: FlavorAssignment | None
) -> Way:
    """Return how far it comes when places are known, and quota; `None`: no quota there at all."""
    key = ask.workload.key
    workload = _smallest(seeker, ask.workload)
    short = _no_room(seeker, workload, flavors)
    if short is not None:
        return short
    if not _lands(seeker, workload, flavors, admission):
        return _apart(ask, flavors)
    if found is None:
        said = f"{key} would fit, and ClusterQueue {ask.queue} does not have the flavor"
        return Way(flavors, Step.NO_QUOTA, said)
    if found.mode is not Mode.FIT:
        said = f"{key} would fit, and ClusterQueue {ask.queue} has no quota: {found.message()}"
        return Way(flavors, Step.NO_QUOTA, said, binding(ask.queue, found))
    if ask.head:
        said = f"{key} could start, and stands behind {ask.head} in ClusterQueue {ask.queue}"
        return Way(flavors, Step.BEHIND_HEAD, said)
    return Way(flavors, Step.NOT_TRIED, f"{key} could start, and was not tried yet")


# -- quota


def _assign(seeker: Seeker, ask: Ask, workload: Workload, flavor: str | None) -> FlavorAssignment:
    """Return what admission would give; with `flavor` only that one, where it is among several."""
    queues, rules = seeker.queues, seeker.policy.rules
    allowed = None if flavor is None else _allowed(queues, ask.queue, flavor)
    slice_ = queues.holders[ask.queue].get(workload.replaces)
    may_replace = slice_ is not None and rules.flavors.elastic_slices
    return assign(
        queues,
        FlavorRequest(
            queue=ask.queue,
            pod_sets=of_pending(workload, rules.flavors),
            replaced=slice_.admission if slice_ is not None and may_replace else None,
            allowed=allowed,
            is_elastic=workload.elastic,
        ),
        rules=msgspec.structs.replace(rules.flavors, respect_allowed_flavors=True),
        simulate=lambda *_: Simulation(possibility="NoCandidates", borrowing_levels=0),
        topologies=FlavorTopologies(queues.places, rules.topology),
    )


def _allowed(queues: Queues, queue: str, flavor: str) -> frozenset[str]:
    """Return `flavor`, and the flavors of the resource groups that do not have it."""
    allowed = {flavor}
    for group in queues.specs[queue].resource_groups:
        names = {each.flavor for each in group.flavors}
        if flavor not in names:
            allowed |= names
    return frozenset(allowed)


# -- nodes


def _no_room(seeker: Seeker, workload: Workload, flavors: Flavors) -> Way | None:
    """Return the way that ends because a shape has too little room; each is looked at alone."""
    counts: dict[Shape, int] = {}
    for pod_set in workload.pod_sets:
        shape = seeker.shape(pod_set, flavors)
        counts[shape] = counts.get(shape, 0) + pod_set.count
    for shape, needed in counts.items():
        have = seeker.room(shape)
        if have < needed:
            said = f"{have} of {needed} pods of {workload.key} find a node"
            where = ", ".join(sorted({name for each in flavors.values() for name in each}))
            short = Constraint(
                name="pods", needed=needed, have=have, where=where or "the whole fleet"
            )
            return Way(flavors, Step.NOT_TOGETHER, said, short)
    return None


def _places(
    seeker: Seeker, workload: Workload, flavor: str
) -> Mapping[str, TopologyAssignment] | NotPlaced:
    """Return places in the topology of `flavor`; none where it has no topology."""
    if flavor not in seeker.queues.places:
        return {}
    wanted = [
        PodSetRequest(pod_set=each, count=each.count, per_pod=each.template.request.resources)
        for each in workload.pod_sets
    ]
    topologies = FlavorTopologies(seeker.queues.places, seeker.policy.rules.topology)
    return topologies.place({flavor: wanted}, empty=False)


def _lands(seeker: Seeker, workload: Workload, flavors: Flavors, admission: Admission) -> bool:
    """Tell whether all pods find nodes; room has the last word where a shape is alone and free."""
    shapes = {seeker.shape(pod_set, flavors) for pod_set in workload.pod_sets}
    has_places = any(each.topology is not None for each in admission.pod_sets)
    if len(shapes) == 1 and not has_places and not any(map(_looks_around, shapes)):
        return True
    rng = seeker.placer.rng.bit_generator
    state = rng.state
    with seeker.placer.snapshot.trial():
        landed = land(
            seeker.placer,
            seeker.queues,
            workload,
            admission,
            keeps_domains=seeker.policy.keeps_domains,
        )
    rng.state = state
    return landed is not None


def _looks_around(shape: Shape) -> bool:
    """Tell whether pods elsewhere decide where `shape` may go."""
    return any(rule.reads == "pods" and rule.concerns(shape) for rule in FILTERS)
