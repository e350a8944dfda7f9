"""Whose turn it is between queues, asked of the functions that a cycle uses."""

from fractions import Fraction

import msgspec

from gpuyard.dialects import kueue
from gpuyard.model.queues import WEIGHT_ONE_NANO, ClusterQueue, Usage
from gpuyard.model.workloads import SentBackBy, Workload
from gpuyard.scheduling import quota
from gpuyard.scheduling.fair_share import Share
from gpuyard.scheduling.ordering.between import BetweenRules, in_turn, seat
from gpuyard.scheduling.ordering.turns import TurnRules
from verification.oracles.kueue.kinds import TRUTH
from verification.oracles.kueue.objects import amounts, key
from verification.oracles.rows import Answers, Json, Kind, Row, Test

NAMES = Kind(lambda wanted: wanted, ["altered"])


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of Kueue's cycle: what the order looks at."""

    workload: Workload
    queue: str
    usage: Usage
    borrowing: int
    has_quota: bool
    is_preemptor: bool


def entries_in_order(row: Row) -> Answers:
    """Answer with the names of the entries in the order of their turns."""
    offers = [_numbered(_offer(entry), index) for index, entry in enumerate(row.case["input"])]
    tree = quota.build([ClusterQueue(name="")], flavors=[])
    ordered = in_turn(offers, tree, between_rules(row.case), turn_rules(row.case))
    return {"wantOrder": [offer.workload.key for offer in ordered]}


def is_first(row: Row) -> Answers:
    """Answer whether entry a wins over entry b in a tournament of their cohort."""
    first, second = (
        seat(
            offer := _offer(row.case[name], row.case["requestedFRs"]),
            _share(row.case["drsValues"], offer),
            between_rules(row.case),
            turn_rules(row.case),
        )
        for name in "ab"
    )
    return {"wantLess": first < second}


def between_rules(case: Json) -> BetweenRules:
    """Return the rules between queues that the feature gates of a row stand for."""
    gates = case.get("featureGates") or {}
    return BetweenRules(
        preemptors_first=gates.get("PrioritizePreemptorWorkloads", False),
        priority_first=gates.get("PrioritySortingWithinCohort", True),
        non_borrowing_first=gates.get("FairSharingPrioritizeNonBorrowing", True),
    )


def turn_rules(case: Json) -> TurnRules:
    """Return the rules inside a queue that the gates and the configuration of a row stand for."""
    gates = case.get("featureGates") or {}
    stamp = (case.get("workloadOrdering") or {}).get("podsReadyRequeuingTimestamp", "Eviction")
    lost_by: list[SentBackBy] = ["check"]
    if stamp == "Eviction":
        lost_by.append("readiness")
    if not gates.get("PrioritySortingWithinCohort", True):
        lost_by.append("borrower")
    return TurnRules(lost_by=tuple(lost_by), priority_boost=gates.get("PriorityBoost", False))


def _offer(entry: Json, requested: Json = None) -> Offer:
    info = entry["head"]["info"]
    workload = kueue.workload(info["obj"])
    usage = amounts((requested or {}).get(workload.key))
    return Offer(
        workload=workload,
        queue=info.get("clusterQueue", ""),
        usage=Usage(tuple(sorted(usage.items()))),
        borrowing=entry["assignment"]["borrowing"],
        has_quota=_is_true(info["obj"], "QuotaReserved"),
        is_preemptor=entry["head"]["isPreemptor"],
    )


def _numbered(offer: Offer, index: int) -> Offer:
    """Return `offer` with the UID that an API server would have given; Kueue's sort is stable."""
    workload = msgspec.structs.replace(offer.workload, uid=f"{index:04}")
    return msgspec.structs.replace(offer, workload=workload)


def _is_true(workload: Json, condition: str) -> bool:
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def _share(given: Json, offer: Offer) -> Share:
    """Return what a row says of the share of this offer's child of the cohort."""
    share = (given or {}).get(f"test-cohort/{offer.workload.key}")
    if share is None:
        return Share()
    return Share(
        ratio=Fraction(str(share["unweightedRatio"])),
        weight_nano=int(Fraction(str(share["fairWeight"])) * WEIGHT_ONE_NANO),
        resource=share["dominantResource"],
        borrowed=tuple(sorted(map(key, share.get("borrowedFRs") or ()))),
    )


TESTS: dict[tuple[str, str], Test] = {
    ("kueue_schedule_other", "TestEntryOrdering"): Test(
        entries_in_order,
        frozenset({"input", "workloadOrdering", "featureGates"}),
        {"wantOrder": NAMES},
    ),
    ("kueue_schedule_other", "TestEntryComparerLess"): Test(
        is_first,
        frozenset({"a", "b", "drsValues", "requestedFRs", "featureGates"}),
        {"wantLess": TRUTH},
    ),
}
