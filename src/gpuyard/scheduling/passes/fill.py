"""Put the pods of a job on nodes, all of them or none.

The tree of groups is walked from the root: each group is tried in one set of nodes after the other
(`domains`), and in it each of its members in the same way. The first set that takes all pods wins.
Points that a group gave to nodes hold for its members, unless they give their own.

Semantics: KAI Scheduler v0.17, actions/common/allocate.go.
"""

from collections.abc import Sequence

from gpuyard.scheduling.deserved import limits
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.passes.domains import sets_for
from gpuyard.scheduling.passes.jobs import Group, Leaf, Pod, View, total
from gpuyard.scheduling.passes.session import Session


def fill(
    session: Session,
    view: View,
    within: BoolArray,
    pods: Sequence[Pod] | None = None,
    *,
    at_once: bool = True,
) -> bool:
    """Place `pods` (those that are next to start), and tell whether all found a place.

    Where they did not, nothing has changed.
    """
    if pods is None:
        pods = view.to_start(really=at_once)
    queue = session.queue_of(view.job)
    if not pods or queue is None:
        return False
    if limits.over(queue, total(pods), preemptible=view.job.preemptible):
        return False
    return _Filling(session, view, at_once=at_once).member(view.job.root, pods, within, None)


class _Filling:
    """What stays the same while a tree of groups is walked."""

    def __init__(self, session: Session, view: View, *, at_once: bool) -> None:
        self.session = session
        self.view = view
        self.at_once = at_once

    def member(
        self,
        member: Group | Leaf,
        pods: Sequence[Pod],
        within: BoolArray,
        points: IntArray | None,
    ) -> bool:
        """Place the pods of one group in the first set of nodes that takes them all."""
        if not pods:
            return True
        names = {leaf.name for leaf in _leaves(member)} & {pod.leaf for pod in pods}
        company = [pod for pod in self.view.job.pods if pod.leaf in names]
        sets = sets_for(self.session, member.domain, pods, company, within)
        for mask in sets.masks:
            with self.session.trial() as trial:
                mine = points if sets.points is None else sets.points
                if self._in_one_set(member, pods, mask, mine):
                    trial.keep()
                    return True
        return False

    def _in_one_set(
        self,
        member: Group | Leaf,
        pods: Sequence[Pod],
        mask: BoolArray,
        points: IntArray | None,
    ) -> bool:
        if isinstance(member, Leaf):
            return all(self.session.place(pod, mask, points, at_once=self.at_once) for pod in pods)
        for each in self.view.in_turn(member):
            names = {leaf.name for leaf in _leaves(each)}
            if not self.member(each, [pod for pod in pods if pod.leaf in names], mask, points):
                return False
        return True


def _leaves(member: Group | Leaf) -> list[Leaf]:
    return [member] if isinstance(member, Leaf) else list(member.leaves())
