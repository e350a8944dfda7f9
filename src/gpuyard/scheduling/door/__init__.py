"""The door: what could never start is refused before it waits, with a reason.

In go a workload, the queues and the nodes; out comes why it is refused, or nothing. Nothing about
the present use of queues and nodes counts: who has to wait, waits. Looked at in this order, so that
the answer is the one that is hardest to mend:

1. the workload by itself (`contradictions`): it is refused until it changes;
2. its queue, as if nobody used anything: `flavors.assign` is asked for every choice of flavors, the
   same function that would admit it. Refused until the queues change, or, where the topology is
   too small, the nodes;
3. the nodes as if they were empty (`fleet`): each shape alone, and all together.

The last is about the nodes of today. Where nodes come on demand (`DoorRules.nodes_may_come`) it is
left out; where none was ever observed, too: blind is not small. Cordoned nodes and nodes that are
not ready count, for they come back.

Cohorts that are their own ancestors, negative quota and flavors that do not exist are refused where
queues are built: `scheduling.quota.build`. A queue that is stopped or inactive refuses nobody; who
comes waits until it opens.

Where this differs from Kueue, on purpose: there a workload that exceeds everything waits for ever
with the code that says so (v0.19.2, pkg/scheduler/flavorassigner); the contradictions are what its
webhooks check, and kube-apiserver's validation, and some that neither sees.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod

import msgspec

from gpuyard.model.door import DoorRules, Refused, Until
from gpuyard.model.reasons import Reason, ReasonCode
from gpuyard.model.resources import PODS
from gpuyard.model.topology import TopologyAssignment, TopologyRules
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.door.contradictions import contradiction
from gpuyard.scheduling.door.fleet import too_large
from gpuyard.scheduling.explain.binding import binding, reasons
from gpuyard.scheduling.flavors import FlavorRequest, assign
from gpuyard.scheduling.flavors.assignment import FlavorAssignment
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.question import NotPlaced
from gpuyard.scheduling.flavors.reasons import SEVERITY
from gpuyard.scheduling.flavors.requests import of_pending
from gpuyard.scheduling.flavors.topologies import FlavorTopologies
from gpuyard.scheduling.preemption.queues.rules import Simulation
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import PodSetRequest, TopologyCapacity
from gpuyard.scheduling.topology.refusals import RefusalCode

__all__ = ["Door"]

CHOICES_MAX = 256  # of flavors for all pod sets; who has more is let in and hears later
DEFAULT_RULES = DoorRules()

UNTIL: Mapping[RefusalCode, Until] = {
    "no-room": "the nodes change",
    "no-room-for-layers": "the nodes change",
    "no-way-down": "the nodes change",
    "no-domains": "the nodes change",
    "no-level": "the queues change",
    "no-slice-level": "the queues change",
    "no-layer-level": "the queues change",
    "slice-above-pod-set": "the queues change",
    "layer-not-below": "the queues change",
}  # every other is the workload's own


class Door:
    """Checks workloads against queues; made anew when these change."""

    def __init__(
        self,
        queues: Queues,
        rules: AdmissionRules,
        door: DoorRules = DEFAULT_RULES,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Take the queues as if nobody used anything; without a snapshot no node is looked at."""
        self.rules, self.door, self.snapshot = rules, door, snapshot
        self.queues = Queues(
            queues.specs.values(),
            [each for each in queues.cohorts.values() if each.name not in queues.endless],
            flavors=queues.flavors.values(),
            local_queues=queues.local_queues.values(),
            places=queues.places,
            topologies=queues.topologies,
        )
        self.inactive = queues.inactive
        self.places = _EmptyTopologies(queues.places, rules.topology, door)

    def check(self, workload: Workload) -> Refused | None:
        """Return why `workload` is not let in, `None` where it may wait."""
        found = contradiction(workload, self.door)
        if found is not None:
            return Refused(reason=found, until="the workload changes")
        local_queue = self.queues.local_queues.get(workload.queue)
        if local_queue is None:
            return _misconfigured(f"there is no LocalQueue {workload.queue!r}")
        queue = local_queue.cluster_queue
        if queue in self.inactive:
            return None
        if queue not in self.queues.specs:
            return _misconfigured(
                f"LocalQueue {workload.queue} leads to ClusterQueue {queue!r}, which does not exist"
            )
        refused = self._by_queue(queue, workload)
        if refused is not None or self.snapshot is None or self.door.nodes_may_come:
            return refused
        fewest = self._sizes(workload)[-1]
        reason = too_large(self.snapshot, self.queues, queue, fewest)
        return None if reason is None else Refused(reason=reason, until="the nodes change")

    def _sizes(self, workload: Workload) -> list[Workload]:
        """Return `workload` whole, and with as few pods as it may start with."""
        if not self.rules.flavors.partial_admission:
            return [workload]
        fewest = tuple(
            each if each.min_count is None else msgspec.structs.replace(each, count=each.min_count)
            for each in workload.pod_sets
        )
        if fewest == workload.pod_sets:
            return [workload]
        return [workload, msgspec.structs.replace(workload, pod_sets=fewest)]

    def _by_queue(self, queue: str, workload: Workload) -> Refused | None:
        """Return why no choice of flavors will ever do: of all answers the mildest, then nearest.

        Of more than `CHOICES_MAX` choices nobody can say that none does.
        """
        refusals: list[Refused] = []
        for size in self._sizes(workload):
            if self._count(queue, size) > CHOICES_MAX:
                return None
            for chosen in islice(self._choices(queue, size), CHOICES_MAX):
                found = self._assign(queue, size, chosen)
                if found.mode is not Mode.NO_FIT:
                    return None
                refusals.append(_refused(queue, found))
        return min(refusals, key=_mildest, default=None)

    def _count(self, queue: str, workload: Workload) -> int:
        groups = self.queues.specs[queue].resource_groups
        each = prod(max(1, len(group.flavors)) for group in groups)
        return int(each ** len(_together(workload)))

    def _choices(
        self, queue: str, workload: Workload
    ) -> Iterator[dict[str, dict[str, str]] | None]:
        """Yield flavors by pod set and resource; pod sets of one topology group choose together."""
        groups = self.queues.specs[queue].resource_groups
        names = [[each.flavor for each in group.flavors] or [""] for group in groups]
        if not groups:
            yield None
            return
        together = _together(workload)
        for by_member in product(product(*names), repeat=len(together)):
            chosen: dict[str, dict[str, str]] = {}
            for members, flavors in zip(together, by_member, strict=True):
                mine = {
                    resource: flavor
                    for group, flavor in zip(groups, flavors, strict=True)
                    for resource in (*group.covered_resources, PODS)
                    if resource in group.covered_resources
                }
                chosen |= dict.fromkeys(members, mine)
            yield chosen

    def _assign(
        self, queue: str, workload: Workload, chosen: dict[str, dict[str, str]] | None
    ) -> FlavorAssignment:
        return assign(
            self.queues,
            FlavorRequest(
                queue=queue,
                pod_sets=of_pending(workload, self.rules.flavors),
                nominated=chosen,
                is_elastic=workload.elastic,
            ),
            rules=self.rules.flavors,
            simulate=lambda *_: Simulation(possibility="NoCandidates", borrowing_levels=0),
            topologies=self.places,
        )


class _EmptyTopologies(FlavorTopologies):
    """Topologies in which nobody holds a place; nodes may still come, where the rules say so."""

    def __init__(
        self, capacities: Mapping[str, TopologyCapacity], rules: TopologyRules, door: DoorRules
    ) -> None:
        super().__init__(capacities, rules)
        self.door = door

    def place(
        self, requests: Mapping[str, Sequence[PodSetRequest]], /, *, empty: bool
    ) -> Mapping[str, TopologyAssignment] | NotPlaced:
        found = super().place(requests, empty=True)
        if isinstance(found, NotPlaced) and self.door.nodes_may_come and _may_grow(found):
            return {}
        return found


def _may_grow(refused: NotPlaced) -> bool:
    return UNTIL.get(refused.refusal.code) == "the nodes change"


def _together(workload: Workload) -> list[list[str]]:
    """Return the names of pod sets that get their flavors together."""
    found: dict[str | int, list[str]] = {}
    for index, each in enumerate(workload.pod_sets):
        group = each.topology.group if each.topology else ""
        found.setdefault(group or index, []).append(each.name)
    return list(found.values())


# -- what is said


def _misconfigured(sentence: str) -> Refused:
    return Refused(
        reason=Reason(code="Misconfigured", sentence=sentence), until="the queues change"
    )


def _refused(queue: str, found: FlavorAssignment) -> Refused:
    code: ReasonCode = found.no_fit_reason or "NoMatchingFlavor"
    reason = Reason(code=code, sentence=found.message(), binding=binding(queue, found))
    return Refused(reason=reason, until=_until(found))


def _until(found: FlavorAssignment) -> Until:
    """Return what would have to change: of several topologies that refuse, what comes easiest."""
    refusals = [each.refusal for each in reasons(found) if each.refusal is not None]
    if found.no_fit_reason != "TopologyPlacementFailed" or not refusals:
        return "the queues change"
    untils = [UNTIL.get(each.code, "the workload changes") for each in refusals]
    return max(untils, key=EASIEST.index)


EASIEST: tuple[Until, ...] = ("the workload changes", "the queues change", "the nodes change")


def _mildest(refused: Refused) -> tuple[int, float]:
    """Return how hard it is to mend, and how much is missing, as a share of what is needed."""
    code = refused.reason.code
    rank = next((place for place, each in enumerate(SEVERITY) if each == code), len(SEVERITY))
    bound = refused.reason.binding
    if bound is None:
        return rank, 1.0
    return rank, (bound.needed - bound.have) / max(1, bound.needed)
