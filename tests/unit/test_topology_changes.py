"""Places of workloads that run already: growing, shrinking, and a host that failed."""

import pytest

from gpuyard.model.topology import (
    HOSTNAME,
    DomainCount,
    TopologyAssignment,
    TopologyRules,
)
from gpuyard.scheduling.topology import (
    Refusal,
    merged,
    place,
    place_again,
    pod_count,
    sentence,
    truncated,
    usage_of,
)
from tests.small_topology import ask, host, shown, yard

ELASTIC = TopologyRules(keeps_running_pods=True)


def places(counts):
    """Return an assignment to hosts."""
    domains = tuple(DomainCount((name,), count) for name, count in counts.items())
    return TopologyAssignment((HOSTNAME,), domains)


# --- Assignments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param({"n3": 1}, {"n1": 1}, {"n1": 1, "n3": 1}, id="in the order of the leaves"),
        pytest.param({"n1": 1}, {"n1": 2}, {"n1": 3}, id="of the same leaf added up"),
        pytest.param({"n1": 1}, {}, {"n1": 1}, id="with none"),
        pytest.param({"a": 1}, {"n1": 1}, {"n1": 1, "a": 1}, id="wider labels first"),
    ],
)
def test_merged(one, other, expected):
    tree = yard({"b1/r/n1": 1, "b1/r/n3": 1, "b2/r/a": 1}).tree
    assert list(shown(merged(tree, places(one), places(other))).items()) == list(expected.items())


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(0, {}, id="none"),
        pytest.param(2, {"z": 2}, id="within the first"),
        pytest.param(3, {"z": 3}, id="the first, whatever its name"),
        pytest.param(4, {"z": 3, "a": 1}, id="into the second"),
        pytest.param(9, {"z": 3, "a": 2}, id="more than there are"),
    ],
)
def test_truncated(count, expected):
    assert shown(truncated(places({"z": 3, "a": 2}), count)) == expected


def test_pod_count():
    assert pod_count(places({"z": 3, "a": 2})) == 5
    assert pod_count(None) == 0


# --- Growing and shrinking ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(3, {"n1": 1, "n2": 2}, id="as many: the same places"),
        pytest.param(2, {"n1": 1, "n2": 1}, id="fewer: the last give way"),
        pytest.param(5, {"n1": 1, "n2": 2, "n3": 2}, id="more: beside those that stay"),
    ],
)
def test_elastic(count, expected):
    capacity = yard({"b/r/n1": 2, "b/r/n2": 2, "b/r/n3": 2})
    request = ask(count, f"preferred {HOSTNAME}", previous=places({"n1": 1, "n2": 2}))
    (found,) = place(capacity, [request], rules=ELASTIC)
    assert shown(found) == expected


@pytest.mark.parametrize(
    ("rules", "previous"),
    [
        pytest.param(TopologyRules(), {"n1": 1, "n2": 1}, id="the rules do not keep places"),
        pytest.param(ELASTIC, {"gone": 1, "n1": 1}, id="a place is gone"),
        pytest.param(ELASTIC, None, id="there were none"),
    ],
)
def test_placed_afresh(rules, previous):
    capacity = yard({"b/r/n1": 2, "b/r/n2": 2})
    before = None if previous is None else places(previous)
    request = ask(2, "required rack", previous=before)
    (found,) = place(capacity, [request], rules=rules)
    assert shown(found) == {"n1": 2}


def test_pods_that_stay_take_room_from_those_that_come():
    capacity = yard({"b/r/n1": 2})
    request = ask(3, "required rack", previous=places({"n1": 1}))
    found = place(capacity, [request], rules=ELASTIC)
    assert isinstance(found, Refusal)
    assert sentence(found) == 'topology "yard" allows to fit only 1 out of 2 pod(s)'


def leader_and_workers(workers, leader_at, workers_at):
    wish = f"preferred {HOSTNAME}"
    leader = places({leader_at: 1}) if leader_at else None
    return (
        ask(1, wish, group="g", name="leader", previous=leader),
        ask(workers, wish, group="g", name="workers", previous=places(workers_at)),
    )


@pytest.mark.parametrize(
    ("workers", "leader_at", "expected"),
    [
        pytest.param(3, "n2", [{"n2": 1}, {"n1": 2, "n2": 1}], id="a leader stays"),
        pytest.param(3, "", [{"n2": 1}, {"n1": 2, "n2": 1}], id="a new leader comes along"),
        pytest.param(1, "n2", [{"n2": 1}, {"n1": 1}], id="a leader stays with one"),
        pytest.param(3, "gone", [{"n1": 1}, {"n1": 1, "n2": 2}], id="all afresh when his place is"),
        pytest.param(2, "", [{"n1": 1}, {"n1": 1, "n2": 1}], id="afresh when he has none"),
    ],
)
def test_elastic_groups(workers, leader_at, expected):
    capacity = yard({"b/r/n1": 2, "b/r/n2": 2})
    requests = leader_and_workers(workers, leader_at, {"n1": 2})
    assert [shown(each) for each in place(capacity, requests, rules=ELASTIC)] == expected


def test_of_a_group_that_cannot_grow_the_workers_are_refused():
    capacity = yard({"b/r/n1": 2, "b/r/n2": 1})
    found = place(capacity, leader_and_workers(4, "n2", {"n1": 2}), rules=ELASTIC)
    assert isinstance(found, Refusal)
    assert found.pod_sets == ("workers",)


def test_a_later_pod_set_sees_what_stays():
    capacity = yard({"b/r/n1": 2, "b/r/n2": 2})
    first = ask(2, "required rack", name="a", previous=places({"n1": 2}))
    second = ask(2, "required rack", name="b")
    assert [shown(one) for one in place(capacity, [first, second], rules=ELASTIC)] == [
        {"n1": 2},
        {"n2": 2},
    ]


# --- A host that failed -------------------------------------------------------------------------


def again(hosts, request, *, failed, **how):
    """Return the places of a running pod set after the host `failed` is gone."""
    capacity = yard(hosts)
    capacity.use(usage_of("gpus", request.per_pod, request.previous))
    return place_again(capacity, [request], failed_host=failed, **how)


RACKS = {"b1/r1/n1": 2, "b1/r1/n2": 2, "b1/r2/n3": 2, "b2/r3/n4": 4}


@pytest.mark.parametrize(
    ("wish", "slices", "before", "failed", "expected"),
    [
        pytest.param(
            "required rack", [], {"n1": 1, "gone": 1}, "gone", {"n1": 2}, id="inside its rack"
        ),
        pytest.param(
            "required block",
            [],
            {"n1": 2, "gone": 2},
            "gone",
            {"n1": 2, "n2": 2},
            id="inside its block",
        ),
        pytest.param(
            "preferred rack",
            [],
            {"n1": 2, "n2": 2, "n3": 2, "gone": 3},
            "gone",
            {"n1": 2, "n2": 2, "n3": 2, "n4": 3},
            id="preferred: anywhere",
        ),
        pytest.param(
            "required rack", [], {"gone": 4}, "gone", {"n1": 2, "n2": 2}, id="nobody is left: free"
        ),
        pytest.param(
            "required block",
            [("rack", 2)],
            {"n1": 1, "gone": 1, "n3": 2},
            "gone",
            {"n1": 2, "n3": 2},
            id="a torn slice is mended in its rack",
        ),
        pytest.param(
            "required block",
            [("rack", 2)],
            {"n3": 2, "gone": 2},
            "gone",
            {"n1": 2, "n3": 2},
            id="a whole slice may go to another rack",
        ),
    ],
)
def test_place_again(wish, slices, before, failed, expected):
    count = sum(before.values())
    request = ask(count, wish, slices=slices, previous=places(before))
    (found,) = again(RACKS, request, failed=failed)
    assert shown(found) == expected


def test_of_several_layers_the_narrowest_that_is_torn_binds():
    hosts = {"b/r1/n1": 4, "b/r1/n2": 8, "b/r2/n3": 4, "b/r2/n4": 8}
    request = ask(
        12,
        "required block",
        slices=[("rack", 6), (HOSTNAME, 2)],
        previous=places({"n1": 4, "gone": 2, "n3": 4, "n4": 2}),
    )
    (found,) = again(hosts, request, failed="gone")
    assert shown(found) == {"n1": 4, "n2": 2, "n3": 4, "n4": 2}


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(
            {"n1": 2, "n2": 2, "gone": 1},
            'topology "yard" doesn\'t allow to fit any of 1 pod(s). Total nodes: 4; '
            'excluded: resource "cpu": 2, topologyDomain: 2',
            id="no room in its rack",
        ),
        pytest.param(
            {"n1": 2, "gone": 1, "vanished": 1},
            "Cannot replace the node, because the existing topologyAssignment is invalid, as it "
            "contains the stale domain vanished",
            id="another place is gone as well",
        ),
    ],
)
def test_place_again_refused(before, expected):
    request = ask(sum(before.values()), "required rack", previous=places(before))
    found = again(RACKS, request, failed="gone")
    assert isinstance(found, Refusal)
    assert sentence(found) == expected


def test_who_does_not_stand_there_stays():
    before = places({"n1": 1})
    request = ask(1, "required rack", previous=before)
    assert again(RACKS, request, failed="n3") == (before,)


@pytest.mark.parametrize(
    ("rules", "is_bare_pod", "expected"),
    [
        pytest.param(TopologyRules(), True, {"gone": 1}, id="a bare pod stays"),
        pytest.param(TopologyRules(), False, {"n3": 1}, id="a pod with an owner moves"),
        pytest.param(
            TopologyRules(leaves_bare_pods=False), True, {"n3": 1}, id="the rules move any"
        ),
    ],
)
def test_bare_pods(rules, is_bare_pod, expected):
    request = ask(1, "required rack", previous=places({"gone": 1}))
    (found,) = again(RACKS, request, failed="gone", is_bare_pod=is_bare_pod, rules=rules)
    assert shown(found) == expected


def test_several_pod_sets_see_each_others_new_places():
    capacity = yard({"b/r/n1": 1, "b/r/n2": 2})
    requests = [
        ask(1, "required rack", name=name, previous=places({"gone": 1})) for name in ("a", "b")
    ]
    found = place_again(capacity, requests, failed_host="gone")
    assert [shown(each) for each in found] == [{"n1": 1}, {"n2": 1}]


def test_the_refusal_of_a_later_pod_set_tells_what_those_before_it_would_get():
    capacity = yard({"b/r/n1": 1})
    requests = [
        ask(1, "required rack", name=name, previous=places({"gone": 1})) for name in ("a", "b")
    ]
    found = place_again(capacity, requests, failed_host="gone")
    assert isinstance(found, Refusal)
    assert (found.pod_sets, [name for name, _ in found.placed]) == (("b",), ["a"])


def test_without_places_nothing_can_be_replaced():
    with pytest.raises(ValueError, match="pod set main has no places"):
        place_again(yard([host("b/r/n")]), [ask(1, "required rack")], failed_host="n")
