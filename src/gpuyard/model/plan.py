"""What a cycle decides."""

import msgspec

from gpuyard.model.reasons import ReasonCode
from gpuyard.model.workloads import Assignment


class Start(msgspec.Struct, frozen=True):
    """These pods of `workload` get their nodes now; `complete` when it is all of them."""

    workload: str
    assignments: tuple[Assignment, ...]
    complete: bool = True

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that this start takes."""
        return sum(assignment.device_milli for assignment in self.assignments)


class Wait(msgspec.Struct, frozen=True):
    """`workload` stays pending, and why in one word."""

    workload: str
    code: ReasonCode


class Plan(msgspec.Struct, frozen=True):
    """Everything that one pass over the pending workloads decided, in its order."""

    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
