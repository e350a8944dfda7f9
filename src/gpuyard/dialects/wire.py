"""The fields of Kubernetes objects that we read, as they are on the wire.

Partial on purpose: a field that placement does not read is not here and is skipped while decoding,
so a newer API server breaks nothing. Go writes an empty list as ``null`` or leaves it out; both
arrive as `None`. An object comes as JSON bytes or text, as an already decoded mapping (YAML, a
watch event), or as one of these structs, which passes through.

Field names and types: k8s.io/api v1.36, core/v1 and storage/v1.
"""

from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec

from gpuyard.model.constraints import (
    SelectorOperator,
    TaintEffect,
    TolerationOperator,
    WhenUnsatisfiable,
)

Quantity = str | int | float
ResourceList = dict[str, Quantity]
Source = bytes | str | Mapping[str, object] | msgspec.Struct
InclusionPolicy = Literal["Honor", "Ignore"]


class DialectError(ValueError):
    """An object cannot be read: one sentence with the object, the field and what is wrong."""


class Wire(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=False):
    """What all wire structs share."""


class ObjectMeta(Wire, frozen=True):
    """ObjectMeta."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class SelectorRequirement(Wire, frozen=True):
    """LabelSelectorRequirement and NodeSelectorRequirement."""

    key: str
    operator: SelectorOperator
    values: list[str] | None = None


class LabelSelector(Wire, frozen=True):
    """LabelSelector."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[SelectorRequirement] | None = None


class NodeSelectorTerm(Wire, frozen=True):
    """NodeSelectorTerm."""

    match_expressions: list[SelectorRequirement] | None = None
    match_fields: list[SelectorRequirement] | None = None


class NodeSelector(Wire, frozen=True):
    """NodeSelector."""

    node_selector_terms: list[NodeSelectorTerm] | None = None


class PreferredSchedulingTerm(Wire, frozen=True):
    """PreferredSchedulingTerm."""

    weight: int = 0
    preference: NodeSelectorTerm = NodeSelectorTerm()


class NodeAffinity(Wire, frozen=True):
    """NodeAffinity."""

    required: NodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: list[PreferredSchedulingTerm] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Wire, frozen=True):
    """PodAffinityTerm."""

    topology_key: str = ""
    label_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    namespace_selector: LabelSelector | None = None
    match_label_keys: list[str] | None = None
    mismatch_label_keys: list[str] | None = None


class WeightedPodAffinityTerm(Wire, frozen=True):
    """WeightedPodAffinityTerm."""

    weight: int = 0
    pod_affinity_term: PodAffinityTerm = PodAffinityTerm()


class PodAffinity(Wire, frozen=True):
    """PodAffinity and PodAntiAffinity."""

    required: list[PodAffinityTerm] | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: list[WeightedPodAffinityTerm] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Wire, frozen=True):
    """Affinity."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Wire, frozen=True):
    """Toleration."""

    key: str | None = None
    operator: TolerationOperator | Literal[""] | None = None
    value: str | None = None
    effect: TaintEffect | Literal[""] | None = None


class TopologySpreadConstraint(Wire, frozen=True):
    """TopologySpreadConstraint."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: WhenUnsatisfiable
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: InclusionPolicy | None = None
    node_taints_policy: InclusionPolicy | None = None
    match_label_keys: list[str] | None = None


class ContainerPort(Wire, frozen=True):
    """ContainerPort."""

    container_port: int = 0
    host_port: int | None = None
    host_ip: str = msgspec.field(default="", name="hostIP")
    protocol: str = ""


class ResourceRequirements(Wire, frozen=True):
    """ResourceRequirements; limits have become requests before a Pod is stored."""

    requests: ResourceList | None = None


class Container(Wire, frozen=True):
    """Container and init container."""

    name: str = ""
    resources: ResourceRequirements | None = None
    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class ClaimReference(Wire, frozen=True):
    """PersistentVolumeClaimVolumeSource."""

    claim_name: str


class EphemeralVolume(Wire, frozen=True):
    """EphemeralVolumeSource: its claim is named after Pod and volume."""


class PodVolume(Wire, frozen=True):
    """Volume of a Pod."""

    name: str = ""
    persistent_volume_claim: ClaimReference | None = None
    ephemeral: EphemeralVolume | None = None


class SchedulingGroup(Wire, frozen=True):
    """PodSchedulingGroup: the pod group of a Pod's own namespace that it belongs to."""

    pod_group_name: str | None = None


class PodSpec(Wire, frozen=True):
    """PodSpec."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    overhead: ResourceList | None = None
    resources: ResourceRequirements | None = None
    node_name: str = ""
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    topology_spread_constraints: list[TopologySpreadConstraint] | None = None
    host_network: bool = False
    volumes: list[PodVolume] | None = None
    priority: int | None = None
    preemption_policy: str | None = None
    scheduling_group: SchedulingGroup | None = None


class ContainerStatus(Wire, frozen=True):
    """ContainerStatus: what in-place resize has really given."""

    name: str = ""
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None


class PodCondition(Wire, frozen=True):
    """PodCondition."""

    type: str = ""
    reason: str | None = None
    status: str = ""


class PodStatus(Wire, frozen=True):
    """PodStatus."""

    start_time: str | None = None
    nominated_node_name: str | None = None
    conditions: list[PodCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(Wire, frozen=True):
    """Pod."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus | None = None


class Taint(Wire, frozen=True):
    """Taint."""

    key: str
    effect: TaintEffect
    value: str | None = None


class NodeSpec(Wire, frozen=True):
    """NodeSpec."""

    taints: list[Taint] | None = None
    unschedulable: bool = False


class NodeCondition(Wire, frozen=True):
    """NodeCondition."""

    type: str = ""
    status: str = ""


class NodeStatus(Wire, frozen=True):
    """NodeStatus."""

    allocatable: ResourceList | None = None
    conditions: list[NodeCondition] | None = None


class Node(Wire, frozen=True):
    """Node."""

    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class ClaimSpec(Wire, frozen=True):
    """PersistentVolumeClaimSpec."""

    volume_name: str = ""
    storage_class_name: str | None = None


class ClaimStatus(Wire, frozen=True):
    """PersistentVolumeClaimStatus."""

    phase: str = ""


class PersistentVolumeClaim(Wire, frozen=True):
    """PersistentVolumeClaim."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus | None = None


class VolumeNodeAffinity(Wire, frozen=True):
    """VolumeNodeAffinity."""

    required: NodeSelector | None = None


class VolumeSpec(Wire, frozen=True):
    """PersistentVolumeSpec."""

    node_affinity: VolumeNodeAffinity | None = None


class PersistentVolume(Wire, frozen=True):
    """PersistentVolume."""

    metadata: ObjectMeta = ObjectMeta()
    spec: VolumeSpec = VolumeSpec()


class TopologyLabelRequirement(Wire, frozen=True):
    """TopologySelectorLabelRequirement."""

    key: str
    values: list[str] | None = None


class TopologySelectorTerm(Wire, frozen=True):
    """TopologySelectorTerm."""

    match_label_expressions: list[TopologyLabelRequirement] | None = None


class StorageClass(Wire, frozen=True):
    """StorageClass."""

    metadata: ObjectMeta = ObjectMeta()
    volume_binding_mode: str | None = None
    allowed_topologies: list[TopologySelectorTerm] | None = None


WireType = TypeVar("WireType", bound=Wire)


def decode(kind: type[WireType], source: Source) -> WireType:
    """Return `source` as a `kind`.

    Raises DialectError with the object's name and the path of the field that does not fit.
    """
    if isinstance(source, kind):
        return source
    try:
        if isinstance(source, bytes | str):
            return msgspec.json.decode(source, type=kind)
        return msgspec.convert(source, kind)
    except msgspec.ValidationError as error:
        raise DialectError(f"{_named(kind, source)}: {_with_path_first(str(error))}") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DialectError(f"{kind.__name__}: this is not JSON: {error}") from None
    except RecursionError:
        raise DialectError(f"{kind.__name__}: it is nested too deeply to be read") from None


def describe(kind: str, metadata: ObjectMeta) -> str:
    """Return how an error names an object: ``Pod team-a/train-0``."""
    place = f"{metadata.namespace}/" if metadata.namespace else ""
    name = metadata.name or metadata.uid
    return f"{kind} {place}{name}" if name else kind


def _named(kind: type[Wire], source: Source) -> str:
    """Name an object that does not fit its type, as far as it can be read."""
    try:
        raw = msgspec.json.decode(source) if isinstance(source, bytes | str) else source
    except (msgspec.DecodeError, RecursionError):  # the first misfit came before the first error
        return kind.__name__
    metadata = raw.get("metadata") if isinstance(raw, Mapping) else None
    if not isinstance(metadata, Mapping):
        return kind.__name__
    name, namespace, uid = (str(metadata.get(key) or "") for key in ("name", "namespace", "uid"))
    return describe(kind.__name__, ObjectMeta(name=name, namespace=namespace, uid=uid))


def _with_path_first(message: str) -> str:
    """Turn msgspec's "Expected …, got … - at `$.spec.x`" into "spec.x: expected …, got …"."""
    problem, _, path = message.partition(" - at `")
    field = path.rpartition("`$")[2] if "` in `" in path else path  # "key` in `$.metadata`"
    field = field.removesuffix("`").removeprefix("$").removeprefix(".")
    lowered = problem[:1].lower() + problem[1:].replace(" | null`", "`", 1)
    return f"{field}: {lowered}" if field else lowered
