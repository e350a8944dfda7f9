"""Places for all pod sets of one workload on one flavor.

Pod sets are placed in their order, a leader together with its workers; each sees what those before
it have taken. The first that gets no places ends it: the answer is its refusal. Nothing is counted
anywhere: what is found is a proposal, and whoever accepts it calls `TopologyCapacity.use`.

Three things can be asked for: places for new pods, places for a workload that grew or shrank while
it runs (`elastic`), and places for the pods of a host that failed (`replacement`).

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go
(FindTopologyAssignmentsForFlavor).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from gpuyard.model.topology import TopologyAssignment, TopologyRules, TopologyUsage
from gpuyard.scheduling.topology import elastic
from gpuyard.scheduling.topology.board import Board, Placed
from gpuyard.scheduling.topology.capacity import TopologyCapacity
from gpuyard.scheduling.topology.refusals import Refusal
from gpuyard.scheduling.topology.replacement import replace_host
from gpuyard.scheduling.topology.requests import Group, PodSetRequest, groups

DEFAULT_RULES = TopologyRules()


def place(
    capacity: TopologyCapacity,
    requests: Sequence[PodSetRequest],
    *,
    rules: TopologyRules = DEFAULT_RULES,
    empty: bool = False,
    assumed: Sequence[TopologyUsage] = (),
) -> tuple[TopologyAssignment, ...] | Refusal:
    """Return places for each of `requests`, or why there are none.

    `empty` asks as if nothing had been promised to anyone: whether it would ever fit. `assumed` is
    what the same workload takes from these hosts through another flavor.
    """
    together = groups(requests)
    if isinstance(together, Refusal):
        return together
    board = Board(capacity, requests, rules, empty=empty, assumed=assumed)
    found: dict[str, TopologyAssignment] = {}
    for group in together:
        placed = _place(board, group)
        if isinstance(placed, Refusal):
            return replace(placed, placed=tuple(sorted(found.items())))
        found[group.workers.name] = placed.workers
        if group.leader is not None and placed.leader is not None:
            found[group.leader.name] = placed.leader
    return tuple(found[request.name] for request in requests)


def place_again(
    capacity: TopologyCapacity,
    requests: Sequence[PodSetRequest],
    *,
    failed_host: str,
    is_bare_pod: bool = False,
    rules: TopologyRules = DEFAULT_RULES,
    assumed: Sequence[TopologyUsage] = (),
) -> tuple[TopologyAssignment, ...] | Refusal:
    """Return the places of each of `requests` with others for the pods on `failed_host`.

    Each request has its `previous` places, and `capacity` has them counted: the workload runs.
    `is_bare_pod`: the workload is one pod that nobody would make anew elsewhere.
    Raises ValueError for a request without places.
    """
    board = Board(capacity, requests, rules, assumed=assumed)
    stays = is_bare_pod and rules.leaves_bare_pods
    found: dict[str, TopologyAssignment] = {}
    for request in requests:
        placed = replace_host(board, request, "" if stays else failed_host)
        if isinstance(placed, Refusal):
            return replace(placed, placed=tuple(sorted(found.items())))
        found[request.name] = placed.workers
    return tuple(found.values())


def _place(board: Board, group: Group) -> Placed | Refusal:
    """Return places for a group, and take them from the board."""
    if board.rules.keeps_running_pods:
        kept = elastic.keep(board, group)
        if kept is not None:
            return kept
    placed = board.place(group)
    if isinstance(placed, Placed):
        board.assume(group, placed)
    return placed
