"""What queues show of themselves: usage, ancestors, and why nobody is admitted."""

from collections.abc import Mapping, Sequence

from gpuyard.dialects import kueue
from gpuyard.dialects.kueue.parts import amount_of
from gpuyard.model.queues import FlavorResource, LocalQueue
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import queue_status
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.queue_status import Used
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.topology import TopologyCapacity
from verification.oracles.kueue.kinds import TEXT, TRUTH
from verification.oracles.kueue.queueing import NAME, NUMBER
from verification.oracles.rows import Answers, Json, Kind, OutOfScopeError, Outside, Row, Test

FILE = "kueue_cache_other"
CYCLE = "cohort has a cycle"
SINCE = "2026-01-01T00:00:00Z"


def queues_of(
    cluster_queues: Sequence[Json],
    flavors: Sequence[Json],
    cohorts: Sequence[Json] | None = (),
    *,
    local_queues: Sequence[LocalQueue] = (),
    topologies: Sequence[str] | None = None,
    capacities: Mapping[str, TopologyCapacity] | None = None,
) -> Queues:
    """Return the queues of these objects."""
    return Queues(
        map(kueue.cluster_queue, cluster_queues),
        map(kueue.cohort, cohorts or ()),
        flavors=map(kueue.resource_flavor, flavors),
        local_queues=local_queues,
        topologies=topologies,
        places=capacities,
    )


def _named_flavors(*cluster_queues: Json) -> list[Json]:
    """Return a plain ResourceFlavor for each that is named."""
    names = {
        flavor["name"]
        for queue in cluster_queues
        for group in queue["spec"].get("resourceGroups") or ()
        for flavor in group["flavors"]
    }
    return [{"metadata": {"name": name}} for name in sorted(names)]


def admit(queues: Queues, workloads: Sequence[Json] | None) -> None:
    """Count those of `workloads` that hold quota of a queue that there is."""
    for each in workloads or ():
        held = kueue.admitted(each)
        if held is not None and held.admission.cluster_queue in queues.specs:
            queues.admit(held)


# -- ancestors


def cohort_ancestors(row: Row) -> Answers:
    """Answer with a cohort and those above it."""
    queues = queues_of([], [], row.case["cohorts"])
    name = row.case["cohortName"]
    if name in queues.endless:
        return _CYCLE
    node = queues.tree.cohorts.get(name)
    return _found([each.name for each in node.to_root()] if node else [])


def queue_ancestors(row: Row) -> Answers:
    """Answer with the cohorts between a queue and the root of its tree."""
    return _above(row.case["cq"], row.case["cohorts"], [row.case["cq"]], with_root=False)


def workload_ancestors(row: Row) -> Answers:
    """Answer with the cohorts above the queue whose quota a workload holds."""
    held = kueue.admitted(row.case["wl"])
    specs = {name_of(each): each for each in row.case["cqs"]}
    spec = specs.get(held.admission.cluster_queue) if held else None
    return _found([]) if spec is None else _above(spec, row.case["cohorts"], row.case["cqs"])


def _above(
    queue: Json, cohorts: Sequence[Json] | None, specs: Sequence[Json], *, with_root: bool = True
) -> Answers:
    queues = queues_of(specs, [], cohorts)
    if "CohortCycle" in queues.inactive.get(name_of(queue), ()):
        return _CYCLE
    found = queue_status.ancestors(queues, name_of(queue))
    return _found(found if with_root else found[:-1])


def _found(names: list[str]) -> Answers:
    return {"wantAncestors": names, "wantErr": None}


def name_of(given: Json) -> str:
    """Return the name of an object."""
    return str(given["metadata"]["name"])


_CYCLE: Answers = {"wantAncestors": [], "wantErr": CYCLE}

# -- usage


def queue_usage(row: Row) -> Answers:
    """Answer with what the workloads of a queue use: all of them, and those whose checks agreed."""
    spec, workloads = row.case["clusterQueue"], row.case["workloads"] or ()
    started = [each for each in workloads if _is_true(each, "Admitted")]
    answers: Answers = {}
    for used, count, some in (
        ("wantReservedResources", "wantReservingWorkloads", workloads),
        ("wantUsedResources", "wantAdmittedWorkloads", started),
    ):
        queues = queues_of([spec], _named_flavors(spec))
        admit(queues, some)
        answers[used] = list(queue_status.usage(queues, name_of(spec)).items())
        answers[count] = len(queues.admitted)
    return answers


def local_usage(row: Row) -> Answers:
    """Answer with what the workloads of a LocalQueue use."""
    specs = [row.case["cq"]] if row.case["cq"] else []
    door = kueue.local_queue(row.context["localQueue"])
    queues = queues_of(specs, _named_flavors(*specs), local_queues=[door])
    admit(queues, row.case["wls"])
    return {
        "wantUsage": [
            (key, Used(total, 0))
            for key, total in queue_status.local_usage(queues, "ns1/test").items()
        ]
    }


def _is_true(workload: Json, condition: str) -> bool:
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def using_flavor(row: Row) -> Answers:
    """Answer with the queues that have quota in the flavor ``x86``."""
    specs = row.case["clusterQueues"]
    queues = queues_of(specs, _named_flavors(*specs))
    return {"wantInUseClusterQueueNames": frozenset(queue_status.using_flavor(queues, "x86"))}


# -- why nobody is admitted


def readiness(row: Row) -> Answers:
    """Answer whether a queue admits, and why not."""
    case = row.case
    active = {name_of(each) for each in case["admissionChecks"] or () if _is_true(each, "Active")}
    if any(_checks(each) - active for each in case["clusterQueues"]):
        raise OutOfScopeError(Outside.ADMISSION_CHECK)
    specs = [_terminating(each) if case["terminate"] else each for each in case["clusterQueues"]]
    queues = queues_of(specs, case["resourceFlavors"] or ())
    name = case["clusterQueueName"]
    code, sentence = queue_status.readiness(queues, name)
    return {
        "wantActive": name not in queues.inactive,
        "wantMessage": sentence,
        "wantReason": code,
        "wantStatus": str(name not in queues.inactive),
        "wantTerminating": code == "Terminating",
    }


def _checks(queue: Json) -> set[str]:
    strategy = queue["spec"].get("admissionChecksStrategy") or {}
    return {each["name"] for each in strategy.get("admissionChecks") or ()}


def _terminating(queue: Json) -> Json:
    return {**queue, "metadata": {**queue["metadata"], "deletionTimestamp": SINCE}}


def readiness_with_topology(row: Row) -> Answers:
    """Answer whether a queue admits whose flavor has a topology."""
    spec = row.case["updatedCq"] or row.case["cq"]
    topologies = [] if row.case["skipTopology"] else [name_of(row.context["topology"])]
    queues = queues_of([spec], [row.context["rf"]], topologies=topologies)
    code, sentence = queue_status.readiness(queues, name_of(spec))
    return {"wantReason": code, "wantMessage": sentence}


def state_with_flavors(row: Row) -> Answers:
    """Answer with the state of a queue once these flavors exist."""
    spec = row.context["cq"]
    if row.case["curStatus"] == "terminating":
        spec = _terminating(spec)
    queues = queues_of([spec], list((row.case["flavors"] or {}).values()))
    why = queues.inactive.get(name_of(spec), ())
    if "Terminating" in why:
        return {"wantStatus": "terminating"}
    return {"wantStatus": "pending" if why else "active"}


def generation(row: Row) -> Answers:
    """Answer with how often a queue may have gained quota, counted from 1."""
    before, after = (
        queues_of([spec], _named_flavors(spec)) for spec in (row.case["cq"], row.case["newcq"])
    )
    waiting = Waiting(before, AdmissionRules())
    waiting.follow(after)
    anybody = Workload(key="any", pod_sets=(), created_ns=0)
    stamp = waiting.stamp(name_of(row.case["newcq"]), anybody)
    return {"wantLastAssignmentGeneration": 1 + stamp.generation}


# -- how expectations are read


def _read_used(wanted: Json) -> list[tuple[FlavorResource, Used]]:
    found = []
    for flavor in wanted or ():
        for one in flavor["resources"]:
            name = one["name"]
            total, borrowed = (
                amount_of(name, one.get(field, "0"), field) for field in ("total", "borrowed")
            )
            found.append((FlavorResource(flavor["name"], name), Used(total, borrowed)))
    return found


ANCESTORS = Kind(lambda wanted: wanted or [], ["altered"])
USED = Kind(
    _read_used, [{"name": "altered", "resources": [{"name": "cpu", "total": "1", "borrowed": "0"}]}]
)
NAMES = Kind(lambda wanted: frozenset(wanted or ()), ["altered"])

_ABOVE = {"wantAncestors": ANCESTORS, "wantErr": NAME}

TESTS: dict[tuple[str, str], Test] = {
    (FILE, "TestAncestors"): Test(cohort_ancestors, frozenset({"cohorts", "cohortName"}), _ABOVE),
    (FILE, "TestClusterQueueAncestors"): Test(
        queue_ancestors, frozenset({"cohorts", "cq"}), _ABOVE
    ),
    (FILE, "TestWorkloadAncestors"): Test(
        workload_ancestors, frozenset({"cohorts", "cqs", "wl"}), _ABOVE
    ),
    (FILE, "TestClusterQueueUsage"): Test(
        queue_usage,
        frozenset({"clusterQueue", "workloads"}),
        {
            "wantReservedResources": USED,
            "wantReservingWorkloads": NUMBER,
            "wantUsedResources": USED,
            "wantAdmittedWorkloads": NUMBER,
        },
    ),
    (FILE, "TestLocalQueueUsage"): Test(
        local_usage,
        frozenset({"cq", "inAdmissibleWl", "wls"}),
        {"wantUsage": USED},
        around=frozenset({"localQueue"}),
    ),
    (FILE, "TestClusterQueuesUsingFlavor"): Test(
        using_flavor, frozenset({"clusterQueues"}), {"wantInUseClusterQueueNames": NAMES}
    ),
    (FILE, "TestClusterQueueReadiness"): Test(
        readiness,
        frozenset(
            {
                "admissionChecks",
                "clusterQueueName",
                "clusterQueues",
                "resourceFlavors",
                "terminate",
            }
        ),
        {
            "wantActive": TRUTH,
            "wantMessage": TEXT,
            "wantReason": TEXT,
            "wantStatus": TEXT,
            "wantTerminating": TRUTH,
        },
    ),
    (FILE, "TestClusterQueueReadinessWithTAS"): Test(
        readiness_with_topology,
        frozenset({"cq", "skipTopology", "updatedCq"}),
        {"wantReason": TEXT, "wantMessage": TEXT},
        unused=frozenset({"wantStatus"}),  # nobody sets it
        around=frozenset({"rf", "topology"}),
    ),
    (FILE, "TestClusterQueueUpdateWithFlavors"): Test(
        state_with_flavors,
        frozenset({"curStatus", "flavors"}),
        {"wantStatus": TEXT},
        around=frozenset({"cq"}),
    ),
    (FILE, "TestClusterQueueUpdate"): Test(
        generation, frozenset({"cq", "newcq"}), {"wantLastAssignmentGeneration": NUMBER}
    ),
}

OUTSIDE: dict[tuple[str, str], Outside] = {
    (FILE, "TestClusterQueueUpdateWithAdmissionCheck"): Outside.ADMISSION_CHECK,
    (FILE, "TestClusterQueuesUsingAdmissionChecks"): Outside.ADMISSION_CHECK,
    (FILE, "TestIsAddedCheckWorkload"): Outside.INTERNAL_NAME,
}
