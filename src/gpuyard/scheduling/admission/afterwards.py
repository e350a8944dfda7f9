"""Who will fit once all victims of a round are gone.

Everybody in a round is asked that, and to take all victims out and put them back for each question
costs as much as there are victims. So a tree that loses victims is copied once, with what they use
released in the copy for good; what the round counts is counted there too. A question then costs as
much as the tree is deep, and as the workload that is asked for has victims of its own.

Places are few and asked for by few: there everybody is taken out for the question, as it says.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (fits with SimulateWorkloadUsageRemoval).
"""

from collections.abc import Iterable

from gpuyard.model.queues import Usage
from gpuyard.scheduling import quota
from gpuyard.scheduling.queues import Fit, Queues
from gpuyard.scheduling.quota import QuotaNode


class Afterwards:
    """The queues without the victims of a round."""

    def __init__(self, queues: Queues) -> None:
        """Start with nobody gone."""
        self.queues = queues
        self.gone: dict[str, None] = {}
        self._leaves: dict[str, QuotaNode] = {}  # of the trees that were copied

    def let_go(self, keys: Iterable[str]) -> None:
        """Note that these will be gone."""
        for key in keys:
            if key not in self.gone:
                self.gone[key] = None
                self._release(key)

    def use(self, queue: str, usage: Usage) -> None:
        """Note that `usage` was counted in `queue`."""
        if queue in self._leaves:
            quota.use(self._leaves[queue], dict(usage.quota))

    def release(self, queue: str, usage: Usage) -> None:
        """Undo `use`."""
        if queue in self._leaves:
            quota.release(self._leaves[queue], dict(usage.quota))

    def fits(self, queue: str, usage: Usage, victims: Iterable[str] = ()) -> Fit:
        """Tell whether `usage` will fit in `queue` when `victims` are gone as well."""
        own = [key for key in dict.fromkeys(victims) if key not in self.gone]
        if usage.places:
            with self.queues.without_usage([*self.gone, *own]):
                return self.queues.fits(queue, usage)
        for key in own:
            self._release(key)
        leaf = self._leaves.get(queue) or self.queues.node(queue)
        fits = quota.fits(leaf, dict(usage.quota))
        for key in own:
            self.use(*self._held(key))
        return "fits" if fits else "no-quota"

    def _held(self, key: str) -> tuple[str, Usage]:
        return self.queues.admitted[key].admission.cluster_queue, self.queues.usage_of(key)

    def _release(self, key: str) -> None:
        queue, usage = self._held(key)
        if queue not in self._leaves:
            *_, root = self.queues.node(queue).to_root()
            self._copy(root)
        quota.release(self._leaves[queue], dict(usage.quota))

    def _copy(self, root: QuotaNode) -> None:
        """Copy what a question about fitting reads of a tree: quotas are shared, usage is not."""
        left: list[tuple[QuotaNode, QuotaNode | None]] = [(root, None)]
        while left:
            node, parent = left.pop()
            copied = QuotaNode(node.name, is_cohort=node.is_cohort, quotas=node.quotas)
            copied.parent = parent
            copied.subtree, copied.local = node.subtree, node.local
            copied.usage = dict(node.usage)
            if not node.is_cohort:
                self._leaves[node.name] = copied
            left += [(child, copied) for child in node.children]
