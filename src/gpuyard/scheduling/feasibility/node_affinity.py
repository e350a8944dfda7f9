"""Node selectors and required node affinity: which labels and names a node must have.

Every pair of the node selector must be there, and at least one of the required terms must hold as
a whole; a term without conditions holds nowhere, so a required list that is empty or has only such
terms admits no node. Conditions on fields know one field, the node's name. What the scheduler's
own configuration adds to every pod (``addedAffinity``) comes first and gives a reason of its own.

Semantics: k8s.io/kubernetes v1.36.3, plugins/nodeaffinity/node_affinity.go, and
k8s.io/component-helpers v0.36.3, scheduling/corev1/nodeaffinity.
"""

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.constraints import Constraints, NodeSelectorTerm, Requirement
from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.node_facts import NAME as NODE_NAME, Fact
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape, holds

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "NodeAffinity"
NOT_THE_PODS = Rejection(
    filter=NAME, text="node(s) didn't match Pod's node affinity/selector", resolvable=False
)
NOT_THE_SCHEDULERS = Rejection(
    filter=NAME, text="node(s) didn't match scheduler-enforced node affinity", resolvable=False
)
CONTRADICTS_ITSELF = Rejection(filter=NAME, text="pod affinity terms conflict", resolvable=False)


def concerns(shape: Shape) -> bool:
    """Tell whether `shape` is particular about labels or names."""
    asked = shape.constraints
    return bool(asked.node_selector) or not (
        asked.required_nodes is None and asked.enforced_nodes is None
    )


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether selector, required and enforced terms hold."""
    enforced = any_term_holds(snapshot, shape.constraints.enforced_nodes, slots)
    return enforced & suits(snapshot, shape.constraints, slots)


def suits(snapshot: "Snapshot", asked: Constraints, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether the pod's own selector and required terms hold."""
    suited = any_term_holds(snapshot, asked.required_nodes, slots)
    for key, value in asked.node_selector:
        suited &= snapshot.facts.has(Fact("label", key), slots, value)
    return suited


def any_term_holds(
    snapshot: "Snapshot", terms: tuple[NodeSelectorTerm, ...] | None, slots: IntArray
) -> BoolArray:
    """Tell for each of `slots` whether at least one of `terms` holds; `None` asks for nothing."""
    if terms is None:
        return np.ones(len(slots), dtype=np.bool_)
    nowhere = np.zeros(len(slots), dtype=np.bool_)
    return reduce(np.logical_or, (term_holds(snapshot, term, slots) for term in terms), nowhere)


def term_holds(snapshot: "Snapshot", term: NodeSelectorTerm, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether all conditions of `term` hold; without any: nowhere."""
    holding = np.full(len(slots), bool(term.expressions or term.fields))
    for requirement in term.expressions:
        holding &= _holds(snapshot, requirement, slots)
    for requirement in term.fields:
        holding &= _names(snapshot, requirement, slots)
    return holding


def named_nodes(asked: Constraints) -> frozenset[str] | None:
    """Return the only nodes whose names the required terms allow; `None` where names are free.

    Kubernetes pins a DaemonSet's pods this way. Where it is empty, the conditions on names
    contradict each other and no node can ever do (`CONTRADICTS_ITSELF`).
    """
    if not asked.required_nodes:
        return None
    allowed: set[str] = set()
    for term in asked.required_nodes:
        name_sets = [
            frozenset(requirement.values)
            for requirement in term.fields
            if requirement.key == "metadata.name" and requirement.operator == "In"
        ]
        if not name_sets:
            return None
        allowed |= frozenset.intersection(*name_sets)
    return frozenset(allowed)


def _holds(snapshot: "Snapshot", requirement: Requirement, slots: IntArray) -> BoolArray:
    def question(value: str | None) -> bool:
        return holds(requirement, {} if value is None else {requirement.key: value})

    return snapshot.facts.ask(Fact("label", requirement.key), slots, question)


def _names(snapshot: "Snapshot", requirement: Requirement, slots: IntArray) -> BoolArray:
    def question(name: str | None) -> bool:
        fields = {} if name is None else {"metadata.name": name}
        return holds(requirement, fields)

    return snapshot.facts.ask(NODE_NAME, slots, question)


def reasons(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    """Say whose wish is not met: the scheduler's or the pod's."""
    enforced = any_term_holds(snapshot, shape.constraints.enforced_nodes, np.array([slot]))
    return (NOT_THE_PODS,) if enforced.all() else (NOT_THE_SCHEDULERS,)


FILTER = Filter(NAME, reads="labels", concerns=concerns, passes=passes, reasons=reasons)
