"""One pass over the queues: rounds until nothing moves, and a node for every pod that starts.

A round lets each queue offer one workload (`admission.round`). Kueue looks at the world again after
each; `rounds_per_cycle` says how many follow each other before anybody does. They end when every
head comes back to where it was, blocking its queue or waiting for victims. What a round decided is
carried out at once on what the next one sees: who starts holds quota and places, and its pods
hold nodes (`landing`); a victim is marked, and keeps what it has until it is gone; who waits is
parked or comes again.

Where admission said that there is room and the nodes do not take the pods (devices in pieces,
ports, affinity), the workload is tried with the other flavors of its queue, as if there had been no
quota in this one; where there are none left it waits, and says so. It comes back to a flavor when
something changed that could help.

Evictions are counted in the ledger and bounded by it: who was evicted within the window is spared,
and where the brake is on nobody is evicted at all. What victims free is kept for whom they left,
quota and places, until it starts or the hold expires: nobody else may take it, and no victim leaves
for nothing. Who lost its places or its flavor to somebody before it in the round evicts others, or
goes on to its next flavor, only if that one did start: a cap or the nodes may have kept it out.

Where the policy moves workloads (`moves`), it is asked first whether a few small ones can stand
elsewhere, which costs less than an eviction and takes nothing from anybody. They are told to go
like victims; their new places are held for them, as theirs are for whom they make way.

The state afterwards holds the plan as if it were written. What becomes of it when it is, the host
follows with `commitments`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from gpuyard.model.ledger import (
    Eviction,
    EvictionRules,
    Forgotten,
    Hold,
    LedgerChange,
    Recorded,
    Room,
)
from gpuyard.model.plan import Evict, Plan, Start, Wait
from gpuyard.model.queues import Admission, Admitted, PodSetAssignment
from gpuyard.model.reasons import Constraint
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, Workload
from gpuyard.scheduling import caps, moves
from gpuyard.scheduling.admission import overruled, round as admission_round
from gpuyard.scheduling.admission.entries import Head, Verdict, not_written
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.round import Objects, nobody_objects
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.assignment import PodSetFlavors
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.scan import has_more
from gpuyard.scheduling.landing import Landed, land
from gpuyard.scheduling.ledger import Ledger, evictions
from gpuyard.scheduling.moves import Moves
from gpuyard.scheduling.ordering.turns import queued_ns
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.queues.rules import Target
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import NOTHING_LOST, Held

ROUNDS_MAX = 100_000  # a cycle that needs more does not come to an end
NOTHING_KNOWN = Ledger()
MOVES = "Consolidation"  # why a mover is told to go
PRODUCT_LABEL = "nvidia.com/gpu.product"  # GPU feature discovery


class QueuePlan(NamedTuple):
    """What a pass decided; who waits comes with the last verdict on it.

    `goes_on`: another pass at once may decide more, for this one had no rounds left.
    """

    starts: tuple[Start, ...]
    evicts: tuple[Evict, ...]
    waits: dict[str, Verdict]
    changes: tuple[LedgerChange, ...]
    rounds: int
    goes_on: bool

    def as_plan(self) -> Plan:
        """Return the same in the words that all plans share."""
        return Plan(
            starts=self.starts,
            waits=tuple(Wait(key, each.code, each.message) for key, each in self.waits.items()),
            evicts=self.evicts,
            holds=tuple(
                each.entry
                for each in self.changes
                if isinstance(each, Recorded) and isinstance(each.entry, Hold)
            ),
            changes=self.changes,
        )


def run(
    waiting: Waiting,
    nominator: Nominator,
    policy: QueuePolicy,
    now_ns: int,
    *,
    ledger: Ledger = NOTHING_KNOWN,
    placer: Placer | None = None,
    objects: Objects = nobody_objects,
) -> QueuePlan:
    """Serve the queues; without a `placer` quota alone decides, and pods get no nodes.

    The next pass has to see `ledger` after the changes of this plan.
    """
    serving = _Pass(waiting, nominator, policy, now_ns, ledger, placer)
    serving.begin()
    rounds, rounds_max = 0, min(policy.rounds_per_cycle, ROUNDS_MAX)
    goes_on = True
    while goes_on and rounds < rounds_max:
        heads = waiting.heads(now_ns)
        if not heads:
            goes_on = False
            break
        rounds += 1
        verdicts = admission_round.run(nominator, heads, objects)
        goes_on = serving.carry_out(verdicts, is_last=rounds == rounds_max)
    return QueuePlan(
        tuple(serving.starts),
        tuple(serving.evicts),
        serving.waits,
        tuple(serving.changes),
        rounds,
        goes_on,
    )


class _Pass:
    """What was decided so far."""

    def __init__(
        self,
        waiting: Waiting,
        nominator: Nominator,
        policy: QueuePolicy,
        now_ns: int,
        ledger: Ledger,
        placer: Placer | None,
    ) -> None:
        self.waiting = waiting
        self.nominator = nominator
        self.queues = nominator.queues
        self.policy = policy
        self.now_ns = now_ns
        self.ledger = ledger
        self.placer = placer
        self.looks_left = policy.moves.looks_per_cycle_max if policy.moves else 0
        self.starts: list[Start] = []
        self.evicts: list[Evict] = []
        self.waits: dict[str, Verdict] = {}
        self.changes: list[LedgerChange] = []

    def begin(self) -> None:
        """Let go what was held too long, and spare who was evicted a moment ago.

        Who waits in the tree of what was let go may be helped by that.
        """
        for hold in self.ledger.of(Hold).values():
            if hold.until_ns <= self.now_ns:
                held = self.queues.drop_hold(hold.workload)
                if held is not None:
                    self.waiting.wake(held.queue, now_ns=self.now_ns)
                self._note(Forgotten(hold))
        rules = self.policy.evictions
        if rules is not None:
            self.queues.spared = evictions.evicted_often(self.ledger, self.now_ns, rules)
            self.queues.gave_way = evictions.gave_way(self.ledger, self.now_ns, rules)

    def _note(self, change: LedgerChange) -> None:
        self.ledger = self.ledger.after([change])
        self.changes.append(change)

    def carry_out(self, verdicts: Iterable[Verdict], *, is_last: bool) -> bool:
        """Carry out the verdicts of a round; tell whether any queue may offer somebody else now.

        What victims free is kept before anybody starts, for who starts chooses his nodes only now.
        Moves are sought when everybody else has what the round gave him. Last come those who lost
        something to others of the round: it may be that these did not take it.
        """
        verdicts = tuple(verdicts)
        if any(map(self._gives_back, verdicts)):
            verdicts = tuple(map(overruled.crowded, verdicts))
        made_room: list[Verdict] = []
        crowded: list[Verdict] = []
        for verdict in verdicts:
            if not is_last and verdict.was_crowded and self._told(verdict):
                self._keep_room(verdict)
                crowded.append(verdict)
            else:
                made_room.append(self._evict_for(verdict))
        waits = [waiting for verdict in made_room if (waiting := self._start(verdict)) is not None]
        may_go_on = len(waits) < len(made_room)
        passed_over: list[Verdict] = []
        for verdict in waits:
            if _lost_to_others(verdict):
                passed_over.append(verdict)
            elif not is_last and self.waiting.missed_flavors(verdict):
                self._park(overruled.looking_again(verdict))
                may_go_on = True
            else:
                may_go_on |= self._park(self._move_for(verdict))
        for verdict in (*passed_over, *crowded):
            may_come_again = may_go_on and not is_last
            may_go_on |= self._park(self._settle(verdict, may_come_again=may_come_again))
        return may_go_on

    def _start(self, verdict: Verdict) -> Verdict | None:
        """Start a workload that was admitted; return the verdict on one that has to wait."""
        if verdict.admission is None:
            return verdict
        cap = self._exceeded_cap(verdict.workload, verdict.admission)
        if cap is not None:
            return overruled.capped(verdict, cap)
        if not self._fits_now(verdict, verdict.admission):
            return not_written(verdict)
        landed = self._land(verdict, verdict.admission)
        if landed is None:
            has_others = self.waiting.close_flavors(verdict)
            return overruled.without_nodes(verdict, may_go_on=has_others)
        key = verdict.workload.key
        if self._gives_back(verdict):
            self.waiting.wake(verdict.queue, now_ns=self.now_ns)
        for gone in {key, verdict.replaced} & self.queues.admitted.keys():
            self.queues.remove(gone)
        self.queues.admit(
            Admitted(workload=verdict.workload, admission=landed.admission, reserved_ns=self.now_ns)
        )
        self._drop_hold(key)
        self.starts.append(Start(key, landed.assignments, admission=landed.admission))
        self.waits.pop(key, None)
        self.waiting.take_back(verdict, now_ns=self.now_ns)
        return None

    def _gives_back(self, verdict: Verdict) -> bool:
        """Tell whether a workload starts with less than is held for it, or elsewhere."""
        held, admission = self.queues.holds.get(verdict.workload.key), verdict.admission
        if held is None or admission is None:
            return False
        return held != Held(admission.cluster_queue, admission.usage())

    def _exceeded_cap(self, workload: Workload, admission: Admission) -> Constraint | None:
        if not self.policy.caps:
            return None
        models = {
            name: dict(flavor.node_labels).get(PRODUCT_LABEL, name)
            for name, flavor in self.queues.flavors.items()
        }
        in_use = (
            use
            for held in self.queues.admitted.values()
            for use in caps.uses_of(held.admission, held.workload.user, models)
        )
        asked = caps.uses_of(admission, workload.user, models)
        return caps.first_exceeded(self.policy.caps, in_use, asked, self.now_ns)

    def _fits_now(self, verdict: Verdict, admission: Admission) -> bool:
        """Tell whether nobody has to leave first: a round counts its victims as gone already.

        What is held for others it did respect, and much of that is still their victims'.
        """
        replaced = {verdict.workload.key, verdict.replaced} & self.queues.admitted.keys()
        with self.queues.without_holds(), self.queues.without_usage(replaced):
            return self.queues.fits(admission.cluster_queue, admission.usage()) == "fits"

    def _land(self, verdict: Verdict, admission: Admission) -> Landed | None:
        if self.placer is None:
            return Landed((), admission)
        with self.queues.without_hold(verdict.workload.key):
            return land(
                self.placer,
                self.queues,
                verdict.workload,
                admission,
                keeps_domains=self.policy.keeps_domains,
                exact_limit_s=self.policy.exact_limit_s,
            )

    def _park(self, verdict: Verdict) -> bool:
        """Note why a workload waits; tell whether its queue may offer another, or it other flavors.

        Who has quota and only seeks another place comes in every round, and is no news.
        """
        self.waits[verdict.workload.key] = verdict
        self.waiting.take_back(verdict, now_ns=self.now_ns)
        if verdict.workload.key in self.queues.admitted:
            return False
        active = self.waiting.pending[verdict.queue].active
        return verdict.workload.key not in active or self.waiting.goes_further(verdict)

    # -- victims

    def _evict_for(self, verdict: Verdict) -> Verdict:
        """Tell the victims of a workload to go, and keep for it what they free."""
        key = verdict.workload.key
        if verdict.outcome == "waiting" and self.ledger.get(Hold, key):
            return overruled.awaiting_its_room(verdict)
        if verdict.outcome != "preempting" or verdict.assignment is None:
            return verdict
        told = self._told(verdict)
        asked = [self._eviction(each.workload, key) for each in told]
        limit = self._limit(asked)
        if limit is not None:
            return overruled.without_evictions(verdict, limit)
        for target, eviction in zip(told, asked, strict=True):
            self._evict(eviction, target.reason)
        self._keep_room(verdict)
        return verdict

    def _settle(self, verdict: Verdict, *, may_come_again: bool) -> Verdict:
        """Return what stands of a verdict that others of the round brought about.

        Where they did not take what they were to take, the workload is offered again as if nothing
        had been, if the next round will be another one: whoever is offered again and again counts
        in every round.
        """
        is_wrong = may_come_again and self._needs_fewer(verdict)
        if not verdict.targets:
            return overruled.offered_again(verdict) if is_wrong else self._move_for(verdict)
        settled = overruled.offered_again(verdict) if is_wrong else self._evict_for(verdict)
        if settled.outcome != "preempting":
            self._drop_hold(verdict.workload.key)
        return settled

    def _needs_fewer(self, verdict: Verdict) -> bool:
        """Tell whether a workload fits by now, or needs only some of its victims to go."""
        head = self.waiting.anew(verdict)
        with self.queues.without_hold(head.workload.key):
            found = self.nominator.nominate(head)
        needed = {target.workload for target in found.targets}
        if not needed:
            return found.assignment.mode is Mode.FIT
        return needed < {target.workload for target in verdict.targets}

    def _told(self, verdict: Verdict) -> list[Target]:
        """Return the victims of a workload who do not leave yet."""
        return [each for each in verdict.targets if not self.queues.admitted[each.workload].evicted]

    def _keep_room(self, verdict: Verdict) -> None:
        """Keep for a workload what it will take when its victims are gone."""
        assert verdict.assignment is not None
        rooms = _rooms(verdict.workload, verdict.assignment.pod_sets)
        self._hold(verdict.workload.key, Held(verdict.queue, verdict.assignment.usage), rooms)

    def _eviction(self, key: str, made_way_for: str) -> Eviction:
        return evictions.eviction(
            key,
            made_way_for=made_way_for,
            device_milli=_device_milli(self.queues.admitted[key].workload),
            lost_ns=self.queues.losses.get(key, NOTHING_LOST).time_ns,
            now_ns=self.now_ns,
            rules=self.policy.evictions or EvictionRules(),
        )

    def _limit(self, asked: list[Eviction]) -> Constraint | None:
        """Return what forbids evictions; those of this round may have closed a circle by now."""
        if self.policy.evictions is None:
            return None
        for each in asked:
            if each.workload in self.queues.not_evicted_by(each.made_way_for):
                return evictions.in_a_circle(each)
        return evictions.binding_limit(self.ledger, asked, self.policy.evictions)

    def _evict(self, eviction: Eviction, reason: str) -> None:
        victim, made_way_for = eviction.workload, eviction.made_way_for
        held = self.queues.remove(victim)
        self.queues.admit(msgspec.structs.replace(held, evicted=True))
        self.evicts.append(Evict(victim=victim, workload=made_way_for, reason=reason))
        if self.policy.evictions is not None:
            self._note(Recorded(eviction))
            self.queues.gave_way.setdefault(victim, set()).add(made_way_for)

    # -- who moves

    def _move_for(self, verdict: Verdict) -> Verdict:
        """Tell others to move for a workload that waits, where that lets it start."""
        found = self._moves(verdict) if verdict.outcome == "waiting" else None
        return verdict if found is None else self._make_way(verdict, found)

    def _moves(self, verdict: Verdict) -> Moves | None:
        """Return who could move for a workload; not while room is being made for it already.

        Not while it has flavors left to try either.
        """
        workload, placer, rules = verdict.workload, self.placer, self.policy.moves
        if (
            rules is None
            or placer is None
            or (verdict.tried is not None and has_more(verdict.tried))
            or verdict.code == "UsageCapReached"
            or self.looks_left <= 0
            or workload.key in self.queues.admitted
            or self.ledger.get(Hold, workload.key)
            or not moves.may_help(placer, workload)
        ):
            return None
        waited_ns = self.now_ns - queued_ns(workload, self.policy.rules.turns)
        if not self.waiting.seeks_moves(workload.key, waited_ns, after_ns=rules.after_ns):
            return None
        self.looks_left -= 1
        found = moves.find(
            self.nominator.in_peace(),
            placer,
            Head(workload=workload, queue=verdict.queue),
            rules=rules,
            keeps_domains=self.policy.keeps_domains,
            now_ns=self.now_ns,
        )
        return found if found is not None and self._may_move(workload, found) else None

    def _may_move(self, workload: Workload, found: Moves) -> bool:
        """Tell whether limits and the ledger allow moves; nobody moves who started a moment ago."""
        asked = [self._eviction(each.workload, workload.key) for each in found.moved]
        movers = {each.workload for each in found.moved}
        return (
            movers.isdisjoint(start.workload for start in self.starts)
            and self.ledger.room(Hold) > len(movers)
            and self._limit(asked) is None
            and self._exceeded_cap(workload, found.admission) is None
        )

    def _make_way(self, verdict: Verdict, found: Moves) -> Verdict:
        """Tell the movers to go, and keep for everybody what he will have."""
        for mover in found.moved:
            self._evict(self._eviction(mover.workload, verdict.workload.key), MOVES)
            workload = self.queues.admitted[mover.workload].workload
            self._hold_admission(workload, mover.admission)
        self._hold_admission(verdict.workload, found.admission)
        return overruled.made_way_for(verdict, len(found.moved))

    def _hold_admission(self, workload: Workload, admission: Admission) -> None:
        held = Held(admission.cluster_queue, admission.usage())
        self._hold(workload.key, held, _rooms(workload, admission.pod_sets))

    # -- what is kept for whom they left

    def _hold(self, key: str, held: Held, rooms: Iterable[Room]) -> None:
        if not self.policy.hold_ns or self.ledger.get(Hold, key) or not self.ledger.room(Hold):
            return
        self.queues.hold(key, held)
        self._note(
            Recorded(
                Hold(
                    workload=key,
                    rooms=tuple(rooms),
                    since_ns=self.now_ns,
                    until_ns=self.now_ns + self.policy.hold_ns,
                )
            )
        )

    def _drop_hold(self, key: str) -> None:
        self.queues.drop_hold(key)
        hold = self.ledger.get(Hold, key)
        if hold is not None:
            self._note(Forgotten(hold))


def _lost_to_others(verdict: Verdict) -> bool:
    """Tell whether a workload might have started, or looked no further, but for others."""
    if verdict.tried is None or verdict.targets:
        return False
    was_skipped = verdict.outcome == "skipped" and has_more(verdict.tried)
    return was_skipped or (verdict.outcome == "waiting" and verdict.was_crowded)


def _rooms(
    workload: Workload, given_to: Iterable[PodSetAssignment | PodSetFlavors]
) -> Iterator[Room]:
    """Yield what is kept, pod set by pod set: in its domains, or anywhere in its flavors."""
    requests = {each.name: each.template.request for each in workload.pod_sets}
    for given in given_to:
        if given.topology is None:
            yield Room(request=requests[given.name], count=given.count)
        else:
            for domain in given.topology.domains:
                yield Room(request=requests[given.name], count=domain.count, domain=domain.values)


def _device_milli(workload: Workload) -> int:
    """Return the thousandths of devices that a workload holds, whatever they are called."""
    extended = sum(
        pod_set.count * amount
        for pod_set in workload.pod_sets
        for name, amount in pod_set.template.request.resources.amounts
        if "/" in name
    )
    return max(workload.device_milli, extended * WHOLE_DEVICE_MILLI)
