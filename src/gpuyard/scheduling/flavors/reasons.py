"""Why a flavor was not taken, as data; and the sentence that Kueue makes of it.

A reason is a code and what it is about: flavor, resource, the amounts that bind. Whoever explains
reads the fields; `sentence` renders Kueue's text, word by word, for conditions and events.

`NoFitReason` sums up why a whole assignment is impossible, the mildest first: a workload is told
the most severe of what its pod sets need at once, and of flavors to choose from the mildest.

Texts and order: Kueue v0.19.2, pkg/scheduler/flavorassigner (flavorassigner.go,
tas_flavorassigner.go, errors.go) and pkg/resources/resource_formatter.go.
"""

from typing import Literal

import msgspec

from gpuyard.model.constraints import Taint
from gpuyard.model.quantity import format_milli, format_quantity
from gpuyard.model.queues import QUOTA_MAX
from gpuyard.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY
from gpuyard.scheduling.topology import refusals
from gpuyard.scheduling.topology.refusals import Refusal

NoFitReason = Literal[
    "",
    "TopologyPlacementFailed",
    "WaitingForQuota",
    "ExceedsMaxQuota",
    "NoMatchingFlavor",
]
SEVERITY: tuple[NoFitReason, ...] = (
    "",
    "TopologyPlacementFailed",
    "WaitingForQuota",
    "ExceedsMaxQuota",
    "NoMatchingFlavor",
)

FlavorReasonCode = Literal[
    # the queue
    "ResourceUnavailable",  # no flavor of the queue provides the resource
    "FlavorNotFound",
    "NotNominated",  # within a cycle, a second look keeps to the flavors of the first
    "NotAllowed",
    "NodesRefuse",
    "ResourceNotProvided",
    # the pods
    "UntoleratedTaint",
    "NodeAffinityMismatch",
    "OtherSliceFlavor",  # the slice that is replaced holds another flavor
    # topology
    "TopologyUnsupported",
    "TopologyOnly",
    "TopologyUnknown",
    "TopologyLevelMissing",
    "TopologyPlacementFailed",
    # quota
    "ExceedsMaxQuota",
    "InsufficientUnusedQuota",
]
TopologyErrorCode = Literal[
    "ElasticRequiredTopology",
    "ElasticPreferredTopology",
    "NoTopologyCapacity",
    "NoTopologyFlavor",
    "SeveralTopologyFlavors",
]

ERRORS: dict[TopologyErrorCode, str] = {
    "ElasticRequiredTopology": (
        "required topology is not supported with ElasticJobsViaWorkloadSlices"
    ),
    "ElasticPreferredTopology": (
        "preferred topology is not supported with ElasticJobsViaWorkloadSlices"
    ),
    "NoTopologyCapacity": "workload requires Topology, but there is no TAS cache information",
    "NoTopologyFlavor": "no TAS flavor assigned",
    "SeveralTopologyFlavors": "more than one TAS flavor assigned",
}


class FlavorReason(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Why `flavor` cannot be used, or not at once.

    Amounts are in the resource's own unit: `needed` by the pod sets at hand, `assumed` for earlier
    pod sets of the workload, `capacity` is the most that the queue could ever have, `missing` what
    more would have to be unused. `held` is the flavor of the slice that is replaced, `refusal` what
    the topology said.
    """

    code: FlavorReasonCode
    flavor: str = ""
    resource: str = ""
    needed: int = 0
    assumed: int = 0
    capacity: int = 0
    missing: int = 0
    taint: Taint | None = None
    held: str = ""
    refusal: Refusal | None = None


class TopologyError(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Why no place can be sought for a pod set, with the flavors where they are too many."""

    code: TopologyErrorCode
    flavors: tuple[str, ...] = ()


def more_severe(one: NoFitReason, other: NoFitReason) -> NoFitReason:
    """Return the one that is harder to mend."""
    return max(one, other, key=SEVERITY.index)


def milder(one: NoFitReason, other: NoFitReason) -> NoFitReason:
    """Return the one that is easier to mend."""
    return min(one, other, key=SEVERITY.index)


def sentence(reason: FlavorReason | TopologyError) -> str:
    """Return Kueue's text."""
    if isinstance(reason, TopologyError):
        names = f": {', '.join(reason.flavors)}" if reason.flavors else ""
        return ERRORS[reason.code] + names
    if reason.code in ("ExceedsMaxQuota", "InsufficientUnusedQuota"):
        return _about_quota(reason)
    flavor, resource = reason.flavor, reason.resource
    match reason.code:
        case "TopologyPlacementFailed" if reason.refusal is not None:
            return refusals.sentence(reason.refusal)
        case "UntoleratedTaint" if reason.taint is not None:
            taint = reason.taint
            shown = f"{taint.key} {taint.value} {taint.effect} <nil>"
            return f"untolerated taint {{{shown}}} in flavor {flavor}"
        case "OtherSliceFlavor":
            return (
                f"could not assign {flavor} flavor since the original workload is assigned: "
                f"{reason.held}"
            )
        case _:
            return TEXTS[reason.code].format(flavor=flavor, resource=resource)


TEXTS: dict[str, str] = {
    "ResourceUnavailable": "resource {resource} unavailable in ClusterQueue",
    "FlavorNotFound": "flavor {flavor} not found",
    "NotNominated": (
        "skipping flavor {flavor} as it is not found in the nomination mapping "
        "for resource {resource}"
    ),
    "NotAllowed": (
        "skipping flavor {flavor} due to WorkloadAllowedResourceFlavorAnnotation annotation"
    ),
    "NodesRefuse": "the nodes of flavor {flavor} do not take its pods",
    "ResourceNotProvided": "flavor {flavor} does not provide resource {resource}",
    "NodeAffinityMismatch": "flavor {flavor} doesn't match node affinity",
    "TopologyUnsupported": 'Flavor "{flavor}" does not support TopologyAwareScheduling',
    "TopologyOnly": 'Flavor "{flavor}" supports only TopologyAwareScheduling',
    "TopologyUnknown": 'Flavor "{flavor}" information missing in TAS cache',
    "TopologyLevelMissing": 'Flavor "{flavor}" does not contain the requested level',
}


def _about_quota(reason: FlavorReason) -> str:
    where = f"for {reason.resource} in flavor {reason.flavor}"
    if reason.code == "InsufficientUnusedQuota":
        missing = _bounded(reason.resource, reason.missing)
        return f"insufficient unused quota {where}, {missing} more needed"
    assumed = _bounded(reason.resource, reason.assumed)
    needed = quantity(reason.resource, reason.needed)
    capacity = _bounded(reason.resource, reason.capacity)
    return (
        f"insufficient quota {where}, previously considered podsets requests ({assumed}) "
        f"+ current podset request ({needed}) > maximum capacity ({capacity})"
    )


def _bounded(resource: str, amount: int) -> str:
    """Return an amount of quota, which may be without bound; a request never is."""
    return "<unlimited>" if amount >= QUOTA_MAX else quantity(resource, amount)


def quantity(resource: str, amount: int) -> str:
    """Return an amount as Kubernetes writes it for that resource."""
    if resource == CPU:
        return format_milli(amount)
    in_bytes = resource in (MEMORY, EPHEMERAL_STORAGE) or resource.startswith("hugepages-")
    return format_quantity(amount, binary=in_bytes)
