"""One queue: who is tried next, who is parked and for what, and what wakes them."""

from collections.abc import Mapping

from gpuyard.dialects import kueue
from gpuyard.dialects.core.instants import nanoseconds
from gpuyard.model.queues import QueueingStrategy
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling.flavors.scan import has_more
from gpuyard.scheduling.ordering.turns import TurnRules
from gpuyard.scheduling.pending_queue import PendingQueue, is_due, shape_of
from verification.oracles.kueue.kinds import TRUTH
from verification.oracles.kueue.ordering import turn_rules
from verification.oracles.rows import Answers, Json, Kind, Row, Test

FILE = "kueue_queue"
SCHEDULED = frozenset({"eng", "sales"})  # of these departments a queue takes workloads
DEPARTMENTS = {"ns1": "eng", "ns2": "sales", "ns3": "marketing"}


def _a_queue(
    strategy: QueueingStrategy = "BestEffortFIFO", *, shapes_matter: bool = True
) -> PendingQueue:
    return PendingQueue(strategy, TurnRules(), shapes_matter=shapes_matter)


def _now_ns(row: Row) -> int:
    return nanoseconds(row.context["now"], "now")


# -- who is next


def strict_order(row: Row) -> Answers:
    """Answer with the name of the workload that a strict queue hands out first."""
    queue = PendingQueue("StrictFIFO", turn_rules(row.case))
    for name in ("w1", "w2"):
        queue.add(kueue.workload(row.case[name]))
    first = queue.pop()
    return {"expected": first and first.key}


def stable_order(row: Row) -> Answers:
    """Answer whether the order of a queue is the same however it was filled."""
    orders = []
    for step in (1, -1):
        queue = _a_queue()
        for each in row.case["inadmissibleWorkloads"] or ():
            queue.requeue(kueue.workload(each), "", now_ns=_now_ns(row))
        for each in (row.case["workloads"] or ())[::step]:
            queue.add(kueue.workload(each), now_ns=_now_ns(row))
        orders.append([workload.key for workload in queue.in_order()])
    return {"same order": orders[0] == orders[1]}


# -- who comes


def pushed_twice(row: Row) -> Answers:
    """Answer with who is handed out and who is parked after a workload came twice."""
    queue = _a_queue()
    for _ in range(2):
        queue.add(kueue.workload(row.case["workload"]), now_ns=_now_ns(row))
    popped = queue.pop()
    return {
        "wantWorkload": popped and popped.key,
        "wantInAdmissibleWorkloads": frozenset(queue.parked),
    }


def changed_in_flight(row: Row) -> Answers:
    """Answer with how many are active and parked after one changed while it was tried."""
    queue, now_ns = _a_queue(), _now_ns(row)
    queue.add(kueue.workload(row.context["wl"]))
    queue.pop()
    updated = kueue.workload(row.case["updatedWorkload"])
    queue.requeue(updated, "", now_ns=now_ns)
    queue.add(updated, now_ns=now_ns)
    return {
        "wantActiveWorkloads": len(queue.active),
        "wantInadmissibleWorkloads": len(queue.parked),
    }


def comings_and_goings(row: Row) -> Answers:
    """Answer with who waits how after workloads came, came back, changed and went."""
    queue, case, now_ns = _a_queue(), row.case, _now_ns(row)
    for each in case["workloadsToAdd"] or ():
        queue.add(kueue.workload(each), now_ns=now_ns)
    for each in case["inadmissibleWorkloadsToRequeue"] or ():
        queue.requeue(kueue.workload(each["obj"]), "", now_ns=now_ns)
    for each in case["admissibleWorkloadsToRequeue"] or ():
        queue.requeue(kueue.workload(each["obj"]), "FailedAfterNomination", now_ns=now_ns)
    for each in case["workloadsToUpdate"] or ():
        queue.add(kueue.workload(each), now_ns=now_ns)
    for each in case["workloadsToDelete"] or ():
        queue.delete(kueue.workload(each).key)
    woken = 0
    if case["queueInadmissibleWorkloads"]:
        woken = queue.wake(_may_enter, now_ns=now_ns)
    return {
        "wantActiveWorkloads": frozenset(queue.active),
        "wantInadmissibleWorkloadsRequeued": woken,
        "wantPending": len(queue),
    }


def _may_enter(workload: Workload) -> bool:
    return DEPARTMENTS[workload.key.partition("/")[0]] in SCHEDULED


def back_off_is_over(row: Row) -> Answers:
    """Answer whether a workload may be tried, for all that its back-off says."""
    workload = kueue.workload(row.case["workloadInfo"]["obj"])
    return {"want": is_due(workload, _now_ns(row))}


# -- who comes back


def requeued(row: Row) -> Answers:
    """Answer with whether a workload is parked and sticks to the head after it came back."""
    queue, workload = _a_queue(), kueue.workload(row.context["wl"])
    recorded = row.case["lastAssignment"] or {}
    positions = {
        str(index): position
        for index, position in enumerate(recorded.get("lastTriedFlavorIdx") or ())
    }
    for_more = has_more(positions)
    queue.requeue(workload, row.case["reason"], more_to_try=for_more)
    return {
        "wantInadmissible": workload.key in queue.parked,
        "wantSticky": queue.is_preemptor(workload),
        "comes back twice": queue.requeue(workload, row.case["reason"], more_to_try=for_more),
    }


def requeued_in_strict_order(row: Row) -> Answers:
    """Answer with whether a workload is parked after it came back; the reason is the row's name."""
    queue, workload = _a_queue("StrictFIFO"), kueue.workload(row.context["wl"])
    reason: Json = row.name
    queue.requeue(workload, reason)
    return {
        "wantInadmissible": workload.key in queue.parked,
        "comes back twice": queue.requeue(workload, reason),
    }


# -- shapes


def parked_shape(row: Row) -> Answers:
    """Answer with how many are parked with the shape of a hash; without a hash nobody looks."""
    recorded, hashes = row.case["hashToRecord"], row.case["heapWorkloads"]
    queue = _a_queue(shapes_matter=bool(recorded))
    shaped = _of_hashes([recorded, *hashes.values()])
    for name in sorted(hashes):
        queue.add(_named(shaped[hashes[name]], name))
    moved = queue.park_shape(shape_of(shaped[recorded]))
    return {"wantMoved": moved, **_counts(queue)}


def newcomer(row: Row) -> Answers:
    """Answer with where a newcomer waits while some shapes are parked."""
    queue = _a_queue()
    shaped = _of_hashes([*row.case["inadmissibleHashes"], row.case["pushHash"]])
    for each in row.case["inadmissibleHashes"]:
        queue.park_shape(shape_of(shaped[each]))
    queue.add(shaped[row.case["pushHash"]])
    return _counts(queue)


def parks_its_shape(row: Row) -> Answers:
    """Answer whether everybody like a workload is parked with it."""
    queue, workload = _a_queue(), kueue.workload(row.context["wl"])
    queue.requeue(workload, row.case["reason"])
    return {"wantHash": shape_of(workload) in queue.hopeless}


def _of_hashes(hashes: list[str]) -> dict[str, Workload]:
    """Return a workload for each hash, of another shape than the others."""
    found = {}
    for cpus, each in enumerate(sorted(set(hashes))):
        template = PodTemplate(request=Request(resources=Resources.of({"cpu": cpus})))
        pods = PodSet(name="main", count=1, template=template)
        found[each] = Workload(key=f"ns/{each}", pod_sets=(pods,), created_ns=0)
    return found


def _named(workload: Workload, name: str) -> Workload:
    return Workload(key=f"ns/{name}", pod_sets=workload.pod_sets, created_ns=0)


def _counts(queue: PendingQueue) -> Answers:
    return {"wantActive": len(queue.active), "wantInadmissible": len(queue.parked)}


# -- how expectations are read


def _read_keys(wanted: Json) -> frozenset[str]:
    return frozenset(map(bare, wanted or ()))


def bare(key: str) -> str:
    """Return a key as we write it: without a slash where there is no namespace."""
    return key.removeprefix("/")


def key_of(wanted: Json) -> str:
    """Return the key of a Workload."""
    metadata = wanted["metadata"]
    return bare(f"{metadata.get('namespace', '')}/{metadata['name']}")


def _read_info(wanted: Json) -> str | None:
    return None if wanted is None else key_of(wanted["obj"])


def _read_infos(wanted: Json) -> frozenset[str]:
    infos: Mapping[str, Json] = wanted or {}
    return frozenset(key_of(each["obj"]) for each in infos.values())


# Of the workloads only the keys are compared; the rest is the input again.
INPUT = frozenset(
    {
        "clusterQueue",
        "creationTimestamp",
        "generation",
        "lastEvaluatedGeneration",
        "resourceVersion",
        "schedulingHash",
        "secondPassIteration",
        "spec",
        "status",
        "totalRequests",
    }
)
SOMEBODY = {"obj": {"metadata": {"name": "altered"}}}

NUMBER = Kind(lambda wanted: wanted, 1)
NAME = Kind(lambda wanted: wanted, "altered")
KEYS = Kind(_read_keys, ["altered"])
INFO = Kind(_read_info, SOMEBODY, INPUT)
INFOS = Kind(_read_infos, {"altered": SOMEBODY}, INPUT)

TWICE = "comes back twice"
COUNTS = {"wantActive": NUMBER, "wantInadmissible": NUMBER}

TESTS: dict[tuple[str, str], Test] = {
    (FILE, "TestStrictFIFO"): Test(
        strict_order, frozenset({"w1", "w2", "workloadOrdering"}), {"expected": NAME}
    ),
    (FILE, "TestSnapshotDeterministicOrder"): Test(
        stable_order,
        frozenset({"inadmissibleWorkloads", "workloads"}),
        {"same order": TRUTH},
        implied={"same order": True},
        around=frozenset({"now"}),
    ),
    (FILE, "Test_PushOrUpdate"): Test(
        pushed_twice,
        frozenset({"workload"}),
        {"wantWorkload": INFO, "wantInAdmissibleWorkloads": INFOS},
        around=frozenset({"now"}),
    ),
    (FILE, "TestPushOrUpdateGenerationChanged"): Test(
        changed_in_flight,
        frozenset({"updatedWorkload"}),
        {"wantActiveWorkloads": NUMBER, "wantInadmissibleWorkloads": NUMBER},
        around=frozenset({"now", "wl"}),
    ),
    (FILE, "TestClusterQueueImpl"): Test(
        comings_and_goings,
        frozenset(
            {
                "admissibleWorkloadsToRequeue",
                "inadmissibleWorkloadsToRequeue",
                "queueInadmissibleWorkloads",
                "workloadsToAdd",
                "workloadsToDelete",
                "workloadsToUpdate",
            }
        ),
        {
            "wantActiveWorkloads": KEYS,
            "wantInadmissibleWorkloadsRequeued": NUMBER,
            "wantPending": NUMBER,
        },
        around=frozenset({"now"}),
    ),
    (FILE, "TestBackoffWaitingTimeExpired"): Test(
        back_off_is_over, frozenset({"workloadInfo"}), {"want": TRUTH}, around=frozenset({"now"})
    ),
    (FILE, "TestBestEffortFIFORequeueIfNotPresent"): Test(
        requeued,
        frozenset({"lastAssignment", "reason"}),
        {"wantInadmissible": TRUTH, "wantSticky": TRUTH, TWICE: TRUTH},
        implied={TWICE: False},
        around=frozenset({"wl"}),
    ),
    (FILE, "TestStrictFIFORequeueIfNotPresent"): Test(
        requeued_in_strict_order,
        frozenset(),
        {"wantInadmissible": TRUTH, TWICE: TRUTH},
        implied={TWICE: False},
        around=frozenset({"wl"}),
    ),
    (FILE, "TestRecordInadmissibleHash"): Test(
        parked_shape,
        frozenset({"hashToRecord", "heapWorkloads"}),
        {"wantMoved": NUMBER, **COUNTS},
    ),
    (FILE, "TestPushOrUpdateRespectsInadmissibleHashes"): Test(
        newcomer, frozenset({"inadmissibleHashes", "pushHash"}), COUNTS
    ),
    (FILE, "TestRequeueHashTriggerByReason"): Test(
        parks_its_shape, frozenset({"reason"}), {"wantHash": TRUTH}, around=frozenset({"wl"})
    ),
}
