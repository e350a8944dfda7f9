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
ANSWERS_KEPT_MAX = 1024  # for an empty topology; beyond it they are worked out anew


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
    if not empty or assumed:
        return _placed(capacity, requests, rules, empty=empty, assumed=assumed)
    key = tuple(requests), rules
    known = capacity.if_empty.get(key)
    if known is None:
        if len(capacity.if_empty) >= ANSWERS_KEPT_MAX:
            capacity.if_empty.clear()
        known = capacity.if_empty[key] = _placed(capacity, requests, rules, empty=True)
    return known


def may_hold(
    capacity: TopologyCapacity, requests: Sequence[PodSetRequest], rules: TopologyRules
) -> bool:
    """Tell whether as many pods fit, wherever, as `requests` want new places for.

    Where they do not, `place` finds none: a quick no for those who ask again and again.
    """
    together = groups(requests)
    return isinstance(together, Refusal) or all(
        group.workers.previous is not None
        or group.workers.count
        <= capacity.row(
            group.workers.pod_set.template,
            group.workers.per_pod,
            with_preferred=rules.respects_preferred_nodes,
            empty=False,
        ).total
        for group in together
    )


def _placed(
    capacity: TopologyCapacity,
    requests: Sequence[PodSetRequest],
    rules: TopologyRules,
    *,
    empty: bool,
    assumed: Sequence[TopologyUsage] = (),
) -> tuple[TopologyAssignment, ...] | Refusal:
    together = groups(requests)
    if isinstance(together, Refusal):
        return together
    board = Board(capacity, requests, rules, empty=empty, assumed=assumed)
    found: dict[str, TopologyAssignment] = {}
    for position, group in enumerate(together, start=1):
        placed = _place(board, group, is_last=position == len(together))
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


def _place(board: Board, group: Group, *, is_last: bool) -> Placed | Refusal:
    """Return places for a group, and unless it `is_last` take them from the board."""
    if board.rules.keeps_running_pods:
        kept = elastic.keep(board, group)
        if kept is not None:
            return kept
    placed = board.place(group)
    if isinstance(placed, Placed) and not is_last:
        board.assume(group, placed)
    return placed
