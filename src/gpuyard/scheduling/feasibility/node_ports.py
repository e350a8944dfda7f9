"""A port of the node itself can be taken once.

Two pods collide when they want the same port and protocol on the same address; ``0.0.0.0`` is
every address. Pods that ask for host ports are few, so what is taken is read from the pods on the
node when someone asks, and nobody else pays for it.

Semantics: k8s.io/kubernetes v1.36.3, plugins/nodeports/node_ports.go, and k8s.io/kube-scheduler
v0.36.3, framework/types.go (HostPortInfo).
"""

from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.constraints import HostPort
from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.rules import Filter, saying
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "NodePorts"
REJECTION = Rejection(
    filter=NAME, text="node(s) didn't have free ports for the requested pod ports"
)
EVERY_ADDRESS = HostPort(0).address


def concerns(shape: Shape) -> bool:
    """Tell whether `shape` takes a port of its node."""
    return bool(shape.constraints.host_ports)


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether all ports that `shape` takes are free there."""
    wanted = shape.constraints.host_ports
    free = [not collide(wanted, ports_taken(snapshot, slot)) for slot in slots.tolist()]
    return np.array(free, dtype=np.bool_)


def ports_taken(snapshot: "Snapshot", slot: int) -> tuple[HostPort, ...]:
    """Return the ports that the pods on `slot` hold."""
    return tuple(
        port
        for booking in snapshot.pods_on[slot].values()
        for port in booking.assignment.template.constraints.host_ports
    )


def collide(wanted: tuple[HostPort, ...], taken: tuple[HostPort, ...]) -> bool:
    """Tell whether any port that is wanted is taken."""
    return any(_is_the_same(port, other) for port in wanted for other in taken)


def _is_the_same(port: HostPort, other: HostPort) -> bool:
    if (port.port, port.protocol) != (other.port, other.protocol):
        return False
    return port.address == other.address or EVERY_ADDRESS in {port.address, other.address}


FILTER = Filter(NAME, reads="use", concerns=concerns, passes=passes, reasons=saying(REJECTION))
