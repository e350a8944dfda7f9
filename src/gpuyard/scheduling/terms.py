"""How many pods stand where: the counters of inter-pod affinity and topology spread.

Three questions are asked again and again, and each has its own small book-keeping here:

- *How many pods that a selector matches are on each node?* A `Population` says which pods count.
  Its counts are made by one pass over all pods when somebody first asks, and kept current pod by
  pod from then on. They live in an LRU of `Terms.populations_kept_max`; beyond it they are counted
  again and never wrong.
- *Which terms do running pods hold, and where?* A pod's anti-affinity concerns whoever comes later,
  and so do its required and preferred affinity in the scores. Each held term counts its holders per
  node; it appears with the first holder and vanishes with the last. These are facts, not caches,
  and as many as pods make them.
- *What can placement see of a pod?* Its `Shape`: the request and constraints, and of the labels
  only which terms they satisfy.

Counts are per node; a topology domain's count is their sum over its nodes, taken when asked
(`per_domain`): what a node's labels say may change, what runs on it does not change by that.
Everything is an integer and a pod that goes takes away exactly what it brought, so undoing a trial
is exact. A pod without terms, while nobody counts anything, costs two comparisons.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/framework/plugins/interpodaffinity and
podtopologyspread. Terminating pods still count for affinity, not for spread.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gpuyard.model.constraints import Constraints, PodTerm
from gpuyard.model.workloads import Assignment, PodTemplate
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.shapes import HeldTerm, Shape, matches, term_selects

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

POPULATIONS_KEPT_MAX = 256
SHAPES_KEPT_MAX = 1 << 16  # templates whose shape is remembered; beyond it all are looked up anew
Label = tuple[str, str]


class Population(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """The pods to count: those that every one of `terms` selects (topology keys do not matter)."""

    terms: tuple[PodTerm, ...]
    with_terminating: bool = True


class Holders:
    """Who holds a term: pods per slot, and a key by which terms stand in a fixed order."""

    __slots__ = ("by_slot", "order")

    def __init__(self, held: HeldTerm) -> None:
        """Start with nobody."""
        self.by_slot: dict[int, int] = {}
        self.order = repr(held)


class Terms:
    """Counts of pods by population, term and node, kept current by `Snapshot`."""

    def __init__(self, snapshot: "Snapshot") -> None:
        """Start with no pods."""
        self.held: dict[HeldTerm, Holders] = {}
        self.populations_kept_max = POPULATIONS_KEPT_MAX
        self._snapshot = snapshot
        self._counts: OrderedDict[Population, IntArray] = OrderedDict()
        self._counted_in: dict[tuple[PodTemplate, bool], tuple[Population, ...]] = {}
        self._held_by_label: dict[Label | None, dict[HeldTerm, Holders]] = {}
        self._shapes: dict[PodTemplate, Shape] = {}

    # -- what rules ask

    def counts(self, population: Population) -> IntArray:
        """Return for every slot how many pods of `population` are there; do not write to it."""
        size = self._snapshot.fleet.size
        counts = self._counts.get(population)
        if counts is None:
            counts = self._counts[population] = self._count(population)
            self._counted_in.clear()
            while len(self._counts) > max(1, self.populations_kept_max):
                self._counts.popitem(last=False)
        elif len(counts) < size:
            counts = self._counts[population] = _widened(counts, size)
        self._counts.move_to_end(population)
        return counts

    def holders(self, held: HeldTerm) -> IntArray:
        """Return for every slot how many pods there hold `held`."""
        counts = np.zeros(self._snapshot.fleet.size, dtype=np.int64)
        if held in self.held:
            for slot, pods in self.held[held].by_slot.items():
                counts[slot] = pods
        return counts

    def shape(self, template: PodTemplate) -> Shape:
        """Return what placement can see of `template`."""
        shape = self._shapes.get(template)
        if shape is None:
            if len(self._shapes) >= SHAPES_KEPT_MAX:
                self._shapes.clear()
            shape = self._shapes[template] = self._look_at(template)
        return shape

    # -- what `Snapshot` tells

    def bound(self, slot: int, assignment: Assignment) -> None:
        """Count a pod in."""
        if self._counts:
            self._add(slot, assignment, 1)
        for held in held_terms(assignment.template.constraints):
            if held not in self.held:
                self._appear(held)
            by_slot = self.held[held].by_slot
            by_slot[slot] = by_slot.get(slot, 0) + 1

    def gone(self, slot: int, assignment: Assignment) -> None:
        """Count a pod out."""
        if self._counts:
            self._add(slot, assignment, -1)
        for held in held_terms(assignment.template.constraints):
            by_slot = self.held[held].by_slot
            by_slot[slot] -= 1
            if not by_slot[slot]:
                del by_slot[slot]
            if not by_slot:
                self._vanish(held)

    def namespaces_changed(self) -> None:
        """Forget what depends on namespaces' labels."""
        self._shapes.clear()
        self._counted_in.clear()
        by_label = [population for population in self._counts if _asks_for_namespaces(population)]
        for population in by_label:
            del self._counts[population]

    # -- how

    def _count(self, population: Population) -> IntArray:
        counts = np.zeros(self._snapshot.fleet.size, dtype=np.int64)
        selected: dict[tuple[PodTemplate, bool], bool] = {}
        for booking in self._snapshot.bookings.values():
            pod = booking.assignment.template, booking.assignment.terminating
            if pod not in selected:
                selected[pod] = self._selects(population, *pod)
            counts[booking.slot] += selected[pod]
        return counts

    def _add(self, slot: int, assignment: Assignment, sign: int) -> None:
        pod = assignment.template, assignment.terminating
        populations = self._counted_in.get(pod)
        if populations is None:
            if len(self._counted_in) >= SHAPES_KEPT_MAX:
                self._counted_in.clear()
            populations = tuple(known for known in self._counts if self._selects(known, *pod))
            self._counted_in[pod] = populations
        for population in populations:
            counts = self._counts[population]
            if slot >= len(counts):
                counts = self._counts[population] = _widened(counts, self._snapshot.fleet.size)
            counts[slot] += sign

    def _selects(
        self,
        population: Population,
        template: PodTemplate,
        terminating: bool,  # noqa: FBT001  half of a key
    ) -> bool:
        if terminating and not population.with_terminating:
            return False
        labels, namespaces = dict(template.labels), self._snapshot.namespaces
        return all(
            term_selects(term, template.namespace, labels, namespaces) for term in population.terms
        )

    def _appear(self, held: HeldTerm) -> None:
        holders = self.held[held] = Holders(held)
        for label in _filed_under(held):
            self._held_by_label.setdefault(label, {})[held] = holders
        self._shapes.clear()

    def _vanish(self, held: HeldTerm) -> None:
        del self.held[held]
        for label in _filed_under(held):
            del self._held_by_label[label][held]
            if not self._held_by_label[label]:
                del self._held_by_label[label]
        self._shapes.clear()

    def _look_at(self, template: PodTemplate) -> Shape:
        constraints, labels = template.constraints, dict(template.labels)
        namespaces = self._snapshot.namespaces
        by_terms = tuple(
            term_selects(term, template.namespace, labels, namespaces)
            for term in constraints.required_pods
        )
        by_spread = tuple(matches(each.selector, labels) for each in constraints.spread)
        return Shape(
            request=template.request,
            constraints=constraints,
            namespace=template.namespace if constraints.spread else "",
            selects_itself=by_terms + by_spread,
            selected_by=self._selected_by(template.namespace, labels),
        )

    def _selected_by(self, namespace: str, labels: dict[str, str]) -> tuple[HeldTerm, ...]:
        namespaces = self._snapshot.namespaces
        filed: list[Label | None] = [None, *labels.items()]
        candidates = {
            held: holders
            for label in filed
            for held, holders in self._held_by_label.get(label, {}).items()
        }
        selecting = (
            (holders.order, held)
            for held, holders in candidates.items()
            if term_selects(held.term, namespace, labels, namespaces)
        )
        return tuple(held for _, held in sorted(selecting, key=lambda pair: pair[0]))


def held_terms(constraints: Constraints) -> Iterator[HeldTerm]:
    """Yield the terms that a running pod with `constraints` holds against or for others."""
    for term in constraints.forbidden_pods:
        yield HeldTerm("forbidden", 0, term)
    for term in constraints.required_pods:
        yield HeldTerm("required", 0, term)
    for preferred in constraints.preferred_pods:
        yield HeldTerm("preferred", preferred.weight, preferred.term)


def per_domain(counts: IntArray, domains: IntArray, eligible: BoolArray | None = None) -> IntArray:
    """Return the sum of `counts` for each domain code.

    `domains` gives for every slot its code, negative where the node is in none; only slots that
    are `eligible` are summed. The result has one more entry, 0, which the code -1 points at.
    """
    inside = domains >= 0 if eligible is None else (domains >= 0) & eligible
    size = int(domains.max(initial=-1)) + 2
    # Counts of pods are far below 2**53, so sums of floats are exact.
    sums = np.bincount(domains[inside], weights=counts[inside], minlength=size)
    return sums.astype(np.int64)


def _filed_under(held: HeldTerm) -> tuple[Label | None, ...]:
    """Return labels of which a pod must have one to be selected; `None` where nothing is sure.

    A thousand teams with an anti-affinity each then cost a pod only a look at its own labels.
    """
    if held.term.selector is None:
        return ()
    for requirement in held.term.selector.requirements:
        if requirement.operator == "In":
            return tuple((requirement.key, value) for value in dict.fromkeys(requirement.values))
    return (None,)


def _asks_for_namespaces(population: Population) -> bool:
    return any(term.namespace_selector is not None for term in population.terms)


def _widened(counts: IntArray, size: int) -> IntArray:
    return np.concatenate([counts, np.zeros(size - len(counts), dtype=np.int64)])
