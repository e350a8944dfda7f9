"""Why devices are idle: one reason for each, and how many have it.

A device is idle as far as no pod holds it. Its reason is one of a fixed list; how it is found, and
in which order the reasons take precedence, is told in `gpuyard.scheduling.idle`. Amounts are in
thousandths of a device, so that shares of devices are explained as well.
"""

from typing import Literal

import msgspec

from gpuyard.model.reasons import Constraint

IdleReason = Literal[
    "BlindSource",  # nobody knows whether it is free: old facts, a node that is not ready
    "Cordoned",  # its node is marked unschedulable
    "Reservation",  # promised to a workload
    "Hold",  # kept for a workload that room is being made for
    "NoDemand",  # nobody who waits could use it, were the node empty
    "Fragmentation",  # too small a piece: of a device, of a node, or of what a gang needs together
    "Unreachable",  # CPU, memory, pods or ports of its node are used up
    "Quota",  # who would fit there has no quota for it
    "StrictFIFOHead",  # who could start there stands behind the head of a StrictFIFO queue
    "PendingEvaluation",  # somebody could start there, and was not tried yet
]


class IdleRules(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as a device, and for how long facts about nodes and pods are good.

    `device_resources` are the extended resources whose pieces are devices: on a node that offers
    them they are counted, on others the devices themselves. Facts that were never observed, or
    more than `stale_after_ns` ago, are blind; `None`: time has no meaning. Of different requests
    those of the first `asks_max` in turn are looked at: each costs a look at every node.
    """

    device_resources: tuple[str, ...] = ("amd.com/gpu", "nvidia.com/gpu")
    stale_after_ns: int | None = None
    asks_max: int = 1024


class IdleRow(msgspec.Struct, frozen=True, kw_only=True):
    """Idle devices of one pool and flavor that have the same reason.

    `milli` thousandths lie on `devices` devices of `nodes` nodes. `workload` is who is nearest to
    using most of them, or for whom they are kept; `binding` what stops it, where that has a number.
    """

    pool: str
    flavor: str
    reason: IdleReason
    milli: int
    devices: int
    nodes: int
    sentence: str
    workload: str = ""
    binding: Constraint | None = None
