"""The workloads that wait in one ClusterQueue, and who of them is tried next.

A workload is *active* (it will be tried when its turn comes) or *parked* (it was tried in vain,
and nothing has happened since that could help it). `pop` hands out the active one whose turn it is;
whoever could not start comes back through `requeue`, with the reason. ``StrictFIFO`` keeps it at
the head, so that it blocks the queue; ``BestEffortFIFO`` parks it, unless the reason says that
another try is due at once. Whoever made room by preemption is *sticky*: it stays at the head until
it started, or somebody else would take what was freed for it.

Workloads of one shape fit or fail together. When one was parked because nothing fits, all of its
shape are parked with it, and newcomers of that shape as well, until the queue is woken.

Who changed while it was tried is tried again as it is now. Whoever has a back-off running is parked
until that ends, and a `pop` after that makes it active.

Between LocalQueues the order can follow what they have used (admission fair sharing): then `usage`
tells it, and is asked anew each time.

Work per step is logarithmic in the number of active workloads and does not grow with the parked
ones, but for waking them.

Semantics: Kueue v0.19.2, pkg/cache/queue/cluster_queue.go and inadmissible_workloads.go.
"""

import heapq
from collections.abc import Callable, Hashable, Iterator
from typing import Literal

from gpuyard.model.queues import QueueingStrategy
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission_fair_sharing import NO_SHARE, UsageShare
from gpuyard.scheduling.ordering.turns import Turn, TurnRules, turn

RequeueReason = Literal[
    "",  # never came as far as being tried
    "FailedAfterNomination",
    "NamespaceMismatch",
    "NoFit",
    "PendingMigration",
    "PendingPreemption",
    "PreemptionFailed",
    "PreemptionGated",
    "PreemptionNoCandidates",
]
AT_ONCE = frozenset(
    {"FailedAfterNomination", "PendingPreemption", "PendingMigration", "PreemptionFailed"}
)
MAKES_ROOM = frozenset({"PendingPreemption", "PendingMigration"})
WHOLE_SHAPE = frozenset({"NoFit", "PreemptionNoCandidates"})

STALE_MAX = 64  # entries of a heap that nobody stands for any more

LocalUsage = Callable[[str], UsageShare]


def no_usage(_: str) -> UsageShare:
    """Say that all LocalQueues have used the same."""
    return NO_SHARE


def is_due(workload: Workload, now_ns: int | None) -> bool:
    """Tell whether no back-off keeps `workload` from being tried; without a time none does."""
    if now_ns is None:
        return True
    return not workload.held_back and workload.not_before_ns <= now_ns


def shape_of(workload: Workload) -> Hashable:
    """Return what decides whether a workload fits: equal ones fit or fail together."""
    return workload.effective_priority, workload.pod_sets


class PendingQueue:
    """The waiting workloads of one ClusterQueue."""

    def __init__(
        self,
        strategy: QueueingStrategy,
        rules: TurnRules,
        *,
        usage: LocalUsage = no_usage,
        shapes_matter: bool = True,
    ) -> None:
        """Start empty; without `shapes_matter` every workload is parked for itself."""
        self.strategy = strategy
        self.rules = rules
        self.usage = usage
        self.shapes_matter = shapes_matter
        self.active: dict[str, Workload] = {}
        self.parked: dict[str, Workload] = {}
        self.inflight: str | None = None
        self._handed_out: Workload | None = None
        self._newer: Workload | None = None  # the one in flight, as it is by now
        self._back_offs: list[tuple[int, str]] = []  # ends; old entries stay in
        self.preemptor: Workload | None = None  # whoever makes room now, as it was when it began
        self.hopeless: dict[Hashable, str] = {}  # shape → why it was parked as a whole
        self._turns: dict[str, Turn] = {}
        self._heaps: dict[str, list[tuple[Turn, str]]] = {}  # by LocalQueue; old entries stay in
        self._by_shape: dict[Hashable, dict[str, None]] = {}
        self._pops = 0
        self._woken_at = -1  # the pop during or after which the queue was last woken

    def __len__(self) -> int:
        return len(self.active) + len(self.parked) + (self.inflight is not None)

    def add(self, workload: Workload, *, now_ns: int | None = None) -> None:
        """Take in a new workload, or a known one that changed; without `now_ns` no back-off counts.

        A parked workload becomes active when it changed in anything that decides whether it fits or
        when its turn is. The one that is being tried is left alone until it comes back.
        """
        key = workload.key
        if key == self.inflight:
            self._newer = workload
            return
        known = self.parked.get(key)
        if known is not None and known == workload:
            return
        self.parked.pop(key, None)
        if key in self.active:
            self._activate(workload)
        elif not is_due(workload, now_ns):
            self._back_off(workload)
        elif self._is_hopeless(workload):
            self.parked[key] = workload
        else:
            self._activate(workload)

    def delete(self, key: str) -> None:
        """Forget a workload; nothing happens where it is not known."""
        self.parked.pop(key, None)
        self._deactivate(key)
        if key == self.inflight:
            self._land()
        if self._is_preemptor(key):
            self.preemptor = None

    def pop(self, now_ns: int | None = None) -> Workload | None:
        """Hand out the workload whose turn it is, `None` where nobody is active."""
        self._pops += 1
        self._end_back_offs(now_ns)
        self._land()
        self.inflight = self._first()
        if self.inflight is not None:
            self._handed_out = self._deactivate(self.inflight)
        return self._handed_out

    def requeue(
        self,
        workload: Workload,
        reason: RequeueReason,
        *,
        why: str = "",
        now_ns: int | None = None,
        more_to_try: bool = False,
    ) -> bool:
        """Take back a workload that did not start; return whether it was not in the queue already.

        `more_to_try`: there are flavors left that it was not offered yet. `why` is kept for those
        of its shape.
        """
        key = workload.key
        if reason in MAKES_ROOM:
            self.preemptor = workload
        has_changed = False
        if key == self.inflight:
            tried, workload = self._handed_out, self._newer or workload
            has_changed = tried != workload
            self._land()
        was_parked = key in self.parked
        is_retried = self._at_once(reason) or has_changed or more_to_try
        if is_due(workload, now_ns) and (is_retried or self._woken_at >= self._pops):
            if key in self.active:
                return False
            self._activate(self.parked.pop(key, workload))
            return True
        if was_parked or key in self.active:
            return False
        if is_due(workload, now_ns):
            self.parked[key] = workload
        else:
            self._back_off(workload)
        if reason in WHOLE_SHAPE and not has_changed and self.strategy == "BestEffortFIFO":
            self.park_shape(shape_of(workload), why)
        return True

    def wake(
        self,
        may_be_tried: Callable[[Workload], bool] = lambda _: True,
        *,
        now_ns: int | None = None,
    ) -> int:
        """Make all parked workloads active for which `may_be_tried`; return how many.

        Those stay parked whose back-off runs.
        """
        self._woken_at = self._pops
        self.hopeless.clear()
        woken = [
            workload
            for workload in self.parked.values()
            if is_due(workload, now_ns) and may_be_tried(workload)
        ]
        for workload in woken:
            del self.parked[workload.key]
            self._activate(workload)
        return len(woken)

    def wake_one(self, key: str, *, now_ns: int | None = None) -> bool:
        """Make one parked workload active and tell whether it was; others of its shape stay."""
        workload = self.parked.get(key)
        if workload is None or not is_due(workload, now_ns):
            return False
        self._activate(self.parked.pop(key))
        return True

    def in_order(self) -> list[Workload]:
        """Return everyone who waits, active or parked, in the order of their turns."""
        everyone = [*self.active.values(), *self.parked.values()]
        return sorted(everyone, key=self._place)

    def is_preemptor(self, workload: Workload) -> bool:
        """Tell whether room is being made for this workload, as it is."""
        return workload == self.preemptor

    def park_shape(self, shape: Hashable, why: str = "") -> int:
        """Park all of a shape until the queue is woken, newcomers too; return how many were active.

        Nothing happens where shapes do not matter.
        """
        if not self.shapes_matter:
            return 0
        self.hopeless[shape] = why
        keys = tuple(self._by_shape.get(shape, ()))
        for key in keys:
            self.parked[key] = self.active[key]
            self._deactivate(key)
        return len(keys)

    def why_hopeless(self, key: str) -> str | None:
        """Return why a workload is parked with all of its shape, `None` where it is not."""
        workload = self.parked.get(key)
        if workload is None or not self._is_hopeless(workload):
            return None
        return self.hopeless[shape_of(workload)]

    def _is_preemptor(self, key: str) -> bool:
        return self.preemptor is not None and self.preemptor.key == key

    def _at_once(self, reason: RequeueReason) -> bool:
        if self.strategy == "StrictFIFO":
            return reason != "NamespaceMismatch"
        return reason in AT_ONCE

    def _is_hopeless(self, workload: Workload) -> bool:
        if not self.hopeless or self.strategy == "StrictFIFO":
            return False
        return shape_of(workload) in self.hopeless

    def _land(self) -> None:
        """Note that nobody is being tried any more."""
        self.inflight = self._handed_out = self._newer = None

    def _back_off(self, workload: Workload) -> None:
        """Park a workload until its back-off ends; who is held back comes by `add`."""
        self.parked[workload.key] = workload
        if not workload.held_back:
            heapq.heappush(self._back_offs, (workload.not_before_ns, workload.key))

    def _end_back_offs(self, now_ns: int | None) -> None:
        while now_ns is not None and self._back_offs and self._back_offs[0][0] <= now_ns:
            ended_ns, key = heapq.heappop(self._back_offs)
            workload = self.parked.get(key)
            if workload is None or workload.not_before_ns != ended_ns or workload.held_back:
                continue
            if not self._is_hopeless(workload):
                self._activate(self.parked.pop(key))

    def _place(self, workload: Workload) -> tuple[UsageShare, bool, Turn]:
        return (
            self.usage(workload.queue),
            not self._is_sticky(workload.key),
            turn(workload, self.rules),
        )

    def _is_sticky(self, key: str) -> bool:
        return self.strategy == "BestEffortFIFO" and self._is_preemptor(key)

    def _first(self) -> str | None:
        firsts = [self.active[key] for key in self._first_of_each()]
        return min(firsts, key=self._place).key if firsts else None

    def _first_of_each(self) -> Iterator[str]:
        """Yield the first of each LocalQueue, and whoever sticks to the head."""
        for local_queue in list(self._heaps):
            heap = self._heaps[local_queue]
            while heap and self._turns.get(heap[0][1]) != heap[0][0]:
                heapq.heappop(heap)
            if heap:
                yield heap[0][1]
            else:
                del self._heaps[local_queue]
        if self.preemptor and self.preemptor.key in self.active:
            yield self.preemptor.key

    def _activate(self, workload: Workload) -> None:
        key = workload.key
        self._deactivate(key)
        self.active[key] = workload
        self._turns[key] = turn(workload, self.rules)
        heap = self._heaps.setdefault(workload.queue, [])
        heapq.heappush(heap, (self._turns[key], key))
        if len(heap) > STALE_MAX + 2 * len(self.active):
            heap[:] = sorted({entry for entry in heap if self._turns.get(entry[1]) == entry[0]})
        if self.shapes_matter:
            self._by_shape.setdefault(shape_of(workload), {})[key] = None

    def _deactivate(self, key: str) -> Workload | None:
        workload = self.active.pop(key, None)
        if workload is not None:
            del self._turns[key]
            if self.shapes_matter:
                members = self._by_shape[shape_of(workload)]
                del members[key]
                if not members:
                    del self._by_shape[shape_of(workload)]
        return workload
