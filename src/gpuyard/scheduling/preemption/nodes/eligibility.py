"""Whether a pod may take places from others at all.

It may not where its priority class forbids it. It may not do so again while a victim is still on
its way out of the node that was promised to it, unless that node has become impossible for other
reasons. And as a member of a pod group it may not where the group is placed in one domain (each
domain tried would evict anew), or preempts as one.

Semantics: k8s.io/kubernetes v1.36.3, plugins/defaultpreemption (PostFilter and
PodEligibleToPreemptOthers).
"""

from collections.abc import Mapping
from typing import Literal

from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.model.workloads import PendingPod
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.snapshot import Snapshot

Refusal = Literal[
    "PreemptionPolicyNever",
    "WaitingForVictims",  # on its nominated node
    "PodGroupNotFound",
    "GroupIsPlacedByTopology",
    "GroupPreemptsAsOne",
]


def refusal(
    snapshot: Snapshot,
    pod: PendingPod,
    groups: Mapping[str, PodGroup],
    rules: PodGroupRules,
    mendable: IntArray,
) -> Refusal | None:
    """Return why `pod` may not preempt, `None` where it may.

    `mendable` are the slots where evictions could help (`per_node.mendable`).
    """
    if pod.group and rules.honors_topology:
        group = groups.get(pod.group)
        if group is None:
            return "PodGroupNotFound"
        if group.topology_key is not None:
            return "GroupIsPlacedByTopology"
    if pod.group and rules.preempt == "as-group":
        return "GroupPreemptsAsOne"
    if not pod.preempts:
        return "PreemptionPolicyNever"
    if _is_being_made_room_for(snapshot, pod, mendable):
        return "WaitingForVictims"
    return None


def _is_being_made_room_for(snapshot: Snapshot, pod: PendingPod, mendable: IntArray) -> bool:
    slot = snapshot.slot_of.get(pod.nominated_node)
    if slot is None or slot not in mendable:
        return False
    return any(
        booking.assignment.preempted and booking.assignment.priority < pod.priority
        for booking in snapshot.pods_on[slot].values()
    )
