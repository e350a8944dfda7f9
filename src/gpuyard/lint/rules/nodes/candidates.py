"""The GPU nodes on which a pod may run, as far as labels tell.

A rule that compares a pod with its nodes should not look at nodes that the pod refuses. Node
selectors and required affinity are read by `gpuyard.dialects` and answered by
`gpuyard.scheduling`; taints and free capacity are left out, they change from minute to minute.
"""

from collections.abc import Iterable, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, gpu_resource
from gpuyard.dialects.workloads.gpus import devices
from gpuyard.lint.selecting import read_selector
from gpuyard.lint.world import Entry, World
from gpuyard.scheduling.shapes import matches

REQUIRED = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")


def offered(node: Entry, resource: str) -> int:
    """Return how many of a device resource a Node offers."""
    return devices(node.mapping("status", "allocatable").get(resource))


def gpus_offered(node: Entry) -> int:
    """Return how many devices of all GPU resources a Node offers."""
    allocatable = node.mapping("status", "allocatable")
    return sum(devices(amount) for name, amount in allocatable.items() if gpu_resource(name))


def candidates(pod: PodView, world: World) -> list[Entry]:
    """Return the nodes that offer each GPU resource of `pod` and that its selectors allow.

    A selector that cannot be read allows none.
    """
    terms = [one for _, one in pod.spec.mappings(*REQUIRED, "nodeSelectorTerms")]
    return [
        node
        for node in world.of_kind("Node")
        if all(offered(node, name) >= amount for name, amount in pod.devices.items())
        and _is_chosen(plain.texts(pod.spec.value, "nodeSelector"), terms, dict(node.labels))
    ]


def _is_chosen(
    selector: dict[str, str], terms: Iterable[Mapping[str, object]], labels: dict[str, str]
) -> bool:
    wanted = [_fits({"matchLabels": selector}, labels)] if selector else []
    alternatives = [
        not term.get("matchFields")
        and _fits({"matchExpressions": term.get("matchExpressions") or []}, labels)
        for term in terms
    ]
    return all(wanted) and (any(alternatives) or not alternatives)


def _fits(selector: Mapping[str, object], labels: dict[str, str]) -> bool:
    read = read_selector(selector)
    return read is not None and matches(read, labels)
