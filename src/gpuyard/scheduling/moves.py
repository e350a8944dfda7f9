"""Who moves so that a workload starts on what is free but scattered: quota and nodes together.

`preemption.cheapest.consolidate` finds the cheapest movers on the nodes of one flavor and says
whether they are worth it. Here each set is made true on the queues: the movers give back what they
hold, the workload is admitted and lands, and then every mover is admitted again with all its pods,
in any flavor of its queue, and lands; nobody is evicted for any of them. So a small workload may
leave the large machine that it took because nothing else was free at the time.

Flavors are tried in the order of the queue. The state is the same afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from gpuyard.model.queues import Admission, ResourceFlavor
from gpuyard.model.running import Running
from gpuyard.model.workloads import PodTemplate, Workload
from gpuyard.scheduling.admission.entries import Head
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.landing import in_flavors, land
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.consolidate import (
    ConsolidationRules,
    NoConsolidation,
    Stuck,
    free_device_milli,
    is_small,
    largest_first,
    movers,
)
from gpuyard.scheduling.preemption.cheapest.cost import (
    Candidate,
    Gang,
    Limits,
    VictimRules,
    candidate,
    spared,
)
from gpuyard.scheduling.preemption.cheapest.victims import NoVictims, Victims, cheapest_of, depart
from gpuyard.scheduling.queues import NOTHING_LOST, Queues
from gpuyard.scheduling.snapshot import Snapshot

RULES = VictimRules(whom="offered", landings_max=16, exact_limit_s=0.0)
NO_LIMITS = Limits()  # the ledger's are asked when the moves are known


class Moved(NamedTuple):
    """A workload that is stopped, and what it is given instead."""

    workload: str
    admission: Admission


class Moves(NamedTuple):
    """Who moves where, and what the workload gets for which they do."""

    moved: tuple[Moved, ...]
    admission: Admission


def may_help(placer: Placer, workload: Workload) -> bool:
    """Tell whether as many devices are free, wherever, as `workload` asks for."""
    return 0 < workload.device_milli <= free_device_milli(placer.snapshot)


def find(
    nominator: Nominator,
    placer: Placer,
    head: Head,
    *,
    rules: ConsolidationRules,
    keeps_domains: bool,
    now_ns: int,
) -> Moves | None:
    """Return who has to move so that `head` starts, `None` where nobody can or it is not worth it.

    `nominator` must be one that evicts nobody.
    """
    pods = tuple(_pods(head.workload))
    gang = Gang(key=head.workload.key, pods=pods)
    snapshot, queues = placer.snapshot, nominator.queues
    trial = _Trial(nominator, placer, head, keeps_domains=keeps_domains)
    running = [
        each
        for each in _running(queues, snapshot, gang.key, now_ns)
        if is_small(snapshot, each, rules)
    ]
    offered = (candidate(snapshot, each, RULES, NO_LIMITS, now_ns) for each in running)
    known = {
        each.running.key: each for each in offered if spared(gang, each, RULES, NO_LIMITS) is None
    }
    for name in queues.flavors_of(head.queue):
        there = Gang(key=gang.key, pods=tuple(_in_flavor(pods, queues.flavors[name])))
        choose = partial(_choose, placer, there, known)
        found = movers(there, running, rules, choose, trial.land_all)
        if not isinstance(found, NoConsolidation):
            return found
    return None


def _choose(
    placer: Placer, gang: Gang, known: Mapping[str, Candidate], offered: Iterable[Running]
) -> Victims | NoVictims:
    """Return the cheapest of those who are `offered`; `known` are all that may go."""
    legal = [known[each.key] for each in offered if each.key in known]
    return cheapest_of(placer, gang, legal, rules=RULES, limits=NO_LIMITS)


class _Trial:
    """Tries sets of movers for one workload."""

    def __init__(
        self, nominator: Nominator, placer: Placer, head: Head, *, keeps_domains: bool
    ) -> None:
        self.nominator = nominator
        self.queues = nominator.queues
        self.placer = placer
        self.head = head
        self.keeps_domains = keeps_domains

    def land_all(self, found: Victims) -> Moves | Stuck:
        """Return where everybody stands once `found` have moved, or who finds no place."""
        leaving = [
            self.queues.admitted[each.running.key] for each in largest_first(found.candidates)
        ]
        with self.placer.snapshot.trial(), self.queues.without(found.keys), ExitStack() as counted:
            depart(self.placer.snapshot, found.candidates)
            admission = self._admit(self.head, counted)
            if admission is None:
                return Stuck()
            moved = []
            for mover in leaving:
                queue = mover.admission.cluster_queue
                there = self._admit(Head(workload=mover.workload, queue=queue), counted)
                if there is None or pods_of(there) < pods_of(mover.admission):
                    return Stuck(mover.workload.key)
                moved.append(Moved(mover.workload.key, there))
            return Moves(tuple(moved), admission)

    def _admit(self, head: Head, counted: ExitStack) -> Admission | None:
        """Admit and land a workload while `counted` is open, `None` where it has to wait."""
        with self.queues.without_hold(head.workload.key):
            assignment = self.nominator.nominate(head).assignment
            if assignment.mode is not Mode.FIT:
                return None
            admission = assignment.admission(head.queue)
            landed = land(
                self.placer, self.queues, head.workload, admission, keeps_domains=self.keeps_domains
            )
        if landed is None:
            return None
        counted.enter_context(self.queues.using(head.queue, landed.admission.usage()))
        return landed.admission


def pods_of(admission: Admission) -> int:
    """Return how many pods were admitted."""
    return sum(given.count for given in admission.pod_sets)


def _pods(workload: Workload) -> Iterator[tuple[str, PodTemplate]]:
    for pod_set in workload.pod_sets:
        for index in range(pod_set.count):
            yield f"{workload.key}/{pod_set.name}-{index}", pod_set.template


def _in_flavor(
    pods: Iterable[tuple[str, PodTemplate]], flavor: ResourceFlavor
) -> Iterator[tuple[str, PodTemplate]]:
    """Bind the pods that ask for devices to the nodes of a flavor."""
    for pod, template in pods:
        yield pod, in_flavors(template, [flavor]) if template.request.devices else template


def _running(queues: Queues, snapshot: Snapshot, mover_for: str, now_ns: int) -> Iterator[Running]:
    """Yield who could move: not who leaves already, seeks another place, or is spared."""
    off_limits = queues.not_evicted_by(mover_for)
    pods: dict[str, list[str]] = {}
    for pod, booking in snapshot.bookings.items():
        pods.setdefault(booking.assignment.group, []).append(pod)
    for key, admitted in queues.admitted.items():
        if admitted.evicted or admitted.unhealthy_nodes:
            continue
        if key in queues.spared or key in off_limits:
            continue
        if key in pods:
            lost_ns = queues.losses.get(key, NOTHING_LOST).time_ns
            yield Running(
                key=key,
                pods=tuple(pods[key]),
                started_ns=now_ns - lost_ns,
                movable=admitted.workload.preemptible and admitted.workload.movable,
            )
