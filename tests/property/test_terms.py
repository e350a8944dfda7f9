"""Counters, held terms, node facts and shapes equal a recomputation after any history."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpuyard.model.constraints import (
    Constraints,
    LabelSelector,
    PodTerm,
    PreferredPods,
    Requirement,
    SpreadConstraint,
)
from gpuyard.model.deltas import NamespaceObserved, NodeObserved, NodeRemoved, PodBound, PodGone
from gpuyard.model.nodes import Node
from gpuyard.model.policy import WeightedScore
from gpuyard.model.workloads import Assignment, PodTemplate, Request
from gpuyard.scheduling.feasibility import FILTERS
from gpuyard.scheduling.node_facts import ABSENT, Fact
from gpuyard.scheduling.scores import SCORES
from gpuyard.scheduling.shapes import matches
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.terms import Population

NAMES = ("n0", "n1", "n2", "n3")
KEYS = ("zone", "rack")
NAMESPACES = ("one", "two")

# Few and likely to meet: a history in which nobody selects anybody shows nothing.
labels = st.sampled_from(((), (("app", "a"),), (("app", "a"), ("tier", "b")), (("app", "b"),)))
requirements = st.builds(
    Requirement,
    st.sampled_from(("app", "tier")),
    st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    st.sampled_from((("a",), ("a", "b"))),
)
selectors = st.just(LabelSelector()) | st.builds(LabelSelector, st.tuples(requirements))
namespace_selectors = st.sampled_from(
    (None, LabelSelector(), LabelSelector((Requirement("team", "In", ("x",)),)))
)
terms = st.builds(
    PodTerm,
    st.sampled_from(KEYS),
    selectors,
    st.sampled_from(((), ("one",), NAMESPACES)),
    namespace_selectors,
)
few_terms = st.lists(terms, max_size=2).map(tuple)
spreads = st.builds(
    SpreadConstraint,
    st.integers(1, 2),
    st.sampled_from(KEYS),
    st.sampled_from(("DoNotSchedule", "ScheduleAnyway")),
    selectors,
)
templates = st.builds(
    PodTemplate,
    request=st.just(Request()),
    constraints=st.builds(
        Constraints,
        required_pods=few_terms,
        forbidden_pods=few_terms,
        preferred_pods=st.lists(
            st.builds(PreferredPods, st.sampled_from((-3, 2)), terms), max_size=1
        ).map(tuple),
        spread=st.lists(spreads, max_size=1).map(tuple),
    ),
    namespace=st.sampled_from(NAMESPACES),
    labels=labels,
)
node_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from("xyz"), max_size=2)


class Histories(RuleBasedStateMachine):
    """Random changes, trials among them; a fresh snapshot of the same facts must agree."""

    @initialize(
        kept=st.sampled_from((2, 100, 100)),
        pods=st.lists(templates, min_size=1, max_size=4),
        populations=st.lists(
            st.builds(
                Population,
                terms=st.lists(terms, min_size=1, max_size=2).map(tuple),
                with_terminating=st.booleans(),
            ),
            min_size=3,
            max_size=5,
        ),
    )
    def start(self, kept, pods, populations):
        self.snapshot = Snapshot()
        self.snapshot.terms.populations_kept_max = kept
        self.templates, self.populations = pods, populations
        self.trials = []
        self.number = 0
        for name, zone in zip(NAMES[:3], "xxy", strict=True):
            self.snapshot.apply(NodeObserved(Node(name=name, labels=(("zone", zone),))))
        self.answers(self.snapshot)

    @rule(name=st.sampled_from(NAMES), given=node_labels)
    def observe_node(self, name, given):
        self.snapshot.apply(NodeObserved(Node(name=name, labels=tuple(sorted(given.items())))))

    @precondition(lambda self: self.snapshot.slot_of)
    @rule(data=st.data())
    def remove_node(self, data):
        name = data.draw(st.sampled_from(sorted(self.snapshot.slot_of)))
        if not self.snapshot.pods_on[self.snapshot.slot_of[name]]:
            self.snapshot.apply(NodeRemoved(name))

    @precondition(lambda self: self.snapshot.slot_of)
    @rule(data=st.data(), terminating=st.booleans(), times=st.integers(1, 3))
    def bind(self, data, terminating, times):
        for _ in range(times):
            self.number += 1
            assignment = Assignment(
                pod=f"p{self.number}",
                template=data.draw(st.sampled_from(self.templates)),
                node=data.draw(st.sampled_from(sorted(self.snapshot.slot_of))),
                terminating=terminating,
            )
            self.snapshot.apply(PodBound(assignment))

    @precondition(lambda self: self.snapshot.bookings)
    @rule(data=st.data(), share=st.sampled_from((1, 2, 4)))
    def gone(self, data, share):
        pods = sorted(self.snapshot.bookings)
        for pod in data.draw(st.permutations(pods))[: -(-len(pods) // share)]:
            self.snapshot.apply(PodGone(pod))

    @rule(name=st.sampled_from(NAMESPACES), given=st.sampled_from((None, (), (("team", "x"),))))
    def label_namespace(self, name, given):
        self.snapshot.apply(NamespaceObserved(name, given))

    @precondition(lambda self: len(self.trials) < 2)
    @rule()
    def open_trial(self):
        opened = self.snapshot.trial()
        self.trials.append((opened, opened.__enter__(), self.answers(self.snapshot)))

    @precondition(lambda self: self.trials)
    @rule(keep=st.booleans())
    def close_trial(self, keep):
        opened, trial, before = self.trials.pop()
        if keep:
            trial.keep()
        opened.__exit__(None, None, None)
        assert keep or self.answers(self.snapshot) == before

    def teardown(self):
        while getattr(self, "trials", None):
            self.trials.pop()[0].__exit__(None, None, None)

    @invariant()
    def equals_a_recomputation(self):
        if hasattr(self, "snapshot"):
            assert self.answers(self.snapshot) == self.answers(self.fresh())

    @invariant()
    def holds_only_what_pods_hold(self):
        if hasattr(self, "snapshot"):
            assert all(holders.by_slot for holders in self.snapshot.terms.held.values())
            kept = self.snapshot.terms._counts
            assert len(kept) <= self.snapshot.terms.populations_kept_max

    def fresh(self):
        """Return the same facts in a snapshot without a history, caches full of nothing."""
        again = Snapshot()
        for slot in sorted(self.snapshot.nodes):
            again.apply(NodeObserved(self.snapshot.nodes[slot]))
        for name, given in self.snapshot.namespaces.items():
            again.apply(NamespaceObserved(name, given))
        for booking in self.snapshot.bookings.values():
            again.apply(PodBound(booking.assignment))
        return again

    def answers(self, snapshot):
        """Return everything that rules may ask, by the names of nodes."""
        slots = [snapshot.slot_of[name] for name in sorted(snapshot.slot_of)]
        terms = snapshot.terms
        counts = [terms.counts(population)[slots].tolist() for population in self.populations]
        held = {held: terms.holders(held)[slots].tolist() for held in terms.held}
        shapes = [snapshot.shape(template) for template in self.templates]
        facts = []
        for key in KEYS:
            column = snapshot.facts.column(Fact("label", key))
            codes = column.codes[slots].tolist()
            facts.append([None if code == ABSENT else column.values[code] for code in codes])
        where = np.array(slots, dtype=np.int64)
        passing = [
            each.passes(snapshot, shape, where).tolist() for each in FILTERS for shape in shapes
        ]
        return counts, held, shapes, facts, passing, [*scores(snapshot, shapes, where)]

    @invariant()
    def counts_are_what_a_person_would_count(self):
        if not hasattr(self, "snapshot"):
            return
        for population in self.populations:
            counted = dict.fromkeys(self.snapshot.slot_of, 0)
            for booking in self.snapshot.bookings.values():
                counted[booking.assignment.node] += self.belongs(population, booking.assignment)
            counts = self.snapshot.terms.counts(population)
            assert counted == {name: counts[slot] for name, slot in self.snapshot.slot_of.items()}

    def belongs(self, population, assignment):
        template = assignment.template
        if assignment.terminating and not population.with_terminating:
            return False
        for term in population.terms:
            in_scope = template.namespace in term.namespaces
            selector, known = term.namespace_selector, self.snapshot.namespaces
            if not in_scope and selector is not None:
                in_scope = not selector.requirements or (
                    template.namespace in known
                    and matches(selector, dict(known[template.namespace]))
                )
            if not in_scope or not matches(term.selector, dict(template.labels)):
                return False
        return True


def scores(snapshot, shapes, slots):
    if not len(slots):
        return
    for name in ("inter-pod-affinity", "topology-spread"):
        term = WeightedScore(name=name)
        for shape in shapes:
            raw = SCORES[name].raw(snapshot, shape, term, slots, np.random.default_rng(0))
            yield name, SCORES[name].normalise(raw).tolist()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
