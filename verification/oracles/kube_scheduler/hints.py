"""Answers to the tests of queueing hints: what `scheduling.hints` says of an event."""

from collections.abc import Callable

import msgspec

from gpuyard.dialects import core
from gpuyard.model.nodes import Node
from gpuyard.model.workloads import PodTemplate
from gpuyard.scheduling.hints import HINTS, NodeEvent, PodEvent, grew
from verification.oracles.kube_scheduler.cluster import (
    added_affinity,
    named,
    template_of,
    without_gated,
)
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

Answer = Callable[[Row], Answers]
QUEUE, SKIP = "Queue", "QueueSkip"
# An event with an object of another kind is an error, and worth another try.
REFUSED: Answers = {"expectedHint": QUEUE, "expectedErr": True, "wantErr": True}


def after_node(plugin: str, old: str = "oldObj", new: str = "newObj") -> Answer:
    """Return the answer to tests of node events."""

    def answer(row: Row) -> Answers:
        before, after = row.case.get(old), row.case.get(new)
        if not _are(dict, before, after):
            return REFUSED
        event = NodeEvent(_node(before), _node(after))
        return _answer(may_help=HINTS[plugin].after_node(_waiting(row), event))

    return answer


def after_pod(plugin: str, old: str = "oldObj", new: str = "newObj") -> Answer:
    """Return the answer to tests of pod events."""

    def answer(row: Row) -> Answers:
        before, after = row.case.get(old), row.case.get(new)
        if not _are(dict, before, after):
            return REFUSED
        if before and after and not row.case.get("enableInPlacePodVerticalScaling", True):
            after = {**after, "spec": before["spec"]}  # without the gate it cannot be resized
        event = PodEvent(
            _template(before),
            _template(after),
            has_node=all(_has_node(pod) for pod in (before, after) if pod),
            is_itself=all(_uid(pod) == _uid(row.case["pod"]) for pod in (before, after) if pod),
        )
        return _answer(may_help=HINTS[plugin].after_pod(_waiting(row), event))

    return answer


def resources_grew(row: Row) -> Answers:
    """Answer TestHaveAnyRequestedResourcesIncreased."""
    if row.case["draExtendedResourceEnabled"]:
        raise OutOfScopeError(Outside.DRA)
    before, after = _node(row.case["originalNode"]), _node(row.case["modifiedNode"])
    if before is None or after is None:
        raise OutOfScopeError(Outside.QUEUEING_HINT)
    return {"expected": grew(template_of(row.case["pod"]).request, before, after)}


def _waiting(row: Row) -> PodTemplate:
    template = template_of(without_gated(row, row.case["pod"]))
    enforced, _ = added_affinity(row.case.get("args") or {})
    constraints = msgspec.structs.replace(
        template.constraints, enforced_nodes=enforced, node_name=""
    )
    return msgspec.structs.replace(template, constraints=constraints)


def _answer(*, may_help: bool) -> Answers:
    return {"expectedHint": QUEUE if may_help else SKIP, "expectedErr": False, "wantErr": False}


def _node(node: Json) -> Node | None:
    return core.node(named(node)) if node else None


def _template(pod: Json) -> PodTemplate | None:
    return template_of(pod) if pod else None


def _has_node(pod: Json) -> bool:
    nominated = (pod.get("status") or {}).get("nominatedNodeName")
    return bool(pod["spec"].get("nodeName") or nominated)


def _uid(pod: Json) -> str:
    return str(pod["metadata"].get("uid", ""))


def _are(kind: type, *objects: Json) -> bool:
    return all(each is None or isinstance(each, kind) for each in objects)
