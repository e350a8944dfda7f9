"""One round: who runs until the next, who gives way, who starts and where.

In the order of the policy each contender takes what it asks for from the devices that the fleet
has, whoever holds them now; one that asks for more than is left is passed over, and those behind it
may still fit. Whoever runs and is not among the chosen is evicted. Whoever is chosen and runs stays
where it is: moving a job costs a restart, so nobody is moved to make another fit better. The rest
of the chosen start, in the same order, node by node (`gpuyard.scheduling.node_by_node`).

The count looks at devices alone. Where places are scarcer than devices (a model that a job insists
on, devices in ones where pods ask for pairs) a chosen workload may find no room; it waits, and says
so. Deciding twice in a row changes nothing the second time as long as nobody came, ended or moved
to another queue: a world with a clock may skip such rounds (`gpuyard.twin.rounds`).

Semantics: petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/tiresias.py (`optimize`).
"""

from collections.abc import Iterable

import msgspec

from gpuyard.model.deltas import PodGone
from gpuyard.model.plan import Evict, Plan, Start, Wait
from gpuyard.model.policy import DEVICES, PlacementPolicy, ResourceWeight, WeightedScore
from gpuyard.model.reasons import ReasonCode, Reporter
from gpuyard.model.rounds import LeastAttained, Standing
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Assignment, Workload
from gpuyard.scheduling import cycle, node_by_node
from gpuyard.scheduling.ordering import attained_service
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.policy import Policy

HOUR_NS = 3600 * 10**9
OUTRUN = "OthersAttainedLess"  # why somebody gives way, to nobody in particular

TIRESIAS = Policy(
    queueing=LeastAttained(thresholds_device_ns=(16 * HOUR_NS,)),
    placement=PlacementPolicy(
        scores=(WeightedScore(name="least-allocated", resources=(ResourceWeight(DEVICES),)),)
    ),
)


class Contender(msgspec.Struct, frozen=True):
    """A workload that wants to run in this round; `bound` is where its pods are, if they are."""

    workload: Workload
    standing: Standing
    bound: tuple[Assignment, ...] = ()


def decide(placer: Placer, contenders: Iterable[Contender], reporter: Reporter) -> Plan:
    """Decide one round; `contenders` come in the order of arrival.

    The placer's snapshot holds the result: the evicted are gone, the started are bound.
    """
    chosen, passed_over = _choose(placer, contenders)
    evicted = [one for one in passed_over if one.bound]
    for one in evicted:
        for assignment in one.bound:
            placer.snapshot.apply(PodGone(assignment.pod))
    starts: list[Start] = []
    roomless: list[Contender] = []
    for one in chosen:
        if one.bound:
            continue
        placed = node_by_node.place(placer, cycle.members(one.workload))
        if placed is None:
            roomless.append(one)
            continue
        starts.append(Start(one.workload.key, placed))
        reporter.started(one.workload.key, tuple(assignment.node for assignment in placed))
    waits = [_wait(one.workload, reporter) for one in (*passed_over, *roomless)]
    evicts = (Evict(victim=one.workload.key, workload="", reason=OUTRUN) for one in evicted)
    return Plan(tuple(starts), tuple(waits), tuple(evicts))


def _choose(
    placer: Placer, contenders: Iterable[Contender]
) -> tuple[list[Contender], list[Contender]]:
    """Return who runs and who is passed over, both in order."""
    fleet = placer.snapshot.fleet
    left_milli = int((fleet.device_model >= 0).sum()) * WHOLE_DEVICE_MILLI
    chosen: list[Contender] = []
    passed_over: list[Contender] = []
    for one in sorted(contenders, key=lambda one: attained_service.turn(one.standing)):
        asked_milli = one.workload.device_milli
        if asked_milli <= left_milli:
            left_milli -= asked_milli
            chosen.append(one)
        else:
            passed_over.append(one)
    return chosen, passed_over


def _wait(workload: Workload, reporter: Reporter) -> Wait:
    code: ReasonCode = "GangIncomplete" if workload.pod_count > 1 else "Unschedulable"
    reporter.pending(workload.key, code)
    return Wait(workload.key, code)
