"""Where the pods of an admitted workload stand: from quota and domains to nodes and devices.

Admission gives every pod set flavors, and in flavors with a topology domains with counts. A flavor
is a node mask: pods may stand only on nodes that carry its labels, and tolerate what it tolerates.
Inside the mask the policy's scores choose; inside a domain too, where pods were given one. All pods
find a node or none of them is bound.

Where nobody asked for a topology, the domains of the admission are only a proof that there is room.
`keeps_domains` says whether they are binding all the same (Kueue writes them into node selectors)
or whether the scores choose among all nodes of the flavor; then the admission is returned with the
hosts that the pods really got, so that places are counted where they are taken. What is held for
somebody else is counted in the domains: the scores do not choose among its nodes, and where no
others are left the domains of the admission are binding after all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import msgspec
import numpy as np

from gpuyard.model.constraints import Constraints
from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.queues import Admission, PodSetAssignment, ResourceFlavor
from gpuyard.model.topology import HOSTNAME, DomainCount, TopologyAssignment
from gpuyard.model.workloads import Assignment, PodTemplate, Workload
from gpuyard.scheduling import exact
from gpuyard.scheduling.feasibility import node_affinity
from gpuyard.scheduling.fleet import BoolArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot


class Landed(NamedTuple):
    """Nodes for all pods, and the admission with the places that they take."""

    assignments: tuple[Assignment, ...]
    admission: Admission


class Portion(NamedTuple):
    """So many pods of a pod set, and the nodes where they may stand."""

    pods: int
    within: BoolArray


def land(
    placer: Placer,
    queues: Queues,
    workload: Workload,
    admission: Admission,
    *,
    keeps_domains: bool = True,
    exact_limit_s: float = 0.0,
) -> Landed | None:
    """Bind all pods of an admitted workload and return where; `None` where they do not fit.

    Pods are placed one after the other, so a workload of several shapes may not find the places
    that there are. With `exact_limit_s` all its pods are then looked for together, for so long,
    unless they are bound to domains.
    """
    placer = placer.of(workload.kind)
    asked = {pod_set.name: pod_set for pod_set in workload.pod_sets}
    placed: dict[str, list[Assignment]] = {}
    held = _held_nodes(placer.snapshot, queues)
    anywhere = placer.snapshot.fleet.present & ~held
    is_bound = {
        given.name: given.topology is not None
        and (keeps_domains or asked[given.name].topology is not None)
        for given in admission.pod_sets
    }
    with placer.snapshot.trial() as trial:
        for given in admission.pod_sets:
            pod_set = asked[given.name]
            template = in_flavors(placer.asked(pod_set.template), _flavors(queues, given))
            mine = None
            if not is_bound[given.name]:
                mine = _place(placer, workload, template, given, [Portion(given.count, anywhere)])
            if mine is None and given.topology is not None and (is_bound[given.name] or held.any()):
                in_domains = list(_in_domains(placer.snapshot, given.topology))
                mine = _place(placer, workload, template, given, in_domains)
            if mine is None:
                break
            placed[given.name] = mine
        else:
            trial.keep()
            return _landed(placer.snapshot, admission, placed)
    is_free = not any(is_bound.values()) and not held.any()
    if exact_limit_s and is_free and len(admission.pod_sets) > 1:
        return _exactly(placer, queues, workload, admission, exact_limit_s)
    return None


def _exactly(
    placer: Placer, queues: Queues, workload: Workload, admission: Admission, limit_s: float
) -> Landed | None:
    """Look for places of all pods together."""
    templates = {each.name: placer.asked(each.template) for each in workload.pod_sets}
    pods = [
        (f"{workload.key}/{given.name}-{index}", in_flavors(templates[given.name], flavors))
        for given in admission.pod_sets
        for flavors in [_flavors(queues, given)]
        for index in range(given.count)
    ]
    with placer.snapshot.trial() as trial:
        found = exact.place(placer, pods, limit_s)
        if found.code != "Placed":
            return None
        placed: dict[str, list[Assignment]] = {given.name: [] for given in admission.pod_sets}
        for bound in found.assignments:
            placer.snapshot.apply(PodGone(bound.pod))
            owned = msgspec.structs.replace(
                bound, priority=workload.effective_priority, group=workload.key
            )
            placer.snapshot.apply(PodBound(owned))
            placed[bound.pod.removeprefix(f"{workload.key}/").rpartition("-")[0]].append(owned)
        trial.keep()
    return _landed(placer.snapshot, admission, placed)


def _landed(
    snapshot: Snapshot, admission: Admission, placed: Mapping[str, list[Assignment]]
) -> Landed:
    standing = (_standing(snapshot, given, placed[given.name]) for given in admission.pod_sets)
    return Landed(
        tuple(one for given in admission.pod_sets for one in placed[given.name]),
        Admission(admission.cluster_queue, tuple(standing)),
    )


def _place(
    placer: Placer,
    workload: Workload,
    template: PodTemplate,
    given: PodSetAssignment,
    portions: Iterable[Portion],
) -> list[Assignment] | None:
    """Bind all pods of one pod set or none of them."""
    snapshot = placer.snapshot
    placed: list[Assignment] = []
    with snapshot.trial() as trial:
        for within in chain.from_iterable(repeat(each.within, each.pods) for each in portions):
            choice = placer.choose(snapshot.shape(template), within)
            if choice is None:
                return None
            assignment = Assignment(
                pod=f"{workload.key}/{given.name}-{len(placed)}",
                template=template,
                node=snapshot.nodes[choice.slot].name,
                devices=choice.devices,
                priority=workload.effective_priority,
                group=workload.key,
            )
            snapshot.apply(PodBound(assignment))
            placed.append(assignment)
        trial.keep()
    return placed


def _flavors(queues: Queues, given: PodSetAssignment) -> list[ResourceFlavor]:
    return [queues.flavors[name] for name in sorted({flavor for _, flavor in given.flavors})]


def in_flavors(template: PodTemplate, flavors: list[ResourceFlavor]) -> PodTemplate:
    """Return `template` with the labels of its flavors as selector, and their tolerations."""
    asked = template.constraints
    selector = dict(asked.node_selector)
    for flavor in flavors:
        selector |= dict(flavor.node_labels)
    tolerations = (one for flavor in flavors for one in flavor.tolerations)
    constraints: Constraints = msgspec.structs.replace(
        asked,
        node_selector=tuple(sorted(selector.items())),
        tolerations=(*asked.tolerations, *tolerations),
    )
    return msgspec.structs.replace(template, constraints=constraints)


def _in_domains(snapshot: Snapshot, given: TopologyAssignment) -> Iterator[Portion]:
    for domain in given.domains:
        yield Portion(domain.count, _nodes_with(snapshot, given.levels, domain.values))


def _held_nodes(snapshot: Snapshot, queues: Queues) -> BoolArray:
    """Return the nodes of all domains in which places are held for somebody."""
    held: BoolArray = np.zeros(snapshot.fleet.size, dtype=np.bool_)
    for _, usage in queues.holds.values():
        for place in usage.places:
            levels = queues.places[place.flavor].tree.assigned_levels
            for domain in place.domains:
                held |= _nodes_with(snapshot, levels, domain.values)
    return held


def _nodes_with(snapshot: Snapshot, levels: Sequence[str], values: Sequence[str]) -> BoolArray:
    wanted = Constraints(node_selector=tuple(sorted(zip(levels, values, strict=True))))
    slots = np.arange(snapshot.fleet.size)
    return snapshot.fleet.present & node_affinity.suits(snapshot, wanted, slots)


def _standing(
    snapshot: Snapshot, given: PodSetAssignment, placed: list[Assignment]
) -> PodSetAssignment:
    """Return what a pod set was given, with its hosts where hosts are counted."""
    if given.topology is None or given.topology.levels != (HOSTNAME,):
        return given
    hosts = Counter(_host(snapshot, assignment.node) for assignment in placed)
    domains = tuple(DomainCount((host,), hosts[host]) for host in sorted(hosts))
    standing = TopologyAssignment((HOSTNAME,), domains, given.topology.alone_in)
    return msgspec.structs.replace(given, topology=standing)


def _host(snapshot: Snapshot, node: str) -> str:
    return dict(snapshot.nodes[snapshot.slot_of[node]].labels)[HOSTNAME]
