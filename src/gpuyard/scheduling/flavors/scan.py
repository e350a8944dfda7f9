"""Whether the search for a flavor may go on where it stopped.

A workload that did not fit remembers how far it looked; the next cycle goes on behind that, so that
every flavor has its turn. The position means something only as long as the workload asks for the
same, and only until capacity was freed that earlier flavors may have gained. On a busy cluster
something is freed all the time, and a search would never get beyond the first flavor: a position of
this cycle or of the one before is therefore kept whatever was freed.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (lastAssignmentOutdated) and
pkg/workload/workload.go (MatchesSchedulingShape, PendingFlavors).
"""

from collections.abc import Hashable

import msgspec

from gpuyard.scheduling.flavors.assignment import START_OVER, ScanPositions
from gpuyard.scheduling.flavors.rules import FlavorRules


class ScanStamp(msgspec.Struct, frozen=True, kw_only=True):
    """When a search was made, and for what.

    `generation` counts how often the queue may have gained capacity. `shape` tells requests apart;
    `None` where nobody compares them.
    """

    cycle: int
    generation: int
    shape: Hashable = None


def is_outdated(then: ScanStamp, now: ScanStamp, rules: FlavorRules) -> bool:
    """Tell whether a search made `then` has to begin anew `now`."""
    if rules.preserve_scan_progress:
        if then.shape is not None and now.shape is not None and then.shape != now.shape:
            return True
        if now.cycle - then.cycle <= 1:
            return False
    return now.generation > then.generation


def has_more(tried: ScanPositions) -> bool:
    """Tell whether flavors are left that the search has not looked at."""
    return any(index != START_OVER for positions in tried.values() for index in positions.values())
