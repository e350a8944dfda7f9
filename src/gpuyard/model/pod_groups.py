"""Pods that are meant to run together, as Kubernetes itself says it.

Words: ``PodGroup`` of scheduling.k8s.io (v1alpha2, Kubernetes 1.36). A group with a *gang* policy
runs from `min_count` members on; one with the *basic* policy has no such barrier. Its pods may ask
for one domain of one topology label, and may be disrupted one by one or only all at once.
"""

from typing import Literal

import msgspec

from gpuyard.model.policy import WeightedScore

Disruption = Literal["pod", "group"]
PodsPreempt = Literal["pod-by-pod", "as-group"]


class PodGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group by its key, "namespace/name".

    `min_count` 0 is the basic policy. `topology_key` is the node label of which all members need
    the same value, `None` where they may be anywhere. `disruption` ``group`` means that either all
    members are preempted or none; then `priority` counts, not that of the pods.
    """

    key: str
    min_count: int = 0
    priority: int = 0
    topology_key: str | None = None
    disruption: Disruption = "pod"


class PodGroupRules(msgspec.Struct, frozen=True, kw_only=True):
    """How pod groups are treated; the defaults are those of Kubernetes 1.36.

    `honors_topology` is its gate TopologyAwareWorkloadScheduling, `preempt` ``as-group`` its gate
    WorkloadAwarePreemption. Of several domains that would do the one with the largest sum wins:
    `tightest` is how full the group makes the domain (`None`: does not matter), `pods_count_weight`
    weighs how many of its pods find a place there.
    """

    honors_topology: bool = False
    preempt: PodsPreempt = "pod-by-pod"
    tightest: WeightedScore | None = WeightedScore(name="most-allocated")
    pods_count_weight: int = 1
