"""One pass: who comes first, who gets everything or nothing, and what is said about it."""

import msgspec
import pytest

from gpuyard.model.constraints import Constraints, LabelSelector, PodTerm, Requirement
from gpuyard.model.reasons import Silent
from gpuyard.scheduling import cycle
from gpuyard.scheduling.cycle import Pending
from gpuyard.scheduling.presets import PLACEMENTS
from tests.small_fleet import node, placer_of, snapshot_of, template, where, workload

POD_BY_POD = msgspec.structs.replace(PLACEMENTS["best-fit"], gangs="pod-by-pod")
ONE_GPU = template(100, 1)


class Heard:
    def __init__(self):
        self.said = []

    def started(self, workload, nodes):
        self.said.append((workload, nodes))

    def pending(self, workload, code):
        self.said.append((workload, code))


def run(placer, *workloads, **arguments):
    pending = [Pending.whole(one) for one in workloads]
    return cycle.run(placer, pending, Silent(), **arguments)


def started(plan):
    return {start.workload: where(start.assignments) for start in plan.starts}


@pytest.mark.parametrize(
    ("workloads", "expected"),
    [
        pytest.param([("b", 1, 0), ("a", 2, 0)], "b", id="the older first"),
        pytest.param([("b", 1, 0), ("a", 1, 0)], "a", id="of one age: the key"),
        pytest.param([("b", 1, 0), ("a", 2, 5)], "a", id="priority before age"),
        pytest.param([("b", 1, 0), ("a", 2, -5)], "b", id="a lower priority goes last"),
    ],
)
def test_turn(workloads, expected):
    placer = placer_of(snapshot_of(node("n", gpus="A")))
    plan = run(
        placer,
        *(workload(key, (1, ONE_GPU), at=at, priority=high) for key, at, high in workloads),
    )
    assert [start.workload for start in plan.starts] == [expected]
    assert [wait.workload for wait in plan.waits] == sorted({"a", "b"} - {expected})


def test_members_have_keys_of_their_own():
    gang = workload("w", (2, ONE_GPU), (1, template(1)))
    assert [pod for pod, _ in cycle.members(gang)] == ["w/set0-0", "w/set0-1", "w/set1-0"]


@pytest.mark.parametrize(
    ("policy", "count", "expected", "complete"),
    [
        pytest.param("best-fit", 3, {"a": 2, "b": 1}, True, id="a gang that fits starts whole"),
        pytest.param("best-fit", 4, None, None, id="a gang that does not gets nothing"),
        pytest.param(POD_BY_POD, 3, {"a": 2, "b": 1}, True, id="pod by pod: all"),
        pytest.param(POD_BY_POD, 4, {"a": 2, "b": 1}, False, id="pod by pod keeps what it got"),
    ],
)
def test_gangs(policy, count, expected, complete):
    snapshot = snapshot_of(node("a", gpus="AA"), node("b", gpus="A"))
    plan = run(placer_of(snapshot, policy), workload("gang", (count, ONE_GPU)))
    assert started(plan) == ({"gang": expected} if expected else {})
    assert [start.complete for start in plan.starts] == ([] if complete is None else [complete])
    assert [(wait.workload, wait.code) for wait in plan.waits] == (
        [] if complete else [("gang", "GangIncomplete")]
    )
    assert len(snapshot.bookings) == sum((expected or {}).values())


def test_an_incomplete_gang_gets_only_what_it_misses():
    gang = workload("gang", (3, ONE_GPU))
    placer = placer_of(snapshot_of(node("a", gpus="AA"), node("b", gpus="A")), POD_BY_POD)
    missing = cycle.members(gang)[2:]
    plan = cycle.run(placer, [Pending(gang, missing)], Silent())
    assert [start.complete for start in plan.starts] == [True]
    assert [one.pod for one in plan.starts[0].assignments] == ["gang/set0-2"]


def test_a_gang_of_two_kinds_gets_both_or_none():
    big, small = template(100, 2), template(6000)
    nodes = [node("a", 8000, "AA"), node("b", 5000)]
    fits = placer_of(snapshot_of(*nodes, node("c", 6000)))
    assert started(run(fits, workload("w", (1, big), (1, small)))) == {"w": {"a": 1, "c": 1}}
    tight = placer_of(snapshot_of(*nodes))
    assert started(run(tight, workload("w", (1, big), (2, small)))) == {}
    assert tight.snapshot.bookings == {}


def test_who_cannot_start_does_not_hold_up_the_others():
    placer = placer_of(snapshot_of(node("a", gpus="AA")))
    plan = run(
        placer,
        workload("large", (3, ONE_GPU), at=0),
        workload("small", (2, ONE_GPU), at=1),
        workload("late", (1, ONE_GPU), at=2),
    )
    assert started(plan) == {"small": {"a": 2}}
    assert [(wait.workload, wait.code) for wait in plan.waits] == [
        ("large", "GangIncomplete"),
        ("late", "Unschedulable"),
    ]


def test_a_failed_gang_says_nothing_about_fewer_pods():
    placer = placer_of(snapshot_of(node("a", gpus="AAA")))
    sizes = {"five": 5, "four": 4, "two": 2, "three": 3, "one": 1}
    waiting = [
        workload(key, (size, ONE_GPU), at=at) for at, (key, size) in enumerate(sizes.items())
    ]
    plan = run(placer, *waiting)
    assert started(plan) == {"two": {"a": 2}, "one": {"a": 1}}


def test_a_shape_that_fits_nowhere_is_tried_once():
    placer = placer_of(snapshot_of(*(node(f"n{index}") for index in range(9))))
    run(placer, *(workload(f"w{index}", (1, ONE_GPU)) for index in range(50)))
    assert placer.counted.nodes_refreshed == 9
    many = placer_of(snapshot_of(*(node(f"n{index}") for index in range(9))), POD_BY_POD)
    run(many, workload("gang", (50, ONE_GPU)))
    assert many.counted.nodes_refreshed == 9


def test_company_that_came_in_the_same_pass_counts():
    """Whoever needs a pod of app x beside it is not given up on before that pod is there."""
    app_x = LabelSelector((Requirement("app", "In", ("x",)),))
    near = Constraints(required_pods=(PodTerm("zone", app_x, ("default",)),))
    placer = placer_of(snapshot_of(node("n", labels=(("zone", "a"),))))
    plan = run(
        placer,
        workload("early", (1, template(1, constraints=near)), at=0),
        workload("x", (1, template(1, labels=(("app", "x"),))), at=1),
        workload("late", (1, template(1, constraints=near)), at=2),
    )
    assert list(started(plan)) == ["x", "late"]
    assert [wait.workload for wait in plan.waits] == ["early"]


def test_whom_may_fit_rules_out_is_not_tried():
    placer = placer_of(snapshot_of(node("n", gpus="AA")))
    asked = []

    def may_fit(key):
        asked.append((key, len(placer.snapshot.bookings)))
        return key != "b"

    plan = run(placer, *(workload(key, (1, ONE_GPU)) for key in "abc"), may_fit=may_fit)
    assert list(started(plan)) == ["a", "c"]
    assert [(wait.workload, wait.code) for wait in plan.waits] == [("b", "Unschedulable")]
    assert asked == [("a", 0), ("b", 1), ("c", 1)]  # when its turn comes, not before


def test_everybody_is_told():
    heard = Heard()
    placer = placer_of(snapshot_of(node("a", gpus="AA"), node("b", gpus="A")))
    sizes = {"gang": 3, "pair": 2, "one": 1}
    pending = [
        Pending.whole(workload(key, (size, ONE_GPU), at=at))
        for at, (key, size) in enumerate(sizes.items())
    ]
    cycle.run(placer, pending, heard)
    assert heard.said == [
        ("gang", ("b", "a", "a")),
        ("pair", "GangIncomplete"),
        ("one", "Unschedulable"),
    ]


def test_nobody_waits():
    assert run(placer_of(snapshot_of(node("n")))) == cycle.Plan()
