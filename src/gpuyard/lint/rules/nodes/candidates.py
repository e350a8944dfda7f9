"""The GPU nodes on which a pod may run, as far as labels tell.

A rule that compares a pod with its nodes should not look at nodes that the pod refuses. Node
selectors and required affinity are read by `gpuyard.dialects` and answered by
`gpuyard.scheduling`; taints and free capacity are left out, they change from minute to minute.

Pods of one kind get one list: a cluster has thousands of pods and nodes, but few kinds of pods.
What a rule asks of the list is kept with it, see `of_candidates`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, gpu_resource
from gpuyard.dialects.workloads.gpus import devices
from gpuyard.lint.selecting import read_selector
from gpuyard.lint.world import Entry, World
from gpuyard.scheduling.shapes import matches

REQUIRED = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
Answer = TypeVar("Answer")


class _Kind:
    """What pods of one kind share: their nodes, and what was asked of them."""

    def __init__(self, nodes: list[Entry]) -> None:
        self.nodes = nodes
        self.answers: dict[Callable[[list[Entry]], Any], Any] = {}


def offered(node: Entry, resource: str) -> int:
    """Return how many of a device resource a Node offers."""
    return devices(node.mapping("status", "allocatable").get(resource))


def gpus_offered(node: Entry) -> int:
    """Return how many devices of all GPU resources a Node offers."""
    allocatable = node.mapping("status", "allocatable")
    return sum(devices(amount) for name, amount in allocatable.items() if gpu_resource(name))


def gpu_nodes(world: World) -> list[Entry]:
    """Return the nodes that offer GPUs; to be asked through `World.once`."""
    return [node for node in world.of_kind("Node") if gpus_offered(node)]


def candidates(pod: PodView, world: World) -> list[Entry]:
    """Return the nodes that offer each GPU resource of `pod` and that its selectors allow.

    A selector that cannot be read allows none.
    """
    return _kind(pod, world).nodes


def of_candidates(pod: PodView, world: World, ask: Callable[[list[Entry]], Answer]) -> Answer:
    """Return what the function `ask` says of the pod's nodes; once for all pods of its kind."""
    kind = _kind(pod, world)
    if ask not in kind.answers:
        kind.answers[ask] = ask(kind.nodes)
    answer: Answer = kind.answers[ask]
    return answer


def _kind(pod: PodView, world: World) -> _Kind:
    kinds = world.once(_kinds)
    selector = plain.texts(pod.spec.value, "nodeSelector")
    terms = [one for _, one in pod.spec.mappings(*REQUIRED, "nodeSelectorTerms")]
    key = (*sorted(pod.devices.items()), *sorted(selector.items()), str(terms))
    if key not in kinds:
        kinds[key] = _Kind(_chosen(pod, selector, terms, world))
    return kinds[key]


def _kinds(_world: World) -> dict[tuple[object, ...], _Kind]:
    return {}


def _chosen(
    pod: PodView, selector: dict[str, str], terms: Iterable[Mapping[str, object]], world: World
) -> list[Entry]:
    wanted = read_selector({"matchLabels": selector})
    alternatives = [
        None
        if term.get("matchFields")
        else read_selector({"matchExpressions": term.get("matchExpressions") or []})
        for term in terms
    ]
    found = []
    for node in world.once(gpu_nodes):
        labels = dict(node.labels)
        is_wanted = wanted is not None and matches(wanted, labels)
        is_one = any(one is not None and matches(one, labels) for one in alternatives)
        if is_wanted and (is_one or not alternatives):
            found.append(node)
    return [
        node
        for node in found
        if all(offered(node, name) >= amount for name, amount in pod.devices.items())
    ]
