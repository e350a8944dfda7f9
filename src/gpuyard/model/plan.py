"""What a cycle decides."""

import msgspec

from gpuyard.model.reasons import Reason
from gpuyard.model.workloads import Assignment


class Start(msgspec.Struct, frozen=True):
    """These pods of `workload` get their nodes now; `complete` when it is all of them."""

    workload: str
    assignments: tuple[Assignment, ...]
    complete: bool = True


class Wait(msgspec.Struct, frozen=True):
    """`workload` stays pending, and why."""

    workload: str
    reason: Reason


class Plan(msgspec.Struct, frozen=True):
    """Everything that one pass over the pending workloads decided, in its order."""

    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
