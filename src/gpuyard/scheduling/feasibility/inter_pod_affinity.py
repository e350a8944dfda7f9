"""Pods that must be near others, and pods that must not.

Three parties have a say, each in terms of topology domains (nodes with the same value of a label):

1. the pod's required affinity: for each term, a pod that matches *all* of its terms runs in the
   node's domain. The first pod of a group that wants its own company would wait for ever, so where
   no such pod runs in any domain and the pod matches its own terms, any node with the labels does;
2. the pod's anti-affinity: nobody whom a term selects runs in the node's domain;
3. the anti-affinity of running pods: none that selects this pod holds the node's domain.

A node without a term's label is in no domain: it cannot be near, and it need not keep apart.
Semantics: k8s.io/kubernetes v1.36.3, plugins/interpodaffinity/filtering.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import HeldTerm, Shape
from gpuyard.scheduling.terms import Population, per_domain

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "InterPodAffinity"
NOT_NEAR = Rejection(filter=NAME, text="node(s) didn't match pod affinity rules", resolvable=False)
NOT_APART = Rejection(filter=NAME, text="node(s) didn't match pod anti-affinity rules")
NOT_LET_IN = Rejection(filter=NAME, text="node(s) didn't satisfy existing pods anti-affinity rules")


def concerns(shape: Shape) -> bool:
    """Tell whether `shape` has required terms, or a running pod's anti-affinity selects it."""
    asked = shape.constraints
    return bool(asked.required_pods or asked.forbidden_pods or forbidding(shape))


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether all three parties agree."""
    near = is_near(snapshot, shape, slots)
    return near & is_apart(snapshot, shape, slots) & is_let_in(snapshot, shape, slots)


def reasons(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    """Name the first party that does not agree."""
    slots = np.array([slot])
    if not is_near(snapshot, shape, slots).all():
        return (NOT_NEAR,)
    return (NOT_LET_IN,) if is_apart(snapshot, shape, slots).all() else (NOT_APART,)


def is_near(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether the pod's required affinity holds there."""
    terms = shape.constraints.required_pods
    has_labels = np.ones(len(slots), dtype=np.bool_)
    has_company = np.ones(len(slots), dtype=np.bool_)
    is_first = all(shape.selects_itself[: len(terms)])
    for key in {term.topology_key for term in terms}:
        company = wanted_company(snapshot, shape, key)
        domains = snapshot.facts.domains(key)[slots]
        has_labels &= domains >= 0
        has_company &= company[domains] > 0
        is_first = is_first and not company.any()
    return has_labels if is_first else has_labels & has_company


def is_apart(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether nobody is there whom the pod avoids."""
    alone = np.ones(len(slots), dtype=np.bool_)
    for key in {term.topology_key for term in shape.constraints.forbidden_pods}:
        alone &= unwanted_company(snapshot, shape, key)[snapshot.facts.domains(key)[slots]] == 0
    return alone


def is_let_in(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether no running pod there avoids this one."""
    welcome = np.ones(len(slots), dtype=np.bool_)
    for key in {held.term.topology_key for held in forbidding(shape)}:
        welcome &= unwelcoming(snapshot, shape, key)[snapshot.facts.domains(key)[slots]] == 0
    return welcome


def forbidding(shape: Shape) -> tuple[HeldTerm, ...]:
    """Return the anti-affinity terms of running pods that select `shape`."""
    return tuple(held for held in shape.selected_by if held.kind == "forbidden")


def wanted_company(snapshot: "Snapshot", shape: Shape, topology_key: str) -> IntArray:
    """Return for each domain of `topology_key` how many pods match all required terms."""
    everyone = Population(terms=shape.constraints.required_pods)
    return per_domain(snapshot.terms.counts(everyone), snapshot.facts.domains(topology_key))


def unwanted_company(snapshot: "Snapshot", shape: Shape, topology_key: str) -> IntArray:
    """Return for each domain of `topology_key` how often a pod there is avoided by `shape`."""
    domains = snapshot.facts.domains(topology_key)
    avoided = np.zeros(snapshot.fleet.size, dtype=np.int64)
    for term in shape.constraints.forbidden_pods:
        if term.topology_key == topology_key:
            avoided = avoided + snapshot.terms.counts(Population(terms=(term,)))
    return per_domain(avoided, domains)


def unwelcoming(snapshot: "Snapshot", shape: Shape, topology_key: str) -> IntArray:
    """Return for each domain of `topology_key` how often a pod there avoids `shape`."""
    domains = snapshot.facts.domains(topology_key)
    avoiding = np.zeros(snapshot.fleet.size, dtype=np.int64)
    for held in forbidding(shape):
        if held.term.topology_key == topology_key:
            avoiding += snapshot.terms.holders(held)
    return per_domain(avoiding, domains)


FILTER = Filter(NAME, reads="pods", concerns=concerns, passes=passes, reasons=reasons)
