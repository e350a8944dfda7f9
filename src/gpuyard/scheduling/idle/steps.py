"""The order of the reasons, as data: a larger step is nearer to a pod on the device."""

from collections.abc import Mapping
from enum import IntEnum

from gpuyard.model.idle import IdleReason


class Step(IntEnum):
    """How far anybody came towards an idle device; see the story of `scheduling.idle`."""

    NOBODY_ASKS = 0
    IN_PIECES = 1  # the node's devices are too few, or too small
    LACKS_OTHERS = 2  # devices suffice; CPU, memory, pods or ports do not
    NOT_TOGETHER = 3  # the pod fits; the others of its gang do not, or not in one domain
    NO_QUOTA = 4
    BEHIND_HEAD = 5
    NOT_TRIED = 6
    # What nobody may take, however near: the first of these that holds.
    HELD = 7
    RESERVED = 8
    CORDONED = 9
    BLIND = 10


REASONS: Mapping[Step, IdleReason] = {
    Step.NOBODY_ASKS: "NoDemand",
    Step.IN_PIECES: "Fragmentation",
    Step.LACKS_OTHERS: "Unreachable",
    Step.NOT_TOGETHER: "Fragmentation",
    Step.NO_QUOTA: "Quota",
    Step.BEHIND_HEAD: "StrictFIFOHead",
    Step.NOT_TRIED: "PendingEvaluation",
    Step.HELD: "Hold",
    Step.RESERVED: "Reservation",
    Step.CORDONED: "Cordoned",
    Step.BLIND: "BlindSource",
}
