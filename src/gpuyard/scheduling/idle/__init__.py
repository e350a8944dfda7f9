"""Why each idle device is idle: exactly one reason, and numbers per pool and flavor.

In goes the state at the end of a cycle: nodes and pods (a placer over the snapshot), queues with
their holders, who waits, what the ledger keeps, and the time. Out comes for every idle device, or
for so many thousandths of it, one reason, and a table of them. Nothing is changed.

Two questions, in this order.

*May anybody take it?* A device of which nobody knows whether it is free (old facts, a node that is
not ready, more taken than there is) is blind, whatever else holds. Then a cordoned node; then room
that a reservation promises, then room that a hold keeps.

*How near does anybody come?* Of the rest every waiting workload that may be tried now is asked how
far it gets, and who gets furthest speaks (`steps.Step`):

1. nobody asks: none of them could use it were the node empty (labels, taints, model, size);
2. fragmentation of the node: its free devices are too few, or what is left of each too small;
3. unreachable: devices suffice, and CPU, memory, pods or ports of the node do not;
4. fragmentation of the fleet: a pod fits, all pods of its gang do not, or not in one domain;
5. quota: all pods would find nodes, and the queue has no quota for them there;
6. StrictFIFO head: there is quota as well, and somebody before it blocks the queue;
7. pending evaluation: nothing is in its way, and its turn has not come yet.

So a reason is always the next obstacle of whoever is nearest: where it is taken away he starts, or
stands before the next one of the list. Quota comes after nodes, since more quota for a gang that
finds no nodes puts no device to use. The amounts of a reason say how much is idle for it, not how
much would be used without it: a single pod that lacks quota explains every device it would fit on.

From step 2 on a device is an *idle fit*, one that a waiting pod asks for.

No other scheduler tells this; the wish for it, and the list of reasons, are ours.
"""

from typing import NamedTuple

import numpy as np

from gpuyard.model.constraints import Constraints
from gpuyard.model.idle import IdleRow, IdleRules
from gpuyard.model.ledger import Hold, Reservation
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.feasibility import node_affinity
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.idle.asks import Ask, asks
from gpuyard.scheduling.idle.kept import is_blind, is_cordoned, occupy, promises, taken
from gpuyard.scheduling.idle.lots import Lots, idle_lots
from gpuyard.scheduling.idle.reach import FITS, reach, scarcest, wish
from gpuyard.scheduling.idle.rows import Said, rows
from gpuyard.scheduling.idle.steps import REASONS, Step
from gpuyard.scheduling.idle.ways import ELSEWHERE, SHAPES_KEPT_MAX, Flavors, Seeker, Way, ways
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.shapes import Shape

__all__ = ["REASONS", "IdleDevices", "Part", "Step", "explain"]

DEFAULT_RULES = IdleRules()
EVERYWHERE = "facts are missing, old or contradictory, or the node is not ready"


class Part(NamedTuple):
    """Idle thousandths with one explanation: `milli` of each lot in `slots`, [row, lot]."""

    said: Said
    slots: IntArray
    milli: IntArray


class IdleDevices(NamedTuple):
    """What is idle, in parts that add up to it, and the table."""

    lots: Lots
    parts: tuple[Part, ...]
    rows: tuple[IdleRow, ...]


def explain(
    placer: Placer,
    waiting: Waiting,
    ledger: Ledger,
    policy: QueuePolicy,
    now_ns: int,
    *,
    rules: IdleRules = DEFAULT_RULES,
) -> IdleDevices:
    """Return the reason of every idle device in the state that `placer` and `waiting` know."""
    lots = idle_lots(placer.snapshot, rules.device_resources)
    with placer.snapshot.trial():
        looking = _Looking(placer, waiting, lots, policy, rules)
        looking.set_aside(Step.BLIND, is_blind(placer.snapshot, lots, rules, now_ns), EVERYWHERE)
        looking.set_aside(
            Step.CORDONED, is_cordoned(placer.snapshot), "the node is marked unschedulable"
        )
        looking.keep(Step.RESERVED, ledger, Reservation, now_ns)
        looking.keep(Step.HELD, ledger, Hold, now_ns)
        for ask in asks(waiting, rules, now_ns, looking.promised):
            looking.hear(ask)
        parts = looking.parts()
    return IdleDevices(lots, parts, rows(placer.snapshot, waiting.queues, lots, parts))


class _Looking:
    """What is explained so far: parts that nobody may take, and who is nearest to the rest."""

    def __init__(
        self,
        placer: Placer,
        waiting: Waiting,
        lots: Lots,
        policy: QueuePolicy,
        rules: IdleRules,
    ) -> None:
        self.placer, self.snapshot = placer, placer.snapshot
        self.queues = waiting.queues
        self.lots, self.rules = lots, rules
        self.seeker = Seeker(placer, waiting.queues, policy, {})
        self._reached: dict[Shape, IntArray] = {}
        self.left: IntArray = lots.milli.copy()
        self.kept: list[Part] = []
        self.promised: set[str] = set()
        self.heard = 0
        self.near: IntArray = np.full(self.left.shape, Step.NOBODY_ASKS, dtype=np.int64)
        self.by: IntArray = np.zeros(self.left.shape, dtype=np.int64)  # in `said`
        self.said: list[Said] = [Said(Step.NOBODY_ASKS, "")]

    # -- what nobody may take

    def set_aside(self, step: Step, chosen: BoolArray, sentence: str) -> None:
        """Explain all that is left on the chosen slots."""
        slots = np.flatnonzero(chosen)
        self._take(Said(step, sentence), slots, self.left[slots])
        occupy(self.snapshot, self.lots, slots, self.kept[-1].milli)

    def keep(
        self, step: Step, ledger: Ledger, kind: type[Hold] | type[Reservation], now_ns: int
    ) -> None:
        """Explain what promises of one kind keep."""
        for promise in promises(ledger, kind, now_ns):
            self.promised.add(promise.workload)
            verb = "promised to" if step is Step.RESERVED else "kept for"
            said = Said(step, f"{verb} {promise.workload}", promise.workload)
            for room in promise.rooms:
                slots, milli = taken(self.snapshot, self.queues, room, self.lots, self.left)
                self._take(said, slots, milli)
                occupy(self.snapshot, self.lots, slots, milli, room.request)

    def _take(self, said: Said, slots: IntArray, milli: IntArray) -> None:
        self.kept.append(Part(said, slots, milli))
        self.left[slots] -= milli

    # -- who is nearest

    def hear(self, ask: Ask) -> None:
        """Let one ask say how near it comes to each lot."""
        self.heard += ask.same
        if not ((self.near < Step.NOT_TRIED) & (self.left > 0)).any():
            return
        covered = np.zeros(self.snapshot.fleet.size, dtype=np.bool_)
        for way in ways(self.seeker, ask):
            if way.flavors is ELSEWHERE:
                self._go(ask, way, ~covered)
                continue
            self._go(ask, way, np.ones_like(covered))
            covered |= self._nodes_of(way.flavors)

    def _nodes_of(self, flavors: Flavors) -> BoolArray:
        """Tell for each slot whether its node is of one of `flavors`, or no flavor is needed."""
        slots = np.arange(self.snapshot.fleet.size)
        nodes = np.zeros(len(slots), dtype=np.bool_)
        for names in flavors.values():
            labels = {pair for name in names for pair in self.queues.flavors[name].node_labels}
            nodes |= node_affinity.suits(
                self.snapshot, Constraints(node_selector=tuple(sorted(labels))), slots
            )
        return nodes

    def _go(self, ask: Ask, way: Way, on: BoolArray) -> None:
        """Note where pods of `ask` come nearer on `way` than anybody before."""
        for pod_set in ask.workload.pod_sets:
            shape = self.seeker.shape(pod_set, way.flavors)
            reached = self._reach(shape)
            near = np.where(reached == FITS, int(way.step), reached)
            nearer = (near > self.near) & (self.left > 0) & on[:, None]
            for step in np.unique(near[nearer]).tolist():
                here = nearer & (near == step)
                self.by[here] = len(self.said)
                self.said.append(self._said(ask, way, Step(step), here, shape=shape))
            self.near[nearer] = near[nearer]

    def _reach(self, shape: Shape) -> IntArray:
        """Return how far a pod comes; many queues ask for the same few shapes."""
        if shape not in self._reached:
            if len(self._reached) >= SHAPES_KEPT_MAX:
                self._reached.clear()
            self._reached[shape] = reach(self.placer, self.lots, shape)
        return self._reached[shape]

    def _said(self, ask: Ask, way: Way, step: Step, here: BoolArray, *, shape: Shape) -> Said:
        key = ask.workload.key
        if step >= FITS:
            return Said(step, way.sentence, key, way.binding)
        if step is Step.LACKS_OTHERS:
            lacking = scarcest(self.snapshot, self.lots, shape, np.flatnonzero(here.any(axis=1)))
            what = lacking.name if lacking else "ports"
            return Said(step, f"a pod of {key} finds devices, and not enough {what}", key, lacking)
        asked = wish(shape, self.rules.device_resources)
        return Said(step, f"no {asked} are left on one node, as {key} asks", key)

    def parts(self) -> tuple[Part, ...]:
        """Return the explanation of everything."""
        nobody = f"none of {self.heard} waiting workloads asks for it"
        self.said[0] = Said(Step.NOBODY_ASKS, nobody)
        found = [part for part in self.kept if part.milli.any()]
        for index in np.unique(self.by[self.left > 0]).tolist():
            milli = np.where(self.by == index, self.left, 0)
            slots = np.flatnonzero(milli.any(axis=1))
            found.append(Part(self.said[index], slots, milli[slots]))
        return tuple(found)
