"""Answers to the filter tests: the statuses that `feasibility.FILTERS` give."""

from collections.abc import Callable, Iterable

import numpy as np

from gpuyard.dialects import core
from gpuyard.scheduling.feasibility import (
    inter_pod_affinity,
    node_affinity,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    taint_toleration,
    topology_spread,
)
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.kube_scheduler.cluster import (
    NAMELESS,
    added_affinity,
    cluster,
    named,
    on_node,
    shape_of,
    without_gated,
    without_node_name,
    without_resources,
)
from verification.oracles.kube_scheduler.kinds import SKIP, SUCCESS, Status, status_of
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

BARE_NODE = {"kind": "Node", "metadata": {"name": NAMELESS}}
NO_SIDECARS = "Pod has a restartable init container and the SidecarContainers feature is disabled"
IMPLICIT_CLASS = "deviceclass.resource.kubernetes.io/"


def verdict(rule: Filter, snapshot: Snapshot, shape: Shape, node: Json) -> Status:
    """Return the status of `rule` on `node`, asked as placement asks."""
    slot = snapshot.slot_of[named(node)["metadata"]["name"]]
    if not rule.concerns(shape) or rule.passes(snapshot, shape, np.array([slot])).all():
        return SUCCESS
    return status_of(rule.reasons(snapshot, shape, slot))


def on_one_node(rule: Filter) -> Callable[[Row], Answers]:
    """Return the answer to tests that ask `rule` about one node."""

    def answer(row: Row) -> Answers:
        node = row.case["node"]
        snapshot = cluster([node])
        shape = shape_of(snapshot, without_gated(row, row.case["pod"]))
        return {"wantStatus": verdict(rule, snapshot, shape, node)}

    return answer


name = on_one_node(node_name.FILTER)
unschedulable = on_one_node(node_unschedulable.FILTER)
taints = on_one_node(taint_toleration.FILTER)


def affinity_to_nodes(row: Row) -> Answers:
    """Answer TestNodeAffinity; its PreFilter's result is the nodes that a pod may name."""
    node = row.context["node"]
    snapshot = cluster([node])
    enforced, _ = added_affinity(row.case["args"])
    shape = shape_of(snapshot, row.case["pod"], enforced_nodes=enforced)
    answers: Answers = {"wantStatus": verdict(node_affinity.FILTER, snapshot, shape, node)}
    if row.case["runPreFilter"]:
        names = node_affinity.named_nodes(shape.constraints)
        answers["wantPreFilterResult"] = sorted(names) if names else None
        answers["wantPreFilterStatus"] = SUCCESS if node_affinity.concerns(shape) else SKIP
        if names == frozenset():
            answers["wantPreFilterStatus"] = status_of([node_affinity.CONTRADICTS_ITSELF])
    return answers


def ports(row: Row) -> Answers:
    """Answer TestNodePorts: a node of which only the pods are known."""
    snapshot = cluster([BARE_NODE], on_node(row.case["nodeInfo"]["pods"]))
    shape = shape_of(snapshot, without_node_name(row.case["pod"]))
    if not node_ports.concerns(shape):
        return {"wantPreFilterStatus": SKIP}
    status = verdict(node_ports.FILTER, snapshot, shape, BARE_NODE)
    return {"wantPreFilterStatus": SUCCESS, "wantFilterStatus": status}


def ports_fit(row: Row) -> Answers:
    """Answer TestFits of the same file."""
    snapshot = cluster([BARE_NODE], on_node(row.case["existing"]["pods"]))
    shape = shape_of(snapshot, without_node_name(row.case["pod"]))
    return {"expect": verdict(node_ports.FILTER, snapshot, shape, BARE_NODE) == SUCCESS}


# -- resources


def resources(row: Row) -> Answers:
    """Answer TestEnoughRequests, TestNotEnoughRequests and TestStorageRequests."""
    node, args = row.context["node"], row.case.get("args") or {}
    levels = row.case.get("podLevelResourcesEnabled", False)
    snapshot = cluster([node], on_node(row.case["nodeInfo"]["pods"]))
    shape = shape_of(snapshot, row.case["pod"], levels=levels)
    if row.case.get("draExtendedResourceEnabled"):
        _refuse_device_classes(row, shape, node)
    ignored, groups = args.get("ignoredResources") or (), args.get("ignoredResourceGroups") or ()
    shape = without_resources(shape, ignored, groups)
    missing = node_resources_fit.shortages(snapshot, shape, 0)
    answers: Answers = {"wantStatus": verdict(node_resources_fit.FILTER, snapshot, shape, node)}
    if "args" in row.case:
        answers["wantInsufficientResources"] = {
            shortage.resource: (
                shortage.requested,
                shortage.used,
                shortage.capacity,
                shortage.text,
                not shortage.is_resolvable,
            )
            for shortage in missing
        }
    return answers


def read_shortages(wanted: Json) -> dict[str, tuple[object, ...]]:
    """Read what TestEnoughRequests lists as insufficient."""
    fields = ("requested", "used", "capacity", "reason", "unresolvable")
    return {each["resourceName"]: tuple(each[field] for field in fields) for each in wanted or ()}


def sidecars(row: Row) -> Answers:
    """Answer TestRestartableInitContainers: an empty node.

    A cluster with the gate off, which v1.36 no longer allows, refuses a sidecar before any filter.
    """
    node, pod = row.context["node"], row.case["pod"]
    init_containers = pod["spec"].get("initContainers") or ()
    has_sidecar = any(each.get("restartPolicy") == "Always" for each in init_containers)
    if has_sidecar and not row.case["enableSidecarContainers"]:
        return {"wantPreFilterStatus": ("UnschedulableAndUnresolvable", (NO_SIDECARS,))}
    snapshot = cluster([node])
    status = verdict(node_resources_fit.FILTER, snapshot, shape_of(snapshot, pod), node)
    return {"wantPreFilterStatus": SUCCESS, "wantFilterStatus": status}


def is_fit(row: Row) -> Answers:
    """Answer TestIsFit: an empty node."""
    node = row.case["node"]
    if node is None:
        return {"expected": False}
    snapshot = cluster([node])
    shape = shape_of(snapshot, row.case["pod"], levels=row.case["podLevelResourcesEnabled"])
    return {"expected": verdict(node_resources_fit.FILTER, snapshot, shape, node) == SUCCESS}


def _refuse_device_classes(row: Row, shape: Shape, node: Json) -> None:
    """Leave the row alone where a device class, not the kubelet, serves a resource."""
    device_class = row.context["deviceClassWithExtendResourceName"]["spec"]["extendedResourceName"]
    allocatable = node["status"]["allocatable"]
    for resource, amount in shape.request.resources.amounts:
        is_class = resource == device_class or resource.startswith(IMPLICIT_CLASS)
        if amount and is_class and resource not in allocatable:
            raise OutOfScopeError(Outside.DRA)


# -- pods in other nodes' domains


def affinity_on_one_node(row: Row) -> Answers:
    """Answer TestRequiredAffinitySingleNode."""
    node, pods = row.case["node"], row.case["pods"] or ()
    snapshot = cluster([node], pods, row.context.get("namespaces") or ())
    try:
        shape = shape_of(snapshot, row.case["pod"])
    except core.DialectError as error:
        field_and_value = str(error)[str(error).index("values[") :]
        return {"wantPreFilterStatus": ("UnschedulableAndUnresolvable", (field_and_value,))}
    if _nobody_to_ask(snapshot, shape):
        return {"wantPreFilterStatus": SKIP}
    status = verdict(inter_pod_affinity.FILTER, snapshot, shape, node)
    return {"wantPreFilterStatus": SUCCESS, "wantFilterStatus": status}


def affinity_on_nodes(row: Row) -> Answers:
    """Answer TestRequiredAffinityMultipleNodes."""
    nodes, pods = row.case["nodes"], row.case["pods"] or ()
    snapshot = cluster(nodes, pods, row.context.get("objects") or ())
    shape = shape_of(snapshot, row.case["pod"])
    if _nobody_to_ask(snapshot, shape):
        return {"wantPreFilterStatus": SKIP}
    statuses = [verdict(inter_pod_affinity.FILTER, snapshot, shape, node) for node in nodes]
    return {"wantPreFilterStatus": SUCCESS, "wantFilterStatuses": statuses}


def _nobody_to_ask(snapshot: Snapshot, shape: Shape) -> bool:
    """Tell what PreFilter skips: no required terms, and nobody in any domain forbids the pod."""
    if shape.constraints.required_pods or shape.constraints.forbidden_pods:
        return False
    keys = {held.term.topology_key for held in inter_pod_affinity.forbidding(shape)}
    return not any(inter_pod_affinity.unwelcoming(snapshot, shape, key).any() for key in keys)


def spread(row: Row) -> Answers:
    """Answer TestSingleConstraint and TestMultipleConstraints."""
    nodes: Iterable[Json] = row.case["nodes"]
    snapshot = cluster(nodes, row.case["existingPods"] or ())
    shape = shape_of(snapshot, without_gated(row, row.case["pod"]))
    codes = {
        node["metadata"]["name"]: verdict(topology_spread.FILTER, snapshot, shape, node)[0]
        for node in nodes
    }
    return {"wantStatusCode": codes}
