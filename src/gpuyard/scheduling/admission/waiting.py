"""Everybody who waits, queue by queue, and what is remembered of their tries.

A workload comes in through the LocalQueue that it names and waits in that one's ClusterQueue. A
round takes the head of every queue (`heads`) and gives back who did not start (`take_back`). When
something happened that could help (a workload ended, quota or nodes came), `wake` lets everybody
in the tree of that queue be tried again: what one queue gives back, any other in it may borrow.
Nobody is tried in a queue that is inactive.

Who has quota and seeks another place, because a node failed, is offered in every round, beside the
head of his queue.

Semantics: Kueue v0.19.2, pkg/cache/queue/manager.go and inadmissible_workloads.go.
"""

from collections.abc import Callable

from gpuyard.model.workloads import Workload
from gpuyard.scheduling.admission.entries import Head, Verdict
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.flavors.assignment import ScanPositions
from gpuyard.scheduling.flavors.scan import ScanStamp, has_more
from gpuyard.scheduling.pending_queue import LocalUsage, PendingQueue, no_usage, shape_of
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.quota import QuotaNode


class Waiting:
    """The waiting workloads of all ClusterQueues."""

    def __init__(
        self,
        queues: Queues,
        rules: AdmissionRules,
        *,
        usage: LocalUsage = no_usage,
        may_enter: Callable[[str, Workload], bool] = lambda *_: True,
    ) -> None:
        """Start with nobody; `may_enter` tells whether a queue admits from a workload's namespace.

        `usage` of a LocalQueue comes before priority between the LocalQueues of one queue.
        """
        self.queues = queues
        self.rules = rules
        self.may_enter = may_enter
        self.round = 0
        self.pending = {
            name: PendingQueue(spec.queueing_strategy, rules.turns, usage=usage)
            for name, spec in queues.specs.items()
        }
        for name in queues.inactive.keys() - queues.specs.keys():
            self.pending[name] = PendingQueue("BestEffortFIFO", rules.turns)
        self._queue_of: dict[str, str] = {}
        self._tried: dict[str, tuple[ScanPositions, ScanStamp]] = {}
        self._root = {name: list(queues.node(name).to_root())[-1] for name in queues.specs}
        self._trees: dict[QuotaNode, list[str]] = {}
        for name, root in self._root.items():
            self._trees.setdefault(root, []).append(name)
        self._generation = dict.fromkeys(self._trees, 0)  # how often a tree may have gained

    def add(self, workload: Workload, *, is_due: bool = True) -> str | None:
        """Take in a new or changed workload; return its ClusterQueue, `None` where it has none."""
        local_queue = self.queues.local_queues.get(workload.queue)
        name = local_queue.cluster_queue if local_queue else None
        before = self._queue_of.get(workload.key)
        if before is not None and before != name:
            self.delete(workload.key)
        if name is None or name not in self.pending:
            return None
        self._queue_of[workload.key] = name
        self.pending[name].add(workload, is_due=is_due)
        return name

    def delete(self, key: str) -> None:
        """Forget a workload: it was admitted, ended, or is gone."""
        name = self._queue_of.pop(key, None)
        self._tried.pop(key, None)
        if name is not None:
            self.pending[name].delete(key)

    def heads(self) -> list[Head]:
        """Begin a round: hand out who is tried in it."""
        self.round += 1
        heads = [
            Head(workload=held.workload, queue=held.admission.cluster_queue, held=held)
            for held in self.queues.admitted.values()
            if held.unhealthy_nodes and not held.evicted
        ]
        for name, pending in self.pending.items():
            workload = None if name in self.queues.inactive else pending.pop()
            if workload is not None:
                heads.append(self._head(name, pending, workload))
        return heads

    def take_back(self, verdict: Verdict, *, is_due: bool = True) -> None:
        """Note what became of a head; who did not start waits on."""
        key = verdict.workload.key
        if verdict.outcome in ("admitted", "evicted"):
            self.delete(key)
            return
        if key in self.queues.admitted:
            return
        if verdict.tried is None:
            self._tried.pop(key, None)
        else:
            self._tried[key] = verdict.tried, self.stamp(verdict.queue, verdict.workload)
        self.pending[verdict.queue].requeue(
            verdict.workload,
            verdict.requeue,
            why=verdict.code,
            is_due=is_due,
            more_to_try=verdict.tried is not None and has_more(verdict.tried),
        )

    def wake(self, queue: str, is_due: Callable[[Workload], bool] = lambda _: True) -> int:
        """Let everybody in the tree of `queue` be tried again; return how many were parked."""
        root = self._root[queue]
        self._generation[root] += 1
        return sum(self._wake(name, is_due) for name in self._trees[root])

    def _wake(self, name: str, is_due: Callable[[Workload], bool]) -> int:
        return self.pending[name].wake(
            lambda workload: self.may_enter(name, workload) and is_due(workload)
        )

    def stamp(self, queue: str, workload: Workload) -> ScanStamp:
        """Return the stamp of a search for flavors that is made in this round."""
        generation = self._generation[self._root[queue]]
        return ScanStamp(cycle=self.round, generation=generation, shape=shape_of(workload))

    def _head(self, name: str, pending: PendingQueue, workload: Workload) -> Head:
        tried, stamp = self._tried.get(workload.key, (None, None))
        return Head(
            workload=workload,
            queue=name,
            is_preemptor=pending.is_preemptor(workload),
            tried=tried,
            stamp=stamp,
        )
