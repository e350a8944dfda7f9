"""Topologies in one line each: ``yard({"b1/r1/n1": 4})`` is one host with room for four pods."""

from gpuyard.model.constraints import UNCONSTRAINED
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.nodes import Node
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.resources import CPU, PODS, Resources
from gpuyard.model.topology import HOSTNAME, SliceRequest, Topology, TopologyRequest
from gpuyard.model.workloads import Assignment, PodSet, PodTemplate, Request
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import PodSetRequest, survey

LEVELS = ("block", "rack", HOSTNAME)
FLAVOR = ResourceFlavor(name="gpus")
ENOUGH_PODS = 1000


def host(path, cpus=1, *, levels=LEVELS, pods=ENOUGH_PODS, name="", labels=(), **facts):
    """Return a node at ``block/rack/host`` that offers so many CPUs of one unit each."""
    values = path.split("/")
    return Node(
        name=name or values[-1],
        allocatable=Resources.of({CPU: cpus, PODS: pods}),
        labels=tuple(sorted({**dict(zip(levels, values, strict=False)), **dict(labels)}.items())),
        **facts,
    )


def snapshot_of(*nodes, pods=()):
    """Return a snapshot of `nodes` with `pods` as (name, node, CPUs) on them."""
    snapshot = Snapshot()
    for node in nodes:
        snapshot.apply(NodeObserved(node))
    for name, where, cpus in pods:
        template = PodTemplate(request=Request(resources=Resources.of({CPU: cpus})))
        snapshot.apply(PodBound(Assignment(pod=name, template=template, node=where)))
    return snapshot


def yard(cpus, *, levels=LEVELS, flavor=FLAVOR, pods=(), **facts):
    """Return the capacity of hosts given as ``{"block/rack/host": CPUs}``, or as nodes."""
    nodes = cpus
    if isinstance(cpus, dict):
        is_host = levels[-1] == HOSTNAME
        nodes = [
            host(path, count, levels=levels, name="" if is_host else path, **facts)
            for path, count in cpus.items()
        ]
    snapshot = snapshot_of(*nodes, pods=pods)
    return survey(snapshot, flavor, Topology(name="yard", levels=levels))


def ask(
    count,
    wish="",
    *,
    slices=(),
    group="",
    name="main",
    cpus=1,
    constraints=UNCONSTRAINED,
    previous=None,
):
    """Return a request for `count` pods; the wish is like ``required rack`` or ``preferred rack``.

    `slices` are (level, size); without a wish, slices and group nothing is asked for.
    """
    mode, _, level = wish.partition(" ")
    topology = None
    if wish or slices or group:
        topology = TopologyRequest(
            mode=mode or "unconstrained",
            level=level,
            slices=tuple(SliceRequest(*one) for one in slices),
            group=group,
        )
    template = PodTemplate(request=Request(), constraints=constraints)
    return PodSetRequest(
        pod_set=PodSet(name=name, count=count, template=template, topology=topology),
        count=count,
        per_pod=Resources.of({CPU: cpus}),
        previous=previous,
    )


def shown(places):
    """Return an assignment as ``{"host": pods}``, of deeper leaves ``{"block/rack": pods}``."""
    return {"/".join(domain.values): domain.count for domain in places.domains}
