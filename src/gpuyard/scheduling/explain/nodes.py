"""Why nodes do not take the pods of a workload, as kube-scheduler would say it, with numbers.

Every node that turns a shape down speaks through its first filter (`feasibility.explain`). What
binds is how many pods fit at once against how many are missing: the largest gang of that shape
that would start now.
"""

from collections.abc import Sequence

from gpuyard.model.reasons import Constraint, Reason, ReasonCode, Rejection
from gpuyard.scheduling import feasibility
from gpuyard.scheduling.cycle import Member
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.shapes import Shape

REJECTIONS_SHOWN = 3


def of_placement(placer: Placer, missing: Sequence[Member]) -> Reason:
    """Return why not all pods of `missing` have nodes; of several shapes the scarcest speaks."""
    counts: dict[Shape, int] = {}
    for _, template in missing:
        shape = placer.snapshot.shape(template)
        counts[shape] = counts.get(shape, 0) + 1
    rooms = {shape: int(placer.room(shape).sum()) for shape in counts}
    scarcest = min(counts, key=lambda shape: rooms[shape] / counts[shape])
    have, needed = rooms[scarcest], counts[scarcest]
    rejections = feasibility.explain(placer.snapshot, scarcest)
    return Reason(
        code=_code(placer, scarcest, have, len(missing)),
        sentence=_sentence(placer, have, needed, rejections),
        binding=Constraint(name="pods", needed=needed, have=have, where="the whole fleet"),
        rejections=rejections,
    )


def _code(placer: Placer, shape: Shape, have: int, members: int) -> ReasonCode:
    if not placer.allowed_by_labels(shape).any():
        return "NoSuchNode"
    return "GangIncomplete" if have and members > 1 else "Unschedulable"


def _sentence(
    placer: Placer, have: int, needed: int, rejections: Sequence[tuple[Rejection, int]]
) -> str:
    nodes = int(placer.snapshot.fleet.present.sum())
    room = f"{have} of {needed} pods fit on {nodes} nodes"
    said = [f"{count} {rejection.text}" for rejection, count in rejections[:REJECTIONS_SHOWN]]
    return f"{room}: {', '.join(said)}" if said else room
