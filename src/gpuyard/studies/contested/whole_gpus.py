"""A trace as a cluster with a stock device plugin would meet it: whole GPUs by resource name.

Quota counts resources by name, so a request for devices becomes one for ``nvidia.com/gpu``, and
the models that will do become required node affinity to the product label that GPU feature
discovery writes; nodes get both. The request for devices stays beside it, for placement looks at
devices and quota does not.

A share of a GPU has no name in a stock cluster. Workloads that ask for one are left out, and
`Translated.left_out` says how many they are and how many GPU-hours they ask for.
"""

from collections.abc import Sequence

import msgspec

from gpuyard.model.constraints import Constraints, NodeSelectorTerm, Requirement
from gpuyard.model.nodes import Node
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, PodTemplate, TimedWorkload
from gpuyard.traces.trace import Trace

GPU = "nvidia.com/gpu"
PRODUCT = "nvidia.com/gpu.product"
HOUR_NS = 3600 * 10**9


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes and workloads with resource names; `products` is the label of each GPU model."""

    nodes: tuple[Node, ...]
    workloads: tuple[TimedWorkload, ...]
    products: dict[str, str]
    left_out: int
    left_out_gpu_h: float


def in_whole_gpus(trace: Trace, until_ns: int) -> Translated:
    """Return `trace` in resource names; GPU-hours are counted until `until_ns`."""
    nodes = tuple(_node(node) for node in trace.nodes)
    products = {
        device.model: dict(node.labels)[PRODUCT] for node in nodes for device in node.devices
    }
    templates: dict[PodTemplate, PodTemplate] = {}
    left_out = [timed for timed in trace.workloads if not _is_whole(timed)]
    kept = (timed for timed in trace.workloads if _is_whole(timed))
    return Translated(
        nodes=nodes,
        workloads=tuple(_workload(timed, products, templates) for timed in kept),
        products=products,
        left_out=len(left_out),
        left_out_gpu_h=gpu_hours(left_out, until_ns),
    )


def gpu_hours(workloads: Sequence[TimedWorkload], until_ns: int) -> float:
    """Return the GPU-hours before `until_ns` if every workload started as it arrived."""
    asked = 0
    for timed in workloads:
        begins_ns = timed.workload.created_ns
        ends_ns = until_ns if timed.runtime_ns is None else begins_ns + timed.runtime_ns
        asked += timed.workload.device_milli * max(0, min(ends_ns, until_ns) - begins_ns)
    return asked / WHOLE_DEVICE_MILLI / HOUR_NS


def _is_whole(timed: TimedWorkload) -> bool:
    asked = (pod_set.template.request.devices for pod_set in timed.workload.pod_sets)
    return all(devices is None or devices.milli == WHOLE_DEVICE_MILLI for devices in asked)


def _node(node: Node) -> Node:
    labels = {HOSTNAME: node.name, **dict(node.labels)}
    if node.devices:
        labels.setdefault(PRODUCT, node.devices[0].model)
    return msgspec.structs.replace(
        node,
        allocatable=node.allocatable.plus(Resources.of({GPU: len(node.devices)})),
        labels=tuple(sorted(labels.items())),
    )


def _workload(
    timed: TimedWorkload, products: dict[str, str], templates: dict[PodTemplate, PodTemplate]
) -> TimedWorkload:
    pod_sets = []
    for pod_set in timed.workload.pod_sets:
        template = pod_set.template
        if template not in templates:  # workloads that ask for the same share one object
            templates[template] = _template(template, products)
        pod_sets.append(msgspec.structs.replace(pod_set, template=templates[template]))
    workload = msgspec.structs.replace(timed.workload, pod_sets=tuple(pod_sets))
    return TimedWorkload(workload, timed.runtime_ns)


def _template(template: PodTemplate, products: dict[str, str]) -> PodTemplate:
    devices = template.request.devices
    if devices is None:
        return template
    asked = template.request.resources.plus(Resources.of({GPU: devices.count}))
    constraints = template.constraints
    if devices.models:
        values = tuple(sorted({products[model] for model in devices.models if model in products}))
        wanted = Requirement(PRODUCT, "In", values)
        constraints = Constraints(required_nodes=(NodeSelectorTerm(expressions=(wanted,)),))
    return msgspec.structs.replace(
        template,
        request=msgspec.structs.replace(template.request, resources=asked),
        constraints=constraints,
    )
