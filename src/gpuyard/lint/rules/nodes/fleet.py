"""The nodes that were given, as the scheduling core sees them.

Whether a pod fits is decided by the code that places pods, never here. There are two snapshots of
one cluster: `empty`, with every node healthy, let in and without pods, which answers "could it ever
run?", and `now`, which answers "does it fit at this moment?" and exists only where pods were given.

What is not looked at: volumes, and devices that are claimed (DRA); pods with claims are not judged.
A Node that cannot be read makes the picture incomplete, and then there is none.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from weakref import WeakKeyDictionary

import numpy as np
from msgspec.structs import replace

from gpuyard.dialects import core, plain
from gpuyard.dialects.core import DialectError
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.world import Entry, World
from gpuyard.model.constraints import Taint, Toleration
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.nodes import Node
from gpuyard.model.reasons import Rejection
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodTemplate, Request
from gpuyard.scheduling import feasibility
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot

POLICY = PLACEMENTS["best-fit"]
TRANSIENT = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Prefixes of taints that come and go with a node's condition."""
TOLERATES_ALL = (Toleration(key="", operator="Exists"),)
REASONS_SHOWN = 3
HERE = frozenset({"", "Pending", "Running", "Unknown"})  # phases of a pod that holds its place


class Fleet:
    """The nodes of one world."""

    def __init__(self, nodes: Iterable[Node], bound: "Iterable[PodBound] | None") -> None:
        self.nodes = tuple(nodes)
        self.empty = _placer(map(_at_its_best, self.nodes), ())
        self.now = None if bound is None else _placer(self.nodes, bound)
        self._fits: dict[PodTemplate, bool] = {}

    def fits_somewhere(self, template: PodTemplate) -> bool:
        """Tell whether one pod would find a node if all were empty."""
        known = self._fits.get(template)
        if known is None:
            found = self.empty.choose(self.empty.snapshot.shape(template))
            known = self._fits[template] = found is not None
        return known

    def nodes_for(self, template: PodTemplate) -> list[Node]:
        """Return the nodes whose labels and taints let such a pod in, however full they are."""
        snapshot = self.empty.snapshot
        allowed = self.empty.allowed_by_labels(snapshot.shape(template))
        return [snapshot.nodes[slot] for slot in np.flatnonzero(allowed).tolist()]

    def room(self, template: PodTemplate) -> dict[str, int]:
        """Return how many such pods fit side by side on each node, were it empty."""
        snapshot = self.empty.snapshot
        rooms = self.empty.room(snapshot.shape(template)).tolist()
        return {node.name: int(rooms[slot]) for slot, node in snapshot.nodes.items()}

    def why_not(self, template: PodTemplate) -> str:
        """Return why nodes turn such a pod down although they are empty, most of them first."""
        snapshot = self.empty.snapshot
        shape: Shape = snapshot.shape(template)
        return said(feasibility.explain(snapshot, shape))


def said(rejections: Iterable[tuple[Rejection, int]]) -> str:
    """Return why nodes turn a pod down: Kubernetes' words, with as many nodes as there are."""
    return ", ".join(
        f"{number} {_counted(number, rejection.text)}"
        for rejection, number in tuple(rejections)[:REASONS_SHOWN]
    )


def _counted(number: int, text: str) -> str:
    text = text.replace("node(s)", "node" if number == 1 else "nodes").replace("taint(s)", "taints")
    return f"with {text[0].lower()}{text[1:]}" if text.startswith("Insufficient") else text


_fleets: "WeakKeyDictionary[World, Fleet | None]" = WeakKeyDictionary()


def fleet(world: World) -> Fleet | None:
    """Return the nodes of a world, `None` where they cannot all be read."""
    if world not in _fleets:
        _fleets[world] = _read(world)
    return _fleets[world]


_templates: "WeakKeyDictionary[PodView, PodTemplate | None]" = WeakKeyDictionary()


def template(pod: PodView) -> PodTemplate | None:
    """Return what a pod asks of its node, `None` where that is not all in its template."""
    if pod not in _templates:
        _templates[pod] = _template(pod)
    return _templates[pod]


def _template(pod: PodView) -> PodTemplate | None:
    if pod.claims or pod.place.containers or not pod.is_complete:
        return None
    if any(ask.resource.sharing == "part" for ask in pod.gpu_asks):
        return None  # schedulers that hand out parts of a GPU do not count them on the Node
    metadata = {"labels": pod.labels, "namespace": pod.workload.namespace}
    with suppress(DialectError):
        return core.pod_template({"metadata": metadata, "spec": _defaulted(pod.spec.value)})
    return None


def without_constraints(asked: PodTemplate, *, taints_only: bool = False) -> PodTemplate:
    """Return the same pod, but tolerating every taint; and, in full, wanting no node either."""
    constraints = replace(asked.constraints, tolerations=TOLERATES_ALL)
    if not taints_only:
        constraints = replace(constraints, node_selector=(), required_nodes=None, node_name="")
    return replace(asked, constraints=constraints)


def only(asked: PodTemplate, names: Iterable[str]) -> PodTemplate:
    """Return the same pod asking for nothing but the resources of these names."""
    kept = set(names)
    amounts = [each for each in asked.request.resources.amounts if each[0] in kept]
    return replace(asked, request=Request(resources=Resources.of(amounts)))


def _read(world: World) -> Fleet | None:
    try:
        nodes = [
            core.node(entry.value, rank=rank) for rank, entry in enumerate(world.of_kind("Node"))
        ]
    except DialectError:
        return None
    if not world.knows("Pod"):
        return Fleet(nodes, None)
    known = {node.name for node in nodes}
    return Fleet(nodes, _bound(world.of_kind("Pod"), known))


def _bound(pods: Iterable[Entry], nodes: set[str]) -> Iterator[PodBound]:
    for number, entry in enumerate(pods):
        if entry.text("spec", "nodeName") in nodes and entry.text("status", "phase") in HERE:
            with suppress(DialectError):
                yield PodBound(core.assignment(entry.value, key=f"{number}/{entry.name}"))


def _placer(nodes: Iterable[Node], bound: Iterable[PodBound]) -> Placer:
    snapshot = Snapshot()
    for node in nodes:
        snapshot.apply(NodeObserved(node))
    for delta in bound:
        snapshot.apply(delta)
    return Placer(snapshot, POLICY, np.random.default_rng(0))


def _at_its_best(node: Node) -> Node:
    """Return a node as it is meant to be: ready, let in, without passing taints."""
    return replace(node, taints=lasting(node.taints), unschedulable=False, ready=True)


def lasting(taints: Iterable[Taint]) -> tuple[Taint, ...]:
    """Return the taints that somebody gave on purpose."""
    return tuple(taint for taint in taints if not taint.key.startswith(TRANSIENT))


def _defaulted(spec: Mapping[str, object]) -> dict[str, object]:
    """Return a PodSpec in which limits count as requests, as the API server stores it."""
    filled = dict(spec)
    for field in ("containers", "initContainers"):
        if field in spec:
            filled[field] = [_with_requests(one) for _, one in plain.mappings(spec, field)]
    return filled


def _with_requests(container: Mapping[str, object]) -> dict[str, object]:
    limits, requests = (
        plain.mapping(container, "resources", field) for field in ("limits", "requests")
    )
    return {**container, "resources": {"requests": {**limits, **requests}}}
