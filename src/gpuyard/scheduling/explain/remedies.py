"""Changes that would let a workload start, each tried out before it is said.

The workload, or the queues, are changed and the very same question is asked again (`Nominator`);
what does not lead to a start now is passed over. In order: what the user can change himself (a
looser wish for topology, a toleration, fewer pods), whose work would have to end, and what only an
administrator can give (quota). The state of the queues is the same afterwards.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from copy import copy

import msgspec

from gpuyard.model.constraints import Toleration
from gpuyard.model.queues import Admitted, ClusterQueue, FlavorResource
from gpuyard.model.topology import TopologyRequest
from gpuyard.model.workloads import PodSet, Workload
from gpuyard.scheduling.admission.entries import Head
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.explain.binding import reasons
from gpuyard.scheduling.flavors.assignment import FlavorAssignment
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.reasons import FlavorReason, quantity
from gpuyard.scheduling.queues import Queues

HOLDERS_TRIED_MAX = 256  # of more, those that hold least are tried
NAMES_MAX = 5  # so many names does a sentence tell


def first_remedy(nominator: Nominator, head: Head, assignment: FlavorAssignment) -> str | None:
    """Return the first change that helps, `None` where none of ours does."""
    for change, changed in _looser_wishes(head, assignment):
        if _starts(nominator, changed):
            return change
    return (
        _fewer_pods(nominator, head)
        or _ends_of_others(nominator, head)
        or _more_quota(nominator, head, assignment)
    )


def _starts(nominator: Nominator, head: Head) -> bool:
    return nominator.nominate(head).assignment.mode is Mode.FIT


# -- what the user can change


def _looser_wishes(head: Head, assignment: FlavorAssignment) -> Iterator[tuple[str, Head]]:
    """Yield changes to the workload in words, and the head with the change made."""
    if any(_requires(pod_set) for pod_set in head.workload.pod_sets):
        yield "prefer the topology level instead of requiring it", _changed(head, _preferring)
    for reason in reasons(assignment):
        if reason.code == "UntoleratedTaint" and reason.taint is not None:
            taint = reason.taint
            tolerated = Toleration(key=taint.key, value=taint.value, effect=taint.effect)
            change = f"tolerate the taint {taint.key}={taint.value}:{taint.effect} of flavor"
            yield f"{change} {reason.flavor}", _changed(head, _tolerating(tolerated))


def _requires(pod_set: PodSet) -> bool:
    return pod_set.topology is not None and pod_set.topology.mode == "required"


def _preferring(pod_set: PodSet) -> PodSet:
    if pod_set.topology is None or not _requires(pod_set):
        return pod_set
    preferred: TopologyRequest = msgspec.structs.replace(pod_set.topology, mode="preferred")
    return msgspec.structs.replace(pod_set, topology=preferred)


def _tolerating(toleration: Toleration) -> Callable[[PodSet], PodSet]:
    def change(pod_set: PodSet) -> PodSet:
        asked = pod_set.template.constraints
        constraints = msgspec.structs.replace(asked, tolerations=(*asked.tolerations, toleration))
        template = msgspec.structs.replace(pod_set.template, constraints=constraints)
        return msgspec.structs.replace(pod_set, template=template)

    return change


def _changed(head: Head, change: Callable[[PodSet], PodSet]) -> Head:
    pod_sets = tuple(change(pod_set) for pod_set in head.workload.pod_sets)
    workload: Workload = msgspec.structs.replace(head.workload, pod_sets=pod_sets)
    return msgspec.structs.replace(head, workload=workload, tried=None, stamp=None)


def _fewer_pods(nominator: Nominator, head: Head) -> str | None:
    """Try to run with as many pods as fit, one of each pod set at least."""
    rules = nominator.rules
    shrinking = msgspec.structs.replace(rules.flavors, partial_admission=True)
    with_shrinking = copy(nominator)
    with_shrinking.rules = msgspec.structs.replace(rules, flavors=shrinking)
    changed = _changed(head, lambda each: msgspec.structs.replace(each, min_count=1))
    found = with_shrinking.nominate(changed).assignment
    if found.mode is not Mode.FIT:
        return None
    asked = {each.name: each.count for each in head.workload.pod_sets}
    counts = (f"{each.count} of {asked[each.name]} pods of {each.name}" for each in found.pod_sets)
    return f"run with {', '.join(counts)}"


# -- whose work would have to end


def _ends_of_others(nominator: Nominator, head: Head) -> str | None:
    """Find who of the same tree would have to end, as few and as small as a greedy search finds."""
    queues = nominator.queues
    holders = sorted(_holders(queues, head.queue), key=_size)[:HOLDERS_TRIED_MAX]
    keys = [each.workload.key for each in holders]

    def starts_without(gone: list[str]) -> bool:
        with queues.without(gone):
            return _starts(nominator, head)

    if not starts_without(keys):
        return None
    first = bisect_left(range(len(keys)), True, key=lambda count: starts_without(keys[:count]))
    needed = keys[:first]
    for key in reversed(keys[: max(0, first - 1)]):
        without_key = [each for each in needed if each != key]
        if starts_without(without_key):
            needed = without_key
    if not needed:
        return None
    more = len(needed) - NAMES_MAX
    names = ", ".join(needed[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"wait until {names} {'has' if len(needed) == 1 else 'have'} ended"


def _holders(queues: Queues, queue: str) -> Iterator[Admitted]:
    """Yield who holds quota in the tree of `queue`."""
    *_, root = queues.node(queue).to_root()
    for name, held in queues.holders.items():
        *_, other = queues.node(name).to_root()
        if other is root:
            yield from held.values()


def _size(held: Admitted) -> tuple[int, str]:
    return held.workload.device_milli or held.workload.pod_count, held.workload.key


# -- what an administrator can give


def _more_quota(nominator: Nominator, head: Head, assignment: FlavorAssignment) -> str | None:
    """Try what more quota of the own queue would do, flavor by flavor."""
    by_flavor: dict[str, list[FlavorReason]] = {}
    for reason in reasons(assignment):
        if reason.code in ("ExceedsMaxQuota", "InsufficientUnusedQuota"):
            by_flavor.setdefault(reason.flavor, []).append(reason)
    for flavor in sorted(by_flavor):
        more = {FlavorResource(flavor, each.resource): _missing(each) for each in by_flavor[flavor]}
        with_more = copy(nominator)
        with_more.queues = _with_quota(nominator.queues, head.queue, more)
        if _starts(with_more, head):
            amounts = (
                f"{quantity(key.resource, amount)} {key.resource}" for key, amount in more.items()
            )
            return f"give ClusterQueue {head.queue} {', '.join(amounts)} more in flavor {flavor}"
    return None


def _missing(reason: FlavorReason) -> int:
    if reason.code == "InsufficientUnusedQuota":
        return reason.missing
    return reason.needed + reason.assumed - reason.capacity


def _with_quota(queues: Queues, queue: str, more: dict[FlavorResource, int]) -> Queues:
    """Return the queues with more nominal quota in one of them, and the same holders."""
    specs = [_raised(spec, more) if name == queue else spec for name, spec in queues.specs.items()]
    changed = Queues(specs, queues.cohorts.values(), flavors=queues.flavors.values())
    for held in queues.admitted.values():
        changed.admit(held)
    changed.places = queues.places  # which count the same holders already
    return changed


def _raised(spec: ClusterQueue, more: dict[FlavorResource, int]) -> ClusterQueue:
    groups = []
    for group in spec.resource_groups:
        flavors = []
        for flavor in group.flavors:
            quotas = tuple(
                msgspec.structs.replace(
                    each,
                    nominal=each.nominal
                    + more.get(FlavorResource(flavor.flavor, each.resource), 0),
                )
                for each in flavor.resources
            )
            flavors.append(msgspec.structs.replace(flavor, resources=quotas))
        groups.append(msgspec.structs.replace(group, flavors=tuple(flavors)))
    return msgspec.structs.replace(spec, resource_groups=tuple(groups))
