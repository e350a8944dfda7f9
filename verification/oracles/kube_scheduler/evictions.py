"""Answers to the tests of evictions on their way: who is sent away when, and who waits for it.

The writes themselves belong to a host; here a fake API server takes its place, which like the one
of the source refuses a victim of one name and does not find a victim of another.
"""

from collections.abc import Iterable

from gpuyard.dialects import core
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.preemption.nodes import in_flight, per_node, pick, pod_groups
from gpuyard.scheduling.preemption.nodes.in_flight import Answer, InFlight, Step
from gpuyard.scheduling.preemption.nodes.pod_groups import Eviction
from verification.oracles.kube_scheduler.kinds import SUCCESS, Status
from verification.oracles.kube_scheduler.preemption import (
    bare_nodes,
    groups_of,
    placer_of,
    pod_name,
    rules_of,
)
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

REFUSED, MISSING = "fail-victim", "not-found-victim"
RUNNING_POD = {
    "kind": "Pod",
    "metadata": {"name": "p1", "namespace": "default"},
    "spec": {"nodeName": "node1"},
}


class FakeServer:
    """Takes evictions: first a condition on the victim, unless it has it, then its deletion."""

    def __init__(self, victims: Iterable[Json]) -> None:
        """Know `victims` by the keys that the core uses."""
        self.victims = {core.pod_key(victim): victim for victim in victims}
        self.deleted: list[str] = []
        self.asked: list[str] = []
        self.refused_condition = self.refused_deletion = False

    def evict(self, key: str) -> Answer:
        """Return what comes back for the eviction of `key`."""
        victim = self.victims[key]
        self.asked.append(key)
        name = victim["metadata"]["name"]
        if name.startswith(REFUSED):
            has_condition = bool(victim.get("status", {}).get("conditions"))
            self.refused_deletion |= has_condition
            self.refused_condition |= not has_condition
            return "failed"
        if name == MISSING:
            return "gone"
        self.deleted.append(key)
        return "accepted"


def run(server: FakeServer, victims: Iterable[Assignment]) -> tuple[Step, Step]:
    """Send `victims` away; return the first step and the last."""
    first = step = in_flight.begin(tuple(victims))
    while step.in_flight is not None:
        memory = step.in_flight
        for victim in step.evict:
            step = in_flight.answered(memory, victim, server.evict(victim))
            memory = step.in_flight or memory
    return first, step


def prepared(row: Row) -> Answers:
    """Answer TestPrepareCandidate, in which at most one eviction gets through.

    Waiting and waking are compared where preemption runs beside the scheduler, the status where the
    scheduler waits for it; a row that leaves open which of two writes comes first is left alone.
    """
    victims = row.case["candidate"]["victims"]["pods"] or []
    if len(victims) > 1:
        raise OutOfScopeError(Outside.PLUMBING)
    server = FakeServer(victims)
    first, last = run(server, [core.assignment(victim) for victim in victims])
    answers: Answers = {
        "expectedDeletedPod": [pod_name(key) for key in server.deleted],
        "expectedDeletionError": server.refused_deletion,
        "expectedPatchError": server.refused_condition,
    }
    if not row.context["asyncPreemptionEnabled"]:
        return {**answers, "expectedStatus": _status(row, server)}
    group, pod = row.case["preemptorPodGroup"], row.case["preemptor"]
    waiting = [(group or pod)["metadata"]["name"]] if first.in_flight else []
    woken = {pod["metadata"]["name"]: pod} if last.retry else None
    return {**answers, "expectedPreemptingMap": waiting, "expectedActivatedPods": woken}


def _status(row: Row, server: FakeServer) -> Status:
    if server.refused_condition:
        return ("Error", (row.context["errPatchStatusFailed"]["$error"],))
    if server.refused_deletion:
        return ("Error", (row.context["errDeletePodFailed"]["$error"],))
    return SUCCESS


def failing(row: Row) -> Answers:
    """Answer TestAsyncPreemptionFailure."""
    server = FakeServer(row.case["victims"])
    victims = [core.assignment(victim) for victim in row.case["victims"]]
    _, last = run(server, victims)
    return {
        "expectPreemptionAttemptForLastVictim": victims[-1].pod in server.asked,
        "expectSuccessfulPreemption": not last.retry,
    }


def last_victim(row: Row) -> Answers:
    """Answer TestPrepareCandidateAsyncSetsPreemptingSets: who is sent away last, on its own."""
    victims = row.case["candidate"]["victims"]["pods"] or []
    server = FakeServer(victims)
    run(server, [core.assignment(victim) for victim in victims])
    return {"lastVictim": server.victims[server.asked[-1]] if server.asked else None}


def is_waiting(row: Row) -> Answers:
    """Answer TestIsPodRunningPreemption and TestIsPodGroupRunningPreemption."""
    preemptor = row.case.get("preemptorUID") or row.case["preemptorID"]
    if preemptor not in row.case["preemptingSet"]:
        return {"expectedResult": in_flight.holds_still(None, last_is_leaving=False)}
    last = row.case["lastVictimSet"].get(preemptor)
    name = last["name"] if last else ""
    memory = InFlight(open=frozenset({name}), last=name, asked_last=last is not None)
    known = (row.case["podsInPodLister"] or {}).get(name)
    is_leaving = known is None or "deletionTimestamp" in known["metadata"]
    return {"expectedResult": in_flight.holds_still(memory, last_is_leaving=is_leaving)}


def entry(row: Row) -> Answers:
    """Answer TestPreEnqueue: a node with room for one pod, and a preemption that does not end."""
    if "EnableAsyncPreemption" not in row.case["features"]:
        return {"wantStatus": SUCCESS}  # then the scheduler waits for it, and nobody else has to
    rules, groups = rules_of(row.case["features"]), groups_of(row.case["pgs"])
    first, asked = (
        core.pending_pod(row.case[name]) for name in ("podToTriggerPreemption", "podToCheck")
    )
    node = {**bare_nodes(["node1"])[0], "status": {"allocatable": row.context["onePodRes"]}}
    placer = placer_of([node], [RUNNING_POD])
    preemptor = in_flight.preemptor(first, groups, rules)
    victims: tuple[Assignment, ...] = ()
    if preemptor == first.group and preemptor:
        found = pod_groups.victims(placer, groups[preemptor], [first], groups)
        victims = found.victims if isinstance(found, Eviction) else ()
    else:
        best = pick.best(per_node.candidates(placer, first))
        victims = best.victims if best else ()
    running = {preemptor: in_flight.begin(victims).in_flight}
    waits_for = in_flight.preemptor(asked, groups, rules)
    if not in_flight.holds_still(running.get(waits_for), last_is_leaving=False):
        return {"wantStatus": SUCCESS}
    who = "pod group" if waits_for == asked.group else "pod"
    text = f"waiting for the preemption for this {who} to be finished"
    return {"wantStatus": ("UnschedulableAndUnresolvable", (text,))}
