"""Whole assignments, with quota alone and with places in topologies."""

from collections.abc import Mapping

import msgspec

from gpuyard.dialects import kueue
from gpuyard.model.queues import Usage
from gpuyard.model.resources import Resources
from gpuyard.model.topology import (
    DomainCount,
    TopologyUsage,
)
from gpuyard.scheduling.flavors.eligible import objection
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.question import Question
from gpuyard.scheduling.flavors.reasons import sentence
from verification.oracles.kueue.flavors.expectations import Assigned, SomeOf, read_places
from verification.oracles.kueue.flavors.questions import (
    DOMAIN,
    assigned,
    gate,
    name_of,
    qualified,
    question_of,
    queues_of,
    workload_of,
)
from verification.oracles.kueue.objects import amounts
from verification.oracles.rows import Answers, Json, Row


def assign_flavors(row: Row) -> Answers:
    """Answer with the whole assignment."""
    case = row.case
    specs = [case["clusterQueue"]]
    usage = {name_of(case["clusterQueue"]): case.get("clusterQueueUsage")}
    if case.get("secondaryClusterQueue"):
        specs.append(case["secondaryClusterQueue"])
        usage[name_of(specs[1])] = case["secondaryClusterQueueUsage"]
    flavors = row.context.get("resourceFlavors") or row.context["flavorMap"]
    queues = queues_of(specs, flavors.values(), usage)
    for gone in row.context.get("flavorMap", {}):
        if gone == "deleted-flavor":  # the test deletes it when the queue has been built
            del queues.flavors[gone]
    pod_sets = case["wlPods"]
    reclaimable = None if gate(case, "ReclaimablePods") is False else case["wlReclaimablePods"]
    question = question_of(queues, case, workload_of(pod_sets, reclaimable))
    assignment = assigned(question)
    return {
        "wantAssignment": Assigned(assignment, question),
        "wantRepMode": assignment.mode.text,
    }


def first_pod_set(row: Row) -> Answers:
    """Answer with the flavors of the only pod set, in a queue beside another one."""
    case, context = qualified(row.case), qualified(row.context)
    target, other = context["testCq"], context["otherCq"]
    if case["flavorFungibility"] is not None:
        spec = {**target["spec"], "flavorFungibility": case["flavorFungibility"]}
        target = {**target, "spec": spec}
    usage = {
        name_of(target): case["testClusterQueueUsage"],
        name_of(other): case["otherClusterQueueUsage"],
    }
    flavors = context["resourceFlavors"].values()
    queues = queues_of([target, other], flavors, usage, context.get("cohorts") or ())
    assignment = assigned(question_of(queues, case, workload_of([case["workloadRequests"]])))
    return {
        "wantAssigment": {
            resource.removeprefix(DOMAIN): choice.flavor
            for resource, choice in assignment.pod_sets[0].choices
        },
        "wantMode": assignment.mode.text,
    }


def allowed_flavors(row: Row) -> Answers:
    """Answer with the flavor of a workload that may have only some of them."""
    queues = queues_of([row.context["cq"]], row.context["resourceFlavors"].values(), {})
    case = {**row.case, "featureGates": {"ConcurrentAdmission": True}}
    workload = kueue.workload(row.context["wl"])
    assignment = assigned(question_of(queues, case, workload))
    answers: Answers = {"wantRepMode": assignment.mode.text}
    if assignment.mode is Mode.FIT:
        return answers | {"wantFlavor": dict(assignment.pod_sets[0].choices)["cpu"].flavor}
    return answers | {"wantFlavor": ""}


def no_fit_reasons(row: Row) -> Answers:
    """Answer with the reason for the whole, and for each flavor.

    The source compares only flavors that the search has reached. Of others the tables say whether
    the pods could run there, so that is what they are asked.
    """
    case = row.case
    target = case["cq"] or row.context["cq"]
    flavors = case["resourceFlavors"] or row.context["resourceFlavors"]
    usage = {name_of(target): case["cqUsage"], **(case["siblingCQUsage"] or {})}
    queues = queues_of([target, *(case["siblingCQs"] or ())], flavors.values(), usage)
    question = question_of(queues, case, kueue.workload(row.context["wl"]), case["replaceWl"])
    assignment = assigned(question)
    pod_set = question.request.pod_sets[0].pod_set
    reasons: dict[str, str] = {}
    for group in question.spec.resource_groups:
        for each in group.flavors:
            is_unfit = objection(question, each.flavor, [pod_set], group) is not None
            reasons[each.flavor] = "NoMatchingFlavor" if is_unfit else "not reached"
    reasons |= {each.flavor: each.no_fit_reason for each in assignment.pod_sets[0].attempts}
    return {
        "wantNoFitReason": assignment.no_fit_reason,
        "wantFlavorAttempts": SomeOf(reasons),
    }


# -- places


def group_flavors(row: Row) -> Answers:
    """Answer with the flavors of leaders and workers, and with who cannot be placed."""
    spec = row.case["clusterQueue"]
    queues = queues_of([spec], row.context["resourceFlavors"].values(), {})
    case = {**row.case, **{name: row.context[name] for name in ("nodes", "topologies")}}
    assignment = assigned(question_of(queues, case, workload_of(row.case["wlPods"])))
    return {
        "wantPodSetErrors": {
            each.name: sentence(each.error) for each in assignment.pod_sets if each.error
        },
        "wantPodSetFlavors": {
            each.name: {
                resource: (one.flavor, one.mode.text, one.tried_index)
                for resource, one in each.choices
            }
            for each in assignment.pod_sets
        },
    }


def scan_position(row: Row) -> Answers:
    """Answer with where the search stands, and whether places were found."""
    question = _scan_question(row, row.case)
    queues, spec = question.queues, row.context["clusterQueue"]
    queues.use(name_of(spec), Usage(tuple(sorted(amounts(row.case["clusterQueueUsage"]).items()))))
    for usage in read_places(row.case["nodeUsage"] or {}):
        queues.places[usage.flavor].use(usage)
    assignment = assigned(question)
    return {
        "wantMode": assignment.mode.text,
        "wantPlan": assignment.pod_sets[0].topology is not None,
        "wantTriedFlavorIdx": assignment.tried["main"]["cpu"],
    }


def recomputed_position(row: Row) -> Answers:
    """Answer with where the search stands after a second look in the same cycle.

    The first look finds quota and a place on ``flavor-1``; then somebody takes half of its node.
    """
    fixed = {"fungibility": row.context["fungibility"], "request": "3"}
    question = _scan_question(row, {**fixed, "simulationResult": row.case["simulationResult"]})
    first = assigned(question)
    if first.mode is not Mode.FIT or first.tried["main"]["cpu"] or not first.pod_sets[0].topology:
        raise ValueError("the first look does not fit on the first flavor")
    queues, spec = question.queues, row.context["clusterQueue"]
    half = TopologyUsage("flavor-1", Resources((("cpu", 2000),)), (DomainCount(("node-1",), 1),))
    queues.places["flavor-1"].use(half)
    usage = amounts(row.case["quotaUsageAtRecompute"])
    queues.use(name_of(spec), Usage(tuple(sorted(usage.items()))))
    request = msgspec.structs.replace(question.request, nominated=first.nominated)
    second = assigned(msgspec.structs.replace(question, request=request))
    if second.mode is not Mode.PREEMPT:
        raise ValueError(f"the second look ends in {second.mode.text}")
    return {"wantRecomputedIdx": second.tried["main"]["cpu"]}


def _scan_question(row: Row, case: Mapping[str, Json]) -> Question:
    """Return one pod's question to a queue with two flavors, each with one node."""
    spec = row.context["clusterQueue"]
    spec = {**spec, "spec": {**spec["spec"], "flavorFungibility": case["fungibility"]}}
    flavors = row.context["resourceFlavors"].values()
    queues = queues_of([spec, row.context["siblingClusterQueue"]], flavors, {})
    requests = {"requests": {"cpu": case["request"]}}
    pod_set = {
        "count": 1,
        "template": {"spec": {"containers": [{"resources": requests}]}},
        "topologyRequest": {"required": "kubernetes.io/hostname"},
    }
    around = {name: row.context[name] for name in ("nodes", "topologies")}
    return question_of(queues, {**case, **around}, workload_of([pod_set]))
