"""Running and waiting pods in one line each, for tests of preemption and gangs."""

import numpy as np

from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.workloads import Assignment, PendingPod
from gpuyard.scheduling.snapshot import Snapshot
from tests.small_fleet import template


def running(pod, where, cpu=1000, *, priority=0, of=None, labels=(), **facts):
    """Return a pod that runs on node `where`."""
    asked = of or template(cpu, labels=labels)
    return Assignment(pod=pod, template=asked, node=where, priority=priority, **facts)


def waiting(key="new", cpu=1000, *, priority=10, of=None, **facts):
    """Return a pod that waits for a node."""
    return PendingPod(key=key, template=of or template(cpu), priority=priority, **facts)


def cluster(nodes, pods=()):
    """Return a snapshot of nodes, the first with the smallest rank, and of running pods."""
    snapshot = Snapshot()
    for one in nodes:
        snapshot.apply(NodeObserved(one))
    for pod in pods:
        snapshot.apply(PodBound(pod))
    return snapshot


def names(pods):
    """Return the keys of assignments in their order."""
    return [pod.pod for pod in pods]


def state(snapshot):
    """Return everything about use that a trial must leave as it was; columns may be added."""
    fleet = snapshot.fleet
    return (
        {
            key: (each.assignment, each.slot, each.devices)
            for key, each in snapshot.bookings.items()
        },
        {slot: frozenset(pods) for slot, pods in snapshot.pods_on.items()},
        *(
            [np.trim_zeros(row, "b").tolist() for row in array]
            for array in (fleet.free, fleet.scored, fleet.device_free, fleet.device_pods)
        ),
    )
