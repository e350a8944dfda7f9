"""A gang node by node: the best node takes as many members as it has room for, then the next best.

Members placed one for one follow the scores each time anew, so a rule that prefers empty nodes
scatters a gang over as many nodes as it has members. Node by node, such a rule gives the gang the
emptiest nodes *whole*: few nodes per gang without looking for the best set of them.

Where pods in other domains decide (inter-pod affinity, spread), room for several says nothing, and
the members of such a shape are placed one for one.

Where it comes from: petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/tiresias.py, and
with scores for free devices exactly its rule: the node with the most free devices, of equals the
first, until the job has all it asked for.
"""

from collections.abc import Sequence

from gpuyard.model.deltas import PodBound
from gpuyard.model.workloads import Assignment, PodTemplate
from gpuyard.scheduling.placement import Placer


def place(placer: Placer, pods: Sequence[tuple[str, PodTemplate]]) -> tuple[Assignment, ...] | None:
    """Bind all of `pods` (key and template) or none of them, in the order given."""
    placed: list[Assignment] = []
    with placer.snapshot.trial() as trial:
        while len(placed) < len(pods):
            bound = _fill_one_node(placer, pods[len(placed) :])
            if not bound:
                return None
            placed.extend(bound)
        trial.keep()
    return tuple(placed)


def _fill_one_node(
    placer: Placer, pods: Sequence[tuple[str, PodTemplate]]
) -> tuple[Assignment, ...]:
    """Bind the first of `pods`, and those like it that follow, to the best node for it."""
    template = pods[0][1]
    shape = placer.snapshot.shape(template)
    choice = placer.choose(shape)
    if choice is None:
        return ()
    count = 1
    if not placer.depends_on_pods(shape):
        count = max(1, int(placer.room(shape)[choice.slot]))
    node = placer.snapshot.nodes[choice.slot].name
    bound: list[Assignment] = []
    for pod, other in pods[:count]:
        if other != template:
            break
        devices = None if bound else choice.devices  # of the others the snapshot books the next
        assignment = Assignment(pod=pod, template=template, node=node, devices=devices)
        placer.snapshot.apply(PodBound(assignment))
        bound.append(assignment)
    return tuple(bound)
