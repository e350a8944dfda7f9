"""From which nodes the volumes of a Pod can be reached.

A Pod names claims. A claim that is bound leads to a volume, whose node affinity says where it can
be mounted. A claim that is not bound yet either waits for its Pod to be placed (the storage class
binds late and may restrict where) or must be bound first, and until then no node will do.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/framework/plugins/volumebinding: bound means
a volume name *and* the annotation that binding is complete; a claim that is missing, lost or being
deleted keeps its Pod waiting. Not decided here: which existing volume a late claim would take
(local volumes without a provisioner), storage capacity, attach limits, access modes, and zone
labels of volumes that carry no node affinity.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import node_alternatives
from gpuyard.model.constraints import NodeSelectorTerm, Requirement, Volume

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
LATE_BINDING = "WaitForFirstConsumer"

_NOWHERE: tuple[NodeSelectorTerm, ...] = ()


class StorageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All claims by "namespace/name", volumes and storage classes by name. What is not here is not.

    Make one with `StorageFacts.of`.
    """

    claims: Mapping[str, wire.PersistentVolumeClaim] = {}
    volumes: Mapping[str, wire.PersistentVolume] = {}
    classes: Mapping[str, wire.StorageClass] = {}

    @classmethod
    def of(
        cls,
        *,
        claims: Iterable[wire.Source] = (),
        volumes: Iterable[wire.Source] = (),
        classes: Iterable[wire.Source] = (),
    ) -> "StorageFacts":
        """Return the facts in these objects. Raises DialectError for one that cannot be read."""
        read_claims = [wire.decode(wire.PersistentVolumeClaim, one) for one in claims]
        read_volumes = [wire.decode(wire.PersistentVolume, one) for one in volumes]
        read_classes = [wire.decode(wire.StorageClass, one) for one in classes]
        return cls(
            claims={f"{one.metadata.namespace}/{one.metadata.name}": one for one in read_claims},
            volumes={one.metadata.name: one for one in read_volumes},
            classes={one.metadata.name: one for one in read_classes},
        )


def pod_volumes(pod: wire.Pod, facts: StorageFacts) -> tuple[Volume, ...]:
    """Return the claims of `pod` as volumes, in its order."""
    return tuple(_resolve(claim, facts) for claim in _claims(pod))


def _claims(pod: wire.Pod) -> Iterator[str]:
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim is not None:
            yield f"{pod.metadata.namespace}/{volume.persistent_volume_claim.claim_name}"
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.namespace}/{pod.metadata.name}-{volume.name}"


def _resolve(name: str, facts: StorageFacts) -> Volume:
    claim = facts.claims.get(name)
    if claim is None or not _is_usable(claim):
        return Volume(name, nodes=_NOWHERE, bound=False)
    if claim.spec.volume_name and BIND_COMPLETED in (claim.metadata.annotations or {}):
        return Volume(name, nodes=_reachable_from(facts.volumes.get(claim.spec.volume_name)))
    storage_class = facts.classes.get(claim.spec.storage_class_name or "")
    binds_late = storage_class is not None and storage_class.volume_binding_mode == LATE_BINDING
    if storage_class is None or not binds_late or claim.spec.volume_name:
        return Volume(name, nodes=_NOWHERE, bound=False)
    return Volume(name, nodes=_allowed(storage_class), bound=False)


def _is_usable(claim: wire.PersistentVolumeClaim) -> bool:
    is_lost = claim.status is not None and claim.status.phase == "Lost"
    return not is_lost and claim.metadata.deletion_timestamp is None


def _reachable_from(volume: wire.PersistentVolume | None) -> tuple[NodeSelectorTerm, ...] | None:
    if volume is None:
        return _NOWHERE
    affinity = volume.spec.node_affinity
    return node_alternatives(affinity.required) if affinity else None


def _allowed(storage_class: wire.StorageClass) -> tuple[NodeSelectorTerm, ...] | None:
    """Return where the class may provision; `None` is anywhere, as is an empty list."""
    terms = tuple(
        NodeSelectorTerm(
            expressions=tuple(
                Requirement(one.key, "In", tuple(one.values or ()))
                for one in term.match_label_expressions or ()
            )
        )
        for term in storage_class.allowed_topologies or ()
    )
    return terms or None
