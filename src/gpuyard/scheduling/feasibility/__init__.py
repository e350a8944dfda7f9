"""Where a pod can run at all: one table of filters, each a rule with a name in the field.

The rules and their order are kube-scheduler's (k8s.io/kubernetes v1.36.3, default profile), with
ours for devices behind the resources. A node must pass all of them; the first that turns it down
is the one that speaks, as in Kubernetes' own ``0/5 nodes are available: …``.
"""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.feasibility import (
    devices,
    inter_pod_affinity,
    node_affinity,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    taint_toleration,
    topology_spread,
    volume_binding,
)
from gpuyard.scheduling.rules import Filter
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

FILTERS: tuple[Filter, ...] = (
    node_unschedulable.FILTER,
    node_name.FILTER,
    taint_toleration.FILTER,
    node_affinity.FILTER,
    node_ports.FILTER,
    node_resources_fit.FILTER,
    devices.DEVICE_MODEL,
    devices.DEVICE_FIT,
    volume_binding.FILTER,
    topology_spread.FILTER,
    inter_pod_affinity.FILTER,
)


def explain(snapshot: "Snapshot", shape: Shape) -> tuple[tuple[Rejection, int], ...]:
    """Return why nodes turn `shape` down, each reason with its number of nodes.

    Each node speaks through the first filter that it fails, and may have several reasons (every
    resource of which too little is left). Most frequent first, then by text; nodes that would take
    the pod are not counted.
    """
    counted: Counter[Rejection] = Counter()
    slots = np.flatnonzero(snapshot.fleet.present)
    if node_affinity.named_nodes(shape.constraints) == frozenset():
        return ((node_affinity.CONTRADICTS_ITSELF, len(slots)),)
    for rule in FILTERS:
        if rule.concerns(shape):
            passing = rule.passes(snapshot, shape, slots)
            for slot in slots[~passing].tolist():
                counted.update(rule.reasons(snapshot, shape, slot))
            slots = slots[passing]
    return tuple(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0].text)))
