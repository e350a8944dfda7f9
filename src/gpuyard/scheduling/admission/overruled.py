"""What stands of a verdict where something outside its round has the last word.

Quota is not everything: a cap, the nodes, or a limit on evictions may keep a workload waiting that
a round admitted or let preempt, and others may make way for one that has nobody to evict.
"""

import msgspec

from gpuyard.model.reasons import Constraint
from gpuyard.scheduling.admission.entries import Verdict


def capped(verdict: Verdict, cap: Constraint) -> Verdict:
    """Return the verdict on a workload that a cap keeps out; others of its shape may come in."""
    return msgspec.structs.replace(
        verdict,
        outcome="waiting",
        admission=None,
        replaced="",
        requeue="",
        code="UsageCapReached",
        message=f"cap {cap.name} for {cap.where}: {cap.needed} asked for, {cap.have} left",
        tried=None,
    )


def without_evictions(verdict: Verdict, limit: Constraint) -> Verdict:
    """Return the verdict on a workload for which nobody may be evicted now."""
    return msgspec.structs.replace(
        verdict,
        outcome="waiting",
        targets=(),
        requeue="PreemptionNoCandidates",
        code="WaitingForQuota",
        message=f"{verdict.message}; {limit.name}: {limit.needed} more, {limit.have} left",
    )


def crowded(verdict: Verdict) -> Verdict:
    """Return the verdict on a workload that others of its round may have kept from something."""
    return msgspec.structs.replace(verdict, was_crowded=True)


def offered_again(verdict: Verdict) -> Verdict:
    """Return the verdict on a workload that lost something to others who did not take it."""
    return msgspec.structs.replace(
        verdict,
        outcome="skipped",
        targets=(),
        requeue="FailedAfterNomination",
        code="WaitingForQuota",
        message="others were to take what it needs, and did not",
        tried=None,
    )


def looking_again(verdict: Verdict) -> Verdict:
    """Return the verdict on a workload whose search left out flavors that gained something."""
    return msgspec.structs.replace(
        verdict, outcome="skipped", targets=(), requeue="FailedAfterNomination", tried=None
    )


def awaiting_its_room(verdict: Verdict) -> Verdict:
    """Return the verdict on a workload for which others are leaving."""
    return msgspec.structs.replace(
        verdict,
        requeue="PendingPreemption",
        code="WaitingForPreemptedWorkloads",
        message=f"{verdict.message}. Pending the departure of those who make room",
    )


def made_way_for(verdict: Verdict, movers: int) -> Verdict:
    """Return the verdict on a workload for which others move; it looks at all flavors again."""
    return msgspec.structs.replace(
        verdict,
        outcome="preempting",
        targets=(),
        requeue="PendingPreemption",
        code="WaitingForPreemptedWorkloads",
        message=f"{verdict.message}. {movers} workload(s) move to make room",
        tried=None,
    )


def without_nodes(verdict: Verdict, *, may_go_on: bool) -> Verdict:
    """Return the verdict on a workload that has quota and finds no nodes.

    Where it `may_go_on` with other flavors it is tried again at once.
    """
    return msgspec.structs.replace(
        verdict,
        outcome="skipped" if may_go_on else "waiting",
        admission=None,
        replaced="",
        requeue="FailedAfterNomination" if may_go_on else "NoFit",
        code="GangIncomplete" if verdict.workload.pod_count > 1 else "Unschedulable",
        message="quota and places are free, and the nodes do not take its pods",
        tried=None,
    )
