"""Kueue's performance tests as data: the queues of a generator file, and what arrives at them.

A generator file lists cohorts of like ClusterQueues; each queue has one flavor, one LocalQueue of
its own name in a namespace of its own name, and sets of workloads. All sets of all queues run side
by side; within a set the workloads come one after the other, each ``creationIntervalMs`` after the
one before, the first after one interval. A workload is one pod set ``main`` that asks for CPU.

With ``topology`` there are nodes as well, all of which the flavor takes, and workloads may say how
their pods stand: ``required`` and ``preferred`` at ``tasLevel``, or ``balanced``: in slices of
``sliceSize`` pods there. In Kueue's own file a host's label comes back in every rack (``node-0``);
here it is the name of the node, so that every host is a domain.

The test runner creates a ClusterQueue, a namespace and a LocalQueue before the first workload of a
queue. `queue_every_ns` says how far apart queues therefore begin; with 0 they all march in step,
which no real cluster does, and the results show it (docs/explanation/queues-in-the-twin.md).

Source: Kueue v0.19.2, test/performance/scheduler/runner/generator (generator.go,
topology_generator.go). Where we differ, on purpose: ``podCount`` and its like without ``tasLevel``
are refused, there they are not looked at.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import get_args

import msgspec

from gpuyard.model.nodes import Node
from gpuyard.model.quantity import parse_milli
from gpuyard.model.queues import (
    ClusterQueue,
    FlavorQuotas,
    LocalQueue,
    QueuePreemption,
    ReclaimWithinCohort,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
    WithinClusterQueue,
)
from gpuyard.model.resources import CPU, MEMORY, PODS, Resources
from gpuyard.model.topology import HOSTNAME, SliceRequest, Topology, TopologyRequest
from gpuyard.model.workloads import PodSet, PodTemplate, Request, TimedWorkload, Workload
from gpuyard.traces.trace import FilePath
from gpuyard.traces.yaml_fields import Fields, read_fields

MILLISECOND_NS = 10**6
MILLISECONDS_MAX = 10**9  # eleven days
QUEUES_MAX = 100_000
WORKLOADS_MAX = 1_000_000
NODES_MAX = 100_000
PODS_MAX = 100_000
PRIORITY_MAX = 2**31 - 1

FLAVOR = "rf"  # what the generator calls a flavor that the file does not name
FLAVOR_LABEL_VALUE = "tas"
NODE_GROUP_LABEL = "tas-node-group"
PODS_PER_NODE = 110
RECLAIM: tuple[ReclaimWithinCohort, ...] = get_args(ReclaimWithinCohort)
WITHIN: tuple[WithinClusterQueue, ...] = get_args(WithinClusterQueue)
CONSTRAINTS = ("balanced", "preferred", "required")


class GeneratedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Queues, where their pods may run, and what arrives, in the order of the file.

    `classes` tells the class of each workload by key. Without a topology there are no nodes.
    """

    flavor: ResourceFlavor
    cluster_queues: tuple[ClusterQueue, ...]
    local_queues: tuple[LocalQueue, ...]
    arrivals: tuple[TimedWorkload, ...]
    classes: Mapping[str, str]
    topology: Topology | None = None
    nodes: tuple[Node, ...] = ()


def load_generator(path: FilePath, *, queue_every_ns: int = 0) -> GeneratedLoad:
    """Return what the generator file at `path` would create; CPU is in thousandths.

    Raises
    ------
    TraceError
        where the file cannot be used, with its line and what to do.

    """
    fields = read_fields(path)
    fields.check_keys(("topology", "resourceFlavor", "cohorts"))
    topology, nodes = _topology(fields.below("topology"))
    flavor = _flavor(fields, topology)
    levels = () if topology is None else topology.levels
    generator = _Generator(flavor.name, levels, queue_every_ns)
    cohort_sets = fields.each("cohorts")
    if not cohort_sets:
        raise fields.error("there is no cohort; give at least one")
    for cohort_set in cohort_sets:
        generator.add_cohorts(cohort_set)
    return GeneratedLoad(
        flavor=flavor,
        cluster_queues=tuple(generator.cluster_queues.values()),
        local_queues=tuple(
            LocalQueue(namespace=name, name=name, cluster_queue=name)
            for name in generator.cluster_queues
        ),
        arrivals=tuple(generator.arrivals),
        classes=generator.classes,
        topology=topology,
        nodes=nodes,
    )


class _Kind(msgspec.Struct, frozen=True):
    """One line of a set: what each of its workloads is."""

    class_name: str
    runtime_ns: int
    priority: int
    pod_sets: tuple[PodSet, ...]


class _Generator:
    """The queues and workloads so far."""

    def __init__(self, flavor: str, levels: tuple[str, ...], queue_every_ns: int) -> None:
        self.flavor = flavor
        self.levels = levels
        self.queue_every_ns = queue_every_ns
        self.cluster_queues: dict[str, ClusterQueue] = {}
        self.arrivals: list[TimedWorkload] = []
        self.classes: dict[str, str] = {}

    def add_cohorts(self, cohort_set: Fields) -> None:
        cohort_set.check_keys(("className", "count", "queuesSets"))
        class_name = cohort_set.text("className")
        for index in range(cohort_set.whole("count", 0, QUEUES_MAX)):
            for number, queues_set in enumerate(cohort_set.each("queuesSets")):
                self._add_queues(queues_set, number, f"{class_name}-{index}")

    def _add_queues(self, queues_set: Fields, number: int, cohort: str) -> None:
        queues_set.check_keys(
            (
                "className",
                "count",
                "nominalQuota",
                "borrowingLimit",
                "reclaimWithinCohort",
                "withinClusterQueue",
                "workloadsSets",
            )
        )
        class_name = queues_set.text("className")
        group = _resource_group(queues_set, self.flavor)
        preemption = QueuePreemption(
            reclaim_within_cohort=queues_set.choice("reclaimWithinCohort", RECLAIM, "Never"),
            within_cluster_queue=queues_set.choice("withinClusterQueue", WITHIN, "Never"),
        )
        sets = [_Set.read(one, self.levels) for one in queues_set.each("workloadsSets")]
        for index in range(queues_set.whole("count", 0, QUEUES_MAX)):
            name = f"{class_name}-{number}-{index}-{cohort}"
            if name in self.cluster_queues or len(self.cluster_queues) == QUEUES_MAX:
                raise queues_set.error(
                    f"ClusterQueue {name} is one too many: names are made of className, position "
                    f"and cohort and must differ, and {QUEUES_MAX} is the most"
                )
            more = sum(one.count * len(one.kinds) for one in sets)
            if len(self.arrivals) + more > WORKLOADS_MAX:
                raise queues_set.error(f"more than {WORKLOADS_MAX} workloads; give smaller counts")
            begin_ns = len(self.cluster_queues) * self.queue_every_ns
            self.cluster_queues[name] = ClusterQueue(
                name=name, cohort=cohort, resource_groups=(group,), preemption=preemption
            )
            for position, one in enumerate(sets):
                self._add_workloads(one, position, name, begin_ns)

    def _add_workloads(self, one: "_Set", position: int, queue: str, begin_ns: int) -> None:
        created_ns = begin_ns
        for repeat, (index, kind) in product(range(one.count), enumerate(one.kinds)):
            created_ns += one.interval_ns
            key = f"{queue}/{kind.class_name}-{position}-{repeat}-{index}"
            workload = Workload(
                key=key,
                pod_sets=kind.pod_sets,
                created_ns=created_ns,
                priority=kind.priority,
                queue=f"{queue}/{queue}",
            )
            self.arrivals.append(TimedWorkload(workload, kind.runtime_ns))
            self.classes[key] = kind.class_name


class _Set(msgspec.Struct, frozen=True):
    """Workloads that come one after the other."""

    count: int
    interval_ns: int
    kinds: tuple[_Kind, ...]

    @classmethod
    def read(cls, fields: Fields, levels: tuple[str, ...]) -> "_Set":
        fields.check_keys(("count", "creationIntervalMs", "workloads"))
        return cls(
            fields.whole("count", 0, WORKLOADS_MAX),
            fields.whole("creationIntervalMs", 0, MILLISECONDS_MAX) * MILLISECOND_NS,
            tuple(_kind(one, levels) for one in fields.each("workloads")),
        )


def _resource_group(queues_set: Fields, flavor: str) -> ResourceGroup:
    limit = "borrowingLimit"
    quota = ResourceQuota(
        resource=CPU,
        nominal=queues_set.quantity("nominalQuota", parse=parse_milli),
        borrowing_limit=(
            queues_set.quantity(limit, parse=parse_milli) if limit in queues_set.nodes else None
        ),
    )
    return ResourceGroup((CPU,), (FlavorQuotas(flavor, (quota,)),))


# -- what a workload is


def _kind(fields: Fields, levels: tuple[str, ...]) -> _Kind:
    pod_fields = ("podCount", "tasConstraint", "tasLevel", "sliceSize")
    fields.check_keys(("className", "runtimeMs", "priority", "request", *pod_fields))
    topology = _topology_request(fields, levels)
    given = [key for key in pod_fields if key in fields.nodes]
    if topology is None and given:
        raise fields.error("has no meaning without tasLevel; leave it out", given[0])
    cpu = fields.quantity("request", parse=parse_milli)
    template = PodTemplate(request=Request(resources=Resources.of({CPU: cpu})))
    count = fields.whole("podCount", 1, PODS_MAX, 1)
    return _Kind(
        fields.text("className"),
        fields.whole("runtimeMs", 0, MILLISECONDS_MAX) * MILLISECOND_NS,
        fields.whole("priority", -PRIORITY_MAX, PRIORITY_MAX, 0),
        (PodSet(name="main", count=count, template=template, topology=topology),),
    )


def _topology_request(fields: Fields, levels: tuple[str, ...]) -> TopologyRequest | None:
    if "tasLevel" not in fields.nodes:
        return None
    level = fields.choice("tasLevel", levels, "")
    constraint = fields.choice("tasConstraint", CONSTRAINTS, "")
    if constraint == "balanced":
        size = fields.whole("sliceSize", 1, PODS_MAX)
        return TopologyRequest(mode="unconstrained", slices=(SliceRequest(level, size),))
    if "sliceSize" in fields.nodes:
        raise fields.error(f"has no meaning with {constraint}; leave it out", "sliceSize")
    return TopologyRequest(
        mode="required" if constraint == "required" else "preferred", level=level
    )


# -- where pods may run


def _flavor(fields: Fields, topology: Topology | None) -> ResourceFlavor:
    given = fields.below("resourceFlavor")
    if given is None:
        return ResourceFlavor(name=FLAVOR, topology="" if topology is None else topology.name)
    given.check_keys(("name", "nodeLabel", "topologyName"))
    named = given.text("topologyName", "")
    if not named:
        return ResourceFlavor(name=given.text("name"))
    if topology is None or named != topology.name:
        raise given.error(
            f"there is no topology {named!r}; name the one of the file", "topologyName"
        )
    labels = ((given.text("nodeLabel"), FLAVOR_LABEL_VALUE),)
    return ResourceFlavor(name=given.text("name"), node_labels=labels, topology=named)


def _topology(fields: Fields | None) -> tuple[Topology | None, tuple[Node, ...]]:
    if fields is None:
        return None, ()
    fields.check_keys(("name", "levels"))
    levels = fields.each("levels")
    if len(levels) < 2:  # noqa: PLR2004  (the generator wants a rack and a node at least)
        raise fields.error("a topology has at least two levels; add one", "levels")
    for level in levels:
        level.check_keys(("name", "count", "nodeLabel", "capacity"))
    topology = Topology(
        name=fields.text("name"), levels=tuple(level.text("nodeLabel") for level in levels)
    )
    return topology, tuple(_nodes(fields, levels))


def _nodes(fields: Fields, levels: list[Fields]) -> Iterator[Node]:
    """Yield every node with the labels of its domains; it is named after all of them."""
    names = [level.text("name") for level in levels]
    labels = [level.text("nodeLabel") for level in levels]
    counts = [level.whole("count", 1, NODES_MAX) for level in levels]
    total = 1
    for count in counts:
        total *= count
    if total > NODES_MAX:
        raise fields.error(
            f"{total} nodes are more than {NODES_MAX}; give smaller counts", "levels"
        )
    capacity = levels[-1].below("capacity") or levels[-1]._replace(nodes={})
    capacity.check_keys(("cpu", "memory"))
    allocatable = Resources.of(
        {
            CPU: capacity.quantity("cpu", "96", parse_milli),
            MEMORY: capacity.quantity("memory", "256Gi"),
            PODS: PODS_PER_NODE,
        }
    )
    for rank, path in enumerate(product(*map(range, counts))):
        values = [f"{name}-{index}" for name, index in zip(names, path, strict=True)]
        host = "node" + "".join(f"-{value[0]}{i}" for value, i in zip(values, path, strict=True))
        own = dict(zip(labels, values, strict=True)) | {NODE_GROUP_LABEL: FLAVOR_LABEL_VALUE}
        if HOSTNAME in own:
            own[HOSTNAME] = host
        yield Node(name=host, allocatable=allocatable, rank=rank, labels=tuple(sorted(own.items())))
