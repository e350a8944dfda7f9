"""One round: each queue offers a workload, and they are served in turn.

What each would get was found out for the state at the start of the round (`nominate`). When its
turn comes, others may have taken the quota, the places or the victims that it counted on. So it is
looked at once more, against what was counted since: who no longer fits is skipped and comes back in
the next round. Victims of this round are gone for those who want to know whether they fit, and may
be evicted only once.

Somebody who needs room and has nobody to evict keeps what there is for himself in this round, or
others would overtake him for ever; not where his queue can take back its own at any time.

The state of the queues is the same afterwards: what was counted during the round is given back, and
whoever carries the verdicts out counts them as facts.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (schedule, processEntry).
"""

from collections.abc import Callable, Iterable

from gpuyard.model.queues import Admission, Usage
from gpuyard.scheduling.admission.afterwards import Afterwards
from gpuyard.scheduling.admission.entries import Entry, Head, Objection, Verdict
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.flavors.assignment import quota_to_reserve
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.ordering.between import in_turn
from gpuyard.scheduling.preemption.queues.policies import can_always_reclaim
from gpuyard.scheduling.queues import Fit, Held

OVERLAP_FITS_LATER = (
    "Workload has overlapping preemption targets with another workload, "
    "but will fit after these preemptions complete"
)
OVERLAP = "Workload has overlapping preemption targets with another workload"
NO_LONGER = "Workload no longer fits after processing another workload"


Objects = Callable[[Head], Objection | None]


def nobody_objects(_: Head) -> None:
    """Let every head in."""


def run(
    nominator: Nominator, heads: Iterable[Head], objects: Objects = nobody_objects
) -> tuple[Verdict, ...]:
    """Return a verdict on each of `heads`, in the order in which they were served.

    Those to whom somebody `objects` come last.
    """
    looked_at: list[Head] = []
    refused: list[Verdict] = []
    for head in heads:
        objection = objects(head)
        if objection is None:
            looked_at.append(head)
        else:
            refused.append(_refused(head, objection))
    with nominator.remembering():
        return (*_Round(nominator).run(looked_at), *refused)


def _refused(head: Head, objection: Objection) -> Verdict:
    return Verdict(
        workload=head.workload,
        queue=head.queue,
        outcome="waiting",
        requeue=objection.requeue,
        code=objection.code,
        message=objection.message,
    )


class _Round:
    """A round in progress."""

    def __init__(self, nominator: Nominator) -> None:
        self.nominator = nominator
        self.queues = nominator.queues
        self.rules = nominator.rules
        self.after = Afterwards(self.queues)
        self.counted: list[tuple[str, Usage]] = []
        self.lifted: dict[str, Held] = {}  # holds that count as usage of their owners now

    def run(self, heads: Iterable[Head]) -> tuple[Verdict, ...]:
        entries = [self._nominate(head) for head in heads]
        turns = in_turn(entries, self.queues.tree, self.rules.between, self.rules.turns)
        try:
            return tuple(self._serve_holder(entry) for entry in turns)
        finally:
            for queue, usage in self.counted:
                self.queues.release(queue, usage)
            for key, held in self.lifted.items():
                self.queues.hold(key, held)

    def _nominate(self, head: Head) -> Entry:
        with self.queues.without_hold(head.workload.key):
            return Entry(head, self.nominator.nominate(head))

    def _serve_holder(self, entry: Entry) -> Verdict:
        """Serve an entry for which something may be kept: that is free for it alone.

        Unless it starts, exactly that is kept on, whatever it would take if others left.
        """
        key, counted = entry.workload.key, len(self.counted)
        held = self.queues.drop_hold(key)
        if held is None:
            return self._serve(entry)
        self.after.release(*held)
        verdict = self._serve(entry)
        if verdict.outcome == "admitted":
            self.lifted[key] = held
            return verdict
        for queue, usage in self.counted[counted:]:
            self.queues.release(queue, usage)
            self.after.release(queue, usage)
        del self.counted[counted:]
        self.queues.hold(key, held)
        self.after.use(*held)
        return verdict

    def _serve(self, entry: Entry) -> Verdict:
        fit = self._look_again(entry)
        mode = entry.assignment.mode
        if self.rules.fail_fast and _has_failed_node(entry.head) and mode is not Mode.FIT:
            entry.outcome = "evicted"
        elif mode is Mode.NO_FIT:
            entry.requeue = "NoFit"
            entry.code = entry.assignment.no_fit_reason or "PendingEvaluation"
        elif mode is Mode.PREEMPT and not entry.targets:
            entry.requeue, entry.code = "PreemptionNoCandidates", "WaitingForQuota"
            self._reserve(entry)
        elif mode is Mode.DEFERRED_FIT:
            entry.requeue, entry.keeps_position = "PendingPreemption", False
            entry.message, entry.code = OVERLAP_FITS_LATER, "WaitingForPreemptedWorkloads"
            self._count(entry.queue, entry.usage)
        elif not self.after.gone.keys().isdisjoint(entry.victims()):
            self._skip(entry, OVERLAP)
        elif fit != "fits":
            self._skip(entry, NO_LONGER)
        else:
            return self._grant(entry)
        return self._verdict(entry)

    # -- the second look

    def _look_again(self, entry: Entry) -> Fit:
        """Tell whether it fits now; where that may help, find out anew what it would get."""
        fit = self._fit(entry)
        overlaps = not self.after.gone.keys().isdisjoint(entry.victims())
        if overlaps and self.rules.look_again_on_overlap:
            with self.queues.without(self.after.gone):
                self._nominate_again(entry)
            if entry.assignment.mode is Mode.FIT:
                entry.assignment = entry.assignment.with_mode(Mode.DEFERRED_FIT)
        elif fit == "no-place" and self.rules.look_again_for_places:
            entry.was_crowded = True
            self._nominate_again(entry)
        else:
            return fit
        return self._fit(entry)

    def _nominate_again(self, entry: Entry) -> None:
        entry.nominate(self.nominator.nominate(entry.head, entry.assignment.nominated))

    def _fit(self, entry: Entry) -> Fit:
        """Tell whether it fits once all victims of this round, and its own, are gone."""
        return self.after.fits(entry.queue, entry.usage, entry.victims())

    def _count(self, queue: str, usage: Usage) -> None:
        self.queues.use(queue, usage)
        self.after.use(queue, usage)
        self.counted.append((queue, usage))

    # -- what becomes of it

    def _skip(self, entry: Entry, message: str) -> None:
        entry.skip(message, keeps_position=self.rules.flavors.preserve_scan_progress)

    def _reserve(self, entry: Entry) -> None:
        allowed = self.queues.specs[entry.queue].preemption
        is_owed = self.rules.between.preemptors_first and entry.is_preemptor
        if can_always_reclaim(allowed) and not is_owed:
            return
        reserved = quota_to_reserve(entry.assignment, self.queues.node(entry.queue))
        amounts = ((key, max(0, amount)) for key, amount in sorted(reserved.items()))
        quota = () if entry.has_quota else tuple(amounts)
        self._count(entry.queue, Usage(quota, entry.usage.places))

    def _grant(self, entry: Entry) -> Verdict:
        self.after.let_go(entry.victims())
        self._count(entry.queue, entry.usage)
        if entry.assignment.mode is Mode.PREEMPT:
            entry.make_room()
            return self._verdict(entry)
        entry.outcome = "admitted"
        return self._verdict(entry, entry.assignment.admission(entry.queue))

    def _verdict(self, entry: Entry, admission: Admission | None = None) -> Verdict:
        return Verdict(
            workload=entry.workload,
            queue=entry.queue,
            outcome=entry.outcome,
            assignment=entry.assignment,
            admission=admission,
            targets=entry.targets if entry.outcome == "preempting" else (),
            replaced=entry.replaced if entry.outcome == "admitted" else "",
            was_crowded=entry.was_crowded,
            requeue=entry.requeue,
            code=entry.code,
            message=entry.message,
            tried=entry.assignment.tried if entry.keeps_position else None,
        )


def _has_failed_node(head: Head) -> bool:
    return head.held is not None and bool(head.held.unhealthy_nodes)
