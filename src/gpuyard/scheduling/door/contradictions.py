"""What a workload says about itself that cannot all be true.

Only what holds in every cluster: amounts that are none, pod sets that cannot be told apart, numbers
that do not go together, conditions on labels that no node can meet at once. The first that is found
is told, with its place and its numbers.

Conditions on one label agree where some value, or no label at all, meets all of them. It is enough
to try a few: of the values that are named those that are allowed, else one that nobody names; for
``Gt`` and ``Lt`` the integers between. Sources: kube-apiserver v1.36 (validation of pods), Kueue
v0.19.2 (pkg/webhooks/workload_webhook.go, pkg/controller/jobs: topology requests). Kueue takes a
pod set of no pods; here it is refused, unless its pods are done.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from gpuyard.model.constraints import Constraints, NodeSelectorTerm, Requirement
from gpuyard.model.door import DoorRules
from gpuyard.model.reasons import Constraint, Reason
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, DeviceRequest, PodSet, Workload
from gpuyard.scheduling.feasibility.node_affinity import named_nodes
from gpuyard.scheduling.fleet import UNLIMITED
from gpuyard.scheduling.shapes import holds
from gpuyard.scheduling.topology import PodSetRequest
from gpuyard.scheduling.topology.refusals import Refusal, sentence
from gpuyard.scheduling.topology.requests import groups


def contradiction(workload: Workload, rules: DoorRules) -> Reason | None:
    """Return the first contradiction in `workload`, `None` where there is none."""
    return next(_contradictions(workload, rules), None)


def _contradictions(workload: Workload, rules: DoorRules) -> Iterator[Reason]:
    if not workload.pod_sets:
        yield _bad(f"workload {workload.key} has no pod sets; give it at least one")
    yield from _names(workload.pod_sets)
    for pod_set in workload.pod_sets:
        yield from _counts(pod_set)
        yield from _amounts(pod_set)
        yield from _topology(pod_set)
        yield from _nodes(pod_set)
        yield from _pods(pod_set)
    if workload.pod_count > rules.pods_max:
        yield _bad(
            f"workload {workload.key} has {workload.pod_count} pods, more than {rules.pods_max}",
            _number("pods", workload.pod_count, rules.pods_max, "one workload"),
        )
    refusal = groups(
        [
            PodSetRequest(pod_set=each, count=each.count, per_pod=each.template.request.resources)
            for each in workload.pod_sets
        ]
    )
    if isinstance(refusal, Refusal):
        yield _bad(sentence(refusal))


def _bad(said: str, binding: Constraint | None = None) -> Reason:
    return Reason(code="BadConstraints", sentence=said, binding=binding)


def _number(name: str, needed: int, have: int, where: str) -> Constraint:
    return Constraint(name=name, needed=needed, have=have, where=where)


# -- pods


def _names(pod_sets: Sequence[PodSet]) -> Iterator[Reason]:
    seen: set[str] = set()
    for index, pod_set in enumerate(pod_sets):
        if not pod_set.name:
            yield _bad(f"pod set {index} has no name")
        if pod_set.name in seen:
            yield _bad(f"two pod sets are called {pod_set.name}; give each a name of its own")
        seen.add(pod_set.name)


def _counts(pod_set: PodSet) -> Iterator[Reason]:
    at = f"pod set {pod_set.name}"
    if pod_set.reclaimed < 0:
        yield _bad(f"{at} has {pod_set.reclaimed} pods that are done; that cannot be negative")
    if pod_set.count < 0 or (pod_set.count == 0 and pod_set.reclaimed <= 0):
        yield _bad(f"{at} has {pod_set.count} pods; give at least 1")
    fewest = pod_set.min_count
    if fewest is None:
        return
    if fewest < min(1, pod_set.count):
        yield _bad(f"{at} starts with {fewest} pods; give at least 1")
    if fewest > pod_set.count:
        yield _bad(
            f"{at} needs at least {fewest} pods, and has {pod_set.count}",
            _number("pods", fewest, pod_set.count, at),
        )


# -- amounts


def _amounts(pod_set: PodSet) -> Iterator[Reason]:
    at, request = f"pod set {pod_set.name}", pod_set.template.request
    for asked in (request.resources, request.scored or Resources()):
        for name, amount in asked.amounts:
            if amount < 0:
                yield _bad(f"{at} asks for {amount} {name}; that cannot be negative")
            if amount * max(1, pod_set.count) > UNLIMITED:
                yield _bad(
                    f"{at} asks for {amount} {name} for each pod, more than can be counted",
                    _number(name, amount * max(1, pod_set.count), UNLIMITED, at),
                )
    if request.devices is not None:
        yield from _devices(at, request.devices)


def _devices(at: str, devices: DeviceRequest) -> Iterator[Reason]:
    if devices.count < 1:
        yield _bad(f"{at} asks for {devices.count} devices; give at least 1, or ask for none")
    if not 1 <= devices.milli <= WHOLE_DEVICE_MILLI:
        yield _bad(
            f"{at} asks for {devices.milli} milli of a device; give 1 to {WHOLE_DEVICE_MILLI}",
            _number("milli", devices.milli, WHOLE_DEVICE_MILLI, "one device"),
        )
    if devices.count > UNLIMITED:
        yield _bad(f"{at} asks for {devices.count} devices, more than can be counted")


# -- topology


def _topology(pod_set: PodSet) -> Iterator[Reason]:
    at, asked = f"pod set {pod_set.name}", pod_set.topology
    if asked is None:
        return
    if asked.mode != "unconstrained" and not asked.level:
        yield _bad(f"{at} has a {asked.mode} topology and names no level")
    for layer in asked.slices:
        if layer.size < 1:
            yield _bad(f"{at} comes in slices of {layer.size} pods; give at least 1")
            return
        if not layer.level:
            yield _bad(f"{at} comes in slices of {layer.size} pods and names no level for them")
    if asked.slices and pod_set.count % asked.slices[0].size:
        size = asked.slices[0].size
        yield _bad(
            f"the {pod_set.count} pods of {at} do not come in whole slices of {size}",
            _number("pods", pod_set.count, size, at),
        )
    for wider, layer in pairwise(asked.slices):
        if wider.size % layer.size:
            yield _bad(f"{at}: slices of {layer.size} do not add up to slices of {wider.size}")


# -- nodes


def _nodes(pod_set: PodSet) -> Iterator[Reason]:
    at, asked = f"pod set {pod_set.name}", pod_set.template.constraints
    selector = [Requirement(key, "In", (value,)) for key, value in asked.node_selector]
    key = _clash(selector)
    if key:
        yield _bad(f"{at}: its node selector wants two values of {key}")
    for name, terms in (
        ("required node affinity", asked.required_nodes),
        ("node affinity that the scheduler adds", asked.enforced_nodes),
    ):
        if terms is not None and not any(_can_hold(term, selector) for term in terms):
            yield _bad(f"{at}: {_why_not(name, terms, selector)}")
    if named_nodes(asked) == frozenset():
        yield _bad(f"{at}: its conditions on the name of the node contradict each other")


def _can_hold(term: NodeSelectorTerm, selector: Sequence[Requirement]) -> bool:
    """Tell whether some node can meet `term` and the node selector; a term without any cannot."""
    if not (term.expressions or term.fields):
        return False
    named = [each for each in term.fields if each.key == "metadata.name"]
    return not (_clash([*term.expressions, *selector]) or _clash(named, is_always_there=True))


def _why_not(name: str, terms: Sequence[NodeSelectorTerm], selector: Sequence[Requirement]) -> str:
    if not terms:
        return f"its {name} is an empty list, which no node meets"
    keys = dict.fromkeys(filter(None, (_clash([*term.expressions, *selector]) for term in terms)))
    if keys:
        return f"its {name} and its node selector contradict each other in {', '.join(keys)}"
    return f"no term of its {name} can be met by any node"


def _clash(asked: Iterable[Requirement], *, is_always_there: bool = False) -> str:
    """Return the first label for which no value meets all conditions, empty where there is none."""
    by_key: dict[str, list[Requirement]] = {}
    for requirement in asked:
        by_key.setdefault(requirement.key, []).append(requirement)
    for key, requirements in by_key.items():
        tries: list[dict[str, str]] = [{key: value} for value in _values(requirements)]
        if not is_always_there:
            tries.append({})
        if not any(all(holds(each, labels) for each in requirements) for labels in tries):
            return key
    return ""


def _values(requirements: Sequence[Requirement]) -> Iterator[str]:
    """Yield values one of which meets all of `requirements`, if any value does."""
    longest = max((len(value) for each in requirements for value in each.values), default=0)
    yield "x" * (longest + 1)
    for each in requirements:
        if each.operator == "In":
            yield from each.values
    named = sum(len(each.values) for each in requirements)
    for each in requirements:
        bound = _bound(each)
        if bound is not None:
            step = 1 if each.operator == "Gt" else -1
            yield from (str(bound + step * distance) for distance in range(1, named + 2))


def _bound(requirement: Requirement) -> int | None:
    if requirement.operator not in ("Gt", "Lt") or not requirement.values:
        return None
    try:
        return int(requirement.values[0])
    except ValueError:
        return None


# -- other pods


def _pods(pod_set: PodSet) -> Iterator[Reason]:
    asked: Constraints = pod_set.template.constraints
    for term in asked.required_pods:
        if term in asked.forbidden_pods:
            yield _bad(
                f"pod set {pod_set.name} wants to stand beside the very pods of one "
                f"{term.topology_key} that it keeps away from"
            )
