"""A workload that grows or shrinks while it runs: its pods stay where they are.

More pods than before: places are looked for only for the additional ones. Fewer: the last places
are given up. As many: nothing changes. The leader stays in any case; where there was none before
(a group that is new to the workload), it is placed together with the additional workers.

Where pods stand in a domain that is gone there is nothing to keep, and the group is placed afresh.
That holds for the workers and for their leader.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_elastic_workloads.go. Where we differ, on purpose:
a leader without a place beside workers that need none means a fresh start (Kueue assumes that it
cannot be), and where a single worker is left, so that either could be the leader, both pod sets
give up places (there the second keeps all that it had).
"""

from msgspec.structs import replace

from gpuyard.model.topology import TopologyAssignment
from gpuyard.scheduling.topology.assignments import merged, pod_count, stale_domain, truncated
from gpuyard.scheduling.topology.board import Board, Placed
from gpuyard.scheduling.topology.refusals import Refusal
from gpuyard.scheduling.topology.requests import Group


def keep(board: Board, group: Group) -> Placed | Refusal | None:
    """Return the places of a group that keeps those it has, `None` where it has none to keep.

    What it holds has been taken from the board then.
    """
    before = group.workers.previous
    leader = group.leader.previous if group.leader else None
    if before is None or _is_stale(board, before) or _is_stale(board, leader):
        return None
    missing = group.workers.count - pod_count(before)
    if missing <= 0 and group.leader is not None and leader is None:
        return None
    if group.leader is not None and leader is not None:
        leader = truncated(leader, group.leader.count)
    staying = Placed(truncated(before, group.workers.count), leader)
    board.assume(group, staying)
    return staying if missing <= 0 else _grow(board, group, staying, missing)


def _is_stale(board: Board, places: TopologyAssignment | None) -> bool:
    return places is not None and stale_domain(board.tree, places) is not None


def _grow(board: Board, group: Group, staying: Placed, missing: int) -> Placed | Refusal:
    """Return places for `missing` more workers beside those that stay, and for a new leader."""
    more = Group(
        replace(group.workers, count=missing), group.leader if staying.leader is None else None
    )
    found = board.place(more)
    if isinstance(found, Refusal):
        return replace(found, pod_sets=(group.workers.name,))  # the leader is not in its way
    board.assume(more, found)
    return Placed(
        merged(board.tree, found.workers, staying.workers), staying.leader or found.leader
    )
