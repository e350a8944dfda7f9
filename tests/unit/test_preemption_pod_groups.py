"""Who leaves for a whole pod group: units of one pod, or of a group that goes as one."""

import msgspec
import pytest

from gpuyard.model.constraints import Constraints, LabelSelector, PodTerm, Requirement
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.pod_groups import PodGroup
from gpuyard.scheduling.gang import start
from gpuyard.scheduling.preemption.nodes import importance, pod_groups
from gpuyard.scheduling.preemption.nodes.importance import Unit
from tests.small_fleet import node, placer_of, template
from tests.small_pods import cluster, names, running, state, waiting

NEW = PodGroup(key="default/new", min_count=2, priority=10)
WHOLE = PodGroup(key="default/whole", priority=5, disruption="group")
LOOSE = PodGroup(key="default/loose", priority=5)
GROUPS = {group.key: group for group in (NEW, WHOLE, LOOSE)}
APP = LabelSelector((Requirement("app", "In", ("x",)),))
NODES = [node("a", 4000), node("b", 4000), node("c", 4000)]


def members(count=2, cpu=4000, **facts):
    return [waiting(f"m{index}", cpu, group=NEW.key, **facts) for index in range(count)]


def evicted(pods, budgets=(), *, nodes=NODES, group=NEW, new=None, **how):
    placer = placer_of(cluster(nodes, pods), "best-fit")
    before = state(placer.snapshot)
    found = pod_groups.victims(placer, group, new or members(), GROUPS, budgets, **how)
    assert state(placer.snapshot) == before
    return found if isinstance(found, str) else names(found.victims)


# -- units


def test_a_group_that_goes_as_one_is_one_unit_with_the_groups_priority():
    pods = [
        running("w2", "b", group=WHOLE.key, priority=99),
        running("w1", "a", group=WHOLE.key, priority=1),
        running("l1", "a", group=LOOSE.key, priority=2),
        running("x1", "a", group="default/unknown", priority=1),
        running("p1", "b"),
    ]
    units = pod_groups.units(cluster(NODES, pods), GROUPS)
    assert [(names(unit.pods), unit.priority) for unit in units] == [
        (["w1", "w2"], 5),
        (["l1"], 2),
        (["x1"], 1),
        (["p1"], 0),
    ]
    assert units[0].nodes == {"a", "b"}


@pytest.mark.parametrize(
    ("group", "expected"),
    [(WHOLE.key, WHOLE), (LOOSE.key, None), ("default/unknown", None), ("", None)],
    ids=["as one", "pod by pod", "not known", "no group"],
)
def test_which_pods_go_with_their_group(group, expected):
    assert pod_groups.goes_as_one(running("p", "a", group=group), GROUPS) == expected


def unit(*pods, priority=0):
    return Unit(pods=pods, priority=priority)


OLD, YOUNG = {"start_ns": 1}, {"start_ns": 2}


@pytest.mark.parametrize(
    ("more", "less"),
    [
        pytest.param(
            unit(running("a", "n"), priority=1),
            unit(running("b", "n", group="g", **OLD)),
            id="the higher priority",
        ),
        pytest.param(
            unit(running("b", "n", group="g", **YOUNG)),
            unit(running("a", "n", **OLD)),
            id="a member before a pod alone",
        ),
        pytest.param(
            unit(running("b", "n", group="g"), running("c", "n", group="g")),
            unit(running("a", "n", group="h", **OLD)),
            id="the larger group",
        ),
        pytest.param(
            unit(running("b", "n", group="g", **YOUNG), running("c", "n", group="g", **OLD)),
            unit(running("a", "n", group="h", **YOUNG), running("d", "n", group="h", **YOUNG)),
            id="the oldest of its pods",
        ),
        pytest.param(unit(running("b", "n", **OLD)), unit(running("a", "n")), id="who has started"),
        pytest.param(unit(running("a", "n")), unit(running("b", "n")), id="the smaller key"),
    ],
)
def test_which_unit_is_missed_more(more, less):
    assert importance.of_unit(more) < importance.of_unit(less)


# -- who leaves


def test_no_more_leave_than_needed():
    pods = [running(f"p{where}", where, 4000, priority=place) for place, where in enumerate("abc")]
    assert evicted(pods) == ["pb", "pa"]
    assert evicted(pods, new=members(1)) == "NotEnough"  # the gang needs two


def test_a_group_is_never_split():
    pods = [
        running("w1", "a", 4000, group=WHOLE.key),
        running("w2", "b", 100, group=WHOLE.key),
        running("p", "c", 4000, priority=6),
    ]
    assert evicted(pods) == ["w1", "w2"]


def test_the_groups_priority_counts_not_its_pods():
    high = [running(f"w{where}", where, 4000, group=WHOLE.key, priority=99) for where in "abc"]
    assert evicted(high) == ["wa", "wb", "wc"]
    top = msgspec.structs.replace(WHOLE, priority=10)
    placer = placer_of(cluster(NODES, high), "best-fit")
    assert pod_groups.victims(placer, NEW, members(), {top.key: top}) == "NoVictims"


def test_a_budget_is_spared_where_another_will_do():
    budget = DisruptionBudget(namespace="default", name="b", selector=APP, allowed=0)
    kept = template(4000, labels=(("app", "x"),))
    pods = [
        running("kept", "a", of=kept),
        running("p", "b", 4000, priority=5),
        running("q", "c", 4000, priority=6),
    ]
    assert evicted(pods) == ["p", "kept"]
    assert evicted(pods, [budget]) == ["q", "p"]
    placer = placer_of(cluster(NODES[:2], pods[:2]), "best-fit")
    found = pod_groups.victims(placer, NEW, members(), GROUPS, [budget])
    assert (names(found.victims), found.pdb_violations) == (["p", "kept"], 1)


@pytest.mark.parametrize(
    ("pods", "how", "expected"),
    [
        pytest.param([running("p", "a", 4000, priority=10)], {}, "NoVictims", id="nobody is lower"),
        pytest.param(
            [running("p", "a"), running("q", "b", priority=10), running("r", "c", priority=10)],
            {},
            "NotEnough",
            id="too little even so",
        ),
        pytest.param(
            [running("p", "a")],
            {"new": [*members(1), *members(1, preempts=False)]},
            "PreemptionPolicyNever",
            id="one member may not",
        ),
        pytest.param(
            [running("p", "a")],
            {"group": msgspec.structs.replace(NEW, topology_key="rack")},
            "GroupIsPlacedByTopology",
            id="one domain is wanted",
        ),
    ],
)
def test_why_not(pods, how, expected):
    assert evicted(pods, **how) == expected


def test_members_with_nodes_count():
    pods = [running("p", "a", 4000), running("q", "b", 4000, priority=10)]
    standing = running("m9", "c", 4000, priority=10, group=NEW.key)
    assert evicted([*pods, standing], new=members(1), standing=1) == ["p"]


def test_the_places_found_are_free_when_the_victims_have_left():
    pods = [running(f"p{where}", where, 4000, priority=place) for place, where in enumerate("abc")]
    placer = placer_of(cluster(NODES, pods), "best-fit")
    found = pod_groups.victims(placer, NEW, members(), GROUPS)
    assert sorted(place.node for place in found.places) == ["a", "b"]
    assert {place.pod for place in found.places} == {"m0", "m1"}


# -- the shortcuts: units that come back elsewhere are not asked about, nor each one by itself


def count_starts(monkeypatch, pods, nodes, new):
    asked = []
    real = start.start

    def counted(*arguments, **how):
        asked.append(1)
        return real(*arguments, **how)

    monkeypatch.setattr(start, "start", counted)
    placer = placer_of(cluster(nodes, pods), "best-fit")
    found = pod_groups.victims(placer, NEW, new, GROUPS)
    return names(found.victims), len(asked)


def test_many_units_come_back_with_few_questions(monkeypatch):
    nodes = [node(f"n{index:02}", 4000) for index in range(64)]
    pods = [running(f"p{index:02}", f"n{index:02}", 4000) for index in range(64)]
    victims, starts = count_starts(monkeypatch, pods, nodes, members())
    assert victims == ["p62", "p63"]
    assert starts < 20


def test_where_members_look_at_pods_elsewhere_units_elsewhere_are_asked_about(monkeypatch):
    zone = (("zone", "z"),)
    nodes = [node(f"n{index}", 4000, labels=zone) for index in range(4)]
    shy = Constraints(forbidden_pods=(PodTerm("zone", APP, ("default",)),))
    pods = [running(f"p{index}", f"n{index}", 1000, labels=(("app", "x"),)) for index in range(4)]
    new = [waiting(f"m{index}", of=template(1000, constraints=shy)) for index in range(2)]
    victims, starts = count_starts(monkeypatch, pods, nodes, new)
    assert victims == ["p0", "p1", "p2", "p3"]
    assert starts == 5


@pytest.mark.parametrize("lost", [set(), {3}, {0, 1, 2}, {0, 4, 9}, set(range(10)), {8, 9}])
def test_batches_lose_exactly_who_is_lost_alone(lost):
    pods = [running(f"p{index}", "a", 1) for index in range(10)]
    snapshot = cluster(NODES, pods)
    bad = {f"p{index}" for index in lost}
    found = pod_groups.chosen_units(
        snapshot,
        10,
        pod_groups.units(snapshot, {}),
        (),
        lambda _: not bad & snapshot.bookings.keys(),
    )
    assert set(names(found.victims)) == bad
