"""What a cycle decides.

A plan is data: it says what shall be, not how. `gpuyard.scheduling.commitments` turns it into
writes; its `changes` go to the ledger; a record keeps it, so that it can be computed once more.
"""

import msgspec

from gpuyard.model.ledger import Hold, LedgerChange
from gpuyard.model.queues import Admission
from gpuyard.model.reasons import ReasonCode
from gpuyard.model.workloads import Assignment


class Start(msgspec.Struct, frozen=True):
    """These pods of `workload` get their nodes now; `complete` when it is all of them.

    `admission` is what it was given in its queue, flavors and domains, where it waited in one.
    """

    workload: str
    assignments: tuple[Assignment, ...]
    complete: bool = True
    admission: Admission | None = None

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that this start takes."""
        return sum(assignment.device_milli for assignment in self.assignments)


class Wait(msgspec.Struct, frozen=True):
    """`workload` stays pending, and why: in one word, and in a sentence where a queue says it."""

    workload: str
    code: ReasonCode
    sentence: str = ""


class Evict(msgspec.Struct, frozen=True, kw_only=True):
    """`victim` leaves its nodes, all of it, for `workload`; `reason` in one word."""

    victim: str
    workload: str
    reason: str = ""


class Plan(msgspec.Struct, frozen=True):
    """Everything that one pass over the pending workloads decided, in its order.

    A start whose workload has `evicts` begins when these have left; `holds` keep what they free.
    `changes` are all that the ledger has to know of the plan, its holds included.
    """

    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
    evicts: tuple[Evict, ...] = ()
    holds: tuple[Hold, ...] = ()
    changes: tuple[LedgerChange, ...] = ()
