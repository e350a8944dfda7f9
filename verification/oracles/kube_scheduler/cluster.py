"""From the objects of a row to a `Snapshot` and a `Shape`.

Everything goes in through `Snapshot.apply`, as in a live cluster. What a feature gate switches off,
an API server drops from the object; `without_gated` does the same. What a cluster's configuration
adds to every pod (added node affinity, default spread) is written into the pod's constraints.
"""

import copy
from collections.abc import Callable, Iterable, Mapping

import msgspec

from gpuyard.dialects import core
from gpuyard.model.constraints import (
    Constraints,
    LabelSelector,
    NodeSelectorTerm,
    PreferredNodes,
    Requirement,
    SpreadConstraint,
)
from gpuyard.model.deltas import NamespaceObserved, NodeObserved, PodBound
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodTemplate
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.rows import Json, Row

NAMELESS = "the-node"  # several tests have one node and give it no name


def cluster(
    nodes: Iterable[Json],
    pods: Iterable[Json] = (),
    namespaces: Iterable[Json] = (),
    key_of: Callable[[Json], str] | None = None,
) -> Snapshot:
    """Return a snapshot of these objects; pods on nodes that are not among them are left out.

    Pods get the keys that `key_of` gives; in many tests they have no name, and their place counts.
    """
    snapshot = Snapshot()
    for rank, node in enumerate(nodes):
        snapshot.apply(NodeObserved(core.node(named(node), rank=rank)))
    for namespace in namespaces:
        if namespace["kind"] == "Namespace":
            labels = tuple(sorted(namespace["metadata"].get("labels", {}).items()))
            snapshot.apply(NamespaceObserved(namespace["metadata"]["name"], labels))
    for index, pod in enumerate(pods):
        if pod["spec"].get("nodeName") in snapshot.slot_of:
            key = key_of(pod) if key_of else f"pod-{index}"
            snapshot.apply(PodBound(core.assignment(pod, key=key)))
    return snapshot


def named(node: Json) -> Json:
    """Return `node` with a name, for the tests that give none."""
    if node["metadata"].get("name"):
        return node
    return {**node, "metadata": {**node["metadata"], "name": NAMELESS}}


def on_node(pods: Iterable[Json] | None, name: str = NAMELESS) -> list[Json]:
    """Return `pods` bound to the node `name`."""
    return [{**pod, "spec": {**pod["spec"], "nodeName": name}} for pod in pods or ()]


def shape_of(snapshot: Snapshot, pod: Json, *, levels: bool = True, **changes: object) -> Shape:
    """Return the shape of a pod JSON; `changes` replace constraints."""
    template = template_of(pod, levels=levels)
    if changes:
        constraints = msgspec.structs.replace(template.constraints, **changes)
        template = msgspec.structs.replace(template, constraints=constraints)
    return snapshot.shape(template)


def template_of(pod: Json, *, levels: bool = True) -> PodTemplate:
    """Return the template of a pod JSON; `levels` is the gate PodLevelResources."""
    return core.pod_template(pod, pod_level_resources=levels)


def without_node_name(pod: Json) -> Json:
    """Return `pod` free to go anywhere."""
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    return {**pod, "spec": spec}


def without_gated(row: Row, pod: Json) -> Json:
    """Return `pod` without the fields whose feature gates are off in this row."""
    pod = copy.deepcopy(pod)
    spread_fields = []
    if not row.case.get("enableNodeInclusionPolicy", True):
        spread_fields += ["nodeAffinityPolicy", "nodeTaintsPolicy"]
    if not row.case.get("enableMatchLabelKeys", True):
        spread_fields += ["matchLabelKeys"]
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        for field in spread_fields:
            constraint.pop(field, None)
    if not row.case.get("enableTaintTolerationComparisonOps", True):
        tolerations = pod["spec"].get("tolerations") or ()
        pod["spec"]["tolerations"] = [
            toleration for toleration in tolerations if toleration.get("operator") not in NUMERIC
        ]
    return pod


NUMERIC = ("Lt", "Gt")


def without_resources(shape: Shape, ignored: Iterable[str], groups: Iterable[str]) -> Shape:
    """Return `shape` without the extended resources that NodeResourcesFit is told to ignore."""
    names, prefixes = set(ignored), set(groups)
    kept = tuple(
        (name, amount)
        for name, amount in shape.request.resources.amounts
        if name not in names and name.split("/")[0] not in prefixes
    )
    request = msgspec.structs.replace(shape.request, resources=Resources(kept))
    return msgspec.structs.replace(shape, request=request)


# -- what the configuration of a cluster adds to every pod


def added_affinity(
    args: Mapping[str, Json],
) -> tuple[tuple[NodeSelectorTerm, ...] | None, tuple[PreferredNodes, ...]]:
    """Return what ``addedAffinity`` of NodeAffinityArgs demands and prefers."""
    added = constraints_of({"affinity": {"nodeAffinity": args.get("addedAffinity")}})
    return added.required_nodes, added.preferred_nodes


def spread_of(
    pod: Json, defaults: Iterable[Json] | None, objects: Iterable[Json] | None, *, system: bool
) -> tuple[SpreadConstraint, ...]:
    """Return the pod's own spread constraints, else the cluster's defaults for its owners.

    `system` says that the defaults are Kubernetes' own, which are lenient about missing labels.
    """
    own = template_of(pod).constraints.spread
    selector = owners_selector(pod, objects or ())
    if pod["spec"].get("topologySpreadConstraints") or not selector.requirements:
        return own
    given = constraints_of({"topologySpreadConstraints": list(defaults or ())}).spread
    return tuple(
        msgspec.structs.replace(each, selector=selector, is_default=system) for each in given
    )


def owners_selector(pod: Json, objects: Iterable[Json]) -> LabelSelector:
    """Return what selects the pod's kin: its Services, and the controller that owns it.

    Semantics: k8s.io/kubernetes v1.36.3, plugins/helper/spread.go.
    """
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    references = metadata.get("ownerReferences") or ()
    owner: Json = next((each for each in references if each.get("controller")), {})
    found: list[Requirement] = []
    for each in objects:
        selector = each["spec"].get("selector") or {}
        if each["metadata"].get("namespace", "") != metadata.get("namespace", ""):
            continue
        if each["kind"] == "Service":
            if selector and selector.items() <= labels.items():
                found += _requirements({"matchLabels": selector})
        elif (each["kind"], each["metadata"]["name"]) == (owner.get("kind"), owner.get("name")):
            is_plain = each["kind"] == "ReplicationController"
            found += _requirements({"matchLabels": selector} if is_plain else selector)
    return LabelSelector(tuple(dict.fromkeys(found)))


def _requirements(selector: Json) -> tuple[Requirement, ...]:
    wish = {
        "maxSkew": 1,
        "topologyKey": "any",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    read = constraints_of({"topologySpreadConstraints": [wish]}).spread[0].selector
    return read.requirements if read else ()


def constraints_of(spec: Json) -> Constraints:
    """Return the constraints of a pod with this spec: the dialect reads them for us."""
    return template_of({"kind": "Pod", "metadata": {}, "spec": spec}).constraints
