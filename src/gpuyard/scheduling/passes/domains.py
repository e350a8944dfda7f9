"""The sets of nodes in which the pods of a group may stand together, the best first.

A topology is a tree of domains: nodes with the same first n labels. A group that *requires* a level
must stand in one domain of it; one that *prefers* a level is tried there first, then wider, up to
the required level or the whole cluster. Narrower domains go first; of one level the domain that the
group would fill most (the largest share, over all resources, of asked / free). Pods that run
already tie the rest of their group to their domain.

Within a set that is wider than the preferred level, nodes get points by the order of their
preferred domains, the emptiest most: whoever could not stay together spreads over few domains.

Whether a domain has room is estimated: with pods that ask for the same kinds as many as fit node by
node if all were as the smallest (KAI: as the largest, and so passes over domains that would do),
else the sums of what is free. An estimate that is too kind costs a trial, nothing more.

Semantics: KAI Scheduler v0.17, plugins/topology (job_filtering.go, node_scoring.go).
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from gpuyard.model.policy import DEVICES
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.passes.jobs import STAYS, DomainRequest, Pod
from gpuyard.scheduling.passes.session import Session

WHOLE_CLUSTER = ""  # the level above all levels
NO_ROOM = Fraction(1000)
TENTHS = 10


class Domain:
    """Nodes with the same values of the first labels; `path` are the values."""

    def __init__(self, level: str, path: tuple[str, ...]) -> None:
        """Start without nodes."""
        self.level = level
        self.path = path
        self.slots: list[int] = []
        self.children: list[Domain] = []
        self.fit = NO_ROOM  # share of what is free that the group would take
        self.pods: int | None = None  # how many pods find room; None where they are not alike

    def below(self) -> "Iterator[Domain]":
        """Yield the domain and all below it, level by level."""
        level = [self]
        while level:
            yield from level
            level = [child for domain in level for child in domain.children]


class Sets:
    """The answer: masks in the order of trying, and points for nodes (`None`: no preference)."""

    def __init__(self, masks: Sequence[BoolArray], points: IntArray | None = None) -> None:
        """Keep both."""
        self.masks = masks
        self.points = points


def sets_for(
    session: Session,
    request: DomainRequest | None,
    pods: Sequence[Pod],
    group_pods: Iterable[Pod],
    within: BoolArray,
) -> Sets:
    """Return where `pods` may stand together; `group_pods` are all of their group."""
    if request is None or not request.topology or not pods:
        return Sets([within])
    topology = session.topologies.get(request.topology)
    if topology is None:
        return Sets([])
    root = _tree(session, topology, within)
    start = _common(root, request.preferred or request.required)
    levels = _levels(topology, request)
    if levels is None:
        return Sets([])
    _measure(session, start, pods)
    if not _has_room(start, len(pods)):
        return Sets([])
    _sort(start, request.preferred or request.required)
    staying = {pod.node for pod in group_pods if pod.state in STAYS} if request.required else set()
    allowed = list(start.below())
    if staying:
        allowed = _with_company(session, root, request.required, staying, allowed)
    fitting = [each for each in allowed if each.level in levels and _has_room(each, len(pods))]
    depth = {level: index for index, level in enumerate(topology.levels)}
    fitting.sort(key=lambda domain: -depth.get(domain.level, -1))  # stable: else level by level
    masks = [_mask(domain, within) for domain in fitting]
    return Sets(masks, _points(session, start, request.preferred, len(within)))


def _tree(session: Session, topology: Topology, within: BoolArray) -> Domain:
    """Return the whole cluster as a domain; nodes that lack a label of the topology are left out.

    A domain holds its nodes of `within`.
    """
    root = Domain(WHOLE_CLUSTER, ())
    known: dict[tuple[str, ...], Domain] = {(): root}
    for slot in sorted(session.soon.snapshot.nodes):
        labels = dict(session.soon.snapshot.nodes[slot].labels)
        if not within[slot] or any(level not in labels for level in topology.levels):
            continue
        root.slots.append(slot)
        path: tuple[str, ...] = ()
        for level in topology.levels:
            parent, path = known[path], (*path, labels[level])
            if path not in known:
                known[path] = Domain(level, path)
                parent.children.append(known[path])
            known[path].slots.append(slot)
    return root


def _common(root: Domain, down_to: str) -> Domain:
    """Return the narrowest domain that holds all nodes, not below the level asked for."""
    domain = root
    while len(domain.children) == 1 and domain.level != down_to:
        domain = domain.children[0]
    return domain


def _levels(topology: Topology, request: DomainRequest) -> set[str] | None:
    """Return the levels that will do; `None` where the request names one that does not exist."""
    upwards = [*reversed(topology.levels), WHOLE_CLUSTER]
    for level in (request.required, request.preferred):
        if level and level not in topology.levels:
            return None
    if not request.required and not request.preferred:
        return None
    last = upwards.index(request.required or WHOLE_CLUSTER)
    first = min(upwards.index(level) for level in (request.required, request.preferred) if level)
    return set(upwards[first : last + 1])


def _with_company(
    session: Session, root: Domain, level: str, nodes: set[str], allowed: list[Domain]
) -> list[Domain]:
    """Keep what lies in domains of `level` where pods of the group stay."""
    slots = {session.slot_of(node) for node in nodes}
    company = {
        domain.path
        for domain in root.below()
        if domain.level == level and slots & set(domain.slots)
    }
    depth = len(next(iter(company), ()))
    return [domain for domain in allowed if domain.path[:depth] in company]


# -- how well it fits


def _measure(session: Session, start: Domain, pods: Sequence[Pod]) -> None:
    """Set `fit` and `pods` of `start` and everything below it."""
    asked = _total(pods)
    names = sorted(asked)
    free = _free(session, names)
    room = _room(session, pods, names) if _are_alike(pods) else None
    for domain in start.below():
        slots = domain.slots
        left = free[slots].sum(axis=0).tolist()
        domain.fit = max(
            (
                Fraction(asked[name], amount) if amount > 0 else NO_ROOM
                for name, amount in zip(names, left, strict=True)
                if asked[name] > 0
            ),
            default=Fraction(0),
        )
        domain.pods = None if room is None else int(room[slots].sum())


def _total(pods: Sequence[Pod]) -> dict[str, int]:
    asked: dict[str, int] = {}
    for pod in pods:
        for name, amount in _asks(pod).items():
            asked[name] = asked.get(name, 0) + amount
    return asked


def _asks(pod: Pod) -> dict[str, int]:
    request = pod.template.request
    devices = {DEVICES: request.devices.total_milli} if request.devices else {}
    return {**request.resources.as_dict(), **devices}


def _free(session: Session, names: Sequence[str]) -> IntArray:
    """Return [slot, name] what is free soon; of devices only whole ones count."""
    fleet = session.soon.snapshot.fleet
    columns = []
    for name in names:
        if name == DEVICES:
            whole = (fleet.device_free >= WHOLE_DEVICE_MILLI).sum(axis=1)
            columns.append(whole * WHOLE_DEVICE_MILLI)
        else:
            columns.append(fleet.free[:, fleet.resource_column(name)])
    return np.array(columns, dtype=np.int64).reshape(len(names), fleet.size).T


def _room(session: Session, pods: Sequence[Pod], names: Sequence[str]) -> IntArray:
    """Return for each slot how many pods of the smallest size find room."""
    smallest = {name: min(_asks(pod).get(name, 0) for pod in pods) for name in names}
    free = _free(session, names)
    fleet = session.soon.snapshot.fleet
    if 0 < smallest.get(DEVICES, 0) < WHOLE_DEVICE_MILLI:
        shared = np.where(fleet.device_free < WHOLE_DEVICE_MILLI, fleet.device_free, 0)
        free[:, list(names).index(DEVICES)] += np.maximum(shared, 0).sum(axis=1)
    asked = [name for name in names if smallest[name] > 0]
    if not asked:
        return np.full(fleet.size, len(pods), dtype=np.int64)
    columns = [list(names).index(name) for name in asked]
    needed = np.array([smallest[name] for name in asked], dtype=np.int64)
    room: IntArray = np.maximum(free[:, columns] // needed, 0).min(axis=1)
    return room


def _are_alike(pods: Sequence[Pod]) -> bool:
    """Tell whether all pods ask for the same kinds, so that the smallest can stand for all."""
    kinds = [
        {name for name, amount in _asks(pod).items() if amount and name not in {"cpu", "memory"}}
        for pod in pods
    ]
    return all(kind == kinds[0] for kind in kinds)


def _has_room(domain: Domain, count: int) -> bool:
    return domain.fit <= 1 if domain.pods is None else domain.pods >= count


def _sort(start: Domain, down_to: str) -> None:
    """Sort children: whom the group would fill most goes first; by path among equals."""
    if not down_to:
        return
    for domain in start.below():
        if domain.level != down_to:
            domain.children.sort(key=lambda child: (-child.fit, child.path))


# -- points


def _mask(domain: Domain, within: BoolArray) -> BoolArray:
    mask = np.zeros(len(within), dtype=np.bool_)
    mask[domain.slots] = True
    return mask & within


def _points(session: Session, start: Domain, preferred: str, size: int) -> IntArray | None:
    if not preferred:
        return None
    ordered = [domain for domain in _depth_first(start) if domain.level == preferred]
    points = np.zeros(size, dtype=np.int64)
    for index, domain in enumerate(ordered):
        tenths = (index + 1) * TENTHS // len(ordered)
        points[domain.slots] = tenths * session.knobs.preferred_domain_points
    return points


def _depth_first(domain: Domain) -> Iterator[Domain]:
    yield domain
    for child in domain.children:
        yield from _depth_first(child)
