"""Which victims are missed most: the order in which pods and groups get their places back.

Pods: the higher priority first, then the one that runs longest. A pod that has not started counts
as starting now. Units of pod-group preemption in the same way, but of equal priority a member of a
group is missed more than a pod by itself, and a larger unit of group members more than a smaller
one, before their age is looked at. What is then still equal goes by key, so that a plan does not
depend on the order in which pods were told.

Semantics: k8s.io/kubernetes v1.36.3, pkg/scheduler/util/utils.go (MoreImportantPod) and
framework/preemption/podgrouppreemption.go (moreImportantVictim).
"""

import msgspec

from gpuyard.model.workloads import Assignment

NOT_STARTED_NS = 2**63  # later than any instant

Rank = tuple[int | bool | str, ...]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that go together or not at all."""

    pods: tuple[Assignment, ...]
    priority: int

    @property
    def nodes(self) -> frozenset[str]:
        """Return where its pods run."""
        return frozenset(pod.node for pod in self.pods)


def of_pod(pod: Assignment) -> Rank:
    """Return a key by which the most important pod sorts first."""
    return (-pod.priority, started_ns(pod), pod.pod)


def of_unit(unit: Unit) -> Rank:
    """Return a key by which the most important unit sorts first."""
    is_member = bool(unit.pods[0].group)
    size = len(unit.pods) if is_member else 1
    earliest_ns = min(started_ns(pod) for pod in unit.pods)
    return (-unit.priority, not is_member, -size, earliest_ns, unit.pods[0].pod)


def started_ns(pod: Assignment) -> int:
    """Return when `pod` started, or an instant after all others where it has not."""
    return NOT_STARTED_NS if pod.start_ns is None else pod.start_ns
