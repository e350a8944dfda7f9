"""Whether pods could run on the nodes of a flavor: taints, labels, topology."""

import pytest

from gpuyard.model.constraints import (
    Constraints,
    NodeSelectorTerm,
    Requirement,
    Taint,
    Toleration,
)
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.topology import SliceRequest, TopologyRequest
from gpuyard.scheduling.flavors import FlavorRequest
from gpuyard.scheduling.flavors.eligible import agrees, objection
from gpuyard.scheduling.flavors.question import Question
from gpuyard.scheduling.flavors.rules import FlavorRules
from tests.small_queues import HOST, Hosts, Oracle, group, pods, queue, queues_of

LABELS = {"gpu": "h100", "zone": "a"}
SPOT = Taint("spot", "yes", "NoSchedule")
DRAIN = Taint("drain", "", "NoExecute")
SOFT = Taint("soft", "", "PreferNoSchedule")
ENDURES_SPOT = Toleration(key="spot", operator="Exists")


def needs(key, *values, operator="In"):
    return Requirement(key, operator, values)


def terms(*terms):
    return Constraints(required_nodes=tuple(NodeSelectorTerm(tuple(each)) for each in terms))


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        pytest.param(Constraints(), True, id="no wishes"),
        pytest.param(Constraints(node_selector=(("gpu", "h100"),)), True, id="the label it has"),
        pytest.param(Constraints(node_selector=(("gpu", "a100"),)), False, id="another value"),
        pytest.param(Constraints(node_selector=(("disk", "ssd"),)), True, id="a label it lacks"),
        pytest.param(terms([needs("gpu", "h100", "a100")]), True, id="one of the values"),
        pytest.param(terms([needs("gpu", "a100")]), False, id="none of the values"),
        pytest.param(terms([needs("gpu", "a100")], [needs("zone", "a")]), True, id="one term"),
        pytest.param(
            terms([needs("gpu", "h100"), needs("zone", "b")]), False, id="not the whole term"
        ),
        pytest.param(
            terms([needs("gpu", "h100"), needs("disk", "ssd")]), True, id="the part it knows"
        ),
        pytest.param(
            terms([needs("gpu", "a100")], [needs("disk", "ssd")]),
            True,
            id="a term about other labels holds",
        ),
        pytest.param(
            terms([needs("gpu", operator="DoesNotExist")]), False, id="a label it must not have"
        ),
        pytest.param(terms([needs("disk", operator="Exists")]), True, id="one that nodes may have"),
        pytest.param(Constraints(required_nodes=()), True, id="an empty list says nothing"),
        pytest.param(
            Constraints(required_nodes=(NodeSelectorTerm(fields=(needs("metadata.name", "n1"),)),)),
            True,
            id="names of nodes say nothing about a flavor",
        ),
    ],
)
def test_labels(constraints, expected):
    assert agrees(constraints, LABELS) is expected


def against(flavor, *pod_sets, rules=None, topologies=None, others=()):
    """Return the code of what speaks against `flavor`, `None` where nothing does."""
    members = {flavor.name: 4, **dict.fromkeys(others, 4)}
    spec = queue(group(**members))
    request = FlavorRequest(queue="main", pod_sets=())
    queues = queues_of(spec, flavors=[flavor])
    topologies = topologies or Hosts()
    question = Question(queues, request, rules or FlavorRules(), Oracle(), topologies)
    found = objection(question, flavor.name, pod_sets, spec.resource_groups[0])
    return None if found is None else found.code


def enduring(*tolerations):
    return pods(1, constraints=Constraints(tolerations=tolerations))


@pytest.mark.parametrize(
    ("taints", "tolerations", "own", "expected"),
    [
        pytest.param((SPOT,), (), (), "UntoleratedTaint", id="nobody tolerates it"),
        pytest.param((SPOT,), (ENDURES_SPOT,), (), None, id="the pods do"),
        pytest.param((SPOT,), (), (ENDURES_SPOT,), None, id="the flavor brings it along"),
        pytest.param((SPOT, DRAIN), (ENDURES_SPOT,), (), "UntoleratedTaint", id="one of two"),
        pytest.param((SOFT,), (), (), None, id="a taint that only costs points"),
    ],
)
def test_taints(taints, tolerations, own, expected):
    flavor = ResourceFlavor(name="h100", node_taints=taints, tolerations=own)
    assert against(flavor, enduring(*tolerations)) == expected


def test_every_pod_set_of_a_group_must_agree():
    flavor = ResourceFlavor(name="h100", node_taints=(SPOT,))
    assert against(flavor, enduring(ENDURES_SPOT), enduring()) == "UntoleratedTaint"


def test_a_flavor_that_is_gone():
    spec = queue(group(h100=4))
    queues = queues_of(spec)
    del queues.flavors["h100"]
    request = FlavorRequest(queue="main", pod_sets=())
    question = Question(queues, request, FlavorRules(), Oracle(), Hosts())
    found = objection(question, "h100", [pods(1)], spec.resource_groups[0])
    assert found is not None
    assert found.code == "FlavorNotFound"


PLAIN = ResourceFlavor(name="plain")
TAS = ResourceFlavor(name="tas", topology="hosts")
ANYWHERE = TopologyRequest(mode="unconstrained")
ON_ONE_HOST = TopologyRequest(mode="required", level=HOST[0])
IN_ONE_RACK = TopologyRequest(mode="required", level="rack")
RACK_SLICES = TopologyRequest(mode="preferred", level=HOST[0], slices=(SliceRequest("rack", 2),))
GROUPED = TopologyRequest(mode="unconstrained", group="g", only_groups=True)
KNOWN = Hosts(tas=(1, 1))


@pytest.mark.parametrize(
    ("flavor", "asked", "topologies", "expected"),
    [
        pytest.param(PLAIN, None, KNOWN, None, id="neither"),
        pytest.param(TAS, None, KNOWN, "TopologyOnly", id="only the flavor"),
        pytest.param(PLAIN, ANYWHERE, KNOWN, "TopologyUnsupported", id="only the pods"),
        pytest.param(TAS, ANYWHERE, KNOWN, None, id="both"),
        pytest.param(TAS, ON_ONE_HOST, KNOWN, None, id="with the level"),
        pytest.param(TAS, IN_ONE_RACK, KNOWN, "TopologyLevelMissing", id="without the level"),
        pytest.param(TAS, RACK_SLICES, KNOWN, "TopologyLevelMissing", id="not that of slices"),
        pytest.param(TAS, ON_ONE_HOST, Hosts(), "TopologyUnknown", id="not yet known"),
        pytest.param(PLAIN, GROUPED, KNOWN, None, id="a group alone asks for no topology"),
        pytest.param(TAS, GROUPED, KNOWN, "TopologyOnly", id="nor may it have one"),
    ],
)
def test_topology(flavor, asked, topologies, expected):
    others = ["other"]  # a queue in which not every flavor has a topology
    found = against(flavor, pods(1, topology=asked), topologies=topologies, others=others)
    assert found == expected


def test_where_all_flavors_have_a_topology_pods_need_not_ask():
    assert against(TAS, pods(1), topologies=KNOWN) is None


def test_a_flavor_for_derived_resources_needs_no_topology():
    asked = pods(1, asks={"cpu": 1000}, topology=ANYWHERE)
    assert against(PLAIN, asked, topologies=KNOWN, others=["tas"]) is None


def test_without_topologies_only_nodes_count():
    rules = FlavorRules(topology_aware=False)
    assert against(TAS, pods(1), topologies=KNOWN, others=["other"], rules=rules) is None
    assert against(PLAIN, pods(1, topology=ANYWHERE), rules=rules) is None
