"""Whether a pod could run if the fleet were empty.

A pod larger than any node would wait for ever and say nothing about a policy; it is nearly always a
slip of units. Nodes that offer the same are looked at once, and so are requests that ask the same.

Too large is a matter of amounts, whatever models the pod names: three of openb's ``gpuspec`` lists
hold a pod or two that ask for 120 cores beside eight G2, whose nodes have 96, and the paper's
experiments let them arrive and fail like any other. A name that no node has is another error.
"""

from collections import Counter
from collections.abc import Iterable

from gpuyard.model.nodes import Node
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import DeviceRequest, Request

MIB_BYTES = 2**20

Offer = tuple[Resources, tuple[tuple[str, int], ...]]


def offers(nodes: Iterable[Node]) -> frozenset[Offer]:
    """Return what the nodes offer when empty: resources, and devices by model; each kind once."""
    return frozenset(
        (
            node.allocatable,
            tuple(sorted(Counter(device.model for device in node.devices).items())),
        )
        for node in nodes
    )


def fits_empty(offer: Offer, request: Request) -> bool:
    """Tell whether one pod of `request` fits an empty node that offers this."""
    allocatable, devices = offer
    if any(allocatable.get(name) < amount for name, amount in request.resources.amounts):
        return False
    if request.devices is None:
        return True
    wanted = request.devices.models
    usable = sum(count for model, count in devices if not wanted or model in wanted)
    return usable >= request.devices.count


def first_too_large(nodes: Iterable[Node], requests: Iterable[Request]) -> int | None:
    """Return the position of the first request larger than every node, `None` if there is none."""
    known = offers(nodes)
    verdicts: dict[Request, bool] = {}
    for position, request in enumerate(requests):
        if request not in verdicts:
            sized = of_any_model(request)
            verdicts[request] = any(fits_empty(offer, sized) for offer in known)
        if not verdicts[request]:
            return position
    return None


def of_any_model(request: Request) -> Request:
    """Return the amounts of `request`, without the models it names."""
    devices = request.devices
    if devices is None or not devices.models:
        return request
    return Request(
        resources=request.resources,
        devices=DeviceRequest(count=devices.count, milli=devices.milli),
    )


def asked(request: Request) -> str:
    """Return what `request` asks for, as the words of a sentence."""
    parts = [
        f"{request.resources.get(CPU)}m CPU",
        f"{request.resources.get(MEMORY) // MIB_BYTES} MiB memory",
    ]
    if request.devices is not None:
        kind = " or ".join(dict.fromkeys(request.devices.models)) or "GPU"
        parts.append(f"{request.devices.count} x {request.devices.milli} milli of {kind}")
    return ", ".join(parts)
