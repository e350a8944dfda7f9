"""May this event help the pod that a filter turned down? One small rule per filter.

A pod that fits nowhere waits until something changes, and most of what changes is none of its
business. For each filter of `feasibility.FILTERS` two questions are answered here from the event
alone, without looking at the cluster: whether a node that came, changed or went could turn its no
into a yes, and whether another pod's coming, changing or going could. A rule may say yes in vain;
it must not say no where the event could help.

Where the filter looks at one node alone, the rule is the filter itself, asked of the node before
and after. Semantics: k8s.io/kubernetes v1.36.3, ``QueueingHintFn`` of each plugin.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gpuyard.model.constraints import PodTerm, SpreadConstraint
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Node
from gpuyard.model.resources import PODS
from gpuyard.model.workloads import PodTemplate, Request
from gpuyard.scheduling.feasibility import (
    inter_pod_affinity,
    node_affinity,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    taint_toleration,
    topology_spread,
)
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape, matches
from gpuyard.scheduling.snapshot import Snapshot


class NodeEvent(NamedTuple):
    """A node as it was and as it is; `None` where it was not, or is no more."""

    before: Node | None
    after: Node | None


class PodEvent(NamedTuple):
    """A pod as it was and as it is; `None` where it was not, or is no more.

    `has_node` says that it is bound or nominated; `is_itself` that it is the waiting pod.
    """

    before: PodTemplate | None
    after: PodTemplate | None
    has_node: bool = True
    is_itself: bool = False


class Hint(NamedTuple):
    """The two rules of one filter."""

    after_node: Callable[[PodTemplate, NodeEvent], bool]
    after_pod: Callable[[PodTemplate, PodEvent], bool]


def _of_node_alone(rule: Filter) -> Callable[[PodTemplate, NodeEvent], bool]:
    def after_node(waiting: PodTemplate, event: NodeEvent) -> bool:
        return takes(rule, waiting, event.after) and not takes(rule, waiting, event.before)

    return after_node


def takes(rule: Filter, waiting: PodTemplate, node: Node | None) -> bool:
    """Tell whether `rule` lets `waiting` onto `node` if nothing else ran there."""
    if node is None:
        return False
    snapshot = Snapshot()
    snapshot.apply(NodeObserved(node))
    shape = snapshot.shape(waiting)
    return not rule.concerns(shape) or bool(rule.passes(snapshot, shape, np.array([0])).all())


def _at_new_tolerations(rule: Filter) -> Callable[[PodTemplate, PodEvent], bool]:
    def after_pod(_: PodTemplate, event: PodEvent) -> bool:
        if not event.is_itself or event.after is None:
            return False
        shape = Shape(request=event.after.request, constraints=event.after.constraints)
        return rule is not node_unschedulable.FILTER or not rule.concerns(shape)

    return after_pod


def never(*_: object) -> bool:
    """Say that such an event never helps."""
    return False


# -- ports and resources


def _any_node(_: PodTemplate, event: NodeEvent) -> bool:
    return event.before is None


def _ports_released(waiting: PodTemplate, event: PodEvent) -> bool:
    if event.before is None or event.after is not None or not event.has_node:
        return False
    return node_ports.collide(waiting.constraints.host_ports, event.before.constraints.host_ports)


def _room_on_node(waiting: PodTemplate, event: NodeEvent) -> bool:
    if not takes(node_resources_fit.FILTER, waiting, event.after):
        return False
    if event.before is None or event.after is None:
        return True
    return grew(waiting.request, event.before, event.after)


def grew(request: Request, before: Node, after: Node) -> bool:
    """Tell whether a node offers more than before of anything that `request` needs."""
    needed = [name for name, amount in request.resources.amounts if amount > 0]
    return any(
        after.allocatable.get(name) > before.allocatable.get(name) for name in (PODS, *needed)
    )


def _room_left(waiting: PodTemplate, event: PodEvent) -> bool:
    """Tell whether a pod that has a node left it or shrank, or the waiting pod itself changed."""
    if event.before is None or event.after is None:
        return event.after is None and event.has_node
    if event.is_itself:
        return event.before.request != event.after.request
    before, after = event.before.request.resources, event.after.request.resources
    needed = (name for name, amount in waiting.request.resources.amounts if amount > 0)
    return event.has_node and any(before.get(name) > after.get(name) for name in needed)


# -- pods in other nodes' domains


def _affinity_after_pod(waiting: PodTemplate, event: PodEvent) -> bool:
    """Tell whether a pod became wanted company, ceased to be unwanted, or to keep others out.

    Kubernetes forgets two cases that can help: the last wanted pod goes, so that one that matches
    itself may be the first; and a pod that only some of the anti-affinity terms select goes.
    """
    if event.is_itself and event.before and event.after:
        return True
    if not event.has_node:
        return False
    near, far = waiting.constraints.required_pods, waiting.constraints.forbidden_pods
    wanted = [_is_selected_by_all(near, pod) for pod in (event.before, event.after)]
    if wanted == [False, True] or (wanted == [True, False] and _is_selected_by_all(near, waiting)):
        return True
    if _ceased(far, event):
        return True
    if event.before is None or event.after is not None:
        return False
    return any(_selects(term, waiting) for term in event.before.constraints.forbidden_pods)


def _ceased(terms: tuple[PodTerm, ...], event: PodEvent) -> bool:
    """Tell whether any of `terms` selected the pod and does no longer."""
    return any(_selects(term, event.before) and not _selects(term, event.after) for term in terms)


def _is_selected_by_all(terms: tuple[PodTerm, ...], pod: PodTemplate | None) -> bool:
    return bool(terms) and all(_selects(term, pod) for term in terms)


def _selects(term: PodTerm, pod: PodTemplate | None) -> bool:
    """Tell whether `term` may select `pod`; a namespace selector may match any namespace."""
    if pod is None:
        return False
    is_in_scope = pod.namespace in term.namespaces or term.namespace_selector is not None
    return is_in_scope and matches(term.selector, dict(pod.labels))


def _affinity_after_node(waiting: PodTemplate, event: NodeEvent) -> bool:
    """Tell whether a node joined a domain of wanted company, or left one of unwanted."""
    if event.after is None:
        return False
    before, after = _labels(event.before), _labels(event.after)
    for term in waiting.constraints.required_pods:
        if term.topology_key in after and before.get(term.topology_key) != after[term.topology_key]:
            return True
    if waiting.constraints.forbidden_pods and event.before is None:
        return True
    return any(
        term.topology_key in before and before[term.topology_key] != after.get(term.topology_key)
        for term in waiting.constraints.forbidden_pods
    )


def _spread_after_node(waiting: PodTemplate, event: NodeEvent) -> bool:
    """Tell whether a domain may have come, gone or changed its nodes."""
    constraints = _hard(waiting)
    before, after = _labels(event.before), _labels(event.after)
    keys = [constraint.topology_key for constraint in constraints]
    was_in = event.before is not None and all(key in before for key in keys)
    is_in = event.after is not None and all(key in after for key in keys)
    if was_in != is_in or event.before is None or event.after is None:
        return was_in or is_in
    has_moved = any(before.get(key) != after.get(key) for key in keys)
    return is_in and (has_moved or event.before.taints != event.after.taints)


def _spread_after_pod(waiting: PodTemplate, event: PodEvent) -> bool:
    """Tell whether a pod that the constraints count came, went, or began or ceased to count."""
    pods = [pod for pod in (event.before, event.after) if pod is not None]
    if not event.is_itself and not event.has_node:
        return False
    if any(pod.namespace != waiting.namespace for pod in pods):
        return False
    if event.is_itself and event.before and event.after:
        has_new = event.before.constraints.tolerations != event.after.constraints.tolerations
        if has_new and any(constraint.honor_node_taints for constraint in _hard(waiting)):
            return True
    return any(
        len({_counts(constraint, pod) for pod in (event.before, event.after)}) > 1
        for constraint in _hard(waiting)
    )


def _counts(constraint: SpreadConstraint, pod: PodTemplate | None) -> bool:
    return pod is not None and matches(constraint.selector, dict(pod.labels))


def _hard(waiting: PodTemplate) -> tuple[SpreadConstraint, ...]:
    shape = Shape(request=waiting.request, constraints=waiting.constraints)
    return topology_spread.hard_constraints(shape)


def _labels(node: Node | None) -> dict[str, str]:
    return dict(node.labels) if node else {}


HINTS: dict[str, Hint] = {
    node_unschedulable.NAME: Hint(
        _of_node_alone(node_unschedulable.FILTER),
        _at_new_tolerations(node_unschedulable.FILTER),
    ),
    taint_toleration.NAME: Hint(
        _of_node_alone(taint_toleration.FILTER), _at_new_tolerations(taint_toleration.FILTER)
    ),
    node_affinity.NAME: Hint(_of_node_alone(node_affinity.FILTER), never),
    node_ports.NAME: Hint(_any_node, _ports_released),
    node_resources_fit.NAME: Hint(_room_on_node, _room_left),
    topology_spread.NAME: Hint(_spread_after_node, _spread_after_pod),
    inter_pod_affinity.NAME: Hint(_affinity_after_node, _affinity_after_pod),
}
