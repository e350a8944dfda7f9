"""Admission fair sharing in a round: the shares by which LocalQueues take turns, and what is owed.

Before a round `shares` reads from the ledger what each LocalQueue has used, pending penalties
included; `Waiting.shares` orders the heads by it and `as_amounts` the victims. After a round
`charges` are the changes to the ledger: whoever was given quota is charged at once, or its
LocalQueue would look idle until the next sample.

Only LocalQueues count whose ClusterQueue shares by usage.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (assumeWorkload, shouldApplyEntryPenalty,
updateEntryPenalty).
"""

import math
from collections.abc import Iterable, Mapping

from gpuyard.model.admission_fair_sharing import AdmissionFairSharing
from gpuyard.model.ledger import Account, LedgerChange
from gpuyard.model.queues import LocalQueue
from gpuyard.model.resources import NOTHING
from gpuyard.scheduling import admission_fair_sharing as afs
from gpuyard.scheduling.admission.entries import Verdict
from gpuyard.scheduling.admission_fair_sharing import UsageShare
from gpuyard.scheduling.flavors.requests import of_pending
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.queues import Queues


def account_of(local_queue: str) -> Account:
    """Return the account of a LocalQueue."""
    return Account("queue", local_queue)


def shares(ledger: Ledger, queues: Queues, knobs: AdmissionFairSharing) -> dict[str, UsageShare]:
    """Return the share of each LocalQueue that has one, by key; the smallest goes first."""
    weights_nano = {
        account_of(key): local_queue.fair_weight_nano
        for key, local_queue in queues.local_queues.items()
        if _shares_by_usage(queues, local_queue)
    }
    found = afs.shares(ledger, weights_nano, knobs)
    return {account.name: share for account, share in found.items()}


def as_amounts(found: Mapping[str, UsageShare]) -> dict[str, float]:
    """Return shares as numbers; who always comes last has used infinitely much."""
    return {key: math.inf if is_last else float(used) for key, (is_last, used) in found.items()}


def charges(
    verdicts: Iterable[Verdict],
    ledger: Ledger,
    queues: Queues,
    knobs: AdmissionFairSharing,
    rules: FlavorRules,
    *,
    now_ns: int,
) -> tuple[LedgerChange, ...]:
    """Return what a round's admissions cost; `queues` as they were when it ran."""
    changes: list[LedgerChange] = []
    for verdict in verdicts:
        workload = verdict.workload
        if verdict.admission is None or not afs.owes_entry_penalty(
            knobs,
            queues.specs[verdict.queue].admission_mode,
            holds_quota=workload.key in queues.admitted,
        ):
            continue
        asked = NOTHING
        for each in of_pending(workload, rules):
            asked = asked.plus(each.total)
        changes += afs.pushed(
            ledger,
            account_of(workload.queue),
            workload.key,
            afs.entry_penalty(asked, knobs),
            now_ns=now_ns,
            half_life_ns=knobs.half_life_ns,
        )
    return tuple(changes)


def _shares_by_usage(queues: Queues, local_queue: LocalQueue) -> bool:
    spec = queues.specs.get(local_queue.cluster_queue)
    return spec is not None and spec.admission_mode == "UsageBasedAdmissionFairSharing"
