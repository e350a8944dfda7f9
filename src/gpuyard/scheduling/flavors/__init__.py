"""Which flavor a workload gets: the first step of every admission.

A flavor is a kind of node, quota is counted by flavor. `assign` chooses for each pod set one flavor
per resource group of its queue, as the queue's fungibility wishes, and says what has to happen
before: nothing, others leave (preemption), or it is never possible. What came of each flavor is
kept, as data, with the numbers that bind.

The way of a request: `requests` (what counts) → `search` per resource group, asking `eligible` (may
the pods run there) and the quota tree, graded by `modes` → `placing` (places in topologies) →
`assignment`. Pod sets of one topology group get their flavors together, as one request: a leader
without any request of its own takes the flavors with a topology that its workers got. Pod sets
that come later see what earlier ones were given.

It decides nothing about others: what preemption could do it is told (`Simulate`), and the queues
are left as they are. `scan` tells whether the position of the last search is still good,
`partial_admission` searches for fewer pods where all of them do not fit.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner. Its order of the resources of a request is
that of a hash of their names, ours is by name: it decides which of several failing resource groups
is named, nothing else. Where we differ, on purpose: a pod set that needs no flavor (it asks for
nothing, or only for what is not counted) fits; there it does not as long as others of its group
wait for preemption, or the pod sets behind it are left out.
"""

from collections.abc import Sequence

import msgspec

from gpuyard.model.queues import FlavorResource, Usage
from gpuyard.model.resources import PODS, Resources
from gpuyard.model.workloads import PodSet
from gpuyard.scheduling.flavors.assignment import FlavorAssignment, FlavorChoice, PodSetFlavors
from gpuyard.scheduling.flavors.attempts import Attempts, no_fit_reason
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.placing import place, places_used
from gpuyard.scheduling.flavors.question import FlavorRequest, Question, Simulate, Topologies
from gpuyard.scheduling.flavors.reasons import FlavorReason, NoFitReason, more_severe
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.flavors.search import search
from gpuyard.scheduling.queues import Queues

__all__ = ["FlavorRequest", "assign"]

Choices = dict[str, FlavorChoice]  # by resource


def assign(
    queues: Queues,
    request: FlavorRequest,
    *,
    rules: FlavorRules,
    simulate: Simulate,
    topologies: Topologies,
) -> FlavorAssignment:
    """Return the flavors for `request`; the first pod set that gets none ends the assignment."""
    question = Question(queues, request, rules, simulate, topologies)
    asked = [_with_pods(question, each) for each in request.pod_sets]
    given: dict[int, PodSetFlavors] = {}
    used: dict[FlavorResource, int] = {}
    for members in _groups(asked):
        for index, pod_set in _assign_group(question, members, asked, used).items():
            given[index] = pod_set
            _count(question, pod_set, used)
        if any(given[index].mode is Mode.NO_FIT for index in members):
            return _outcome(question, _in_order(given), used)
    pod_sets = _in_order(given)
    if rules.topology_aware and min((each.mode for each in pod_sets), default=Mode.NO_FIT):
        pod_sets = place(question, pod_sets)
    return _outcome(question, pod_sets, used)


def _with_pods(question: Question, asked: QuotaRequest) -> QuotaRequest:
    """Return the request with the number of pods, where the queue has quota for that."""
    if question.group_of(PODS) is None:
        return asked
    total = Resources.of({**asked.total.as_dict(), PODS: asked.count})
    return msgspec.structs.replace(asked, total=total)


def _groups(asked: Sequence[QuotaRequest]) -> list[list[int]]:
    """Return the positions of the pod sets that get their flavors together."""
    together: dict[str | int, list[int]] = {}
    for index, each in enumerate(asked):
        topology = each.pod_set.topology
        together.setdefault((topology.group if topology else "") or index, []).append(index)
    return list(together.values())


def _in_order(given: dict[int, PodSetFlavors]) -> tuple[PodSetFlavors, ...]:
    """Return them in the order of the request, which groups may have left."""
    return tuple(given[index] for index in sorted(given))


# -- one group of pod sets


def _assign_group(
    question: Question,
    members: Sequence[int],
    asked: Sequence[QuotaRequest],
    used: dict[FlavorResource, int],
) -> dict[int, PodSetFlavors]:
    """Return what each member gets, by position."""
    together = Resources()
    choices: Choices = {}
    for index in members:
        together = together.plus(asked[index].total)
        if question.rules.topology_aware:
            choices |= _held(asked[index])
    attempts = Attempts()
    pod_sets = [asked[index].pod_set for index in members]
    found, reasons = _choose(question, pod_sets, together, choices, used, attempts)
    given: dict[int, PodSetFlavors] = {}
    for index in members:
        mine = () if found is None else _for_member(question, asked[index], found)
        given[index] = PodSetFlavors(
            name=asked[index].pod_set.name,
            count=asked[index].count,
            requests=asked[index].total,
            choices=mine,
            reasons=reasons if mine or found is None else (),
            attempts=attempts.by_name(),
            topology=asked[index].topology if question.rules.topology_aware else None,
        )
    return given


def _held(asked: QuotaRequest) -> Choices:
    """Return the flavors that a pod set holds already; they are not chosen again."""
    return {
        resource: FlavorChoice(flavor=flavor, mode=Mode.FIT) for resource, flavor in asked.flavors
    }


def _choose(
    question: Question,
    pod_sets: Sequence[PodSet],
    together: Resources,
    choices: Choices,
    used: dict[FlavorResource, int],
    attempts: Attempts,
) -> tuple[Choices | None, tuple[FlavorReason, ...]]:
    """Return the choices for all resources of a group of pod sets, and why they are not better.

    Where there is none for a resource, the answer is `None`, and why.
    """
    requests = together.as_dict()
    reasons: list[FlavorReason] = []
    for resource, amount in requests.items():
        group = question.group_of(resource)
        if group is None:
            if amount == 0 or question.rules.quota_check == "IgnoreUndeclared":
                continue
            return None, (FlavorReason(code="ResourceUnavailable", resource=resource),)
        if resource in choices:
            continue  # decided with another resource of its group
        found = search(
            question, group, resource, pod_sets=pod_sets, requests=requests, assumed=used
        )
        attempts.add(found.attempts, resource=resource, group=group)
        if not found.choices:
            return None, found.reasons
        choices = choices | found.choices
        reasons += found.reasons
    return choices, tuple(reasons)


def _for_member(
    question: Question, asked: QuotaRequest, found: Choices
) -> tuple[tuple[str, FlavorChoice], ...]:
    """Return the choices that concern one pod set of a group.

    One that asks for nothing takes over the group's flavors with a topology, to be placed there.
    """
    topology = asked.pod_set.topology
    if asked.total.amounts:
        named = {name for name, _ in asked.total.amounts}
        mine = {name: choice for name, choice in found.items() if name in named}
    elif topology is not None and topology.group:
        flavors = question.topology_flavors
        mine = {name: choice for name, choice in found.items() if choice.flavor in flavors}
    else:
        mine = {}
    return tuple(sorted(mine.items()))


# -- the whole


def _count(question: Question, given: PodSetFlavors, used: dict[FlavorResource, int]) -> None:
    """Add what a pod set takes to `used`; of a slice only what the replaced one does not hold."""
    replaced = question.replaced
    held = {each.name: each.usage for each in replaced.pod_sets} if replaced else {}
    before = held.get(given.name, Resources())
    for resource, choice in given.choices:
        key = FlavorResource(choice.flavor, resource)
        amount = given.requests.get(resource) - before.get(resource)
        used[key] = used.get(key, 0) + amount


def _outcome(
    question: Question, pod_sets: Sequence[PodSetFlavors], used: dict[FlavorResource, int]
) -> FlavorAssignment:
    places = places_used(question, pod_sets, question.request.held)
    levels = (choice.borrowing for each in pod_sets for _, choice in each.choices)
    quota = () if question.request.held else tuple(sorted(used.items()))
    return FlavorAssignment(
        pod_sets=tuple(pod_sets),
        borrowing=max(levels, default=0),
        usage=Usage(quota, places),
        no_fit_reason=_no_fit_reason(question, pod_sets),
    )


def _no_fit_reason(question: Question, pod_sets: Sequence[PodSetFlavors]) -> NoFitReason:
    worst: NoFitReason = ""
    for each in pod_sets:
        if each.mode is Mode.NO_FIT:
            reason = no_fit_reason(each.attempts, question.spec.resource_groups)
            worst = more_severe(worst, reason)
    return worst
