"""Single steps of an assignment: grades, who seeks places, what is reserved, scan positions."""

from gpuyard.dialects import kueue
from gpuyard.model.queues import Usage
from gpuyard.scheduling.flavors import partial_admission, placing
from gpuyard.scheduling.flavors.assignment import (
    FlavorAssignment,
    FlavorChoice,
    PodSetFlavors,
    quota_needs,
    quota_to_reserve,
)
from gpuyard.scheduling.flavors.modes import Grade, Mode, Prospect, is_preferred
from gpuyard.scheduling.flavors.reasons import sentence
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.flavors.scan import ScanStamp, is_outdated
from verification.oracles.kueue.flavors.questions import (
    held_by,
    mode_of,
    name_of,
    queues_of,
    slice_of,
    with_flavors,
    workload_of,
)
from verification.oracles.kueue.objects import amounts
from verification.oracles.rows import Answers, Json, Row

NO_SHAPE = "unknown"  # Kueue's hash where it computes none


def preferred(row: Row) -> Answers:
    """Answer whether one grade is better than another."""
    spec = {"metadata": {"name": "cq"}, "spec": {"flavorFungibility": row.case["config"]}}
    one, other = _grade(row.case["a"]), _grade(row.case["b"])
    return {"wantPreferred": is_preferred(one, other, kueue.cluster_queue(spec).fungibility)}


def _grade(given: Json) -> Grade:
    names = {
        "noFit": Prospect.NO_FIT,
        "noPreemptionCandidates": Prospect.NO_CANDIDATES,
        "preempt": Prospect.PREEMPT,
        "reclaim": Prospect.RECLAIM,
        "fit": Prospect.FIT,
    }
    return Grade(names[given["preemptionMode"]], given["borrowingLevel"])


def topology_errors(row: Row) -> Answers:
    """Answer with why no places can be sought for the only pod set, `None` where they can."""
    question, pod_sets = with_flavors(row.case, row.case["workload"], elastic_with_topology=True)
    wanted, (checked,) = placing.place_requests(question, pod_sets)
    if bool(wanted) == (checked.error is not None) or (checked.mode is Mode.FIT) != bool(wanted):
        raise ValueError("places are sought, or it is said why not, and then it does not fit")
    return {"wantErr": None if checked.error is None else sentence(checked.error)}


def who_seeks_places(row: Row) -> Answers:
    """Answer with the pod sets that seek places; the flavor of all is one with a topology."""
    case = {"assignment": {"podSets": row.case["podSets"]}, "cq": {"tasFlavors": {"tas": {}}}}
    workload = {"obj": {"spec": {"podSets": row.case["wlPodSets"]}}}
    question, pod_sets = with_flavors(case, workload)
    wanted, checked = placing.place_requests(question, pod_sets)
    if any(each.error is not None for each in checked):
        raise ValueError("a pod set cannot be placed")
    return {"wantTASPodSets": {each.name for asked in wanted.values() for each in asked}}


def net_places(row: Row) -> Answers:
    """Answer with the places that are new."""
    question, pod_sets = with_flavors(row.case, row.case["wl"])
    used = placing.places_used(question, pod_sets, held_by(row.case["prevAdmission"]))
    return {"want": frozenset(used)}


def total_requests(row: Row) -> Answers:
    """Answer with what preemption would have to free."""
    given, info = row.case["fields"], row.case["args"]["wl"]
    question, pod_sets = with_flavors({"assignment": given, "cq": {"tasFlavors": {}}}, info)
    replaced = slice_of(given.get("replaceWorkloadSlice"))
    asked = question.request.pod_sets
    return {"want": quota_needs(FlavorAssignment(pod_sets=pod_sets), asked, replaced)}


def borrowing(row: Row) -> Answers:
    """Answer whether an assignment of that height borrows."""
    return {"want": FlavorAssignment(pod_sets=(), borrowing=row.case["borrowing"]).is_borrowing}


def to_reserve(row: Row) -> Answers:
    """Answer with what is set aside for an assignment."""
    spec = row.context["cq"]
    flavors = row.context["resourceFlavors"]
    queues = queues_of([spec], flavors, {name_of(spec): row.case["cqUsage"]})
    mode = mode_of(row.case["assignmentMode"])
    usage = amounts(row.case["assignmentUsage"])
    assignment = FlavorAssignment(
        pod_sets=tuple(
            PodSetFlavors(name=each.resource, count=1, choices=((each.resource, choice),))
            for each in usage
            for choice in [FlavorChoice(flavor=each.flavor, mode=mode)]
        ),
        borrowing=row.case["borrowing"],
        usage=Usage(tuple(sorted(usage.items()))),
    )
    return {"wantReserved": quota_to_reserve(assignment, queues.node(name_of(spec)))}


def outdated(row: Row) -> Answers:
    """Answer whether a position of the search is too old."""
    given = row.case["args"]
    then = _stamp(given["last"], "schedulingCycle", "clusterQueueGeneration", "schedulingHash")
    now = _stamp(given, "currentSchedulingCycle", "currentCQGeneration", "currentSchedulingHash")
    rules = FlavorRules(preserve_scan_progress=row.case["preserveProgress"])
    return {"want": is_outdated(then, now, rules)}


def _stamp(given: Json, cycle: str, generation: str, shape: str) -> ScanStamp:
    known = None if given[shape] == NO_SHAPE else given[shape]
    return ScanStamp(cycle=given[cycle], generation=given[generation], shape=known)


def fewer_pods(row: Row) -> Answers:
    """Answer with how many pods fit under a limit."""
    workload = workload_of(row.case["podSets"])
    limit = row.case["countLimit"]

    def total(counts: tuple[int, ...]) -> int | None:
        return sum(counts) if sum(counts) <= limit else None

    found = partial_admission.search(workload.pod_sets, total)
    return {"wantCount": found or 0, "wantFound": found is not None}
