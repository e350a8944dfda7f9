"""Facts of nodes as columns of codes."""

import numpy as np

from gpuyard.model.constraints import Taint
from gpuyard.model.deltas import NodeObserved, NodeRemoved
from gpuyard.model.nodes import Node
from gpuyard.scheduling import node_facts
from gpuyard.scheduling.node_facts import ABSENT, NAME, TAINTS, UNSCHEDULABLE, Fact
from gpuyard.scheduling.snapshot import Snapshot

ZONE = Fact("label", "zone")


def observe(snapshot, name, zone=None, **fields):
    labels = (("zone", zone),) if zone else ()
    snapshot.apply(NodeObserved(Node(name=name, labels=labels, **fields)))


def values(snapshot, fact):
    column = snapshot.facts.column(fact)
    return [None if code == ABSENT else column.values[code] for code in column.codes.tolist()]


def test_two_nodes_are_in_one_domain_when_their_codes_are_equal():
    snapshot = Snapshot()
    for name, zone in (("a", "1"), ("b", "2"), ("c", "1"), ("d", None)):
        observe(snapshot, name, zone)
    domains = snapshot.facts.domains("zone").tolist()
    assert domains[0] == domains[2] != domains[1]
    assert domains[3] == ABSENT


def test_columns_follow_the_nodes():
    snapshot = Snapshot()
    observe(snapshot, "a", "1")
    assert values(snapshot, ZONE) == ["1"]
    observe(snapshot, "a", "2")
    observe(snapshot, "b", "3")
    assert values(snapshot, ZONE) == ["2", "3"]
    snapshot.apply(NodeRemoved("a"))
    assert values(snapshot, ZONE) == [None, "3"]
    with snapshot.trial():
        observe(snapshot, "b", "4")
        assert values(snapshot, ZONE) == [None, "4"]
    assert values(snapshot, ZONE) == [None, "3"]


def test_other_facts():
    snapshot = Snapshot()
    taints = (Taint("k", "v", "NoSchedule"),)
    observe(snapshot, "a", unschedulable=True, taints=taints)
    assert values(snapshot, UNSCHEDULABLE) == [True]
    assert values(snapshot, TAINTS) == [taints]
    assert values(snapshot, NAME) == ["a"]


def test_a_question_is_asked_once_per_value():
    snapshot = Snapshot()
    for index in range(100):
        observe(snapshot, f"n{index}", str(index % 3))
    asked = []

    def question(value):
        asked.append(value)
        return value == "1"

    everywhere = np.arange(100)
    answers = snapshot.facts.ask(ZONE, everywhere, question)
    assert answers.tolist() == [index % 3 == 1 for index in range(100)]
    assert sorted(filter(None, asked)) == ["0", "1", "2"]
    asked.clear()
    assert snapshot.facts.ask(ZONE, np.array([4]), question).tolist() == [True]
    assert asked == ["1"]
    assert snapshot.facts.measure(ZONE, np.array([5, 4]), int).tolist() == [2, 1]


def test_values_of_nodes_that_are_gone_are_forgotten(monkeypatch):
    monkeypatch.setattr(node_facts, "VALUES_FREE", 2)
    snapshot = Snapshot()
    for index in range(50):
        observe(snapshot, "a", str(index))
        assert values(snapshot, ZONE) == [str(index)]
        assert len(snapshot.facts.column(ZONE).values) <= 2 + node_facts.VALUES_PER_NODE_MAX + 1


def test_the_number_of_columns_is_bounded(monkeypatch):
    monkeypatch.setattr(node_facts, "COLUMNS_KEPT_MAX", 2)
    snapshot = Snapshot()
    observe(snapshot, "a", "1")
    for key in ("zone", "x", "y", "zone"):
        snapshot.facts.domains(key)
    assert len(snapshot.facts._columns) == 2
    assert values(snapshot, ZONE) == ["1"]


def test_who_has_a_value():
    snapshot = Snapshot()
    for name, zone in (("a", "1"), ("b", "2"), ("c", "1"), ("d", None)):
        observe(snapshot, name, zone)
    slots = np.array([3, 2, 0])
    assert snapshot.facts.has(ZONE, slots, "1").tolist() == [False, True, True]
    assert not snapshot.facts.has(ZONE, slots, "9").any()
    observe(snapshot, "c", "9")
    assert snapshot.facts.has(ZONE, slots, "9").tolist() == [False, True, False]
    for value in ("1", "2", "9", "8"):
        asked = snapshot.facts.ask(ZONE, slots, lambda zone, value=value: zone == value)
        assert snapshot.facts.has(ZONE, slots, value).tolist() == asked.tolist()
