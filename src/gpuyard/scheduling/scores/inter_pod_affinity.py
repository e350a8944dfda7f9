"""Preferred company: how many pods a node's domains hold that draw near, less those that push away.

Both sides count. The pod's preferred terms add their weight (negative for anti-affinity) for every
pod that they select in the node's domain; the preferred terms of running pods that select this pod
do the same for every holder, and so do their required affinity terms, with the weight that the
policy gives (`hard_pod_affinity_weight`). The sums are stretched from 0 (the smallest) to 100.

With `ignore_preferred_terms_of_existing_pods`, a pod without preferred terms of its own is left
alone altogether. Semantics: k8s.io/kubernetes v1.36.3, plugins/interpodaffinity/scoring.go.
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.rules import SCORE_MAX
from gpuyard.scheduling.shapes import HeldTerm, Shape
from gpuyard.scheduling.terms import Population, per_domain

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


def concerns(snapshot: "Snapshot", shape: Shape, term: WeightedScore) -> bool:  # noqa: ARG001
    """Tell whether `shape` prefers company, or running pods prefer or resent its own."""
    if shape.constraints.preferred_pods:
        return True
    if term.ignore_preferred_terms_of_existing_pods:
        return False
    return any(_weight(held, term) for held in shape.selected_by)


def raw(
    snapshot: "Snapshot",
    shape: Shape,
    term: WeightedScore,
    slots: IntArray,
    rng: np.random.Generator,  # noqa: ARG001  every score has this signature
) -> IntArray:
    """Return for each of `slots` the weights of all pods in its domains."""
    total = np.zeros(len(slots), dtype=np.int64)
    for key, by_slot in _weights_by_key(snapshot, shape, term).items():
        domains = snapshot.facts.domains(key)
        total += per_domain(by_slot, domains)[domains[slots]]
    return total


def normalise(raw: IntArray) -> IntArray:
    """Stretch to 0..100 between the smallest and the largest; all equal gives all 0."""
    if not len(raw):
        return raw
    smallest, largest = int(raw.min()), int(raw.max())
    if smallest == largest:
        return np.zeros_like(raw)
    shares = (raw - smallest) / (largest - smallest)  # a float on the way, as in Kubernetes
    return (SCORE_MAX * shares).astype(np.int64)


def _weights_by_key(snapshot: "Snapshot", shape: Shape, term: WeightedScore) -> dict[str, IntArray]:
    """Return for each topology key what the pods on every slot weigh."""
    nothing = np.zeros(snapshot.fleet.size, dtype=np.int64)
    weighed: dict[str, IntArray] = {}
    for preferred in shape.constraints.preferred_pods:
        pods = snapshot.terms.counts(Population(terms=(preferred.term,)))
        key = preferred.term.topology_key
        weighed[key] = weighed.get(key, nothing) + preferred.weight * pods
    for held in shape.selected_by:
        if weight := _weight(held, term):
            key = held.term.topology_key
            weighed[key] = weighed.get(key, nothing) + weight * snapshot.terms.holders(held)
    return weighed


def _weight(held: HeldTerm, term: WeightedScore) -> int:
    match held.kind:
        case "preferred":
            return held.weight
        case "required":
            return term.hard_pod_affinity_weight
        case "forbidden":
            return 0
