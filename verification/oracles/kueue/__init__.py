"""Kueue's own table tests (kubernetes-sigs/kueue v0.19.2), asked of our core.

The rows were dumped from the running tests; what each field means is in the README beside them.
This module is the list of fields and of who answers; `objects` builds the quota trees, `quota`
asks them, `kinds` says how an expectation is read.

Covered is the quota tree with fair shares. `CACHE_TESTS` lie in a file most of whose tests are not
about quota, and take their objects from a file of fixtures; tests/oracles/test_kueue.py asks them.
"""

from verification.oracles.kueue import quota
from verification.oracles.kueue.kinds import AVAILABLE, LENDABLE, SHARES, SNAPSHOT, TEXT, TRUTH
from verification.oracles.rows import Adapter, Test

CONTEXT_INPUTS = frozenset({"clusterQueues", "workloads"})

TESTS: dict[tuple[str, str], Test] = {
    ("kueue_quota_fairshare", "TestDominantResourceShare"): Test(
        quota.dominant_shares,
        frozenset({"clusterQueue", "lendingClusterQueue", "cohorts", "usage", "flvResQ"}),
        {"want": SHARES},
    ),
    ("kueue_quota_fairshare", "TestIsBorrowingOn"): Test(
        quota.borrowing_on,
        frozenset({"usage", "requestedFRs"}),
        {"wantBorrowing": TRUTH, "wantBorrowingOnRequested": TRUTH},
    ),
    ("kueue_quota_fairshare", "TestPreciseWeightedShareSerialized"): Test(
        quota.weighted_share, frozenset({"drs"}), {"want": TEXT}
    ),
    ("kueue_quota_fairshare", "TestCohortLendable"): Test(
        quota.lendable, frozenset({"clusterQueues", "cohortName"}), {"wantLendable": LENDABLE}
    ),
    ("kueue_quota_fairshare", "TestAvailable"): Test(
        quota.availability,
        frozenset({"clusterQueues", "cohorts", "usage"}),
        {"wantAvailable": AVAILABLE, "wantPotentiallyAvailable": AVAILABLE},
    ),
}

_ADD_REMOVE = Test(quota.add_remove, frozenset({"add", "remove"}), {"want": SNAPSHOT})

CACHE_TESTS: dict[str, Test] = {
    "TestSnapshotAddRemoveWorkload": _ADD_REMOVE,
    "TestSnapshotAddRemoveWorkloadWithLendingLimit": _ADD_REMOVE,
}

KUEUE = Adapter(
    tests=TESTS,
    context_inputs=CONTEXT_INPUTS,
    later=frozenset(
        {
            "kueue_cache_other",
            "kueue_cases",
            "kueue_fixtures",  # inputs shared by the rows of other files
            "kueue_flavorassigner",
            "kueue_preemption_ordering",
            "kueue_queue",
            "kueue_schedule",
            "kueue_schedule_afs",
            "kueue_schedule_fairsharing",
            "kueue_schedule_other",
            "kueue_schedule_tas",
            "kueue_tas_balanced_placement",
            "kueue_tas_snapshot",
        }
    ),
)
