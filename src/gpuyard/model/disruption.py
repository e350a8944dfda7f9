"""Who may be disturbed, and how many at once.

Words: ``PodDisruptionBudget`` (policy/v1) and kube-scheduler's ``DefaultPreemptionArgs``. A budget
limits voluntary disruptions; preemption prefers victims that no budget protects, but takes others
where there is no other way.
"""

import msgspec

from gpuyard.model.constraints import LabelSelector


class DisruptionBudget(msgspec.Struct, frozen=True, kw_only=True):
    """So many more pods of `namespace` that `selector` selects may be disrupted now.

    An empty selector, and `None`, protect nobody here. `disrupted` are keys of pods whose eviction
    is on its way and counted in `allowed` already.
    """

    namespace: str
    name: str
    selector: LabelSelector | None
    allowed: int = 0
    disrupted: frozenset[str] = frozenset()


class PreemptionRules(msgspec.Struct, frozen=True, kw_only=True):
    """How far preemption looks; the defaults are those of Kubernetes 1.36.

    It stops at so many candidate nodes, in percent of the nodes that could be mended and at least
    `candidates_min`, provided that one of them harms no budget.
    """

    candidates_min: int = 100
    candidates_min_pct: int = 10
