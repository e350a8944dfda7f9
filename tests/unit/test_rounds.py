"""One round: who runs, who gives way, who starts where."""

import numpy as np
import pytest

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Device, Node
from gpuyard.model.reasons import Silent
from gpuyard.model.rounds import Standing
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.rounds import TIRESIAS, Contender, decide
from gpuyard.scheduling.snapshot import Snapshot

MODELS = ("T4",) * 4


def workload(key, pods, models=()):
    request = Request(devices=DeviceRequest(count=1, models=models))
    pod_set = PodSet(name="worker", count=pods, template=PodTemplate(request=request))
    return Workload(key=key, pod_sets=(pod_set,), created_ns=0)


class Yard:
    """Two nodes of four devices, and who was bound there by earlier rounds."""

    def __init__(self, nodes=(MODELS, MODELS)):
        snapshot = Snapshot()
        for rank, models in enumerate(nodes):
            devices = tuple(Device(model=model) for model in models)
            snapshot.apply(NodeObserved(Node(name=f"n{rank}", devices=devices, rank=rank)))
        self.placer = Placer(snapshot, TIRESIAS.placement, np.random.default_rng(0))
        self.bound = {}

    def decide(self, *wanting, reporter=None):
        """Decide among (key, pods, queue, entered) or (workload, queue, entered)."""
        contenders = []
        for *what, queue, entered_ns in wanting:
            asked = what[0] if isinstance(what[0], Workload) else workload(*what)
            standing = Standing(queue=queue, entered_ns=entered_ns)
            contenders.append(Contender(asked, standing, self.bound.get(asked.key, ())))
        plan = decide(self.placer, contenders, reporter or Silent())
        for key in (each.victim for each in plan.evicts):
            del self.bound[key]
        for start in plan.starts:
            self.bound[start.workload] = start.assignments
        held = {pod for bound in self.bound.values() for pod in (one.pod for one in bound)}
        assert held == set(self.placer.snapshot.bookings)
        return plan

    def running(self):
        return sorted(self.bound)


@pytest.mark.parametrize(
    ("wanting", "running"),
    [
        pytest.param([("a", 4, 0, 0), ("b", 4, 0, 0)], ["a", "b"], id="all fit"),
        pytest.param([("a", 4, 0, 1), ("b", 6, 0, 0)], ["b"], id="who entered first goes first"),
        pytest.param([("a", 6, 1, 0), ("b", 4, 0, 9)], ["b"], id="the lower queue goes first"),
        pytest.param(
            [("a", 6, 0, 0), ("b", 4, 0, 1), ("c", 2, 0, 2)],
            ["a", "c"],
            id="who does not fit is passed over, those behind may fit",
        ),
        pytest.param(
            [("a", 6, 0, 0), ("b", 4, 0, 1), ("c", 2, 1, 0)], ["a", "c"], id="from any queue"
        ),
        pytest.param([("a", 9, 0, 0), ("b", 1, 0, 1)], ["b"], id="larger than the fleet"),
        pytest.param([("b", 5, 0, 0), ("a", 5, 0, 0)], ["b"], id="equals: who arrived first"),
        pytest.param([], [], id="nobody"),
    ],
)
def test_who_runs(wanting, running):
    yard = Yard()
    plan = yard.decide(*wanting)
    assert yard.running() == running
    assert sorted(one.workload for one in plan.starts) == running
    assert sorted(one.workload for one in plan.waits) == sorted(
        {one[0] for one in wanting} - set(running)
    )
    assert plan.evicts == ()


def test_whoever_runs_and_is_not_chosen_gives_way():
    yard = Yard()
    yard.decide(("old", 6, 0, 0))
    plan = yard.decide(("old", 6, 1, 5), ("new", 4, 0, 5))
    assert [each.victim for each in plan.evicts] == ["old"]
    assert [one.workload for one in plan.starts] == ["new"]
    assert [(one.workload, one.code) for one in plan.waits] == [("old", "GangIncomplete")]


def test_whoever_stays_is_not_moved():
    yard = Yard()
    yard.decide(("a", 4, 0, 0), ("b", 3, 0, 1))
    before = dict(yard.bound)
    plan = yard.decide(("b", 3, 0, 1), ("c", 5, 0, 2))  # a ended, its devices are still booked
    assert plan.evicts == ()
    assert yard.bound["b"] == before["b"]


def test_a_job_comes_back_when_the_other_is_through():
    yard = Yard()
    yard.decide(("old", 6, 0, 0))
    yard.decide(("old", 6, 1, 5), ("new", 4, 0, 5))
    plan = yard.decide(("old", 6, 1, 5), ("new", 4, 1, 6))
    assert [each.victim for each in plan.evicts] == ["new"]
    assert yard.running() == ["old"]


def test_starts_are_placed_in_the_order_of_the_queues():
    yard = Yard()
    yard.decide(("late", 3, 1, 0), ("first", 2, 0, 0))
    assert {one.node for one in yard.bound["first"]} == {"n0"}
    assert {one.node for one in yard.bound["late"]} == {"n1"}


def test_deciding_twice_changes_nothing():
    yard = Yard()
    wanting = [("a", 6, 0, 0), ("b", 4, 0, 1), ("c", 2, 1, 0)]
    yard.decide(*wanting)
    again = yard.decide(*wanting)
    assert (again.evicts, again.starts) == ((), ())


def test_who_is_chosen_and_finds_no_room_waits():
    """The count looks at devices alone; which ones a job insists on is seen by its placement."""
    yard = Yard(nodes=(("T4",) * 4, ("H100",) * 4))
    plan = yard.decide((workload("picky", 5, ("H100",)), 0, 0), ("easy", 2, 0, 1))
    assert yard.running() == ["easy"]
    assert [one.workload for one in plan.waits] == ["picky"]


def test_a_broken_device_does_not_count():
    snapshot = Snapshot()
    devices = (Device(model="T4"), Device(model="T4", healthy=False))
    snapshot.apply(NodeObserved(Node(name="n0", devices=devices)))
    placer = Placer(snapshot, TIRESIAS.placement, np.random.default_rng(0))
    contender = Contender(workload("a", 2), Standing(entered_ns=0))
    assert decide(placer, [contender], Silent()).starts == ()


class Heard:
    """A reporter that writes down what it is told."""

    def __init__(self):
        self.told = []

    def started(self, workload, nodes):
        self.told.append((workload, nodes))

    def pending(self, workload, code):
        self.told.append((workload, code))


def test_every_decision_is_reported():
    heard = Heard()
    Yard().decide(("a", 6, 0, 0), ("b", 4, 0, 1), ("one", 9, 0, 2), reporter=heard)
    assert heard.told == [
        ("a", ("n0",) * 4 + ("n1",) * 2),
        ("b", "GangIncomplete"),
        ("one", "GangIncomplete"),
    ]
