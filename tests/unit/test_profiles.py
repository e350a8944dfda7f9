"""Classes of workload that are placed in their own way, over the same nodes."""

import numpy as np
import pytest

from gpuyard.model.constraints import PreferredPods
from gpuyard.model.policy import PlacementPolicy, Profile, ResourceWeight, WeightedScore
from gpuyard.model.reasons import Silent
from gpuyard.model.topology import HOSTNAME
from gpuyard.scheduling import cycle
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.presets import placement
from tests.small_fleet import node, snapshot_of, template, workload

GPUS = (ResourceWeight("devices"),)
PACK = (WeightedScore(name="most-allocated", resources=GPUS),)
SPREAD = (WeightedScore(name="least-allocated", resources=GPUS),)
POLICY = PlacementPolicy(
    scores=PACK,
    profiles=(
        Profile(classes=("notebook", "batch"), scores=SPREAD),
        Profile(classes=("batch",), scores=PACK),
    ),
)


def nodes(count=3):
    return [
        node(f"n{index}", 64_000, "A" * 8, rank=index, labels=((HOSTNAME, f"n{index}"),))
        for index in range(count)
    ]


def placed(policy, *workloads):
    """Return the node of each workload's first pod, as a pass places them."""
    placer = Placer(snapshot_of(*nodes()), policy, np.random.default_rng(0))
    plan = cycle.run(placer, map(cycle.Pending.whole, workloads), Silent())
    return {each.workload: [one.node for one in each.assignments] for each in plan.starts}


@pytest.mark.parametrize(
    ("kind", "nodes_used"),
    [
        pytest.param("training", 1, id="no profile: as all are"),
        pytest.param("notebook", 3, id="its profile spreads"),
        pytest.param("batch", 3, id="of two profiles the first counts"),
    ],
)
def test_a_class_is_placed_as_its_profile_says(kind, nodes_used):
    asked = [workload(f"w{index}", (1, template(100, 1)), kind=kind) for index in range(3)]
    assert len({where for (where,) in placed(POLICY, *asked).values()}) == nodes_used


def replicas(count, app="chat", kind="inference", start=0):
    labels = (("app", app),)
    return [
        workload(f"{app}-{index}", (1, template(100, 1, labels=labels)), kind=kind, at=index)
        for index in range(start, start + count)
    ]


def test_replicas_of_a_service_keep_apart():
    where = placed(placement("gpuyard"), *replicas(3))
    assert len({node for (node,) in where.values()}) == 3


def test_replicas_of_two_services_share_nodes():
    where = placed(placement("gpuyard"), *replicas(3), *replicas(3, app="embed"))
    for app in ("chat", "embed"):
        mine = [nodes[0] for key, nodes in where.items() if key.startswith(app)]
        assert len(set(mine)) == 3


def test_more_replicas_than_nodes_all_start():
    assert len(placed(placement("gpuyard"), *replicas(24))) == 24


def test_other_classes_and_pods_without_labels_are_packed():
    batch = placed(placement("gpuyard"), *replicas(3, kind="batch"))
    assert len({node for (node,) in batch.values()}) == 1
    bare = [workload(f"w{index}", (1, template(100, 1)), kind="inference") for index in range(3)]
    assert len({node for (node,) in placed(placement("gpuyard"), *bare).values()}) == 1


def test_what_a_profile_adds_stands_in_the_assignment():
    placer = Placer(snapshot_of(*nodes()), placement("gpuyard"), np.random.default_rng(0)).of(
        "inference"
    )
    asked = template(100, 1, labels=(("app", "chat"),))
    (term,) = placer.asked(asked).constraints.preferred_pods
    assert isinstance(term, PreferredPods)
    assert (term.weight, term.term.topology_key) == (-100, HOSTNAME)
    assert placer.place("p", asked).template == placer.asked(asked)


def test_all_placers_of_a_snapshot_see_each_others_pods():
    placer = Placer(snapshot_of(*nodes(1)), POLICY, np.random.default_rng(0))
    whole = template(100, 8)
    assert placer.of("notebook").place("p", whole) is not None
    assert placer.place("q", whole) is None
