"""What binds: of all that was missing, the least, needed against there.

A workload may fail in several flavors for several resources. The one that is nearest to being met
is the one to talk about: with that much more it would start there, whatever the others lack.
"""

from collections.abc import Iterator

from gpuyard.model.reasons import Constraint
from gpuyard.scheduling.flavors.assignment import FlavorAssignment
from gpuyard.scheduling.flavors.reasons import FlavorReason


def binding(queue: str, assignment: FlavorAssignment) -> Constraint | None:
    """Return the nearest constraint; `None` where nothing that was missing has a number."""
    found = (shortage(queue, reason) for reason in reasons(assignment))
    return min((each for each in found if each is not None), key=_distance, default=None)


def reasons(assignment: FlavorAssignment) -> Iterator[FlavorReason]:
    """Yield every reason of every pod set."""
    for pod_set in assignment.pod_sets:
        yield from pod_set.reasons


def _distance(one: Constraint) -> tuple[float, str, str]:
    """Return how far it is, as a share of what is needed: resources have different units."""
    return (one.needed - one.have) / max(1, one.needed), one.name, one.where


def shortage(queue: str, reason: FlavorReason) -> Constraint | None:
    """Return what a reason says in numbers, in the resource's own unit or in pods."""
    where = f"ClusterQueue {queue}, flavor {reason.flavor}"
    needed = reason.needed + reason.assumed
    match reason.code:
        case "InsufficientUnusedQuota":
            have = needed - reason.missing
            return Constraint(
                name=reason.resource, needed=needed, have=have, where=f"{where}: unused quota"
            )
        case "ExceedsMaxQuota":
            return Constraint(
                name=reason.resource,
                needed=needed,
                have=reason.capacity,
                where=f"{where}: all quota",
            )
        case "TopologyPlacementFailed" if reason.refusal is not None:
            refusal = reason.refusal
            level = f", level {refusal.level}" if refusal.level else ""
            return Constraint(
                name="slices" if refusal.in_slices else "pods",
                needed=refusal.needed,
                have=refusal.have,
                where=f"topology {refusal.topology}{level}, flavor {reason.flavor}",
            )
    return None
