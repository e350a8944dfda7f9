"""All queues: through which door a workload comes in, who is tried in a cycle, who comes back."""

from collections.abc import Iterable, Mapping

from gpuyard.dialects import kueue
from gpuyard.model.reasons import ReasonCode
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission.entries import Head, Verdict
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.shapes import matches
from verification.oracles.kueue.kinds import TEXT, TRUTH
from verification.oracles.kueue.queueing import FILE, INPUT, NAME, NUMBER, bare, key_of
from verification.oracles.rows import Answers, Json, Kind, Outside, Row, Test

NO_WAIT = "workload is inadmissible and can't be added to a LocalQueue"
NO_DOOR = "localQueue doesn't exist or inactive"
REFUSED = {
    "ClusterQueueNotFound": "clusterQueue doesn't exist",
    "LocalQueueNotFound": NO_DOOR,
    "LocalQueueStopped": NO_DOOR,
}


def _waiting(
    cluster_queues: Iterable[Json],
    local_queues: Iterable[Json],
    cohorts: Iterable[Json] = (),
    *,
    preserve_progress: bool = True,
) -> Waiting:
    queues = Queues(
        map(kueue.cluster_queue, cluster_queues),
        map(kueue.cohort, cohorts),
        flavors=[],
        local_queues=map(kueue.local_queue, local_queues),
    )
    rules = AdmissionRules(flavors=FlavorRules(preserve_scan_progress=preserve_progress))

    def may_enter(queue: str, _: Workload) -> bool:
        return matches(queues.specs[queue].namespace_selector, {})

    return Waiting(queues, rules, may_enter=may_enter)


def _doors(waiting: Waiting) -> dict[str, str]:
    """Return the LocalQueue of everybody who waits, where there is one."""
    everyone = [each for pending in waiting.pending.values() for each in pending.in_order()]
    everyone += [each.workload for each in waiting.homeless.values()]
    doors = waiting.queues.local_queues
    return {each.key: each.queue for each in everyone if each.queue in doors}


# -- who comes


def added(row: Row) -> Answers:
    """Answer with the queue that a workload waits in, or why it does in none."""
    waiting = _waiting([row.context["cq"]], row.context["queues"])
    source = row.case["workload"]
    refused: str | None = NO_WAIT
    if kueue.is_waiting(source):
        workload = kueue.workload(source)
        waiting.add(workload)
        homeless = waiting.homeless.get(workload.key)
        refused = REFUSED[homeless.why] if homeless else None
    return {"wantAssigned": _doors(waiting), "wantErr": refused}


def counted(row: Row) -> Answers:
    """Answer with how many wait in a LocalQueue."""
    waiting = _waiting([], row.context["queues"])
    for each in row.context["workloads"]:
        waiting.add(kueue.workload(each))
    asked = kueue.local_queue(row.case["queue"])
    count = waiting.count(asked.name)
    return {"wantStatus": count or 0, "wantErr": NO_DOOR if count is None else None}


def everyone_in_order(row: Row) -> Answers:
    """Answer with who waits in a ClusterQueue, in the order of their turns."""
    waiting = _waiting(row.context["clusterQueues"], row.context["queues"])
    for each in row.context["workloads"]:
        waiting.add(kueue.workload(each))
    pending = waiting.pending.get(row.case["cqName"])
    keys = [workload.key for workload in pending.in_order()] if pending else []
    return {"wantPendingWorkloadsInfo": keys}


def progress_kept(row: Row) -> Answers:
    """Answer whether a workload that changed is tried on where the search for flavors stopped."""
    case = row.case
    waiting = _waiting(
        [{"metadata": {"name": "cq"}}],
        [{"metadata": {"name": "lq"}, "spec": {"clusterQueue": "cq"}}],
        preserve_progress=case["preserveProgress"],
    )
    workload = kueue.workload(row.context["wl"])
    waiting.add(workload)
    (head,) = waiting.heads()
    waiting.take_back(_verdict(head, "NoFit", case["recorded"]["lastTriedFlavorIdx"][0]))
    if case["inadmissible"] != (workload.key in waiting.pending["cq"].parked):
        raise ValueError("it does not wait as the row says")
    if case["inflight"]:
        waiting.heads()
    waiting.add(kueue.workload(row.context["updated"]))
    return {"wantCarried": waiting.progress(workload.key) is not None}


# -- rounds


def heads(row: Row) -> Answers:
    """Answer with who is tried in a cycle; queues that are ``pending-…`` are not active."""
    queues = [_stopped(each) for each in row.context["clusterQueues"]]
    waiting = _waiting(queues, row.context["queues"])
    for each in row.case["workloads"] or ():
        waiting.add(kueue.workload(each))
    doors = _doors(waiting)
    return {
        "wantAssigned": doors,
        "wantWorkloads": {head.workload.key: True for head in waiting.heads()},
    }


def _stopped(queue: Json) -> Json:
    if not queue["metadata"]["name"].startswith("pending-"):
        return queue
    return {**queue, "spec": {**queue["spec"], "stopPolicy": "Hold"}}


def comes_back(row: Row) -> Answers:
    """Answer whether a workload waits on after a cycle.

    One that is not in its queue is being tried; one that is not in the cluster was deleted then.
    """
    waiting = _waiting([row.context["cq"]], row.context["queues"])
    source = row.case["workload"]
    workload = kueue.workload(source)
    if kueue.is_waiting(source):
        waiting.add(workload)
    if not row.case["inQueue"]:
        waiting.heads()
    if not row.case["inClient"]:
        waiting.delete(workload.key)
    head = Head(workload=workload, queue="cq")
    return {"wantRequeued": waiting.take_back(_verdict(head))}


def woken(row: Row) -> Answers:
    """Answer with who is tried again after something ended in every queue."""
    case = row.case
    waiting = _waiting(case["clusterQueues"], case["localQueues"], case["cohorts"] or ())
    for each in case["workloads"]:
        waiting.add(kueue.workload(each))
    while some := waiting.heads():
        for head in some:
            waiting.take_back(_verdict(head))
    moved = sum(waiting.wake(name) for name in waiting.queues.specs)
    return {
        "wantMovedCount": moved,
        "wantActive": _by_queue({key: each.active for key, each in waiting.pending.items()}),
        "wantInadmissible": _by_queue({key: each.parked for key, each in waiting.pending.items()}),
    }


def why_hopeless(row: Row) -> Answers:
    """Answer with why a workload is parked with all that are like it."""
    waiting = _waiting(
        [{"metadata": {"name": "cq"}}],
        [{"metadata": {"namespace": "default", "name": "lq"}, "spec": {"clusterQueue": "cq"}}],
    )
    source = row.context["wl"]
    workload = kueue.workload({**source, "spec": {**source["spec"], "queueName": "lq"}})
    waiting.add(workload)
    (head,) = waiting.heads()
    code: ReasonCode = row.case["conditionReason"] or "PendingEvaluation"
    waiting.take_back(_verdict(head, row.case["requeueReason"], code=code))
    if row.case["deleteFromInadmissible"]:
        waiting.delete(workload.key)
    why = waiting.pending["cq"].why_hopeless(workload.key)
    return {"wantOk": why is not None, "wantReason": why or ""}


def _verdict(
    head: Head,
    requeue: Json = "",
    tried: Mapping[str, int] | None = None,
    code: ReasonCode = "PendingEvaluation",
) -> Verdict:
    return Verdict(
        workload=head.workload,
        queue=head.queue,
        outcome="waiting",
        requeue=requeue,
        code=code,
        tried=None if tried is None else {"main": dict(tried)},
    )


def _by_queue(given: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(keys) for name, keys in given.items() if keys}


# -- how expectations are read


def _read_doors(wanted: Json) -> dict[str, str]:
    return {bare(key): bare(queue) for key, queue in (wanted or {}).items()}


def _read_names(wanted: Json) -> dict[str, bool]:
    return {name: member == {} for name, member in (wanted or {}).items()}


def _read_order(wanted: Json) -> list[str]:
    return [key_of(each["obj"]) for each in wanted or ()]


def _read_by_queue(wanted: Json) -> dict[str, frozenset[str]]:
    return _by_queue({name: frozenset(map(bare, keys)) for name, keys in (wanted or {}).items()})


DOORS = Kind(_read_doors, {"altered": "altered"})
NAMES = Kind(_read_names, {"altered": {}})
ORDER = Kind(_read_order, [{"obj": {"metadata": {"name": "altered"}}}], INPUT)
BY_QUEUE = Kind(_read_by_queue, {"altered": ["altered"]})

TESTS: dict[tuple[str, str], Test] = {
    (FILE, "TestAddWorkload"): Test(
        added,
        frozenset({"workload"}),
        {"wantAssigned": DOORS, "wantErr": NAME},
        around=frozenset({"cq", "queues"}),
    ),
    (FILE, "TestStatus"): Test(
        counted,
        frozenset({"queue"}),
        {"wantStatus": NUMBER, "wantErr": NAME},
        around=frozenset({"queues", "workloads"}),
    ),
    (FILE, "TestGetPendingWorkloadsInfo"): Test(
        everyone_in_order,
        frozenset({"cqName"}),
        {"wantPendingWorkloadsInfo": ORDER},
        around=frozenset({"clusterQueues", "queues", "workloads"}),
    ),
    (FILE, "TestAddOrUpdateWorkloadCarriesLastAssignment"): Test(
        progress_kept,
        frozenset({"changeShape", "inadmissible", "inflight", "preserveProgress", "recorded"}),
        {"wantCarried": TRUTH},
        around=frozenset({"updated", "wl"}),
    ),
    (FILE, "TestHeads"): Test(
        heads,
        frozenset({"workloads"}),
        {"wantAssigned": DOORS, "wantWorkloads": NAMES},
        around=frozenset({"clusterQueues", "queues"}),
    ),
    (FILE, "TestRequeueWorkloadStrictFIFO"): Test(
        comes_back,
        frozenset({"inClient", "inQueue", "workload"}),
        {"wantRequeued": TRUTH},
        around=frozenset({"cq", "queues"}),
    ),
    (FILE, "TestQueueInadmissibleWorkloads"): Test(
        woken,
        frozenset({"clusterQueues", "cohorts", "cqNames", "localQueues", "workloads"}),
        {"wantMovedCount": NUMBER, "wantActive": BY_QUEUE, "wantInadmissible": BY_QUEUE},
        unused=frozenset({"wantMoveWorkloadsLogCount"}),  # counts lines of a log
    ),
    (FILE, "TestGetNoFitReason"): Test(
        why_hopeless,
        frozenset({"conditionReason", "deleteFromInadmissible", "requeueReason"}),
        {"wantOk": TRUTH, "wantReason": TEXT},
        around=frozenset({"wl"}),
    ),
}

OUTSIDE: dict[tuple[str, str], Outside] = {
    # Topology requests are delayed only where nodes come by a ProvisioningRequest.
    (FILE, "TestQueueSecondPassIfNeeded"): Outside.ADMISSION_CHECK,
    (FILE, "TestUpdateUnadmittedWorkload"): Outside.METRIC,
}
