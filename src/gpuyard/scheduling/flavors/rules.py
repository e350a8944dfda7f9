"""What can be chosen about flavor assignment: one struct of plain data, with Kueue's defaults.

Each knob stands for a feature gate of Kueue or a field of its configuration. Gates that only change
how something is said (UnadmittedWorkloadsObservability) have no knob: reasons are always complete.
Gates that say when an assignment is computed again within a cycle belong to the cycle, which then
hands over the nominated flavors.

Defaults: Kueue v0.19.2, pkg/features/kube_features.go and apis/config/v1beta2.
"""

from typing import Literal

import msgspec

QuotaCheckStrategy = Literal["BlockUndeclared", "IgnoreUndeclared"]
TransformationStrategy = Literal["Retain", "Replace"]


class ResourceTransformation(msgspec.Struct, frozen=True, kw_only=True):
    """Count one resource as others (`resources.transformations`).

    Each unit of `input` makes `outputs`, in billionths of an output's base unit; where
    `multiply_by` is asked for as well, each unit of that makes them anew. ``Replace`` no longer
    counts the input itself.
    """

    input: str
    outputs: tuple[tuple[str, int], ...] = ()
    strategy: TransformationStrategy = "Retain"
    multiply_by: str = ""


class FlavorRules(msgspec.Struct, frozen=True, kw_only=True):
    """How flavors are assigned.

    `fungibility`: go on to the next flavor where the queue says so, and resume there in the next
    cycle; without it the first flavor of the best mode is taken, borrowing does not matter.
    `preserve_scan_progress`: a position of this or the preceding cycle is good even though capacity
    was freed since. `respect_allowed_flavors`: a workload may be bound to some flavors
    (ConcurrentAdmission). `fair_sharing`: a queue that may reclaim may preempt while borrowing too.
    """

    fungibility: bool = True
    preserve_scan_progress: bool = True
    quota_check: QuotaCheckStrategy = "BlockUndeclared"
    topology_aware: bool = True
    elastic_slices: bool = True
    elastic_slices_with_topology: bool = False
    partial_admission: bool = True
    fair_sharing: bool = False
    respect_allowed_flavors: bool = False
    excluded_resource_prefixes: tuple[str, ...] = ()
    transformations: tuple[ResourceTransformation, ...] = ()
