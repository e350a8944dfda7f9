"""What is kept of a try, and how a workload comes back, after each outcome of a cycle."""

from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission.entries import (
    Verdict,
    after_evictions,
    not_written,
    said_of_evictions,
)
from verification.oracles.kueue.cycles.digest import KEYS, WAIT
from verification.oracles.kueue.cycles.situation import Situation
from verification.oracles.kueue.kinds import TEXT, TRUTH
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row, Test

NOT_WRITTEN = frozenset({"assumed", "nominated"})  # it was chosen, and the write failed
FITS = "fits with preemption"


def requeued(row: Row) -> Answers:
    """Answer with where a head waits after a cycle, and why."""
    entry, around = row.case["e"], row.context
    if entry["status"] == "preemptionGated":  # somebody else decides who preempts first
        raise OutOfScopeError(Outside.MULTI_KUEUE)
    situation = Situation(
        {"clusterQueues": [around["cq"]], "workloads": [around["w1"]]},
        {"queues": [around["q1"]], "gates": around["gates"]},
    )
    (head,) = situation.waiting.heads()
    verdict = Verdict(
        workload=head.workload,
        queue=head.queue,
        outcome="skipped",
        requeue=entry["requeueReason"],
        code=entry["quotaReservedReason"] or "PendingEvaluation",
        message=entry["inadmissibleMsg"],
    )
    is_written = entry["status"] not in NOT_WRITTEN
    situation.waiting.take_back(verdict if is_written else not_written(verdict))
    return {
        "wantWorkloads": situation.left(),
        "wantInadmissible": situation.parked(),
        "wantStatus": (verdict.code, verdict.message) if is_written else None,
    }


def skipped(row: Row) -> Answers:
    """Answer whether somebody who was too late looks at all flavors again.

    Two queues without quota of their own want the only core of their cohort.
    """
    situation = Situation(
        {
            "clusterQueues": [_queue(name) for name in "ab"],
            "cohorts": [{"metadata": {"name": "both"}, "spec": {"resourceGroups": _cores(1)}}],
            "resourceFlavors": [{"metadata": {"name": "any"}}],
            "workloads": [_wants_a_core(name) for name in "ab"],
        },
        {
            "queues": [_door(name) for name in "ab"],
            "gates": {"FlavorFungibilityPreserveScanProgress": row.case["preserveProgress"]},
        },
    )
    (late,) = (each for each in situation.run() if each.outcome == "skipped")
    return {"wantLastAssignmentNil": late.tried is None}


def evictions(row: Row) -> Answers:
    """Answer with what stands of "preempting" once victims were told to go, or could not be."""
    evicted, failed = row.case["preempted"], row.case["errors"]
    workload = Workload(key="default/w", pod_sets=(), created_ns=0)
    before = Verdict(workload=workload, queue="q", outcome="preempting", tried={"main": {"cpu": 0}})
    verdict = after_evictions(before, evicted=evicted, failed=failed)
    _, more = said_of_evictions(evicted=evicted, failed=failed)
    return {
        "wantLastAssignmentNil": verdict.tried is None,
        "wantMessage": FITS + more,
        "wantRequeueReason": verdict.requeue,
    }


def _queue(name: str) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {"cohortName": "both", "resourceGroups": _cores(0), "namespaceSelector": {}},
    }


def _cores(count: int) -> Json:
    quotas = [{"name": "cpu", "nominalQuota": str(count)}]
    return [{"coveredResources": ["cpu"], "flavors": [{"name": "any", "resources": quotas}]}]


def _door(name: str) -> Json:
    return {"metadata": {"namespace": "default", "name": name}, "spec": {"clusterQueue": name}}


def _wants_a_core(name: str) -> Json:
    container = {"name": "c", "resources": {"requests": {"cpu": "1"}}}
    template = {"spec": {"containers": [container]}}
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": {"queueName": name, "podSets": [{"name": "main", "template": template}]},
    }


TESTS: dict[tuple[str, str], Test] = {
    ("kueue_schedule_other", "TestRequeueAndUpdate"): Test(
        requeued,
        frozenset({"e"}),
        {"wantWorkloads": KEYS, "wantInadmissible": KEYS, "wantStatus": WAIT},
        unused=frozenset({"wantStatusUpdates"}),  # counts calls
        around=frozenset({"cq", "gates", "q1", "w1"}),
    ),
    ("kueue_schedule_other", "TestEntryMarkSkipped"): Test(
        skipped, frozenset({"preserveProgress"}), {"wantLastAssignmentNil": TRUTH}
    ),
    ("kueue_schedule_other", "TestEntryMarkPreemptionOutcome"): Test(
        evictions,
        frozenset({"errors", "preempted"}),
        {"wantLastAssignmentNil": TRUTH, "wantMessage": TEXT, "wantRequeueReason": TEXT},
    ),
}
