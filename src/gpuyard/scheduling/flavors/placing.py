"""From flavors to places: the second half of an assignment, in flavors that have a topology.

Quota is assigned first, for all pod sets. Then places are sought for those that want a topology,
together. Where they are not free now, others have to leave (the mode falls to preemption); where
they would not be there in an empty topology, nobody's leaving helps (no fit). Flavors are not tried
again for the sake of places: a later cycle goes on behind them.

Kept as it is: a place that is held already, unless it is on a node that failed. Who seeks another
place for a failed node evicts nobody for it.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner (assignFlavors, tas_flavorassigner.go,
ComputeTASNetUsage). Not known here: places that wait for an admission check.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gpuyard.model.queues import Admission
from gpuyard.model.topology import DomainCount, TopologyAssignment, TopologyUsage
from gpuyard.scheduling.flavors.assignment import PodSetFlavors
from gpuyard.scheduling.flavors.attempts import Attempt
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.question import NotPlaced, Question
from gpuyard.scheduling.flavors.reasons import FlavorReason, TopologyError
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.topology.requests import PodSetRequest

Wanted = dict[str, list[PodSetRequest]]  # by flavor


def place(question: Question, pod_sets: Sequence[PodSetFlavors]) -> tuple[PodSetFlavors, ...]:
    """Return `pod_sets` with places, or with the mode and reason that the lack of them brings."""
    wanted, checked = place_requests(question, pod_sets)
    if not wanted:
        return checked
    mode = _worst(checked)
    if mode is Mode.FIT:
        found = question.topologies.place(wanted, empty=False)
        if not isinstance(found, NotPlaced):
            return with_places(checked, found)
        checked = _refused(checked, found)
        mode = _worst(checked)
    if mode is Mode.PREEMPT and not question.request.unhealthy_nodes:
        found = question.topologies.place(wanted, empty=True)
        if isinstance(found, NotPlaced):
            return _impossible(checked, found)
        # Quota may be free and places not: whoever seeks places may have to evict for them.
        names = {request.name for requests in wanted.values() for request in requests}
        return tuple(
            each.with_mode(Mode.PREEMPT) if each.name in names else each for each in checked
        )
    return checked


def place_requests(
    question: Question, pod_sets: Sequence[PodSetFlavors]
) -> tuple[Wanted, tuple[PodSetFlavors, ...]]:
    """Return by flavor who needs places, and the pod sets, some of which now say why they cannot.

    No places are sought for no pods, nor where they are held already on healthy nodes.
    """
    wanted: Wanted = {}
    checked: list[PodSetFlavors] = []
    for given in pod_sets:
        asked = question.asked(given.name)
        if not _seeks_places(question, given, asked):
            checked.append(given)
            continue
        flavor = _topology_flavor(question, given, asked)
        if isinstance(flavor, TopologyError):
            checked.append(msgspec.structs.replace(given, error=flavor))
            continue
        checked.append(given)
        wanted.setdefault(flavor, []).append(
            PodSetRequest(
                pod_set=asked.pod_set,
                count=given.count,
                per_pod=asked.pod_set.template.request.resources,
                previous=_previous(question, asked),
            )
        )
    return wanted, tuple(checked)


def with_places(
    pod_sets: Sequence[PodSetFlavors], places: Mapping[str, TopologyAssignment]
) -> tuple[PodSetFlavors, ...]:
    """Return `pod_sets` with their places."""
    return tuple(
        msgspec.structs.replace(each, topology=places[each.name]) if each.name in places else each
        for each in pod_sets
    )


def places_used(
    question: Question, pod_sets: Sequence[PodSetFlavors], held: Admission | None = None
) -> tuple[TopologyUsage, ...]:
    """Return what `pod_sets` take in topologies beyond what `held` takes already.

    A domain that was left, or holds fewer pods now, gives nothing back: usage only adds up.
    """
    before = {each.name: each.topology for each in held.pod_sets} if held else {}
    used = []
    for given in pod_sets:
        flavor = only_topology_flavor(question, given)
        if given.topology is None or not isinstance(flavor, str):
            continue
        domains = _beyond(given.topology, before.get(given.name))
        if domains:
            per_pod = question.asked(given.name).pod_set.template.request.resources
            used.append(TopologyUsage(flavor, per_pod, domains, given.topology.alone_in))
    return tuple(used)


def only_topology_flavor(question: Question, given: PodSetFlavors) -> str | TopologyError:
    """Return the one flavor with a topology among the choices of a pod set."""
    chosen = {choice.flavor for _, choice in given.choices} & question.topology_flavors
    if len(chosen) > 1:
        return TopologyError(code="SeveralTopologyFlavors", flavors=tuple(sorted(chosen)))
    return next(iter(chosen), TopologyError(code="NoTopologyFlavor"))


# -- who needs places


def _seeks_places(question: Question, given: PodSetFlavors, asked: QuotaRequest) -> bool:
    if not question.wants_topology(asked.pod_set) or given.error is not None or not given.count:
        return False
    if given.topology is None:
        return True
    failed = set(question.request.unhealthy_nodes)
    return any(domain.values[-1] in failed for domain in given.topology.domains)


def _topology_flavor(
    question: Question, given: PodSetFlavors, asked: QuotaRequest
) -> str | TopologyError:
    mode = asked.pod_set.topology.mode if asked.pod_set.topology else "unconstrained"
    if question.request.is_elastic and question.rules.elastic_slices_with_topology:
        if mode == "required":
            return TopologyError(code="ElasticRequiredTopology")
        if mode == "preferred":
            return TopologyError(code="ElasticPreferredTopology")
    if not question.topology_flavors:
        return TopologyError(code="NoTopologyCapacity")
    return only_topology_flavor(question, given)


def _previous(question: Question, asked: QuotaRequest) -> TopologyAssignment | None:
    """Return where the replaced slice stands, or the pods that only seek to leave a failed node."""
    if question.request.unhealthy_nodes:
        return asked.topology
    may_grow = question.request.is_elastic and question.rules.elastic_slices_with_topology
    if not may_grow or question.replaced is None:
        return None
    named = (each for each in question.replaced.pod_sets if each.name == asked.pod_set.name)
    return next((each.topology for each in named), None)


# -- what becomes of them


def _worst(pod_sets: Sequence[PodSetFlavors]) -> Mode:
    return min((each.mode for each in pod_sets), default=Mode.NO_FIT)


def _refused(pod_sets: Sequence[PodSetFlavors], refusal: NotPlaced) -> tuple[PodSetFlavors, ...]:
    """Return `pod_sets`, of which one has to wait until places are free."""
    return tuple(
        msgspec.structs.replace(
            each.with_mode(Mode.PREEMPT), reasons=(*each.reasons, _reason(refusal))
        )
        if each.name == refusal.pod_set
        else each
        for each in pod_sets
    )


def _impossible(pod_sets: Sequence[PodSetFlavors], refusal: NotPlaced) -> tuple[PodSetFlavors, ...]:
    """Return `pod_sets`, of which one will never have places."""
    return tuple(
        msgspec.structs.replace(
            each.with_mode(Mode.NO_FIT),
            attempts=tuple(_failed(attempt, refusal) for attempt in each.attempts),
        )
        if each.name == refusal.pod_set
        else each
        for each in pod_sets
    )


def _failed(attempt: Attempt, refusal: NotPlaced) -> Attempt:
    if attempt.flavor != refusal.flavor:
        return attempt
    return msgspec.structs.replace(
        attempt, mode=Mode.NO_FIT, no_fit_reason="TopologyPlacementFailed"
    )


def _reason(refusal: NotPlaced) -> FlavorReason:
    return FlavorReason(
        code="TopologyPlacementFailed", flavor=refusal.flavor, refusal=refusal.refusal
    )


def _beyond(
    topology: TopologyAssignment, before: TopologyAssignment | None
) -> tuple[DomainCount, ...]:
    counted = {each.values: each.count for each in before.domains} if before else {}
    added = (
        DomainCount(each.values, each.count - counted.get(each.values, 0))
        for each in topology.domains
    )
    return tuple(each for each in added if each.count > 0)
