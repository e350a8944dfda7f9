"""Domains for the pods of a group: estimates of room are never too strict."""

import pytest

from gpuyard.model.topology import Topology
from gpuyard.scheduling.passes import allocate
from gpuyard.scheduling.passes.jobs import DomainRequest, Group, Job, Leaf, Pod
from tests.small_fleet import node, template
from tests.small_session import session, states

RACKS = {"racks": Topology(name="racks", levels=("rack",))}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param((2, 4), "A@small A@large", id="unlike pods on unlike nodes fit exactly"),
        pytest.param((4, 2), "A@large A@small", id="whichever comes first"),
        pytest.param((1, 5), "- -", id="as many as fit if all were small, and yet they do not"),
        pytest.param((3, 3), "- -", id="enough in sum, and yet they do not"),
        pytest.param((4, 4), "- -", id="like pods are counted node by node"),
    ],
)
def test_a_domain_is_tried_unless_it_cannot_do(asked, expected):
    fleet = {
        name: node(name, 64_000, "A" * gpus, rank=rank, labels=(("rack", "r"),))
        for rank, (name, gpus) in enumerate((("small", 2), ("large", 4)))
    }
    root = Group(
        name="",
        members=(Leaf(name="all", min_count=2),),
        domain=DomainRequest(topology="racks", required="rack"),
    )
    pods = [Pod(f"j-{at}", "all", template(1000, gpus)) for at, gpus in enumerate(asked)]
    one = session(fleet, [Job("j", "q", root, pods)], topologies=RACKS)
    allocate.run(one)
    assert states(one) == {"j": expected}
