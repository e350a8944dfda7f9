"""What is turned away before it waits, and what would have to change.

Only what cannot start, however long it waits, is refused. Until when that is so differs: a gang
that contradicts itself has to be written anew, one that exceeds its quota waits for an
administrator, one that exceeds the fleet for more nodes, and these may come by themselves.
"""

from typing import Literal

import msgspec

from gpuyard.model.reasons import Reason

Until = Literal["the workload changes", "the queues change", "the nodes change"]


class DoorRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is refused.

    `nodes_may_come`: nodes are added on demand, so that those of today say nothing about what could
    start. `pods_max` bounds the pods of one workload: each costs time when it is placed.
    """

    nodes_may_come: bool = False
    pods_max: int = 100_000


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A workload is not let in, why, and until when that is so."""

    reason: Reason
    until: Until
