"""What counts as capacity of a flavor, what foreign pods and promises take, and what fits."""

import numpy as np
import pytest

from gpuyard.model.constraints import Constraints, Taint, Toleration
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.resources import CPU, PODS, Resources
from gpuyard.model.topology import DomainCount, Topology, TopologyUsage
from gpuyard.model.workloads import PodTemplate, Request
from gpuyard.scheduling.topology import survey
from tests.small_topology import FLAVOR, LEVELS, host, snapshot_of, yard

RACKS = ("block", "rack")


def offers(capacity, resource=CPU):
    column = capacity.resources[resource]
    return {
        "/".join(capacity.tree.leaf_values(leaf)): amount
        for leaf, amount in enumerate(capacity.left()[:, column].tolist())
    }


def usage(domains, cpus=1, flavor="gpus"):
    counts = tuple(DomainCount(tuple(path.split("/")), count) for path, count in domains.items())
    return TopologyUsage(flavor, Resources.of({CPU: cpus}), counts)


@pytest.mark.parametrize(
    ("node", "counts"),
    [
        pytest.param(host("b/r/n", 3), True, id="ready and open"),
        pytest.param(host("b/r/n", 3, ready=False), False, id="not ready"),
        pytest.param(host("b/r/n", 3, unschedulable=True), False, id="cordoned"),
        pytest.param(host("b/r", 3, name="n"), False, id="without the label of a level"),
        pytest.param(
            host("b/r/n", 3, taints=(Taint("t", "", "NoSchedule"),)), True, id="a taint says later"
        ),
    ],
)
def test_which_nodes_are_capacity(node, counts):
    assert offers(yard([node])) == ({"n": 3} if counts else {})


def test_a_flavor_has_only_the_nodes_with_its_labels():
    flavor = ResourceFlavor(name="h100", node_labels=(("gpu", "h100"),))
    nodes = [
        host("b/r/n1", 1, labels=(("gpu", "h100"),)),
        host("b/r/n2", 2, labels=(("gpu", "a100"),)),
        host("b/r/n3", 4),
    ]
    assert offers(yard(nodes, flavor=flavor)) == {"n1": 1}


def test_nodes_with_the_same_labels_are_one_leaf():
    nodes = [
        host("b/r1", 1, name="n1", levels=RACKS),
        host("b/r1", 2, name="n2", levels=RACKS),
        host("b/r2", 4, name="n3", levels=RACKS),
    ]
    assert offers(yard(nodes, levels=RACKS)) == {"b/r1": 3, "b/r2": 4}


def test_two_nodes_with_one_host_name_are_one_leaf_where_the_first_is():
    nodes = [host("b2/r2/n", 2, name="node-2"), host("b1/r1/n", 1, name="node-1")]
    capacity = yard(nodes)
    assert offers(capacity) == {"n": 3}
    assert capacity.tree.path(2, 0) == ("b1", "r1", "n")


def test_without_any_node_nothing_is_offered():
    assert offers(yard([])) == {}


def test_foreign_pods_take_what_they_ask_for_and_count_as_pods():
    capacity = yard([host("b/r/n", 5, pods=10)], pods=[("p", "n", 2)])
    assert (offers(capacity), offers(capacity, PODS)) == ({"n": 3}, {"n": 9})


def test_pods_of_a_promise_count_only_through_it():
    snapshot = snapshot_of(host("b/r/n", 5), pods=[("p", "n", 2), ("q", "n", 1)])
    topology = Topology(name="t", levels=LEVELS)
    capacity = survey(snapshot, FLAVOR, topology, promised_pods=("p", "not-bound-yet"))
    assert offers(capacity) == {"n": 4}


def test_a_node_without_a_limit_of_pods_takes_any_number():
    nodes = [host(f"b/r/n{index}", pods=0) for index in range(3)]
    unlimited = [
        type(node)(name=node.name, labels=node.labels, allocatable=Resources.of({CPU: 1}))
        for node in nodes
    ]
    racks = yard(unlimited, levels=("block",))
    assert offers(racks, PODS)["b"] > 10**9
    assert offers(yard(nodes), PODS) == {"n0": 0, "n1": 0, "n2": 0}


# --- Promises -----------------------------------------------------------------------------------


def test_use_takes_for_each_pod_and_the_pod_itself():
    capacity = yard({"b/r/n1": 5, "b/r/n2": 5})
    capacity.use(usage({"n1": 2, "n2": 1}, cpus=2))
    assert offers(capacity) == {"n1": 1, "n2": 3}
    assert offers(capacity, PODS) == {"n1": 998, "n2": 999}


def test_empty_means_that_nothing_was_promised_but_foreign_pods_stay():
    capacity = yard([host("b/r/n", 5)], pods=[("p", "n", 1)])
    capacity.use(usage({"n": 2}))
    column = capacity.resources[CPU]
    assert capacity.left()[:, column].tolist() == [2]
    assert capacity.left(empty=True)[:, column].tolist() == [4]


def test_release_undoes_use_also_of_what_nobody_offers():
    capacity = yard({"b/r/n1": 5})
    strange = TopologyUsage("gpus", Resources.of({"fpga": 3}), (DomainCount(("n1",), 2),))
    capacity.use(strange)
    assert offers(capacity, "fpga") == {"n1": -6}
    capacity.release(strange)
    assert not capacity.used.any()


def test_usage_elsewhere_is_passed_over():
    capacity = yard({"b/r/n1": 5})
    capacity.use(usage({"gone": 1, "n1": 1}, flavor="another"))
    assert offers(capacity) == {"n1": 4}
    capacity.use(usage({"gone": 1}))
    assert offers(capacity) == {"n1": 4}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param([usage({"n1": 2, "n2": 3})], True, id="each domain to the brim"),
        pytest.param([usage({"n1": 3})], False, id="one pod too many"),
        pytest.param([usage({"n1": 1}), usage({"n1": 1})], True, id="two that fit together"),
        pytest.param([usage({"n1": 2}), usage({"n1": 1})], False, id="each alone would fit"),
        pytest.param([usage({"gone": 1})], False, id="a domain that is gone"),
        pytest.param([usage({"n1": 0})], True, id="no pods of it"),
        pytest.param([usage({"full": 1}, cpus=0)], False, id="no room for the pod itself"),
        pytest.param([usage({"short": 1}, cpus=0)], True, id="what is short is not asked for"),
    ],
)
def test_fits(usages, expected):
    nodes = [
        host("b/r/n1", 2),
        host("b/r/n2", 3),
        host("b/r/full", 5, pods=0),
        host("b/r/short", 1),
    ]
    capacity = yard(nodes, pods=[("p", "short", 2)])
    before = capacity.left()
    assert capacity.fits(usages) is expected
    assert np.array_equal(capacity.left()[:, : before.shape[1]], before)


# --- Hosts that take a pod ----------------------------------------------------------------------


def test_a_flavor_tolerates_for_its_pods():
    taint = Taint("gpu", "", "NoSchedule")
    node = host("b/r/n", taints=(taint,))
    bare = PodTemplate(request=Request())
    lenient = ResourceFlavor(name="f", tolerations=(Toleration(key="gpu", operator="Exists"),))
    assert not yard([node]).match(bare, with_preferred=False).takes.any()
    assert yard([node], flavor=lenient).match(bare, with_preferred=False).takes.all()


def test_where_a_leaf_is_no_host_it_takes_every_pod():
    node = host("b/r", levels=RACKS, name="n", taints=(Taint("gpu", "", "NoSchedule"),))
    particular = Constraints(node_selector=(("zone", "a"),))
    template = PodTemplate(request=Request(), constraints=particular)
    match = yard([node], levels=RACKS).match(template, with_preferred=True)
    assert match.takes.all()
    assert match.excluded.reasons() == []
