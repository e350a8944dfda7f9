"""Which domains get how many pods: levels, packing, slices, groups, and what nodes say."""

import pytest

from gpuyard.model.constraints import (
    Constraints,
    NodeSelectorTerm,
    PreferredNodes,
    Requirement,
    Taint,
    Toleration,
)
from gpuyard.model.topology import HOSTNAME, DomainCount, TopologyRules, TopologyUsage
from gpuyard.scheduling.topology import Refusal, has_levels, place, sentence, usage_of
from tests.small_topology import LEVELS, ask, host, shown, yard

RACKS = ("block", "rack")
BEST_FIT = TopologyRules(unconstrained_packing="best-fit")
PREFERRING = TopologyRules(respects_preferred_nodes=True)


def placed(capacity, *requests, **how):
    found = place(capacity, requests, **how)
    assert not isinstance(found, Refusal), sentence(found)
    return [shown(each) for each in found]


def refused(capacity, *requests, **how):
    found = place(capacity, requests, **how)
    assert isinstance(found, Refusal)
    return sentence(found)


# --- One domain, or several ---------------------------------------------------------------------

TWO_BLOCKS = {"b1/r1/n1": 2, "b1/r1/n2": 1, "b1/r2/n3": 4, "b2/r1/n4": 3, "b2/r1/n5": 1}


@pytest.mark.parametrize(
    ("count", "wish", "expected"),
    [
        pytest.param(3, "required rack", {"n1": 2, "n2": 1}, id="the tightest rack that holds it"),
        pytest.param(4, "required rack", {"n3": 4}, id="of equal racks the first by name"),
        pytest.param(
            5, "required block", {"n2": 1, "n3": 4}, id="inside a block few hosts, the last tight"
        ),
        pytest.param(2, f"required {HOSTNAME}", {"n1": 2}, id="one host, the tightest"),
        pytest.param(4, f"preferred {HOSTNAME}", {"n3": 4}, id="a host where one holds it"),
        pytest.param(5, "preferred rack", {"n2": 1, "n3": 4}, id="else inside the next wider one"),
        pytest.param(9, "preferred rack", {"n1": 2, "n3": 4, "n4": 3}, id="else in several blocks"),
        pytest.param(0, "required rack", {}, id="no pods, no places"),
    ],
)
def test_levels(count, wish, expected):
    assert placed(yard(TWO_BLOCKS), ask(count, wish)) == [expected]


@pytest.mark.parametrize(
    ("rules", "count", "expected"),
    [
        pytest.param(TopologyRules(), 1, {"n2": 1}, id="least free: one host, the fullest"),
        pytest.param(TopologyRules(), 4, {"n3": 4}, id="least free: one host that holds it all"),
        pytest.param(
            TopologyRules(), 5, {"n1": 2, "n2": 1, "n4": 1, "n5": 1}, id="least free: small gaps"
        ),
        pytest.param(BEST_FIT, 1, {"n2": 1}, id="best fit: one host, the tightest"),
        pytest.param(BEST_FIT, 5, {"n2": 1, "n3": 4}, id="best fit: few hosts"),
    ],
)
def test_unconstrained_pods(rules, count, expected):
    wish = ask(count, "unconstrained")
    assert placed(yard(TWO_BLOCKS), wish, rules=rules) == [expected]
    assert placed(yard(TWO_BLOCKS), ask(count), rules=rules) == [expected]  # nothing asked for


def test_a_leaf_that_is_no_host_is_named_in_full():
    capacity = yard({"b1/r1": 2, "b1/r2": 2, "b2/r1": 1}, levels=RACKS)
    assert placed(capacity, ask(3, "required block")) == [{"b1/r1": 2, "b1/r2": 1}]


def test_places_come_in_the_order_of_the_wider_labels():
    capacity = yard({"b1/r2/a": 1, "b1/r1/z": 1, "b2/r1/m": 1})
    (found,) = place(capacity, [ask(3, "unconstrained")])
    assert [domain.values for domain in found.domains] == [("z",), ("a",), ("m",)]
    assert found.levels == (HOSTNAME,)


def test_pods_are_bounded_by_the_scarcest_resource_and_by_their_number():
    capacity = yard({"b/r/n1": 8, "b/r/n2": 9}, pods=())
    assert placed(capacity, ask(4, "required rack", cpus=4)) == [{"n1": 2, "n2": 2}]
    narrow = yard([host("b/r/n1", 100, pods=3), host("b/r/n2", 2)])
    assert placed(narrow, ask(5, "required rack")) == [{"n1": 3, "n2": 2}]


def test_what_was_promised_is_not_there_unless_it_is_asked_as_if_empty():
    capacity = yard({"b/r/n1": 2, "b/r/n2": 1})
    (found,) = place(capacity, [ask(2, "required rack", name="first")])
    capacity.use(usage_of("gpus", ask(2).per_pod, found))
    assert placed(capacity, ask(1, "required rack")) == [{"n2": 1}]
    assert refused(capacity, ask(3, "required rack")).startswith(
        'topology "yard" allows to fit only 1 out of 3 pod(s)'
    )
    assert placed(capacity, ask(3, "required rack"), empty=True) == [{"n1": 2, "n2": 1}]


def test_a_pod_set_sees_what_those_before_it_took():
    capacity = yard({"b/r/n1": 2, "b/r/n2": 3})
    first, second = ask(2, "required rack", name="a"), ask(2, f"required {HOSTNAME}", name="b")
    assert placed(capacity, first, second) == [{"n1": 2}, {"n2": 2}]
    assert not capacity.used.any()


def test_the_refusal_of_a_later_pod_set_tells_what_those_before_it_would_get():
    capacity = yard({"b/r/n1": 2})
    found = place(capacity, [ask(1, "required rack", name="a"), ask(2, "required rack", name="b")])
    assert isinstance(found, Refusal)
    assert found.pod_sets == ("b",)
    assert [(name, shown(places)) for name, places in found.placed] == [("a", {"n1": 1})]


def test_what_another_flavor_takes_from_the_same_hosts_counts_even_as_if_empty():
    capacity = yard({"b/r/n1": 2, "b/r/n2": 2})
    other = TopologyUsage("other", ask(1).per_pod, (DomainCount(("n1",), 2),))
    how = {"assumed": [other], "empty": True}
    assert placed(capacity, ask(2, "required rack"), **how) == [{"n2": 2}]


# --- Slices -------------------------------------------------------------------------------------

HOSTS = {"b1/r1/n1": 3, "b1/r1/n2": 3, "b1/r2/n3": 4, "b1/r2/n4": 1, "b2/r1/n5": 5}


@pytest.mark.parametrize(
    ("count", "wish", "slices", "expected"),
    [
        pytest.param(
            6, "required block", [(HOSTNAME, 3)], {"n1": 3, "n2": 3}, id="tight hosts hold slices"
        ),
        pytest.param(
            8, "required block", [("rack", 4)], {"n1": 3, "n2": 1, "n3": 3, "n4": 1}, id="by rack"
        ),
        pytest.param(
            12,
            "",
            [("rack", 4)],
            {"n1": 3, "n2": 1, "n3": 3, "n4": 1, "n5": 4},
            id="slices alone: in any blocks",
        ),
        pytest.param(
            8,
            "required block",
            [("rack", 4), (HOSTNAME, 2)],
            {"n1": 2, "n2": 2, "n3": 4},
            id="in pairs inside the racks",
        ),
    ],
)
def test_slices(count, wish, slices, expected):
    assert placed(yard(HOSTS), ask(count, wish, slices=slices)) == [expected]


@pytest.mark.parametrize(
    ("count", "wish", "slices", "expected"),
    [
        pytest.param(
            12,
            "required block",
            [("rack", 4)],
            'topology "yard" allows to fit only 2 out of 3 slice(s)',
            id="not enough slices",
        ),
        pytest.param(
            12,
            "required block",
            [("rack", 4), (HOSTNAME, 2)],
            'topology "yard" doesn\'t allow to fit; 2/3 slice(s) fit on level rack; '
            f"4/6 slice(s) fit on level {HOSTNAME}",
            id="layer by layer",
        ),
        pytest.param(
            5,
            "required block",
            [("rack", 4)],
            "5 pod(s) do not come in whole slices of 4",
            id="a pod is left over",
        ),
        pytest.param(
            4,
            "required rack",
            [("block", 2)],
            "podset slice topology block is above the podset topology rack",
            id="slices wider than the pod set",
        ),
        pytest.param(
            4,
            "required block",
            [("rack", 4), ("block", 2)],
            "additional slice layer topology block must be at a lower level than rack",
            id="layers upside down",
        ),
        pytest.param(
            4,
            "required block",
            [("rack", 4), (HOSTNAME, 3)],
            "additional slice layer size 3 must evenly divide parent layer size 4",
            id="layers that do not divide",
        ),
        pytest.param(
            4,
            "required block",
            [("rack", 0)],
            "slice topology requested, but slice size not provided",
            id="no size",
        ),
        pytest.param(
            4,
            "required row",
            [],
            "no requested topology level: row",
            id="an unknown level",
        ),
        pytest.param(
            4,
            "required block",
            [("row", 2)],
            "no requested topology level for slices: row",
            id="an unknown level of slices",
        ),
        pytest.param(
            4,
            "required block",
            [("rack", 2), ("row", 1)],
            "no requested topology level for additional slice layer: row",
            id="an unknown level of a layer",
        ),
    ],
)
def test_slices_refused(count, wish, slices, expected):
    assert refused(yard(HOSTS), ask(count, wish, slices=slices)) == expected


@pytest.mark.parametrize(
    ("wish", "slices", "expected"),
    [
        pytest.param("", [], False, id="who asks for nothing asks for no topology"),
        pytest.param("required rack", [], True, id="a level that is there"),
        pytest.param("preferred row", [], False, id="a level that is not"),
        pytest.param("unconstrained", [], True, id="anywhere"),
        pytest.param("", [("rack", 2)], True, id="slices of a level that is there"),
        pytest.param("required rack", [("row", 2)], False, id="slices of one that is not"),
        pytest.param("", [("rack", 4), ("row", 2)], False, id="a layer of one that is not"),
    ],
)
def test_has_levels(wish, slices, expected):
    assert has_levels(LEVELS, ask(1, wish, slices=slices).pod_set.topology) is expected


# --- A leader and its workers -------------------------------------------------------------------


def group(workers, wish, *, leader_cpus=1, worker_cpus=1, leaders=1, slices=()):
    return (
        ask(leaders, wish, group="g", name="leader", cpus=leader_cpus),
        ask(workers, wish, group="g", name="workers", cpus=worker_cpus, slices=slices),
    )


@pytest.mark.parametrize(
    ("cpus", "requests", "expected"),
    [
        pytest.param(
            {"b/r1/n1": 2, "b/r2/n2": 3},
            group(2, "required rack"),
            [{"n2": 1}, {"n2": 2}],
            id="in one rack that holds both",
        ),
        pytest.param(
            {"b/r/n1": 2, "b/r/n2": 5, "b/r/n3": 2},
            group(4, "required rack", worker_cpus=2),
            [{"n2": 1}, {"n1": 1, "n2": 2, "n3": 1}],
            id="the leader stands where it costs no worker",
        ),
        pytest.param(
            {"b/r/n1": 4, "b/r/n2": 1},
            group(2, "preferred rack", worker_cpus=2),
            [{"n2": 1}, {"n1": 2}],
            id="the leader alone on a host of its own",
        ),
        pytest.param(
            {"b/r1/n1": 4, "b/r2/n2": 3},
            group(6, "preferred rack"),
            [{"n1": 1}, {"n1": 3, "n2": 3}],
            id="spread over two racks",
        ),
    ],
)
def test_groups(cpus, requests, expected):
    assert placed(yard(cpus), *requests) == expected


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        pytest.param(
            group(2, "required rack", leader_cpus=3),
            'topology "yard" allows to fit only 2 out of 2 pod(s)',
            id="the leader fits nowhere",
        ),
        pytest.param(
            group(2, "required rack", leaders=2),
            "podset group g must be one leader pod and one podset of workers",
            id="two leaders",
        ),
        pytest.param(
            (*group(2, "required rack"), ask(1, "required rack", group="g", name="third")),
            "podset group g must be one leader pod and one podset of workers",
            id="three pod sets",
        ),
    ],
)
def test_groups_refused(requests, expected):
    assert refused(yard({"b/r/n1": 2}), *requests) == expected


def test_of_a_group_the_smaller_pod_set_is_the_leader_wherever_it_stands():
    leader, workers = group(3, "required rack")
    capacity = yard({"b/r/n1": 4})
    assert placed(capacity, workers, leader) == [{"n1": 3}, {"n1": 1}]


# --- What nodes say -----------------------------------------------------------------------------


def zones(*names):
    return (Requirement("zone", "In", names),)


def test_hosts_that_do_not_take_a_pod_are_counted_by_what_keeps_it_away():
    nodes = [
        host("b/r/n1", labels=(("zone", "a"),), taints=(Taint("gpu", "yes", "NoSchedule"),)),
        host("b/r/n2", labels=(("zone", "b"),)),
        host("b/r/n3", labels=(("zone", "a"), ("arch", "arm64"))),
        host("b/r/n4", 0, labels=(("zone", "a"), ("arch", "amd64"))),
    ]
    wants = Constraints(
        node_selector=(("zone", "a"),),
        required_nodes=(NodeSelectorTerm((Requirement("arch", "In", ("amd64",)),)),),
    )
    found = place(yard(nodes), [ask(1, "required rack", constraints=wants)])
    assert isinstance(found, Refusal)
    assert sentence(found) == (
        'topology "yard" doesn\'t allow to fit any of 1 pod(s). Total nodes: 4; excluded: '
        'affinity: 1, nodeSelector: 1, resource "cpu": 1, taint "gpu=yes:NoSchedule": 1'
    )
    assert (found.needed, found.have, found.excluded.leaves) == (1, 0, 4)


def test_a_taint_that_is_tolerated_or_only_a_wish_keeps_nobody_away():
    nodes = [
        host("b/r/n1", taints=(Taint("gpu", "", "NoExecute"), Taint("x", "", "PreferNoSchedule"))),
    ]
    lenient = Constraints(tolerations=(Toleration(key="gpu", operator="Exists"),))
    assert placed(yard(nodes), ask(1, "required rack", constraints=lenient)) == [{"n1": 1}]
    assert 'taint "gpu:NoExecute": 1' in refused(yard(nodes), ask(1, "required rack"))


def test_the_first_taint_that_repels_speaks():
    taints = (Taint("a", "", "PreferNoSchedule"), Taint("b", "", "NoSchedule"))
    found = refused(yard([host("b/r/n", taints=taints)]), ask(1, "required rack"))
    assert found.endswith('excluded: taint "b:NoSchedule": 1')


@pytest.mark.parametrize(
    ("rules", "count", "wish", "expected"),
    [
        pytest.param(TopologyRules(), 2, "required rack", {"n1": 2}, id="wishes do not count"),
        pytest.param(PREFERRING, 2, "required rack", {"n2": 2}, id="before the tighter fit"),
        pytest.param(PREFERRING, 3, "required rack", {"n2": 3}, id="as far as it goes"),
        pytest.param(
            PREFERRING, 5, "required rack", {"n3": 5}, id="required: a rack that holds all of it"
        ),
        pytest.param(
            PREFERRING, 5, "preferred rack", {"n1": 2, "n2": 3}, id="preferred: several racks"
        ),
    ],
)
def test_preferred_nodes(rules, count, wish, expected):
    nodes = [
        host("b/r1/n1", 2, labels=(("zone", "b"),)),
        host("b/r2/n2", 3, labels=(("zone", "a"),)),
        host("b/r3/n3", 5, labels=(("zone", "b"),)),
    ]
    wants = Constraints(preferred_nodes=(PreferredNodes(10, NodeSelectorTerm(zones("a"))),))
    request = ask(count, wish, constraints=wants)
    assert placed(yard(nodes), request, rules=rules) == [expected]


def test_no_node_has_the_labels_of_the_topology():
    found = place(yard([host("b/r")]), [ask(1, "required rack")])
    assert isinstance(found, Refusal)
    assert (found.code, sentence(found)) == ("no-domains", "no topology domains at level: rack")


def test_a_resource_that_no_node_offers_is_short_everywhere():
    request = ask(1, "required rack")
    gpu = type(request)(
        pod_set=request.pod_set,
        count=1,
        per_pod=type(request.per_pod).of({"cpu": 1, "nvidia.com/gpu": 1}),
    )
    assert refused(yard({"b/r/n": 1}), gpu).endswith('excluded: resource "nvidia.com/gpu": 1')
