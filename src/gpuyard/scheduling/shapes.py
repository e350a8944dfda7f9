"""A shape: the part of a request that placement can see.

Pods that ask for the same thing share one shape, and with it every cached row. Labels would make
each pod its own shape (every Job stamps its name on its pods), so they enter only as what they
bring about: which of the pod's own terms select the pod itself, and which terms of running pods
select it. A thousand jobs of one template are one shape, until some running pod's anti-affinity
tells two of them apart.
"""

from typing import Literal

import msgspec

from gpuyard.model.constraints import Constraints, Labels, LabelSelector, PodTerm, Requirement
from gpuyard.model.workloads import Request

HeldKind = Literal["forbidden", "required", "preferred"]


class HeldTerm(msgspec.Struct, frozen=True, cache_hash=True):
    """A term that running pods carry and that concerns whoever it selects.

    ``forbidden`` keeps matching pods out of the holder's domain; ``required`` and ``preferred``
    draw them near with `weight` (negative: push away) in the scores. `weight` is 0 where the
    policy gives it.
    """

    kind: HeldKind
    weight: int
    term: PodTerm


class Shape(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """What placement can see of a pod.

    `selects_itself` says, for each of `constraints.required_pods` and then for each of
    `constraints.spread`, whether it selects the pod's own labels. `selected_by` are the terms of
    running pods that select the pod, in a fixed order. `namespace` is empty unless a constraint
    counts pods of the pod's own namespace.
    """

    request: Request
    constraints: Constraints
    namespace: str = ""
    selects_itself: tuple[bool, ...] = ()
    selected_by: tuple[HeldTerm, ...] = ()


def matches(selector: LabelSelector | None, labels: dict[str, str]) -> bool:
    """Tell whether `selector` selects `labels` (apimachinery labels.Selector; `None`: nothing)."""
    if selector is None:
        return False
    return all(holds(requirement, labels) for requirement in selector.requirements)


def holds(requirement: Requirement, labels: dict[str, str]) -> bool:
    """Tell whether one requirement holds; ``Gt`` and ``Lt`` compare integers, else never hold."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)


def _compares(requirement: Requirement, value: str | None) -> bool:
    try:
        have, bound = int(value or ""), int(requirement.values[0])
    except (ValueError, IndexError):
        return False
    return have > bound if requirement.operator == "Gt" else have < bound


def term_selects(
    term: PodTerm, namespace: str, labels: dict[str, str], namespaces: dict[str, Labels]
) -> bool:
    """Tell whether `term` selects a pod; `namespaces` are the known ones with their labels.

    Of a namespace that is not known only an empty namespace selector can be sure.
    """
    return _is_in_scope(term, namespace, namespaces) and matches(term.selector, labels)


def _is_in_scope(term: PodTerm, namespace: str, namespaces: dict[str, Labels]) -> bool:
    if namespace in term.namespaces:
        return True
    if term.namespace_selector is None:
        return False
    if namespace not in namespaces:
        return not term.namespace_selector.requirements
    return matches(term.namespace_selector, dict(namespaces[namespace]))
