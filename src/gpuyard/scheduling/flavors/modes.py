"""How well a flavor serves a request, and which of two flavors serves it better.

Two scales. `Prospect` is what the search compares: whether it fits now, after reclaiming quota that
others borrowed, after preempting in the own queue, not before somebody leaves by himself, or never.
It goes with the borrowing level: 0 is the queue's own quota, higher numbers reach wider cohorts.
`Mode` is the shorter scale that the cycle acts on.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner/flavorassigner.go (isPreferred,
shouldTryNextFlavor). The comments on `preference` in its API are swapped; the code counts.
"""

import enum
import sys
from typing import NamedTuple

from gpuyard.model.queues import FlavorFungibility


class Mode(enum.IntEnum):
    """What has to happen before a flavor can be used; the larger the better."""

    NO_FIT = 0  # not enough quota, whoever leaves
    PREEMPT = 1  # others have to leave first
    DEFERRED_FIT = 2  # it fits once preemptions of this cycle are done
    FIT = 3

    @property
    def text(self) -> str:
        """Return the name that Kueue gives it."""
        return ("NoFit", "Preempt", "DeferredFit", "Fit")[self]


class Prospect(enum.IntEnum):
    """What a flavor promises for one resource; the larger the better."""

    NO_FIT = 0
    NO_CANDIDATES = 1  # quota would do, but nobody can be preempted
    PREEMPT = 2  # workloads of the own queue would be among the victims
    RECLAIM = 3  # only workloads of other queues, which borrow, would leave
    FIT = 4

    @property
    def mode(self) -> Mode:
        """Return what this means for the cycle."""
        if self in (Prospect.NO_FIT, Prospect.FIT):
            return Mode.FIT if self else Mode.NO_FIT
        return Mode.PREEMPT

    @property
    def needs_preemption(self) -> bool:
        """Tell whether preemption was considered, with or without success."""
        return self.mode is Mode.PREEMPT

    @property
    def text(self) -> str:
        """Return the name that Kueue gives it."""
        return ("NoFit", "NoCandidates", "Preempt", "Reclaim", "Fit")[self]


class Grade(NamedTuple):
    """What a flavor promises, and how far away the quota is."""

    prospect: Prospect
    borrowing: int


BEST = Grade(Prospect.FIT, 0)
WORST = Grade(Prospect.NO_FIT, sys.maxsize)


def is_preferred(one: Grade, other: Grade, fungibility: FlavorFungibility) -> bool:
    """Tell whether `one` is better than `other` for a queue with these wishes."""
    if one.prospect is Prospect.NO_FIT or other.prospect is Prospect.NO_FIT:
        return one.prospect is not Prospect.NO_FIT
    one_waits, other_waits = (
        grade.prospect is Prospect.NO_CANDIDATES for grade in (one, other)
    )  # nobody to preempt: not in this cycle, so behind all that is possible
    if one_waits != other_waits:
        return other_waits
    if fungibility.preference == "PreemptionOverBorrowing":
        return (-one.borrowing, one.prospect) > (-other.borrowing, other.prospect)
    return (one.prospect, -one.borrowing) > (other.prospect, -other.borrowing)


def tries_next(grade: Grade, fungibility: FlavorFungibility) -> bool:
    """Tell whether the search goes on behind a flavor of this grade."""
    match grade.prospect:
        case Prospect.NO_FIT | Prospect.NO_CANDIDATES:
            return True
        case Prospect.PREEMPT | Prospect.RECLAIM if fungibility.when_can_preempt == "TryNextFlavor":
            return True
    return grade.borrowing > 0 and fungibility.when_can_borrow == "TryNextFlavor"
