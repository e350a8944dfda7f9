"""Quota and fair shares, asked of the functions that a cycle uses."""

from decimal import Decimal
from fractions import Fraction

from gpuyard.dialects import kueue
from gpuyard.model.queues import WEIGHT_ONE_NANO, FlavorResource
from gpuyard.scheduling import fair_share, quota
from gpuyard.scheduling.fair_share import Share
from gpuyard.scheduling.quota import QuotaNode, QuotaTree
from verification.oracles.kueue.kinds import (
    AVAILABLE,
    LENDABLE,
    SHARES,
    SNAPSHOT,
    TEXT,
    TRUTH,
    NodeState,
    SharedBy,
    without_zeros,
)
from verification.oracles.kueue.objects import amounts, everyone, tree
from verification.oracles.rows import Answers, Json, Row, Test


def dominant_shares(row: Row) -> Answers:
    """Answer with the share of every queue and cohort, as it is shown."""
    given = [row.case["clusterQueue"], row.case["lendingClusterQueue"]]
    grown = tree(filter(None, given), row.case["cohorts"])
    quota.use(grown.cluster_queues["cq"], amounts(row.case["usage"]))
    extra = amounts(row.case["flvResQ"])
    return {"want": frozenset(_shown(node, extra) for node in everyone(grown))}


def _shown(node: QuotaNode, extra: dict[FlavorResource, int]) -> SharedBy:
    share = fair_share.dominant_share(node, extra)
    value = fair_share.rounded(share)
    return SharedBy(node.name, node.is_cohort, value, share.resource, share.is_borrowing)


def borrowing_on(row: Row) -> Answers:
    """Answer whether the queue borrows at all, and of what is asked for."""
    borrower = tree([row.context["cq"], row.context["lendingCQ"]]).cluster_queues["cq"]
    quota.use(borrower, amounts(row.case["usage"]))
    share = fair_share.dominant_share(borrower)
    return {
        "wantBorrowing": share.is_borrowing,
        "wantBorrowingOnRequested": share.is_borrowing_on(amounts(row.case["requestedFRs"])),
    }


def weighted_share(row: Row) -> Answers:
    """Answer with the weighted share as a decimal number without exponent."""
    given = row.case["drs"]
    weight = Fraction(str(given["fairWeight"])) * WEIGHT_ONE_NANO
    share = Share(ratio=Fraction(str(given["unweightedRatio"])), weight_nano=int(weight))
    is_infinite, weighted = fair_share.order(share)
    shortest = Decimal(repr(float(weighted)))
    return {"want": "+Inf" if is_infinite else f"{shortest.normalize():f}"}


def lendable(row: Row) -> Answers:
    """Answer with what the members of a cohort could borrow, by resource."""
    grown = tree(row.case["clusterQueues"])
    return {"wantLendable": grown.cohorts[row.case["cohortName"]].lendable}


def availability(row: Row) -> Answers:
    """Answer with what each queue could take with the usage applied, and without any.

    Without usage both ways of asking must agree, before it came and after it has gone.
    """
    grown = tree(row.case["clusterQueues"], row.case["cohorts"])
    usage = {name: amounts(given) for name, given in (row.case["usage"] or {}).items()}
    potential = _potential(grown)
    before = _available(grown)
    for name, used in usage.items():
        quota.use(grown.cluster_queues[name], used)
    during = _available(grown)
    for name, used in usage.items():
        quota.release(grown.cluster_queues[name], used)
    if not potential == before == _available(grown) == _potential(grown):
        raise ValueError("without usage, available and potentially available differ")
    return {"wantAvailable": during, "wantPotentiallyAvailable": potential}


def _available(grown: QuotaTree) -> dict[str, dict[FlavorResource, int]]:
    return {
        name: {key: max(0, quota.available(node, key)) for key in node.quotas}
        for name, node in grown.cluster_queues.items()
    }


def _potential(grown: QuotaTree) -> dict[str, dict[FlavorResource, int]]:
    return {
        name: {key: quota.potential_available(node, key) for key in node.quotas}
        for name, node in grown.cluster_queues.items()
    }


def add_remove(row: Row) -> Answers:
    """Answer with every queue and cohort after workloads were taken away and added again."""
    grown = tree(row.context["clusterQueues"])
    admitted = {kueue.workload(each).key: each for each in row.context["workloads"]}
    for each in admitted.values():
        _count(grown, each, is_added=True)
    for name in row.case["remove"] or ():
        _count(grown, admitted[name.removeprefix("/")], is_added=False)
    for name in row.case["add"] or ():
        _count(grown, admitted[name.removeprefix("/")], is_added=True)
    states = {
        ("cohorts" if node.is_cohort else "clusterQueues", node.name): _state(node)
        for node in everyone(grown)
    }
    return {"want": states}


def _count(grown: QuotaTree, workload: Json, *, is_added: bool) -> None:
    held = kueue.admission(workload)
    if held is None:
        raise ValueError("a workload of the fixtures holds no quota")
    change = quota.use if is_added else quota.release
    change(grown.cluster_queues[held.cluster_queue], dict(held.usage().quota))


def _state(node: QuotaNode) -> NodeState:
    return NodeState(without_zeros(node.subtree), without_zeros(node.usage))


_ADD_REMOVE = Test(
    add_remove,
    frozenset({"add", "remove"}),
    {"want": SNAPSHOT},
    around=frozenset({"clusterQueues", "workloads"}),
)

TESTS: dict[tuple[str, str], Test] = {
    ("kueue_quota_fairshare", "TestDominantResourceShare"): Test(
        dominant_shares,
        frozenset({"clusterQueue", "lendingClusterQueue", "cohorts", "usage", "flvResQ"}),
        {"want": SHARES},
    ),
    ("kueue_quota_fairshare", "TestIsBorrowingOn"): Test(
        borrowing_on,
        frozenset({"usage", "requestedFRs"}),
        {"wantBorrowing": TRUTH, "wantBorrowingOnRequested": TRUTH},
        around=frozenset({"cq", "lendingCQ"}),
    ),
    ("kueue_quota_fairshare", "TestPreciseWeightedShareSerialized"): Test(
        weighted_share, frozenset({"drs"}), {"want": TEXT}
    ),
    ("kueue_quota_fairshare", "TestCohortLendable"): Test(
        lendable, frozenset({"clusterQueues", "cohortName"}), {"wantLendable": LENDABLE}
    ),
    ("kueue_quota_fairshare", "TestAvailable"): Test(
        availability,
        frozenset({"clusterQueues", "cohorts", "usage"}),
        {"wantAvailable": AVAILABLE, "wantPotentiallyAvailable": AVAILABLE},
    ),
    ("kueue_cache_other", "TestSnapshotAddRemoveWorkload"): _ADD_REMOVE,
    ("kueue_cache_other", "TestSnapshotAddRemoveWorkloadWithLendingLimit"): _ADD_REMOVE,
}
