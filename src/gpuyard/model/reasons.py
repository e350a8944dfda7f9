"""Why not: reason codes, the binding constraint with its numbers, and who listens.

The core never logs. It speaks through a `Reporter`; what it says is what ``why`` prints, what the
dashboard shows and what tests assert on.
"""

from typing import Literal, Protocol

import msgspec

ReasonCode = Literal[
    "Unschedulable",  # no node passes the filters now
    "NoSuchNode",  # no node could pass even if it were empty
    "GangIncomplete",  # some members fit, not all of them at once
    "WaitingForQuota",  # its queue has the quota, and others hold it
    "WaitingForPreemptedWorkloads",  # room is made for it
    "UsageCapReached",  # its user, queue or device model may not have more now
    "ExceedsMaxQuota",  # its queue will never have that much
    "NoMatchingFlavor",  # no flavor of its queue suits its pods
    "TopologyPlacementFailed",  # no domain would hold it, however empty
    "ExceedsFleet",  # all nodes together, were they empty, would not hold it
    "BadConstraints",  # what it asks for contradicts itself
    "Misconfigured",  # its queue or namespace does not let it in
    "Suspended",  # its queue is stopped
    "PendingEvaluation",  # its turn has not come yet
]


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """What binds: `needed` against `have`, in the resource's own unit, at `where`."""

    name: str
    needed: int
    have: int
    where: str


class Rejection(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Why one filter turned one node down, in Kubernetes' own words.

    `resolvable` is false where evicting pods could not help (UnschedulableAndUnresolvable).
    """

    filter: str
    text: str
    resolvable: bool = True


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """What would let a workload start. `checked`: it was tried out on the state as it is.

    `start_p50_ns` is when it would start; `None` where nobody made a forecast.
    """

    change: str
    checked: bool
    start_p50_ns: int | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a workload is pending: a stable code, one sentence, what binds, what would change it."""

    code: ReasonCode
    sentence: str
    binding: Constraint | None = None
    rejections: tuple[tuple[Rejection, int], ...] = ()  # how many nodes each turned down
    remedies: tuple[Remedy, ...] = ()


class Reporter(Protocol):
    """Who listens to the decisions."""

    def started(self, workload: str, nodes: tuple[str, ...]) -> None:
        """Tell that every pod of `workload` has its node."""

    def pending(self, workload: str, code: ReasonCode) -> None:
        """Tell why `workload` does not start in this cycle."""


class Silent:
    """A reporter for those who only want the plan."""

    def started(self, workload: str, nodes: tuple[str, ...]) -> None:
        """Do nothing."""

    def pending(self, workload: str, code: ReasonCode) -> None:
        """Do nothing."""
