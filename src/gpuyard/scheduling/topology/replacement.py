"""New places for the pods of a failed host; all others stay where they are.

The new places have to fit to the old ones. Pods that were required in one domain stay in it. Where
the host took away part of a slice, the rest of the slice says where the missing part belongs, and
of several layers the narrowest that is torn; inside it the missing pods go in slices of the
narrowest layer that still divides them. Slices that went as a whole may come back anywhere.

Where the existing places name a domain that is gone as well, the pods cannot be brought back
together, and the whole workload has to be placed anew.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go (findReplacementAssignment,
requiredReplacementDomain, findIncompleteSliceDomain). One failed host at a time, as there: with two
the first answer is the refusal above. Where we differ, on purpose: of several slices that could be
the torn one the first by name counts (there any); pods that asked for slices alone go anywhere
inside the torn one (there they are refused, "topology level not specified"); and where the level
is the host's, a host inside wider domains is found (there never, but it should not come to that).
"""

from collections import Counter

from msgspec.structs import replace

from gpuyard.model.topology import SliceRequest, TopologyAssignment, TopologyRequest
from gpuyard.scheduling.topology.assignments import merged, stale_domain, without_host
from gpuyard.scheduling.topology.board import Board, Domain, Placed
from gpuyard.scheduling.topology.refusals import Refusal, RefusalCode
from gpuyard.scheduling.topology.requests import Group, PodSetRequest, wanted_level


def replace_host(board: Board, request: PodSetRequest, host: str) -> Placed | Refusal:
    """Return the places of a pod set that has some, without `host`.

    The new places have been taken from the board; the others are promised already. A pod set that
    does not stand on `host` keeps all of its places.
    """
    before = request.previous
    if before is None:
        raise ValueError(f"pod set {request.name} has no places, so none of them can be replaced")
    rest, missing = without_host(before, host)
    if not missing:
        return Placed(before)
    gone = stale_domain(board.tree, rest)
    if gone is not None:
        return _refused(board, request, "stale", gone[0])
    asked = replace(request.topology, group="")
    within = _where(board, asked, rest, missing)
    if within is not None and _is_torn(asked, missing):
        asked = replace(asked, slices=_still_dividing(asked, missing))
    pod_set = replace(request.pod_set, topology=asked)
    pods = Group(replace(request, count=missing, pod_set=pod_set))
    found = board.place(pods, within)
    if isinstance(found, Refusal):
        return found
    if not found.workers.domains:
        return _refused(board, request, "no-replacement", host)
    board.assume(pods, found)
    return Placed(merged(board.tree, found.workers, rest))


def _where(
    board: Board, asked: TopologyRequest, rest: TopologyAssignment, missing: int
) -> Domain | None:
    """Return the domain in which `missing` pods have to be, `None` where they may be anywhere."""
    level = board.tree.level_of(wanted_level(board.tree.levels, asked))
    if level is None or not rest.domains:
        return None
    if _is_torn(asked, missing):
        return _torn_slice(board, rest, missing, _torn_layer(asked, missing))
    if asked.mode != "required":
        return None
    leaf = board.tree.leaf_of[rest.domains[0].values]
    return Domain(level, int(board.tree.ancestors(level)[leaf]))


def _is_torn(asked: TopologyRequest, missing: int) -> bool:
    """Tell whether `missing` pods are not whole slices of the widest layer."""
    return bool(asked.slices and asked.slices[0].size > 0 and missing % asked.slices[0].size)


def _torn_layer(asked: TopologyRequest, missing: int) -> SliceRequest:
    """Return the narrowest layer of which `missing` pods are not whole slices."""
    torn = [layer for layer in asked.slices if layer.size > 0 and missing % layer.size]
    return torn[-1]


def _still_dividing(asked: TopologyRequest, missing: int) -> tuple[SliceRequest, ...]:
    """Return the narrowest layer of which `missing` pods are whole slices, if there is one."""
    whole = [layer for layer in asked.slices if layer.size > 0 and missing % layer.size == 0]
    return tuple(whole[-1:])


def _torn_slice(
    board: Board, rest: TopologyAssignment, missing: int, layer: SliceRequest
) -> Domain | None:
    """Return the domain whose pods are whole slices again with the missing ones."""
    level = board.tree.level_of(layer.level)
    if level is None:
        return None
    around = board.tree.ancestors(level)
    pods: Counter[int] = Counter()
    for domain in rest.domains:
        pods[int(around[board.tree.leaf_of[domain.values]])] += domain.count
    for number in sorted(pods):
        if (pods[number] + missing) % layer.size == 0:
            return Domain(level, number)
    return None


def _refused(board: Board, request: PodSetRequest, code: RefusalCode, domain: str) -> Refusal:
    return Refusal(
        code=code,
        pod_sets=(request.name,),
        topology=board.capacity.topology.name,
        domain=domain,
    )
