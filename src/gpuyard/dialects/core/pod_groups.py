"""PodGroups (scheduling.k8s.io/v1alpha2) as the model sees them.

Of the policies, ``gang`` has a smallest count and ``basic`` has none; an object with neither is
read as basic. The API allows one topology constraint, so only the first is read.

Words: k8s.io/api v0.36.3, scheduling/v1alpha2.
"""

from typing import Literal

from gpuyard.dialects import wire
from gpuyard.model import pod_groups as words

DISRUPTIONS: dict[str, words.Disruption] = {"Pod": "pod", "PodGroup": "group"}


def pod_group(source: wire.Source) -> words.PodGroup:
    """Return a PodGroup. Raises DialectError."""
    read = wire.decode(PodGroup, source)
    spec = read.spec
    constraints = spec.scheduling_constraints
    topology = constraints.topology if constraints else None
    return words.PodGroup(
        key=group_key(read.metadata.namespace, read.metadata.name),
        min_count=spec.scheduling_policy.gang.min_count if spec.scheduling_policy.gang else 0,
        priority=spec.priority or 0,
        topology_key=topology[0].key if topology else None,
        disruption=DISRUPTIONS[spec.disruption_mode or "Pod"],
    )


def group_key(namespace: str, name: str) -> str:
    """Return the key of a pod group: "namespace/name", the name alone without a namespace."""
    return f"{namespace}/{name}" if namespace else name


def group_of(pod: wire.Pod) -> str:
    """Return the key of the group that `pod` belongs to, "" where it belongs to none."""
    asked = pod.spec.scheduling_group
    if asked is None or not asked.pod_group_name:
        return ""
    return group_key(pod.metadata.namespace, asked.pod_group_name)


class GangPolicy(wire.Wire, frozen=True):
    """GangSchedulingPolicy."""

    min_count: int


class SchedulingPolicy(wire.Wire, frozen=True):
    """PodGroupSchedulingPolicy."""

    gang: GangPolicy | None = None


class TopologyConstraint(wire.Wire, frozen=True):
    """TopologyConstraint."""

    key: str


class SchedulingConstraints(wire.Wire, frozen=True):
    """PodGroupSchedulingConstraints."""

    topology: list[TopologyConstraint] | None = None


class PodGroupSpec(wire.Wire, frozen=True):
    """PodGroupSpec."""

    scheduling_policy: SchedulingPolicy = SchedulingPolicy()
    scheduling_constraints: SchedulingConstraints | None = None
    disruption_mode: Literal["Pod", "PodGroup"] | None = None
    priority: int | None = None


class PodGroup(wire.Wire, frozen=True):
    """PodGroup."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: PodGroupSpec = PodGroupSpec()
