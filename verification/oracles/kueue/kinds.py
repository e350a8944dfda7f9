"""How Kueue's expectations about quota are read."""

from typing import NamedTuple

from gpuyard.model.queues import FlavorResource
from verification.oracles.kueue.objects import amounts, number
from verification.oracles.rows import Json, Kind

Amounts = dict[FlavorResource, int]


class SharedBy(NamedTuple):
    """What is expected of the share of one queue or cohort."""

    name: str
    is_cohort: bool
    value: int
    resource: str
    is_borrowing: bool


class NodeState(NamedTuple):
    """What is expected of one queue or cohort; amounts of zero are left out."""

    subtree: Amounts
    usage: Amounts


def without_zeros(given: Amounts) -> Amounts:
    """Return `given` without amounts of zero: there, missing and zero are the same."""
    return {name: amount for name, amount in given.items() if amount}


def _read_shares(wanted: Json) -> frozenset[SharedBy]:
    return frozenset(
        SharedBy(
            one["name"], one["nodeType"], number(one["drValue"]), one["drName"], one["borrowing"]
        )
        for one in wanted
    )


def _read_available(wanted: Json) -> dict[str, Amounts]:
    return {name: amounts(given) for name, given in (wanted or {}).items()}


def _read_lendable(wanted: Json) -> dict[str, int]:
    return {resource: number(amount) for resource, amount in wanted.items()}


def _read_node(wanted: Json) -> NodeState:
    return NodeState(
        without_zeros(amounts(wanted["subtreeQuota"])),
        without_zeros(amounts(wanted["usage"])),
    )


def _read_snapshot(wanted: Json) -> dict[tuple[str, str], NodeState]:
    return {
        (kind, name): _read_node(one["resourceNode"])
        for kind in ("clusterQueues", "cohorts")
        for name, one in wanted["manager"][kind].items()
    }


# Of a snapshot only quota and usage of queues and cohorts are compared. `clusterQueue` holds the
# cohort a second time.
_NO_QUOTA = frozenset(
    {
        "admissionChecks",
        "admissionScope",
        "allocatableResourceGeneration",
        "clusterQueue",
        "cohortFactory",
        "fairWeight",
        "flavorFungibility",
        "flavorsForProvReqACs",
        "hasMultiKueueAC",
        "inactiveClusterQueueSets",
        "name",
        "namespaceSelector",
        "preemption",
        "quotas",  # the source's test ignores them too
        "resourceFlavors",
        "resourceGroups",
        "status",
        "tasFlavors",
        "tasOnly",
        "workloads",
        "childCohorts",
        "childCqs",
        "explicit",
    }
)

NOBODY = {"name": "altered", "nodeType": False, "drValue": 0, "drName": "", "borrowing": False}

SHARES = Kind(_read_shares, [NOBODY])
AVAILABLE = Kind(_read_available, {"altered": {"altered/cpu": 1}})
LENDABLE = Kind(_read_lendable, {"altered": 1})
TRUTH = Kind(lambda wanted: wanted, instead_of_nothing=True)
TEXT = Kind(lambda wanted: wanted, "altered")
SNAPSHOT = Kind(_read_snapshot, {}, _NO_QUOTA)
