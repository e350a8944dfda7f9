"""Pods that must be spread evenly over zones, racks or nodes.

For each ``DoNotSchedule`` constraint: pods that match it in the node's domain, plus this one if it
matches itself, may exceed those in the emptiest domain by at most ``maxSkew``. Only nodes that have
the labels of all such constraints make domains, and, as the constraint says, only those that suit
the pod's node affinity (the default) and whose taints it tolerates. With fewer domains than
``minDomains`` the emptiest counts as empty, so that new domains are waited for.

Terminating pods do not count, nor does anyone for an empty selector, although a pod matches itself
then. Semantics: k8s.io/kubernetes v1.36.3, plugins/podtopologyspread/{common,filtering}.go.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpuyard.model.constraints import PodTerm, SpreadConstraint
from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.feasibility import node_affinity, taint_toleration
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.terms import Population, per_domain

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "PodTopologySpread"
TOO_UNEVEN = Rejection(filter=NAME, text="node(s) didn't match pod topology spread constraints")
IN_NO_DOMAIN = Rejection(
    filter=NAME,
    text="node(s) didn't match pod topology spread constraints (missing required label)",
    resolvable=False,
)


class Spread(NamedTuple):
    """How pods are spread now under one constraint, by domain code."""

    pods: IntArray  # [domain + 1] matching pods; the last entry belongs to no domain
    exists: BoolArray  # [domain + 1] whether an eligible node makes this domain

    def smallest(self, min_domains: int) -> int:
        """Return the pods in the emptiest domain, 0 where there are too few domains."""
        if self.exists.sum() < min_domains:
            return 0
        return int(self.pods[self.exists].min())


def concerns(shape: Shape) -> bool:
    """Tell whether `shape` must be spread."""
    return any(each.when_unsatisfiable == "DoNotSchedule" for each in shape.constraints.spread)


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether one more pod there keeps every constraint."""
    even = np.ones(len(slots), dtype=np.bool_)
    eligible = has_all_keys(snapshot, hard_constraints(shape))
    for constraint in hard_constraints(shape):
        even &= _keeps(snapshot, shape, constraint, eligible, slots)
    return even


def reasons(snapshot: "Snapshot", shape: Shape, slot: int) -> tuple[Rejection, ...]:
    """Say of the first constraint that fails whether the label or the balance is missing."""
    constraints, slots = hard_constraints(shape), np.array([slot])
    eligible = has_all_keys(snapshot, constraints)
    for constraint in constraints:
        if snapshot.facts.domains(constraint.topology_key)[slot] < 0:
            return (IN_NO_DOMAIN,)
        if not _keeps(snapshot, shape, constraint, eligible, slots).all():
            return (TOO_UNEVEN,)
    return ()


def hard_constraints(shape: Shape) -> tuple[SpreadConstraint, ...]:
    """Return the constraints that turn nodes down, in their order."""
    spread = shape.constraints.spread
    return tuple(each for each in spread if each.when_unsatisfiable == "DoNotSchedule")


def has_all_keys(snapshot: "Snapshot", constraints: tuple[SpreadConstraint, ...]) -> BoolArray:
    """Tell for every slot whether the node has the labels of all `constraints`."""
    present = snapshot.fleet.present.copy()
    for constraint in constraints:
        present &= snapshot.facts.domains(constraint.topology_key) >= 0
    return present


def spread_now(
    snapshot: "Snapshot", shape: Shape, constraint: SpreadConstraint, eligible: BoolArray
) -> Spread:
    """Return how pods are spread under `constraint` over the `eligible` nodes that it honours."""
    domains = snapshot.facts.domains(constraint.topology_key)
    eligible = eligible & honoured(snapshot, shape, constraint)
    pods = per_domain(matching_pods(snapshot, shape, constraint), domains, eligible)
    nodes = per_domain(np.ones_like(domains), domains, eligible)
    return Spread(pods, nodes > 0)


def matching_pods(snapshot: "Snapshot", shape: Shape, constraint: SpreadConstraint) -> IntArray:
    """Return for every slot the pods of the pod's namespace that `constraint` counts."""
    selector = constraint.selector
    if selector is None or not selector.requirements:
        return np.zeros(snapshot.fleet.size, dtype=np.int64)
    term = PodTerm(constraint.topology_key, selector, (shape.namespace,))
    return snapshot.terms.counts(Population(terms=(term,), with_terminating=False))


def honoured(snapshot: "Snapshot", shape: Shape, constraint: SpreadConstraint) -> BoolArray:
    """Tell for every slot whether its node counts by the constraint's two inclusion policies."""
    counted = snapshot.fleet.present.copy()
    slots = np.flatnonzero(counted)
    if constraint.honor_node_affinity:
        counted[slots] &= node_affinity.suits(snapshot, shape.constraints, slots)
    if constraint.honor_node_taints:
        counted[slots] &= taint_toleration.passes(snapshot, shape, slots)
    return counted


def _keeps(
    snapshot: "Snapshot",
    shape: Shape,
    constraint: SpreadConstraint,
    eligible: BoolArray,
    slots: IntArray,
) -> BoolArray:
    domains = snapshot.facts.domains(constraint.topology_key)[slots]
    spread = spread_now(snapshot, shape, constraint, eligible)
    itself = shape.selects_itself[
        len(shape.constraints.required_pods) + shape.constraints.spread.index(constraint)
    ]
    skew = spread.pods[domains] + int(itself) - spread.smallest(constraint.min_domains or 1)
    keeps: BoolArray = (domains >= 0) & (skew <= constraint.max_skew)
    return keeps


FILTER = Filter(NAME, reads="pods", concerns=concerns, passes=passes, reasons=reasons)
