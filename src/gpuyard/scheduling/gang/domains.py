"""The one domain in which all pods of a group stand: which there are, and which is best.

A group may ask for one node label of which all members need the same value (a rack, an NVLink
domain). Each value that some node has is one domain, unless members stand somewhere already: then
only theirs is left. Every domain is tried as if it were the whole cluster, and of those in which
the group can start the one with the largest score is taken: how full the group makes it, so that
large holes stay whole, and how many of its pods find a place. Ties go to the domain of the node
with the smallest rank.

Semantics: k8s.io/kubernetes v1.36.3, plugins/topologyaware/topology_placement.go,
plugins/podgrouppodscount, plugins/noderesources (ScorePlacement) and
pkg/scheduler/schedule_one_podgroup.go (podGroupSchedulingPlacementAlgorithm).
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.model.policy import WeightedScore
from gpuyard.model.resources import NOTHING
from gpuyard.model.workloads import DeviceRequest, PendingPod, PodTemplate, Request
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.gang import start
from gpuyard.scheduling.gang.start import Member, Outcome
from gpuyard.scheduling.node_facts import Fact
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.scores import allocation, most_allocated
from gpuyard.scheduling.snapshot import Snapshot


class Domain(msgspec.Struct, frozen=True):
    """Nodes that share a value of the label; slots by rank."""

    value: str
    slots: tuple[int, ...]


class ScatteredError(ValueError):
    """Members stand already, and not all of them in one known domain: no choice can be right."""


def start_in_one(
    placer: Placer,
    group: PodGroup,
    pods: Sequence[PendingPod],
    rules: PodGroupRules,
    *,
    standing: Sequence[str] = (),
) -> Outcome:
    """Start `group` in the best domain of its topology label; keep it if it starts.

    `standing` are the nodes of members that have one. Where no domain will do, the outcome is that
    of the first. Raises ScatteredError.
    """
    if group.topology_key is None or not rules.honors_topology:
        return start.start(placer, group, pods, standing=len(standing))
    found = domains(placer.snapshot, group.topology_key, standing=standing)
    tried = [try_in(placer, group, pods, domain, standing=len(standing)) for domain in found]
    feasible = [
        (domain, outcome) for domain, outcome in zip(found, tried, strict=True) if outcome.starts
    ]
    if not feasible:
        return tried[0] if tried else start.verdict(Member(pod=pod.key) for pod in pods)
    chosen = feasible[highest(_scores(placer.snapshot, pods, rules, feasible, len(standing)))][1]
    start.keep(placer.snapshot, chosen)
    return chosen


def domains(
    snapshot: Snapshot,
    topology_key: str | None,
    *,
    slots: IntArray | None = None,
    standing: Iterable[str] = (),
) -> tuple[Domain, ...]:
    """Return the domains among `slots` (by default all nodes), that of the smallest rank first.

    Without a key all nodes are one domain. Where members stand on nodes already, only the domain
    of these nodes is left. Raises ScatteredError.
    """
    present = np.flatnonzero(snapshot.fleet.present) if slots is None else slots
    by_rank = present[snapshot.fleet.order[present].argsort()]
    if topology_key is None:
        return (Domain("", tuple(by_rank.tolist())),)
    column = snapshot.facts.column(Fact("label", topology_key))
    only = _domain_of(snapshot, topology_key, standing)
    members: dict[str, list[int]] = {}
    for slot, code in zip(by_rank.tolist(), column.codes[by_rank].tolist(), strict=True):
        if code >= 0 and only in {None, column.values[code]}:
            members.setdefault(column.values[code], []).append(slot)
    return tuple(Domain(value, tuple(slots)) for value, slots in members.items())


def try_in(
    placer: Placer,
    group: PodGroup,
    pods: Sequence[PendingPod],
    domain: Domain,
    *,
    standing: int = 0,
) -> Outcome:
    """Return how `group` would fare in `domain` alone; the snapshot stays as it is."""
    within = np.zeros(placer.snapshot.fleet.size, dtype=np.bool_)
    within[list(domain.slots)] = True
    with placer.snapshot.trial():
        return start.start(placer, group, pods, standing=standing, within=within)


def highest(totals: IntArray) -> int:
    """Return the position of the largest total, the first of equal ones."""
    return int(totals.argmax())


# -- scores


def weighed(scores: Sequence[tuple[int, IntArray]]) -> IntArray:
    """Return for each domain the sum of its scores, each a pair of weight and scores 0..100."""
    total: IntArray = np.sum([weight * each for weight, each in scores], axis=0, dtype=np.int64)
    return total


def pods_count(outcome: Outcome, standing: int) -> int:
    """Return how many pods of the group would have a node, those that have one included."""
    return standing + sum(1 for member in outcome.members if member.node)


def share_of_most(counts: IntArray) -> IntArray | None:
    """Return the counts as 0..100 of the largest, `None` where there is nobody in any domain."""
    most = int(counts.max(initial=0))
    if not most:
        return None
    shares: IntArray = counts * SCORE_MAX // most
    return shares


def tightness(
    snapshot: Snapshot,
    slots: Sequence[int],
    templates: Sequence[PodTemplate],
    term: WeightedScore,
) -> int:
    """Return how full the nodes in `slots`, taken as one, are with `templates` placed there."""
    shape = snapshot.shape(PodTemplate(request=_together([each.request for each in templates])))
    use = allocation.scored(snapshot, shape, term.resources, np.array(slots, dtype=np.int64))
    return int(most_allocated.of(term, allocation.together(use))[0])


def _scores(
    snapshot: Snapshot,
    pods: Sequence[PendingPod],
    rules: PodGroupRules,
    feasible: Sequence[tuple[Domain, Outcome]],
    standing: int,
) -> IntArray:
    templates = {pod.key: pod.template for pod in pods}
    counts = np.array([pods_count(outcome, standing) for _, outcome in feasible], dtype=np.int64)
    shares = share_of_most(counts)
    scores = [(rules.pods_count_weight, counts if shares is None else shares)]
    if rules.tightest is not None:
        term = rules.tightest
        full = [
            tightness(snapshot, domain.slots, [templates[pod] for pod in outcome.bound], term)
            for domain, outcome in feasible
        ]
        scores.append((term.weight, np.array(full, dtype=np.int64)))
    return weighed(scores)


def _together(requests: Sequence[Request]) -> Request:
    """Return one request for all, its devices counted in thousandths of one."""
    resources = scored = NOTHING
    for request in requests:
        resources = resources.plus(request.resources)
        scored = scored.plus(request.scored or request.resources)
    milli = sum(request.devices.total_milli for request in requests if request.devices)
    devices = DeviceRequest(count=milli, milli=1) if milli else None
    return Request(resources=resources, scored=scored, devices=devices)


def _domain_of(snapshot: Snapshot, topology_key: str, nodes: Iterable[str]) -> str | None:
    """Return the one domain in which all `nodes` are, `None` for no nodes."""
    found: set[str] = set()
    for name in nodes:
        slot = snapshot.slot_of.get(name)
        if slot is None:
            raise ScatteredError(f"a member of the group stands on node {name}, which is not known")
        value = dict(snapshot.nodes[slot].labels).get(topology_key)
        if value is None:
            raise ScatteredError(f"node {name}, where a member stands, has no label {topology_key}")
        found.add(value)
    if len(found) > 1:
        raise ScatteredError(f"members stand in several domains: {', '.join(sorted(found))}")
    return next(iter(found), None)
