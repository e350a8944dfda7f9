"""Everybody who waits, queue by queue, and what is remembered of their tries.

A workload comes in through the LocalQueue that it names and waits in that one's ClusterQueue; where
either is missing or the LocalQueue was stopped it is *homeless* until they are there (`follow`). A
round takes the head of every queue (`heads`) and gives back who did not start (`take_back`). When
something happened that could help (a workload ended, quota or nodes came), `wake` lets everybody
in the tree of that queue be tried again: what one queue gives back, any other in it may borrow.
Nobody is tried in a queue that is inactive.

Who has quota and seeks another place, because a node failed, is offered in every round, beside the
head of his queue.

A round costs what its heads cost: who is parked, who holds quota and who is homeless is not looked
at. A change of the queues themselves looks at everybody once.

Semantics: Kueue v0.19.2, pkg/cache/queue/manager.go and inadmissible_workloads.go.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission.entries import Head, Verdict
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission_fair_sharing import NO_SHARE, UsageShare
from gpuyard.scheduling.flavors.assignment import ScanPositions
from gpuyard.scheduling.flavors.scan import ScanStamp, has_more, is_outdated
from gpuyard.scheduling.pending_queue import PendingQueue, RequeueReason, no_usage, shape_of
from gpuyard.scheduling.queues import Queues

HomelessReason = Literal["ClusterQueueNotFound", "LocalQueueNotFound", "LocalQueueStopped"]
Shares = Mapping[str, UsageShare]  # of LocalQueues, by key

_Step = tuple[frozenset[tuple[str, str, int]], frozenset[str]]  # positions, flavors left out

NO_SHARES: Shares = {}
FIRST_STEP: _Step = (frozenset(), frozenset())  # all flavors, from the first


class Homeless(NamedTuple):
    """A workload that waits in no queue."""

    workload: Workload
    why: HomelessReason


class Waiting:
    """The waiting workloads of all ClusterQueues."""

    def __init__(
        self,
        queues: Queues,
        rules: AdmissionRules,
        *,
        may_enter: Callable[[str, Workload], bool] = lambda *_: True,
    ) -> None:
        """Start with nobody; `may_enter` tells whether a queue admits from a workload's namespace.

        `shares` of LocalQueues come before priority where a ClusterQueue has admission fair
        sharing; set them before a round.
        """
        self.rules = rules
        self.may_enter = may_enter
        self.round = 0
        self.shares = NO_SHARES
        self.pending: dict[str, PendingQueue] = {}
        self.homeless: dict[str, Homeless] = {}
        self._queue_of: dict[str, str] = {}
        self._tried: dict[str, tuple[ScanPositions, ScanStamp]] = {}
        self._closed: dict[str, tuple[frozenset[str], ScanStamp]] = {}  # flavors without nodes
        self._steps: dict[str, tuple[ScanStamp, set[_Step]]] = {}
        self._missed: dict[str, None] = {}  # whose search went on behind flavors that gained since
        self._room_made: dict[str, tuple[Workload, tuple[int, ...]]] = {}
        self._moves_sought_ns: dict[str, int] = {}  # how long it had waited then
        self._generation: dict[str, int] = {}  # how often a tree may have gained, by its root
        self._set_queues(queues)

    # -- the queues

    def follow(self, queues: Queues, *, now_ns: int | None = None) -> None:
        """Go on with queues that were changed, between two rounds; everybody is tried again.

        Whoever finds a queue now enters it, and whoever's queue is gone becomes homeless.
        """
        before = self.queues
        self._set_queues(queues)
        self._closed.clear()  # there may be other nodes
        self._steps.clear()
        for workload in self._misplaced():
            self.add(workload, now_ns=now_ns)
        for root, members in self._trees.items():
            if any(_has_changed(name, before, queues) for name in members):
                self._generation[root] += 1
            for name in members:
                self._wake(name, now_ns)

    def _set_queues(self, queues: Queues) -> None:
        self.queues = queues
        for name in queues.specs.keys() | queues.inactive.keys():
            spec = queues.specs.get(name)
            strategy = spec.queueing_strategy if spec else "BestEffortFIFO"
            if name not in self.pending:
                self.pending[name] = PendingQueue(strategy, self.rules.turns)
            shared = spec is not None and spec.admission_mode == "UsageBasedAdmissionFairSharing"
            self.pending[name].usage = self._share if shared else no_usage
            self.pending[name].strategy = strategy
        roots = {name: list(queues.node(name).to_root())[-1] for name in queues.specs}
        self._root = {name: repr(root) for name, root in roots.items()}
        self._trees: dict[str, list[str]] = {}
        for name, root in self._root.items():
            self._trees.setdefault(root, []).append(name)
            self._generation.setdefault(root, 0)

    def _share(self, local_queue: str) -> UsageShare:
        return self.shares.get(local_queue, NO_SHARE)

    def _misplaced(self) -> list[Workload]:
        """Take out all who wait where they no longer belong; forget queues that are gone."""
        found = [each.workload for each in self.homeless.values()]
        for name, pending in tuple(self.pending.items()):
            found += [each for each in pending.in_order() if self._home(each) != name]
            if not self._is_known(name):
                del self.pending[name]
        return found

    def _is_known(self, queue: str) -> bool:
        return queue in self.queues.specs or queue in self.queues.inactive

    def _home(self, workload: Workload) -> str | Homeless:
        """Return the ClusterQueue in which `workload` waits, or why there is none."""
        local_queue = self.queues.local_queues.get(workload.queue)
        if local_queue is None:
            return Homeless(workload, "LocalQueueNotFound")
        if local_queue.stop_policy != "None":
            return Homeless(workload, "LocalQueueStopped")
        if not self._is_known(local_queue.cluster_queue):
            return Homeless(workload, "ClusterQueueNotFound")
        return local_queue.cluster_queue

    # -- who comes and goes

    def add(self, workload: Workload, *, now_ns: int | None = None) -> str | None:
        """Take in a new or changed workload; return its ClusterQueue, `None` where it has none.

        How far it was tried is kept as long as it asks for the same, if the rules keep that at all.
        """
        key = workload.key
        home = self._home(workload)
        if self._queue_of.get(key) != home:
            self.delete(key)
        if isinstance(home, Homeless):
            self.homeless[key] = home
            return None
        self.homeless.pop(key, None)
        self._queue_of[key] = home
        if key in self._tried and not self._keeps_position(workload):
            del self._tried[key]
        self.pending[home].add(workload, now_ns=now_ns)
        return home

    def _keeps_position(self, workload: Workload) -> bool:
        _, stamp = self._tried[workload.key]
        return self.rules.flavors.preserve_scan_progress and stamp.shape == shape_of(workload)

    def delete(self, key: str) -> None:
        """Forget a workload: it was admitted, ended, or is gone."""
        name = self._queue_of.pop(key, None)
        for remembered in (
            self._tried,
            self._closed,
            self._steps,
            self._missed,
            self._room_made,
            self._moves_sought_ns,
        ):
            remembered.pop(key, None)
        self.homeless.pop(key, None)
        if name in self.pending:
            self.pending[name].delete(key)

    def progress(self, key: str) -> ScanPositions | None:
        """Return how far the search for flavors came for a workload, `None`: it begins anew."""
        tried = self._tried.get(key)
        return None if tried is None else tried[0]

    def count(self, local_queue: str) -> int | None:
        """Return how many wait in a LocalQueue, `None` where there is none of that name."""
        door = self.queues.local_queues.get(local_queue)
        if door is None:
            return None
        pending = self.pending.get(door.cluster_queue)
        waiting = pending.in_order() if pending else []
        homeless = (each.workload for each in self.homeless.values())
        return sum(workload.queue == local_queue for workload in (*waiting, *homeless))

    # -- rounds

    def heads(self, now_ns: int | None = None) -> list[Head]:
        """Begin a round: hand out who is tried in it."""
        self.round += 1
        heads = [
            Head(workload=held.workload, queue=held.admission.cluster_queue, held=held)
            for held in self.queues.displaced.values()
        ]
        for name, pending in self.pending.items():
            workload = None if name in self.queues.inactive else pending.pop(now_ns)
            if workload is not None:
                heads.append(self._head(name, pending, workload))
        return heads

    def take_back(self, verdict: Verdict, *, now_ns: int | None = None) -> bool:
        """Note what became of a head; return whether it waits on.

        Whoever was deleted, admitted, or moved to another queue meanwhile does not.
        """
        key = verdict.workload.key
        if verdict.outcome in ("admitted", "evicted"):
            self.delete(key)
            return False
        if key in self.queues.admitted or self._queue_of.get(key) != verdict.queue:
            return False
        if verdict.tried is None:
            self._tried.pop(key, None)
        else:
            self._tried[key] = verdict.tried, self.stamp(verdict.queue, verdict.workload)
        self._note_room(verdict)
        return self.pending[verdict.queue].requeue(
            verdict.workload,
            _reason(verdict),
            why=verdict.code,
            now_ns=now_ns,
            more_to_try=verdict.tried is not None and has_more(verdict.tried),
        )

    def anew(self, verdict: Verdict) -> Head:
        """Return a head whose search for flavors begins anew, but for those that are closed."""
        closed = self._skipped(verdict.queue, verdict.workload)
        return Head(workload=verdict.workload, queue=verdict.queue, closed=closed)

    def missed_flavors(self, verdict: Verdict) -> bool:
        """Tell whether a search came to its end and left out flavors that gained something since.

        Where something is freed all the time a position is kept all the same (`flavors.scan`).
        """
        if verdict.outcome != "waiting" or verdict.tried is None or has_more(verdict.tried):
            return False
        return verdict.workload.key in self._missed

    def _note_missed(self, queue: str, workload: Workload) -> None:
        """Note whether the search that begins now goes on behind flavors that may have gained."""
        key, now = workload.key, self.stamp(queue, workload)
        tried, since = self._tried.get(key, (None, now))
        if tried is None or not has_more(tried) or is_outdated(since, now, self.rules.flavors):
            self._missed.pop(key, None)
        elif since.generation < now.generation:
            self._missed[key] = None

    def close_flavors(self, verdict: Verdict) -> bool:
        """Note that in the flavors of a verdict the nodes do not take the workload.

        Return whether there are others that it was not given yet. Until its tree may have gained
        something it is offered these alone, and when they are used up all of them again.
        """
        key, assignment = verdict.workload.key, verdict.assignment
        if assignment is None or self._queue_of.get(key) != verdict.queue:
            return False
        before = self._closed_to(verdict.queue, verdict.workload)
        given = {choice.flavor for each in assignment.pod_sets for _, choice in each.choices}
        self._closed[key] = before | given, self.stamp(verdict.queue, verdict.workload)
        return not given <= before and bool(self._skipped(verdict.queue, verdict.workload))

    def goes_further(self, verdict: Verdict) -> bool:
        """Tell whether a workload that was taken back will be offered flavors that are news to it.

        That is, it was not tried with these since its tree may last have gained something; a
        search that came to its end begins anew, and that is no news.
        """
        tried, now = verdict.tried, self.stamp(verdict.queue, verdict.workload)
        positions = (
            frozenset((name, *at) for name, found in tried.items() for at in found.items())
            if tried is not None and has_more(tried)
            else frozenset()
        )
        step = positions, self._skipped(verdict.queue, verdict.workload)
        since, steps = self._steps.get(verdict.workload.key, (now, set()))
        if not _is_as_before(since, now):
            steps = set()
        if step in steps or step == FIRST_STEP:
            return False
        self._steps[verdict.workload.key] = now, steps | {step}
        return True

    def _closed_to(self, queue: str, workload: Workload) -> frozenset[str]:
        """Return the flavors whose nodes did not take a workload, if that still stands."""
        nothing: frozenset[str] = frozenset()
        closed, since = self._closed.get(workload.key, (nothing, None))
        now = self.stamp(queue, workload)
        return closed if since is not None and _is_as_before(since, now) else nothing

    def _skipped(self, queue: str, workload: Workload) -> frozenset[str]:
        """Return those of them that are not offered: another one of their group is left."""
        closed = self._closed_to(queue, workload)
        if not closed:
            return closed
        groups = (
            frozenset(each.flavor for each in group.flavors)
            for group in self.queues.specs[queue].resource_groups
        )
        return frozenset().union(*(group & closed for group in groups if not group <= closed))

    def _note_room(self, verdict: Verdict) -> None:
        """Remember for how many pods others were evicted, until it starts or has no victims."""
        key = verdict.workload.key
        if verdict.outcome == "waiting":
            self._room_made.pop(key, None)
        if verdict.assignment is None or verdict.outcome != "preempting":
            return
        if self.rules.starts_as_it_preempted:
            counts = {each.name: each.count for each in verdict.assignment.pod_sets}
            at_most = tuple(counts[each.name] for each in verdict.workload.pod_sets)
            self._room_made[key] = verdict.workload, at_most

    def seeks_moves(self, key: str, waited_ns: int, *, after_ns: int) -> bool:
        """Tell whether to look for others to move for a workload, and note that it was done.

        That is when it has waited `after_ns`, and each time that it has waited twice as long.
        """
        if waited_ns < max(after_ns, 2 * self._moves_sought_ns.get(key, 0)):
            return False
        self._moves_sought_ns[key] = waited_ns
        return True

    def wake(self, *queues: str, now_ns: int | None = None) -> int:
        """Let everybody in the trees of `queues` be tried again; return how many were parked.

        A tree is walked once, however many of its queues are named.
        """
        woken = 0
        for root in dict.fromkeys(self._root[name] for name in queues if name in self._root):
            self._generation[root] += 1
            woken += sum(self._wake(name, now_ns) for name in self._trees[root])
        return woken

    def wake_one(self, key: str, *, now_ns: int | None = None) -> int:
        """Let one workload be tried again: it has waited long enough for `preempt_after_ns`.

        Return how many were parked, 0 or 1. Nobody else gains by its age.
        """
        self._steps.pop(key, None)
        pending = self.pending.get(self._queue_of.get(key, ""))
        return 0 if pending is None else int(pending.wake_one(key, now_ns=now_ns))

    def _wake(self, name: str, now_ns: int | None) -> int:
        return self.pending[name].wake(
            lambda workload: self.may_enter(name, workload), now_ns=now_ns
        )

    def stamp(self, queue: str, workload: Workload) -> ScanStamp:
        """Return the stamp of a search for flavors that is made in this round."""
        generation = self._generation[self._root[queue]]
        return ScanStamp(cycle=self.round, generation=generation, shape=shape_of(workload))

    def _head(self, name: str, pending: PendingQueue, workload: Workload) -> Head:
        tried, stamp = self._tried.get(workload.key, (None, None))
        self._note_missed(name, workload)
        for_whom, at_most = self._room_made.get(workload.key, (None, None))
        return Head(
            workload=workload,
            queue=name,
            is_preemptor=pending.is_preemptor(workload),
            tried=tried,
            stamp=stamp,
            at_most=at_most if for_whom == workload else None,
            closed=self._skipped(name, workload),
            has_room=workload.key in self.queues.holds,
        )


def _reason(verdict: Verdict) -> RequeueReason:
    """Return why a head comes back: if nothing was said, because it was chosen and then failed."""
    was_chosen = verdict.outcome != "waiting"
    return "FailedAfterNomination" if was_chosen and not verdict.requeue else verdict.requeue


def _is_as_before(then: ScanStamp, now: ScanStamp) -> bool:
    """Tell whether a tree gained nothing since, and the workload asks for the same."""
    return (then.generation, then.shape) == (now.generation, now.shape)


def _has_changed(name: str, before: Queues, after: Queues) -> bool:
    """Tell whether a queue may have more quota than it had: its own or that of a cohort."""
    if name not in before.specs:
        return True
    old, new = before.node(name), after.node(name)
    groups = before.specs[name].resource_groups, after.specs[name].resource_groups
    return groups[0] != groups[1] or old.potential != new.potential
