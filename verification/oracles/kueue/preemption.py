"""Preemption between queues: who goes, in which order, and what everybody is told.

A workload of the tables may be without a namespace, and its conditions are compared without their
times. Who is evicted gets the conditions ``Evicted`` and ``Preempted`` with the sentence that the
core writes; all others keep theirs. What Kueue counts about its own way of working (evaluations of
a strategy, patches) is none of ours.
"""

from collections.abc import Iterable, Mapping

from gpuyard.dialects import kueue
from gpuyard.model.queues import Admitted, FlavorResource, Usage
from gpuyard.scheduling.ordering.turns import TurnRules
from gpuyard.scheduling.preemption.queues import sentences
from gpuyard.scheduling.preemption.queues.candidates import Candidate, in_order, rank
from gpuyard.scheduling.preemption.queues.policies import may_preempt
from gpuyard.scheduling.preemption.queues.rules import (
    BOTH_STRATEGIES,
    TIMESTAMP_BUFFER_NS,
    Demand,
    QueuePreemptionRules,
    Target,
)
from gpuyard.scheduling.preemption.queues.shares import Tournament
from gpuyard.scheduling.preemption.queues.targets import targets
from gpuyard.scheduling.queues import Queues
from verification.oracles.rows import Answers, Json, Kind, Outside, Row, Test

JOB_UID = "kueue.x-k8s.io/job-uid"
PREEMPT = 1  # the mode of an assignment, in the older tables a number

Conditions = dict[str, tuple[str, str, str]]  # by type: status, reason, message


# -- who goes


def classical(row: Row) -> Answers:
    """Answer with how many are evicted, and with all conditions afterwards."""
    queues = _queues(row.case, row.case["admitted"])
    demand = _demand(row.case["incoming"], row.case["targetCQ"], row.case["assignment"])
    victims = targets(queues, demand, QueuePreemptionRules())
    job_uid = _job_uid(row.case["incoming"])
    return {
        "wantPreempted": len(victims),
        "wantWorkloads": _afterwards(queues, row.case["admitted"], demand, victims, job_uid),
    }


def fair(row: Row) -> Answers:
    """Answer with who is evicted, and for what reason."""
    queues = _queues(row.case, row.case["admitted"])
    given = row.case.get("strategies")
    strategies = tuple(given) if given else BOTH_STRATEGIES
    flavor = row.case.get("assignmentFlavor") or "default"
    assignment = {"podSets": [{"flavors": {"cpu": {"name": flavor, "mode": PREEMPT}}, "count": 1}]}
    demand = _demand(row.case["incoming"], row.case["targetCQ"], assignment)
    rules = QueuePreemptionRules(fair_sharing=True, strategies=strategies)
    victims = targets(queues, demand, rules)
    return {"wantPreempted": frozenset((each.workload, each.reason) for each in victims)}


def modified_concurrently(row: Row) -> Answers:
    """Answer with all conditions after the eviction in one queue."""
    queues = _queues({"clusterQueues": [row.context["cq"]]}, row.case["workloads"])
    incoming = row.case["incoming"]
    job_uid = _job_uid(incoming)
    demand = _demand(incoming, row.context["cq"]["metadata"]["name"], row.case["assignment"])
    victims = targets(queues, demand, QueuePreemptionRules())
    return {"wantWorkloads": _afterwards(queues, row.case["workloads"], demand, victims, job_uid)}


def _queues(case: Mapping[str, Json], admitted: Iterable[Json]) -> Queues:
    specs = [kueue.cluster_queue(each) for each in case["clusterQueues"]]
    cohorts = [kueue.cohort(each) for each in case.get("cohorts") or ()]
    groups = [group for spec in specs for group in spec.resource_groups]
    groups += [group for cohort in cohorts for group in cohort.resource_groups]
    names = {flavor.flavor for group in groups for flavor in group.flavors}
    flavors = [kueue.resource_flavor({"metadata": {"name": name}}) for name in sorted(names)]
    queues = Queues(specs, cohorts, flavors=flavors)
    for each in admitted:
        queues.admit(_admitted(each))
    return queues


def _admitted(source: Json) -> Admitted:
    admitted = kueue.admitted(source)
    if admitted is None:
        raise ValueError(f"{source['metadata']} holds no quota")
    return admitted


def _demand(incoming: Json, queue: str, assignment: Json) -> Demand:
    """Return what `incoming` would take by an assignment, and what of it is contested."""
    workload = kueue.workload(_named(incoming))
    quota: dict[FlavorResource, int] = {}
    contested: set[FlavorResource] = set()
    for pod_set, given in zip(workload.pod_sets, _lower(assignment)["podSets"], strict=True):
        flavors = given["flavors"]
        keys = {
            resource: FlavorResource(flavors[resource]["name"], resource) for resource in flavors
        }
        for resource, amount in pod_set.template.request.resources.amounts:
            if amount:
                key = keys[resource]
                quota[key] = quota.get(key, 0) + amount * given["count"]
        contested.update(
            key
            for resource, key in keys.items()
            if flavors[resource]["mode"] in (PREEMPT, "Preempt")
        )
    return Demand(
        workload=workload,
        queue=queue,
        usage=Usage(tuple(sorted(quota.items()))),
        contested=frozenset(contested),
    )


def _lower(given: Json) -> Json:
    """Return an assignment of the older tables with the keys of the newer ones."""
    if isinstance(given, dict):
        return {key[:1].lower() + key[1:]: _lower(value) for key, value in given.items()}
    return [_lower(each) for each in given] if isinstance(given, list) else given


def _named(source: Json) -> Json:
    """Return an object that has a name, as every one in a cluster."""
    return {**source, "metadata": {"name": "unnamed", **source["metadata"]}}


# -- what everybody is told


def _afterwards(
    queues: Queues, given: Iterable[Json], demand: Demand, victims: tuple[Target, ...], job_uid: str
) -> dict[str, Conditions]:
    """Return the conditions of every workload once `victims` were told to go."""
    conditions = {each["metadata"]["name"]: _conditions(each) for each in given}
    for victim in victims:
        holder = queues.admitted[victim.workload].admission.cluster_queue
        text = sentences.preempted(
            victim.reason,
            uid=demand.workload.uid,
            job_uid=job_uid,
            preemptor_path=sentences.path(queues.node(demand.queue)),
            victim_path=sentences.path(queues.node(holder)),
        )
        conditions[victim.workload] |= {
            "Evicted": ("True", "Preempted", text),
            "Preempted": ("True", victim.reason, text),
        }
    return conditions


def _conditions(workload: Json) -> Conditions:
    return {
        each["type"]: (each["status"], each["reason"], each["message"])
        for each in workload["status"].get("conditions", ())
    }


def _job_uid(source: Json) -> str:
    return str(source["metadata"].get("labels", {}).get(JOB_UID, ""))


def message(row: Row) -> Answers:
    """Answer with the sentence for a victim."""
    preemptor = row.case["preemptor"]
    return {
        "want": sentences.preempted(
            row.case["reason"] or None,
            uid=preemptor["metadata"].get("uid", ""),
            job_uid=_job_uid(preemptor),
            preemptor_path=row.case["preemptorPath"],
            victim_path=row.case["preempteePath"],
        )
    }


def priority_parts(row: Row) -> Answers:
    """Answer with the priority that counts, and its parts."""
    parts = sentences.priority_parts(kueue.workload(_named(row.case["wl"])), _rules(row).turns)
    return {
        "wantEffective": parts.effective,
        "wantBase": parts.base,
        "wantBoost": parts.boost,
    }


# -- rules and orders


def policy(row: Row) -> Answers:
    """Answer whether a policy lets the candidate go."""
    preemptor = kueue.workload(row.case["preemptor"])
    candidate = kueue.workload(row.case["candidate"])
    return {"want": may_preempt(row.case["policy"], preemptor, candidate, _rules(row))}


def candidates_in_order(row: Row) -> Answers:
    """Answer with the names of the candidates, in the order in which they are taken."""
    rules = _rules(row)
    candidates: list[Candidate] = []
    used: dict[str, float] = {}
    for each in row.case["candidates"]:
        held = {"podSetAssignments": [], "clusterQueue": each["clusterQueue"]}
        status = {**each["obj"]["status"], "admission": held}
        admitted = _admitted({**each["obj"], "status": status})
        candidates.append(Candidate(rank(admitted, row.context["preemptorCq"], rules), admitted))
        if "localQueueFSUsage" in each:
            used[admitted.workload.queue] = each["localQueueFSUsage"]
    return {"wantCandidates": [each.key for each in in_order(candidates, rules, used)]}


def queues_in_order(row: Row) -> Answers:
    """Answer with the queues that the tournament of shares names, one after the other."""
    queues = _queues(row.case, row.case["admitted"])
    own, rules = row.case["preemptorCQ"], QueuePreemptionRules(fair_sharing=True)
    named = row.case["candidateCQs"]
    holders = [each for each in queues.admitted.values() if each.admission.cluster_queue in named]
    tournament = Tournament(
        queues.node(own), [Candidate(rank(each, own, rules), each) for each in holders]
    )
    actions = iter(row.case["actions"] or ())
    order: list[str] = []
    while (queue := tournament.next_queue()) is not None:
        order.append(queue.name)
        if next(actions, "pop") == "drop":
            tournament.drop(queue)
        else:
            tournament.pop(queue)
    return {"wantOrder": order}


def _rules(row: Row) -> QueuePreemptionRules:
    """Return the rules that a row's feature gates mean."""
    gates = row.case.get("featureGates") or {}
    buffered = gates.get("SchedulerTimestampPreemptionBuffer", False)
    return QueuePreemptionRules(
        turns=TurnRules(priority_boost=gates.get("PriorityBoost", False)),
        by_local_usage=gates.get("AdmissionFairSharing", False),
        newer_by_ns=TIMESTAMP_BUFFER_NS if buffered else 0,
    )


# -- how expectations are read


def _read_targets(wanted: Json) -> frozenset[tuple[str, str]]:
    """Return pairs of workload and reason; they are the members of a set."""
    if any(value != {} for value in (wanted or {}).values()):
        raise ValueError("not a set")
    parts = (member.removeprefix("/").rpartition(":") for member in wanted or ())
    return frozenset((key, reason) for key, _, reason in parts)


def _read_workloads(wanted: Json) -> dict[str, Conditions]:
    found = {each["metadata"]["name"]: _conditions(each) for each in wanted}
    if len(found) != len(wanted):
        raise ValueError("two workloads of one name")
    return found


NOBODY: Json = {"/nobody:InClusterQueue": {}}
TARGETS = Kind(_read_targets, NOBODY)
# What a preemption changes are the conditions; all else is the input again. Times are the test's.
WORKLOADS = Kind(
    _read_workloads,
    [{"metadata": {"name": "nobody"}, "status": {}}],
    frozenset(
        {
            "admission",
            "creationTimestamp",
            "lastTransitionTime",
            "resourceVersion",
            "schedulingStats",
            "spec",
        }
    ),
)
NUMBER = Kind(int, 1)
TEXT = Kind(lambda wanted: wanted, "altered")
TRUTH = Kind(lambda wanted: wanted, instead_of_nothing=True)
NAMES = Kind(lambda wanted: list(wanted or ()), ["altered"])

_CLASSICAL = Test(
    classical,
    frozenset({"admitted", "assignment", "clusterQueues", "cohorts", "incoming", "targetCQ"}),
    {"wantPreempted": NUMBER, "wantWorkloads": WORKLOADS},
    implied={"wantPreempted": 0},
)

TESTS: dict[tuple[str, str], Test] = {
    ("kueue_cases", "TestPreemption"): _CLASSICAL,
    ("kueue_cases", "TestHierarchicalPreemptions"): _CLASSICAL,
    ("kueue_cases", "TestFairPreemptions"): Test(
        fair,
        frozenset(
            {
                "admitted",
                "assignmentFlavor",
                "clusterQueues",
                "cohorts",
                "flavors",
                "incoming",
                "strategies",
                "targetCQ",
            }
        ),
        {"wantPreempted": TARGETS},
        implied={"wantPreempted": {}},
    ),
    ("kueue_preemption_ordering", "TestPreemptionWhenWorkloadModifiedConcurrently"): Test(
        modified_concurrently,
        frozenset({"assignment", "incoming", "workloads"}),
        {"wantWorkloads": WORKLOADS},
        around=frozenset({"cq"}),
    ),
    ("kueue_preemption_ordering", "TestPreemptionMessage"): Test(
        message,
        frozenset({"preempteePath", "preemptor", "preemptorPath", "reason"}),
        {"want": TEXT},
    ),
    ("kueue_preemption_ordering", "TestPriorityInfo"): Test(
        priority_parts,
        frozenset({"wl", "featureGates"}),
        {"wantEffective": NUMBER, "wantBase": NUMBER, "wantBoost": NUMBER},
    ),
    ("kueue_preemption_ordering", "TestSatisfiesPreemptionPolicy"): Test(
        policy,
        frozenset({"candidate", "featureGates", "policy", "preemptor"}),
        {"want": TRUTH},
    ),
    ("kueue_preemption_ordering", "TestCandidatesOrdering"): Test(
        candidates_in_order,
        frozenset({"candidates", "featureGates"}),
        {"wantCandidates": NAMES},
        around=frozenset({"preemptorCq"}),
    ),
    ("kueue_preemption_ordering", "TestMakeClusterQueueOrdering"): Test(
        queues_in_order,
        frozenset(
            {"actions", "admitted", "candidateCQs", "clusterQueues", "cohorts", "preemptorCQ"}
        ),
        {"wantOrder": NAMES},
    ),
}

OUTSIDE: dict[tuple[str, str], Outside] = {
    # how often Kueue asks a strategy, seen in its log
    (
        "kueue_preemption_ordering",
        "TestFairPreemptionSkipsUnsatisfiableTournament",
    ): Outside.CALL_COUNT,
    # that the same eviction is not patched twice
    ("kueue_preemption_ordering", "TestIssuePreemptionsSkipsDuplicate"): Outside.CALL_COUNT,
}
