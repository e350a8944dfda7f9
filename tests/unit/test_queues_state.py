"""Queues, their holders and what they show: inactive and why, and exact inverses."""

import pytest

from gpuyard.model.queues import (
    Admission,
    Admitted,
    ClusterQueue,
    Cohort,
    LocalQueue,
    PodSetAssignment,
    ResourceFlavor,
    Usage,
)
from gpuyard.model.resources import Resources
from gpuyard.model.topology import DomainCount, TopologyAssignment, TopologyUsage
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import queue_status
from gpuyard.scheduling.queue_status import Used
from gpuyard.scheduling.queues import Queues
from tests.small_queues import GPU, group, queue, queues_of, usage
from tests.small_topology import LEVELS, yard
from tests.small_yard import state

PLAIN = ResourceFlavor(name="a")
TALL = ResourceFlavor(name="a", topology="racks")


def a_queue(name="q", **more):
    return queue(group(a=8), name=name, **more)


def holder(key, gpus, *, at="q", host="", **more):
    places = TopologyAssignment(LEVELS[-1:], (DomainCount((host,), 1),)) if host else None
    held = PodSetAssignment(
        name="main",
        count=1,
        flavors=((GPU, "a"),),
        usage=Resources.of({GPU: gpus}),
        topology=places,
    )
    workload = Workload(key=key, pod_sets=(), created_ns=0, queue=f"{at}-door")
    return Admitted(workload=workload, admission=Admission(at, (held,)), **more)


# -- inactive


@pytest.mark.parametrize(
    ("spec", "flavors", "topologies", "expected"),
    [
        pytest.param({}, [PLAIN], None, None, id="nothing is missing"),
        pytest.param({"stop_policy": "Hold"}, [PLAIN], None, ("Stopped",), id="stopped"),
        pytest.param(
            {"stop_policy": "HoldAndDrain"}, [PLAIN], None, ("Stopped",), id="stopped and drained"
        ),
        pytest.param({"is_terminating": True}, [PLAIN], None, ("Terminating",), id="deleted"),
        pytest.param({}, [], None, ("FlavorNotFound",), id="a flavor is missing"),
        pytest.param({}, [TALL], ["racks"], None, id="its topology is there"),
        pytest.param({}, [TALL], [], ("TopologyNotFound",), id="its topology is missing"),
        pytest.param({}, [TALL], None, None, id="nobody looks for topologies"),
        pytest.param(
            {"stop_policy": "Hold", "is_terminating": True},
            [],
            [],
            ("Terminating", "Stopped", "FlavorNotFound"),
            id="all that is wrong, what counts most first",
        ),
    ],
)
def test_why_a_queue_is_inactive(spec, flavors, topologies, expected):
    queues = Queues([a_queue(**spec)], flavors=flavors, topologies=topologies)
    assert queues.inactive.get("q") == expected
    assert "q" in queues.specs, "its quota counts whatever keeps it from admitting"


@pytest.mark.parametrize(
    ("parents", "endless"),
    [
        pytest.param({"a": "b", "b": "a"}, {"a", "b"}, id="two in a circle"),
        pytest.param({"a": "a"}, {"a"}, id="its own parent"),
        pytest.param({"a": "b", "b": "b"}, {"a", "b"}, id="below a circle"),
        pytest.param({"a": "b", "b": "c"}, set(), id="a root that is only named"),
        pytest.param({"a": "b", "b": "a", "c": "root"}, {"a", "b"}, id="others are not disturbed"),
    ],
)
def test_cohorts_that_are_their_own_ancestors_are_left_out(parents, endless):
    cohorts = [Cohort(name=name, parent=parent) for name, parent in parents.items()]
    specs = [a_queue(name=f"in-{name}", cohort=name) for name in parents]
    queues = Queues([*specs, a_queue(name="alone")], cohorts, flavors=[PLAIN])
    assert queues.endless == endless
    left_out = {f"in-{name}" for name in endless}
    assert queues.inactive == dict.fromkeys(left_out, ("CohortCycle",))
    assert queues.specs.keys() == {spec.name for spec in specs} - left_out | {"alone"}
    assert queues.tree.cohorts.keys().isdisjoint(endless)


def test_the_quota_of_an_inactive_queue_can_still_be_borrowed():
    specs = [a_queue("stopped", cohort="all", stop_policy="Hold"), a_queue("other", cohort="all")]
    queues = Queues(specs, flavors=[PLAIN])
    assert queues.fits("other", usage({"a": 16})) == "fits"


def test_a_flavor_that_nobody_knows_counts_for_nobody_else():
    specs = [queue(group(a=8, lost=8), name="q", cohort="all"), a_queue("other", cohort="all")]
    queues = Queues(specs, flavors=[PLAIN])
    assert (queues.fits("other", usage({"a": 16})), queues.inactive.keys()) == ("fits", {"q"})


# -- exact inverses


def a_yard():
    places = yard({"b/r/x": 8, "b/r/y": 8}, flavor=TALL)
    queues = Queues(
        [a_queue(cohort="all"), a_queue("other", cohort="all")],
        flavors=[TALL],
        places={"a": places},
    )
    queues.admit(holder("small", 1, host="x"))
    queues.admit(holder("large", 5, at="other"))
    return queues


def test_admit_and_remove():
    queues = a_yard()
    before = state(queues)
    queues.admit(holder("new", 3, host="y"))
    assert state(queues) != before
    assert queues.remove("new") == holder("new", 3, host="y")
    assert state(queues) == before


def test_use_and_release():
    queues = a_yard()
    before = state(queues)
    place = TopologyUsage("a", Resources.of({GPU: 1}), (DomainCount(("x",), 2),))
    taken = Usage(usage({"a": 11}).quota, (place,))
    queues.use("q", taken)
    assert state(queues) != before
    queues.release("q", taken)
    assert state(queues) == before


def test_whoever_is_taken_out_for_a_while_comes_back():
    queues = a_yard()
    before = state(queues)
    with queues.without(["small", "large"]):
        assert queues.admitted == {}
        assert queues.fits("q", usage({"a": 16})) == "fits"
    assert state(queues) == before


def test_whose_usage_is_taken_out_stays_a_holder():
    queues = a_yard()
    before = state(queues)
    with queues.without_usage(["small", "large"]):
        assert queues.admitted.keys() == {"small", "large"}
        assert queues.fits("q", usage({"a": 16})) == "fits"
    assert state(queues) == before


def test_what_is_used_for_a_while():
    queues = a_yard()
    before = state(queues)
    with queues.using("q", usage({"a": 10})):
        assert queues.fits("q", usage({"a": 1})) == "no-quota"
    assert state(queues) == before


class Stop(Exception):  # noqa: N818  no error at all
    """Leaves a block."""


@pytest.mark.parametrize("trial", ["without", "without_usage"])
def test_a_trial_that_fails_puts_everything_back(trial):
    queues = a_yard()
    before = state(queues)
    with pytest.raises(Stop), getattr(queues, trial)(["small"]):
        raise Stop
    assert state(queues) == before


# -- who fits


@pytest.mark.parametrize(
    ("gpus", "pods_on_x", "expected"),
    [
        pytest.param(8, 0, "fits", id="quota and no place asked for"),
        pytest.param(11, 0, "no-quota", id="more than all have left"),
        pytest.param(8, 7, "fits", id="quota and place"),
        pytest.param(8, 8, "no-place", id="quota and no place"),
    ],
)
def test_who_fits(gpus, pods_on_x, expected):
    queues = a_yard()
    queues.places["a"].use(TopologyUsage("a", Resources.of({"cpu": 1}), (DomainCount(("x",), 1),)))
    places = ()
    if pods_on_x:
        domain = DomainCount(("x",), pods_on_x)
        places = (TopologyUsage("a", Resources.of({"cpu": 1}), (domain,)),)
    assert queues.fits("q", Usage(usage({"a": gpus}).quota, places)) == expected


def test_who_seeks_another_place():
    queues = queues_of(a_queue())
    queues.admit(holder("fine", 1))
    queues.admit(holder("moves", 1, unhealthy_nodes=("x",)))
    queues.admit(holder("goes", 1, unhealthy_nodes=("x",), evicted=True))
    assert queues.displaced.keys() == {"moves"}
    with queues.without(["moves"]):
        assert not queues.displaced
    assert queues.displaced.keys() == {"moves"}
    queues.remove("moves")
    assert not queues.displaced


# -- what a queue shows


def test_usage_by_flavor_and_what_of_it_is_borrowed():
    queues = queues_of(
        queue(group(a=4, b=4), name="q", cohort="all"), queue(group(a=4), name="w", cohort="all")
    )
    queues.use("q", usage({"a": 6, "b": 1}))
    shown = {key.flavor: used for key, used in queue_status.usage(queues, "q").items()}
    assert shown == {"a": Used(6, 2), "b": Used(1, 0)}


def test_without_a_cohort_nothing_is_borrowed():
    queues = queues_of(queue(group(a=4), name="q"), used={"a": 6})
    assert list(queue_status.usage(queues, "q").values()) == [Used(6, 0)]


def test_usage_of_a_local_queue():
    doors = [LocalQueue(namespace="", name="q-door", cluster_queue="q")]
    queues = Queues([a_queue(), a_queue("other")], flavors=[PLAIN], local_queues=doors)
    queues.admit(holder("one", 1))
    queues.admit(holder("two", 2))
    queues.admit(holder("elsewhere", 4, at="other"))
    assert list(queue_status.local_usage(queues, "q-door").values()) == [3]
    assert queue_status.local_usage(queues, "nobody") == {}


def test_ancestors_and_flavors_in_use():
    cohorts = [Cohort(name="left", parent="root")]
    queues = Queues([a_queue(cohort="left"), a_queue("alone")], cohorts, flavors=[PLAIN])
    assert queue_status.ancestors(queues, "q") == ["left", "root"]
    assert queue_status.ancestors(queues, "alone") == []
    assert queue_status.using_flavor(queues, "a") == ["alone", "q"]
    assert queue_status.using_flavor(queues, "b") == []


@pytest.mark.parametrize(
    ("spec", "flavors", "sentence"),
    [
        pytest.param({}, [PLAIN], "Can admit new workloads", id="ready"),
        pytest.param(
            {"is_terminating": True, "stop_policy": "Hold"},
            [PLAIN],
            "Can't admit new workloads; clusterQueue is terminating",
            id="whoever is being deleted needs no other reason",
        ),
        pytest.param(
            {"stop_policy": "Hold"},
            [TALL],
            "Can't admit new workloads: is stopped, "
            'there is no Topology "racks" for TAS flavor "a".',
            id="two things at once",
        ),
        pytest.param(
            {},
            [],
            "Can't admit new workloads: references missing ResourceFlavor(s): a.",
            id="no flavor",
        ),
        pytest.param(
            {"cohort": "loop"},
            [PLAIN],
            "Can't admit new workloads: its Cohort is its own ancestor.",
            id="no tree",
        ),
    ],
)
def test_a_queue_says_whether_it_admits(spec, flavors, sentence):
    cohorts = [Cohort(name="loop", parent="loop")]
    queues = Queues([a_queue(**spec)], cohorts, flavors=flavors, topologies=[])
    assert queue_status.readiness(queues, "q").sentence == sentence


def test_names_of_local_queues():
    doors = [
        LocalQueue(namespace="ml", name="q", cluster_queue="q"),
        LocalQueue(namespace="", name="q", cluster_queue="q"),
    ]
    queues = Queues([ClusterQueue(name="q")], flavors=[], local_queues=doors)
    assert queues.local_queues.keys() == {"ml/q", "q"}
