"""Nodes, pods and snapshots in one line each, for tests that count on their fingers."""

from collections import Counter

import numpy as np

from gpuyard.model.constraints import UNCONSTRAINED
from gpuyard.model.deltas import MixEntry, MixObserved, NodeObserved, PodBound
from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import (
    Assignment,
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    TimedWorkload,
    Workload,
)
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot


def node(name, cpu=8000, gpus="", *, memory=1000, amounts=(), **facts):
    """Return a node; `gpus` is one letter per device, its model (small: unhealthy)."""
    devices = tuple(Device(model=model.upper(), healthy=model.isupper()) for model in gpus)
    allocatable = Resources.of({CPU: cpu, MEMORY: memory, **dict(amounts)})
    return Node(name=name, allocatable=allocatable, devices=devices, **facts)


def request(cpu=1000, gpus=0, *, milli=1000, models="", memory=0, amounts=()):
    """Return a request for `gpus` devices with `milli` of each."""
    devices = DeviceRequest(count=gpus, milli=milli, models=tuple(models)) if gpus else None
    asked = {CPU: cpu, **({MEMORY: memory} if memory else {}), **dict(amounts)}
    return Request(resources=Resources.of(asked), devices=devices)


def template(*amounts, constraints=UNCONSTRAINED, labels=(), **more):
    """Return a pod template that asks for `request(*amounts, **more)`."""
    return PodTemplate(request=request(*amounts, **more), constraints=constraints, labels=labels)


def bound(pod, where, of, devices=None):
    """Return the news that `pod` runs on node `where`."""
    return PodBound(Assignment(pod=pod, template=of, node=where, devices=devices))


def snapshot_of(*nodes, pods=(), mix=()):
    """Return a snapshot of `nodes`, then `pods` as (node, template, devices), and a mix."""
    snapshot = Snapshot()
    for one in nodes:
        snapshot.apply(NodeObserved(one))
    for index, (where, of, *devices) in enumerate(pods):
        snapshot.apply(bound(f"pod-{index}", where, of, *devices))
    snapshot.apply(MixObserved(tuple(MixEntry(asked, share) for asked, share in mix)))
    return snapshot


def placer_of(snapshot, policy="best-fit", seed=0, pools=None):
    """Return a placer with a preset's policy."""
    known = PLACEMENTS[policy] if isinstance(policy, str) else policy
    return Placer(snapshot, known, np.random.default_rng(seed), pools)


def workload(key, *pod_sets, at=0, **facts):
    """Return a workload; a pod set is (count, template)."""
    sets = tuple(
        PodSet(name=f"set{place}", count=count, template=of)
        for place, (count, of) in enumerate(pod_sets)
    )
    return Workload(key=key, pod_sets=sets, created_ns=at, **facts)


def arrival(key, *pod_sets, at=0, runs=None, **facts):
    """Return the arrival of such a workload; it runs for `runs` ns."""
    return TimedWorkload(workload(key, *pod_sets, at=at, **facts), runs)


def where(plan_or_assignments):
    """Return how many pods went to each node."""
    return dict(Counter(one.node for one in plan_or_assignments))
