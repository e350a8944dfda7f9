"""Topologies, topology requests and assignments as Kueue writes them."""

import json

import pytest

from gpuyard.dialects.kueue.topology import topology, topology_assignment, topology_request
from gpuyard.dialects.wire import DialectError
from gpuyard.model.topology import (
    DomainCount,
    SliceRequest,
    Topology,
    TopologyAssignment,
    TopologyRequest,
)


def assignment(levels, *domains):
    return TopologyAssignment(
        tuple(levels), tuple(DomainCount(tuple(values), count) for values, count in domains)
    )


# --- Topologies ---------------------------------------------------------------------------------


def test_topology():
    source = {
        "metadata": {"name": "default"},
        "spec": {"levels": [{"nodeLabel": "block"}, {"nodeLabel": "kubernetes.io/hostname"}]},
    }
    expected = Topology(name="default", levels=("block", "kubernetes.io/hostname"))
    assert topology(source) == topology(json.dumps(source)) == expected


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param({"spec": {}}, "Topology: metadata.name: it has no name", id="no name"),
        pytest.param(
            {"metadata": {"name": "t"}},
            "Topology t: spec.levels: each needs a nodeLabel",
            id="no levels",
        ),
        pytest.param(
            {"metadata": {"name": "t"}, "spec": {"levels": [{}]}},
            "Topology t: spec.levels: each needs a nodeLabel",
            id="a level without a label",
        ),
    ],
)
def test_topology_refused(source, sentence):
    with pytest.raises(DialectError) as refused:
        topology(source)
    assert str(refused.value) == sentence


# --- Requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param({}, None, id="empty"),
        pytest.param({"unconstrained": False}, None, id="not even anywhere"),
        pytest.param(
            {"required": "rack"}, TopologyRequest(mode="required", level="rack"), id="required"
        ),
        pytest.param(
            {"preferred": "rack"}, TopologyRequest(mode="preferred", level="rack"), id="preferred"
        ),
        pytest.param(
            {"unconstrained": True}, TopologyRequest(mode="unconstrained"), id="unconstrained"
        ),
        pytest.param(
            {"required": "rack", "podSetGroupName": "g"},
            TopologyRequest(mode="required", level="rack", group="g"),
            id="in a group",
        ),
        pytest.param(
            {"podSetSliceRequiredTopology": "rack", "podSetSliceSize": 2},
            TopologyRequest(mode="unconstrained", slices=(SliceRequest("rack", 2),)),
            id="slices alone",
        ),
        pytest.param(
            {"required": "block", "podSetSliceRequiredTopology": "rack"},
            TopologyRequest(mode="required", level="block", slices=(SliceRequest("rack", 0),)),
            id="slices without a size",
        ),
        pytest.param(
            {"required": "block", "podSetSliceSize": 2},
            TopologyRequest(mode="required", level="block"),
            id="a size without slices",
        ),
        pytest.param(
            {
                "preferred": "block",
                "podSetSliceRequiredTopology": "host",
                "podSetSliceSize": 3,
                "podsetSliceRequiredTopologyConstraints": [
                    {"topology": "rack", "size": 4},
                    {"topology": "host", "size": 2},
                ],
            },
            TopologyRequest(
                mode="preferred",
                level="block",
                slices=(SliceRequest("rack", 4), SliceRequest("host", 2)),
            ),
            id="several layers count before one",
        ),
    ],
)
def test_topology_request(source, expected):
    assert topology_request(source) == expected


# --- Assignments --------------------------------------------------------------------------------

FOLDED = {"universal": "b1"}, {"individual": {"prefix": "n", "roots": ["1", "22"], "suffix": "-x"}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(
            {"levels": ["block", "rack"], "domains": [{"values": ["b", "r"], "count": 3}]},
            assignment(["block", "rack"], (["b", "r"], 3)),
            id="v1beta1",
        ),
        pytest.param(
            {"levels": ["host"], "slices": []}, assignment(["host"]), id="v1beta2 without domains"
        ),
        pytest.param(
            {
                "levels": ["block", "host"],
                "slices": [
                    {
                        "domainCount": 2,
                        "valuesPerLevel": list(FOLDED),
                        "podCounts": {"individual": [4, 5]},
                    },
                    {
                        "domainCount": 2,
                        "valuesPerLevel": [
                            {"individual": {"roots": ["b2", "b3"]}},
                            {"universal": "n"},
                        ],
                        "podCounts": {"universal": 6},
                    },
                ],
            },
            assignment(
                ["block", "host"],
                (["b1", "n1-x"], 4),
                (["b1", "n22-x"], 5),
                (["b2", "n"], 6),
                (["b3", "n"], 6),
            ),
            id="v1beta2 unfolded",
        ),
    ],
)
def test_topology_assignment(source, expected):
    assert topology_assignment(source) == expected


def folded(*, count=2, values=FOLDED, pods=None):
    pods = {"universal": 1} if pods is None else pods
    part = {"domainCount": count, "valuesPerLevel": list(values), "podCounts": pods}
    return {"levels": ["block", "host"], "slices": [part]}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param(
            folded(values=FOLDED[:1]),
            "topologyAssignment.slices[0].valuesPerLevel: 1 entries for 2 levels",
            id="a level is missing",
        ),
        pytest.param(
            folded(count=3),
            "topologyAssignment.slices[0].valuesPerLevel[1]: 2 entries for 3 domains",
            id="a value is missing",
        ),
        pytest.param(
            folded(pods={"individual": [1]}),
            "topologyAssignment.slices[0].podCounts: 1 entries for 2 domains",
            id="a count is missing",
        ),
        pytest.param(
            folded(pods={}),
            "topologyAssignment.slices[0].podCounts: 0 entries for 2 domains",
            id="no counts",
        ),
        pytest.param(
            {"levels": ["block", "rack"], "domains": [{"values": ["b"], "count": 3}]},
            "topologyAssignment: 1 values of a domain for 2 levels",
            id="v1beta1: a value is missing",
        ),
    ],
)
def test_topology_assignment_refused(source, sentence):
    with pytest.raises(DialectError) as refused:
        topology_assignment(source)
    assert str(refused.value) == sentence
