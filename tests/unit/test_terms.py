"""Counters of pods, held terms and shapes."""

import numpy as np
import pytest

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
from gpuyard.model.workloads import Assignment, PodTemplate, Request
from gpuyard.scheduling.shapes import HeldTerm
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.terms import Population, per_domain


def app(*names):
    return LabelSelector((Requirement("app", "In", names),))


def selecting(*names, namespaces=("default",), namespace_selector=None):
    return PodTerm("zone", app(*names), namespaces, namespace_selector)


def a_pod(label="", namespace="default", **constraints):
    return PodTemplate(
        request=Request(),
        constraints=Constraints(**constraints),
        namespace=namespace,
        labels=(("app", label),) if label else (),
    )


def cluster(*names):
    snapshot = Snapshot()
    for name in names or ("a", "b"):
        snapshot.apply(NodeObserved(Node(name=name)))
    return snapshot


def bind(snapshot, pod, template, node="a", *, terminating=False):
    assignment = Assignment(pod=pod, template=template, node=node, terminating=terminating)
    snapshot.apply(PodBound(assignment))


WEB = Population(terms=(selecting("web"),))


def test_counts_follow_pods_from_the_first_question_on():
    snapshot = cluster()
    bind(snapshot, "before", a_pod("web"))
    assert snapshot.terms.counts(WEB).tolist() == [1, 0]
    bind(snapshot, "after", a_pod("web"), "b")
    bind(snapshot, "other", a_pod("db"), "b")
    assert snapshot.terms.counts(WEB).tolist() == [1, 1]
    snapshot.apply(PodGone("before"))
    assert snapshot.terms.counts(WEB).tolist() == [0, 1]


def test_counts_grow_with_the_fleet():
    snapshot = cluster("a")
    assert snapshot.terms.counts(WEB).tolist() == [0]
    snapshot.apply(NodeObserved(Node(name="b")))
    bind(snapshot, "p", a_pod("web"), "b")
    assert snapshot.terms.counts(WEB).tolist() == [0, 1]
    snapshot.apply(PodGone("p"))
    snapshot.apply(NodeRemoved("b"))
    snapshot.apply(NodeObserved(Node(name="c")))
    assert snapshot.terms.counts(WEB).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("population", "expected"),
    [
        pytest.param(WEB, 2, id="terminating pods still stand where they are"),
        pytest.param(
            Population(terms=WEB.terms, with_terminating=False), 1, id="unless they do not count"
        ),
        pytest.param(Population(terms=(selecting("web"), selecting("web", "db"))), 2, id="both"),
        pytest.param(Population(terms=(selecting("web"), selecting("db"))), 0, id="never both"),
        pytest.param(Population(terms=(selecting("web", namespaces=("x",)),)), 0, id="namespace"),
    ],
)
def test_who_counts(population, expected):
    snapshot = cluster()
    bind(snapshot, "p", a_pod("web"))
    bind(snapshot, "q", a_pod("web"), terminating=True)
    bind(snapshot, "r", a_pod("db"))
    assert snapshot.terms.counts(population)[0] == expected


def test_a_namespace_gets_other_labels():
    team = LabelSelector((Requirement("team", "In", ("x",)),))
    population = Population(terms=(selecting("web", namespaces=(), namespace_selector=team),))
    snapshot = cluster()
    bind(snapshot, "p", a_pod("web"))
    seen = [int(snapshot.terms.counts(population)[0])]
    for labels in ((("team", "x"),), (("team", "y"),), None):
        snapshot.apply(NamespaceObserved("default", labels))
        seen.append(int(snapshot.terms.counts(population)[0]))
    assert seen == [0, 1, 0, 0]


def test_the_least_recently_asked_is_forgotten_and_counted_again():
    snapshot = cluster()
    snapshot.terms.populations_kept_max = 2
    for name in ("web", "db", "web", "new"):
        snapshot.terms.counts(Population(terms=(selecting(name),)))
    bind(snapshot, "p", a_pod("db"))
    assert snapshot.terms.counts(Population(terms=(selecting("db"),))).tolist() == [1, 0]


def test_a_held_term_appears_and_vanishes():
    snapshot = cluster()
    holder = a_pod("web", forbidden_pods=(selecting("new"),))
    held = HeldTerm("forbidden", 0, selecting("new"))
    bind(snapshot, "p", holder)
    bind(snapshot, "q", holder, "b")
    assert snapshot.terms.holders(held).tolist() == [1, 1]
    assert snapshot.shape(a_pod("new")).selected_by == (held,)
    snapshot.apply(PodGone("p"))
    assert snapshot.terms.holders(held).tolist() == [0, 1]
    snapshot.apply(PodGone("q"))
    assert not snapshot.terms.held
    assert snapshot.shape(a_pod("new")).selected_by == ()


@pytest.mark.parametrize(
    ("constraints", "kind", "weight"),
    [
        pytest.param({"forbidden_pods": (selecting("new"),)}, "forbidden", 0, id="anti-affinity"),
        pytest.param({"required_pods": (selecting("new"),)}, "required", 0, id="affinity"),
        pytest.param(
            {"preferred_pods": (PreferredPods(-7, selecting("new")),)}, "preferred", -7, id="wish"
        ),
    ],
)
def test_what_running_pods_hold(constraints, kind, weight):
    snapshot = cluster()
    bind(snapshot, "p", a_pod("web", **constraints))
    (held,) = snapshot.shape(a_pod("new")).selected_by
    assert (held.kind, held.weight) == (kind, weight)
    assert snapshot.shape(a_pod("other")).selected_by == ()


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(LabelSelector((Requirement("app", "NotIn", ("web",)),)), True, id="not in"),
        pytest.param(LabelSelector((Requirement("x", "DoesNotExist"),)), True, id="no such label"),
        pytest.param(LabelSelector(), True, id="everyone"),
        pytest.param(None, False, id="nobody"),
        pytest.param(LabelSelector((Requirement("app", "In", ()),)), False, id="in nothing"),
    ],
)
def test_a_term_without_a_sure_label_is_found_too(selector, expected):
    snapshot = cluster()
    term = PodTerm("zone", selector, ("default",))
    bind(snapshot, "p", a_pod("web", forbidden_pods=(term,)))
    assert bool(snapshot.shape(a_pod("new")).selected_by) == expected
    assert bool(snapshot.shape(a_pod()).selected_by) == expected


def test_selecting_terms_stand_in_an_order_that_history_does_not_change():
    terms = [(selecting("new", name),) for name in "abc"]
    orders = []
    for order in (terms, terms[::-1]):
        snapshot = cluster()
        for index, term in enumerate(order):
            bind(snapshot, f"p{index}", a_pod("web", forbidden_pods=term))
        orders.append(snapshot.shape(a_pod("new")).selected_by)
    assert orders[0] == orders[1]


def test_labels_enter_a_shape_only_by_what_they_bring_about():
    snapshot = cluster()
    spread = (SpreadConstraint(1, "zone", "DoNotSchedule", app("web")),)
    one, two = a_pod("job-1"), a_pod("job-2")
    assert snapshot.shape(one) == snapshot.shape(two)
    spread_one, spread_web = a_pod("job-1", spread=spread), a_pod("web", spread=spread)
    assert snapshot.shape(spread_one) != snapshot.shape(spread_web)
    assert snapshot.shape(spread_web).selects_itself == (True,)
    bind(snapshot, "p", a_pod("web", forbidden_pods=(selecting("job-1"),)))
    assert snapshot.shape(one) != snapshot.shape(two)


def test_a_namespace_enters_a_shape_only_with_spread():
    snapshot = cluster()
    spread = (SpreadConstraint(1, "zone", "DoNotSchedule", app("web")),)
    assert snapshot.shape(a_pod(namespace="x")) == snapshot.shape(a_pod(namespace="y"))
    assert snapshot.shape(a_pod(namespace="x", spread=spread)).namespace == "x"


def test_a_trial_leaves_no_trace():
    snapshot = cluster()
    bind(snapshot, "p", a_pod("web"))
    before = snapshot.terms.counts(WEB).tolist()
    with snapshot.trial():
        bind(snapshot, "q", a_pod("web", forbidden_pods=(selecting("new"),)), "b")
        snapshot.apply(PodGone("p"))
        assert snapshot.terms.counts(WEB).tolist() == [0, 1]
    assert snapshot.terms.counts(WEB).tolist() == before
    assert not snapshot.terms.held


@pytest.mark.parametrize(
    ("counts", "domains", "eligible", "expected"),
    [
        pytest.param([1, 2, 3], [0, 1, 0], None, [4, 2, 0], id="summed"),
        pytest.param([1, 2, 3], [0, -1, 0], None, [4, 0], id="in no domain"),
        pytest.param([1, 2, 3], [0, 1, 0], [True, True, False], [1, 2, 0], id="eligible only"),
        pytest.param([-1, 2], [0, 0], None, [1, 0], id="weights may be negative"),
        pytest.param([1], [-1], None, [0], id="no domain at all"),
        pytest.param([], [], None, [0], id="no nodes"),
    ],
)
def test_per_domain(counts, domains, eligible, expected):
    mask = None if eligible is None else np.array(eligible)
    summed = per_domain(np.array(counts, dtype=np.int64), np.array(domains, dtype=np.int64), mask)
    assert summed.tolist() == expected
    assert summed[-1] == 0
