"""The objects of a row of whole cycles, as the core knows them."""

from collections.abc import Iterable, Mapping

import msgspec

from gpuyard.dialects import core, kueue
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.quantity import parse_nano
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.topology import TopologyRules
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.flavors.rules import FlavorRules, ResourceTransformation
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import TopologyCapacity, survey
from verification.oracles.kueue.ordering import between_rules, turn_rules
from verification.oracles.rows import Json


def rules_of(case: Mapping[str, Json], changed: Mapping[str, bool]) -> AdmissionRules:
    """Return the rules that the `changed` gates and the switches of a row stand for."""
    gates = {**DEFAULT_GATES, **changed}
    is_fair = bool(case.get("enableFairSharing"))
    turns = turn_rules(case)
    return AdmissionRules(
        turns=turns,
        between=msgspec.structs.replace(between_rules(case), by_share=is_fair),
        flavors=FlavorRules(
            preserve_scan_progress=gates["FlavorFungibilityPreserveScanProgress"],
            topology_aware=gates["TopologyAwareScheduling"],
            elastic_slices=gates["ElasticJobsViaWorkloadSlices"],
            partial_admission=gates["PartialAdmission"],
            fair_sharing=is_fair,
            transformations=tuple(map(_transformation, case.get("resourceTransformations") or ())),
        ),
        preemption=QueuePreemptionRules(
            turns=turns,
            fair_sharing=is_fair,
            reclaim_within_nominal=gates["FairSharingPreemptWithinNominal"],
        ),
        topology=TopologyRules(balances_preferred=gates["TASBalancedPlacement"]),
        look_again_for_places=gates["TASRecomputeAssignmentWithinSchedulingCycle"],
        look_again_on_overlap=gates["RecomputeAssignmentUponPreemptionTargetsOverlap"],
        fail_fast=gates["TASFailedNodeReplacementFailFast"],
    )


def _transformation(given: Json) -> ResourceTransformation:
    outputs = (given.get("outputs") or {}).items()
    return ResourceTransformation(
        input=given["input"],
        strategy=given.get("strategy") or "Retain",
        outputs=tuple((name, parse_nano(amount)) for name, amount in outputs),
    )


DEFAULT_GATES = {
    "ElasticJobsViaWorkloadSlices": True,
    "FairSharingPreemptWithinNominal": True,
    "FlavorFungibilityPreserveScanProgress": True,
    "PartialAdmission": True,
    "RecomputeAssignmentUponPreemptionTargetsOverlap": False,
    "TASBalancedPlacement": False,
    "TASFailedNodeReplacementFailFast": True,
    "TASRecomputeAssignmentWithinSchedulingCycle": True,
    "TopologyAwareScheduling": True,
}


def given(field: str, *sources: Mapping[str, Json]) -> list[Json]:
    """Return the objects of the first of `sources` that has any under that name."""
    return next((list(source[field]) for source in sources if source.get(field)), [])


def places(
    case: Mapping[str, Json], flavors: Iterable[ResourceFlavor]
) -> dict[str, TopologyCapacity]:
    """Return what the nodes of a row offer in each flavor with a topology."""
    snapshot = Snapshot()
    for rank, node in enumerate(case.get("nodes") or ()):
        snapshot.apply(NodeObserved(core.node(node, rank=rank)))
    for pod in case.get("pods") or ():
        snapshot.apply(PodBound(core.assignment(pod)))
    topologies = {each.name: each for each in map(kueue.topology, case.get("topologies") or ())}
    return {
        flavor.name: survey(snapshot, flavor, topologies[flavor.topology])
        for flavor in flavors
        if flavor.topology in topologies
    }
