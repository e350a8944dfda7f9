"""KAI's test clusters as ours: nodes, queues, jobs, policy.

What the source's builders add is added here as well (pkg/scheduler/test_utils): 20 000 cores and
20 GB per node, one core and 1 GB per pod, one department above queues that name none, jobs sorted
by priority and one minute apart in age, jobs with running pods started a minute ago.

Shares of a device keep their group as a device index; a request for GPU memory is the part that it
is of the nodes' GPUs, in thousandths, rounded down.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from gpuyard.model.constraints import (
    Constraints,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    Requirement,
)
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.nodes import Device, Node
from gpuyard.model.policy import DEVICES, PlacementPolicy, WeightedScore
from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.model.resources import CPU, MEMORY, PODS, Resources
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, DeviceRequest, PodTemplate, Request
from gpuyard.scheduling.deserved import shares
from gpuyard.scheduling.deserved.shares import UNLIMITED, DeservedQueue, Quota, ShareTree
from gpuyard.scheduling.passes.jobs import (
    HOLDS,
    NON_PREEMPTIBLE_PRIORITY,
    USES,
    DomainRequest,
    Group,
    Job,
    Leaf,
    Pod,
    PodState,
)
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot
from verification.oracles.rows import Json, OutOfScopeError, Outside

NOW_NS = 10**18
MINUTE_NS = 60 * 10**9
GPU_MEMORY = 100  # of a node that says nothing, in MiB; KAI counts in steps of it
NODE_TYPE = "kai.scheduler/type"
MIG_STRATEGY = "mig.strategy"
MIG_LEGACY = "mig.legacy"  # an instance that was made for one pod runs there
DEFAULT_LEAF = "default"
MEGABYTE = 10**6

STATES: Mapping[str, PodState] = {
    "Pending": "pending",
    "Binding": "allocated",
    "Pipelined": "pipelined",
    "Running": "running",
    "Releasing": "releasing",
    "StuckInReleasing": "stuck",
    "Succeeded": "succeeded",
    "Failed": "failed",
}
NAMES = {state: name for name, state in STATES.items()}


class Spot(NamedTuple):
    """Where a pod is at the beginning of a round; a test carries it from round to round."""

    state: PodState
    node: str
    devices: tuple[int, ...] | None


# -- nodes


def nodes_of(case: Mapping[str, Json]) -> list[Node]:
    """Return the nodes by name, which is also their rank."""
    legacy = {
        task.get("NodeName", "")
        for job in case.get("Jobs") or ()
        for task in job["Tasks"]
        if task.get("IsLegacyMigTask")
    }
    return [
        _node(name, each or {}, rank, is_legacy=name in legacy)
        for rank, (name, each) in enumerate(sorted(_nodes(case)))
    ]


def _nodes(case: Mapping[str, Json]) -> Iterable[tuple[str, Json]]:
    return (case.get("Nodes") or {}).items()


def _node(name: str, given: Json, rank: int, *, is_legacy: bool) -> Node:
    strategy = given.get("MigStrategy", "").lower()
    gpus = 0 if strategy == "mixed" else given.get("GPUs", 0)
    amounts = {
        CPU: int((given.get("CPUMillis") or 20_000) * 1000),  # so it is called; it is in cores
        MEMORY: int(given.get("CPUMemory") or 20 * 10**9),
        PODS: 110,
        **(given.get("MigInstances") or {}),
    }
    labels = {
        NODE_TYPE: name,
        MIG_STRATEGY: strategy,
        MIG_LEGACY: str(is_legacy),
        **(given.get("Labels") or {}),
    }
    return Node(
        name=name,
        rank=rank,
        allocatable=Resources.of(amounts),
        devices=(Device(model="GPU"),) * gpus,
        labels=tuple(sorted(labels.items())),
    )


def placer(nodes: Iterable[Node], policy: PlacementPolicy) -> Placer:
    """Return a placer over a fresh snapshot of `nodes`."""
    snapshot = Snapshot()
    for node in nodes:
        snapshot.apply(NodeObserved(node))
    return Placer(snapshot, policy, np.random.default_rng(0))


def policy_of(case: Mapping[str, Json]) -> PlacementPolicy:
    """Return the preset, or what a row's own list of plugins makes of it."""
    conf = case.get("SchedulerConf")
    if conf is None:
        return PLACEMENTS["kai"]
    plugins = {each["Name"]: each for tier in conf["Tiers"] for each in tier["Plugins"]}
    scores = []
    if "nodeplacement" in plugins:
        arguments = plugins["nodeplacement"].get("Arguments") or {}
        spreads = "spread" in arguments.values()
        scores.append(WeightedScore(name="spread" if spreads else "bin-pack"))
    return PlacementPolicy(
        scores=tuple(scores), devices="distributed" if "gpuspread" in plugins else "best-fit"
    )


def topologies_of(case: Mapping[str, Json]) -> dict[str, Topology]:
    """Return the topologies by name."""
    found = {}
    for each in case.get("Topologies") or ():
        levels = tuple(level["NodeLabel"] for level in each["Spec"]["Levels"])
        found[each["ObjectMeta"]["Name"]] = Topology(name=each["ObjectMeta"]["Name"], levels=levels)
    return found


# -- queues


def tree_of(case: Mapping[str, Json]) -> ShareTree:
    """Return the departments and queues; a queue without its parent is left out."""
    departments = case.get("Departments") or []
    queues = case.get("Queues") or []
    if not departments and not case.get("DisableDefaultDepartment"):
        departments = [{"Name": "default", "DeservedGPUs": -1, "MaxAllowedGPUs": -1}]
        queues = [{**queue, "ParentQueue": "default"} for queue in queues]
    found = {each["Name"]: _queue(each, index) for index, each in enumerate(queues)}
    for index, each in enumerate(departments):
        weighted = {**each, "GPUOverQuotaWeight": each.get("DeservedGPUs", 0)}
        found[each["Name"]] = _queue(weighted, index)
    while orphans := [
        name for name, each in found.items() if each.parent and each.parent not in found
    ]:
        for name in orphans:
            del found[name]
    return shares.build(found.values())


def _queue(given: Json, index: int) -> DeservedQueue:
    weight = given.get("GPUOverQuotaWeight", 0)
    gpu = Quota(
        deserved=_bound(given.get("DeservedGPUs", 0), WHOLE_DEVICE_MILLI),
        limit=_bound(given.get("MaxAllowedGPUs") or -1, WHOLE_DEVICE_MILLI),
        weight_nano=int(weight * WEIGHT_ONE_NANO),
    )
    cpu = Quota(
        deserved=_bound(given.get("DeservedCPUs", -1), 1),
        limit=_bound(given.get("MaxAllowedCPUs", -1), 1),
    )
    memory = Quota(
        deserved=_bound(given.get("DeservedMemory", -1), MEGABYTE),
        limit=_bound(given.get("MaxAllowedMemory", -1), MEGABYTE),
    )
    return DeservedQueue(
        name=given["Name"],
        parent=given.get("ParentQueue", ""),
        priority=given.get("Priority", shares.DEFAULT_PRIORITY),
        created_ns=index * MINUTE_NS,
        quotas=((CPU, cpu), (DEVICES, gpu), (MEMORY, memory)),
        reclaim_min_runtime_ns=(given.get("ReclaimMinRuntime") or {}).get("Duration"),
    )


def _bound(amount: float, unit: int) -> int:
    return UNLIMITED if amount == -1 else int(amount * unit)


# -- jobs


def jobs_of(case: Mapping[str, Json], spots: Mapping[str, Spot]) -> list[Job]:
    """Return the jobs; `spots` say where pods are by now."""
    listed = sorted(case.get("Jobs") or (), key=lambda job: -job.get("Priority", 0))
    memory = _gpu_memory(case)
    return [
        _job(job, len(listed) - index, case.get("Groups") or {}, spots, memory)
        for index, job in enumerate(listed)
    ]


def first_spots(case: Mapping[str, Json]) -> dict[str, Spot]:
    """Return where pods are before the first round."""
    groups = _DeviceIndexes()
    found = {}
    for job in case.get("Jobs") or ():
        for index, task in enumerate(job["Tasks"]):
            state, node = STATES[task["State"]], task.get("NodeName", "")
            devices = None
            if node and state in USES and _is_fraction(job):
                devices = groups.of(node, task.get("GPUGroups") or (), _device_count(job))
            found[f"{job['Name']}-{index}"] = Spot(state, node, devices)
    return found


class _DeviceIndexes:
    """GPU groups of nodes as indexes of devices, in the order of appearance."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}

    def of(self, node: str, groups: Iterable[str], count: int) -> tuple[int, ...]:
        known = self._known.setdefault(node, [])
        names = list(groups)
        names += [f"new {len(known) + index}" for index in range(count - len(names))]
        for name in names:
            if name not in known:
                known.append(name)
        return tuple(sorted(known.index(name) for name in names))


def _job(
    given: Json, minutes: int, groups: Mapping[str, Json], spots: Mapping[str, Spot], memory: int
) -> Job:
    name, tasks = given["Name"], given["Tasks"]
    pods = []
    for index, task in enumerate(tasks):
        key = f"{name}-{index}"
        spot = spots[key]
        pods.append(
            Pod(
                key,
                task.get("SubGroupName") or DEFAULT_LEAF,
                template_of(given, task, memory),
                spot.state,
                node=spot.node,
                devices=spot.devices,
                turn=task.get("Priority"),
            )
        )
    priority = given.get("Priority", 0)
    stated = given.get("Preemptibility", "")
    return Job(
        name,
        given["QueueName"],
        _root(given, groups.get(name)),
        pods,
        priority=priority,
        preemptible=stated == "Preemptible" or (not stated and priority < NON_PREEMPTIBLE_PRIORITY),
        created_ns=NOW_NS - (given.get("JobAgeInMinutes") or minutes) * MINUTE_NS,
        started_ns=NOW_NS - MINUTE_NS if any(pod.state in HOLDS for pod in pods) else None,
        preemption_delay_ns=(given.get("PreemptionDelay") or {}).get("Duration", 0),
        stale_since_ns=NOW_NS - given["StaleDuration"] if given.get("StaleDuration") else None,
        stale_grace_ns=(given.get("PerJobStalenessGracePeriod") or {}).get("Duration"),
    )


def _root(given: Json, left_out: Json) -> Group:
    """Return the tree of sub-groups; pods that name none are one group of their own."""
    stated = given.get("RootSubGroupSet")
    root = Group(name="", members=())
    if left_out is not None:
        root = _group(left_out)
    elif stated and stated["$call"] == "jobs_fake.DefaultSubGroup":
        root = Group(name="", members=(Leaf(name=DEFAULT_LEAF, min_count=stated["args"][0]),))
    elif stated:
        root = Group(name="", members=(), domain=_domain(stated["args"][1]))
    unnamed = any(not task.get("SubGroupName") for task in given["Tasks"])
    if unnamed and all(leaf.name != DEFAULT_LEAF for leaf in root.leaves()):
        leaf = Leaf(name=DEFAULT_LEAF, min_count=len(given["Tasks"]))
        root = Group(
            name="",
            members=(*root.members, leaf),
            min_members=root.min_members,
            domain=root.domain,
        )
    return root


def _group(given: Json) -> Group:
    leaves = tuple(
        Leaf(name=each["name"], min_count=each["min"], domain=_domain(each.get("topology")))
        for each in given.get("podSets", ())
    )
    groups = tuple(_group(each) for each in given.get("groups", ()))
    return Group(
        name=given["name"],
        members=(*groups, *leaves),
        min_members=given.get("min"),
        domain=_domain(given.get("topology")),
    )


def _domain(given: Json) -> DomainRequest | None:
    if not given:
        return None
    return DomainRequest(
        topology=given.get("Topology", ""),
        required=given.get("RequiredLevel", ""),
        preferred=given.get("PreferredLevel", ""),
    )


# -- pods


def template_of(job: Json, task: Json, memory: int) -> PodTemplate:
    """Return what a pod of the job asks for; `memory` is that of each GPU."""
    if job.get("IsBestEffortJob"):
        return PodTemplate(request=Request())
    mig = task.get("RequiredMigInstances") or {}
    whole = job.get("RequiredGPUsPerTask", 0) == int(job.get("RequiredGPUsPerTask", 0))
    amounts = {
        CPU: int(job.get("RequiredCPUsPerTask", 1) * 1000),
        MEMORY: int(job.get("RequiredMemoryPerTask", 10**9)),
        **(mig if whole else {}),
    }
    labels = task.get("PodAffinityLabels") or {}
    return PodTemplate(
        request=Request(resources=Resources.of(amounts), devices=_devices(job, task, memory)),
        constraints=_constraints(job, task, labels),
        namespace=job.get("Namespace") or "default",
        labels=tuple(sorted(labels.items())),
    )


def gpus_asked(case: Mapping[str, Json]) -> dict[str, float]:
    """Return for each pod how many GPUs it names; who asks for memory names none."""
    asked = {}
    for job in case.get("Jobs") or ():
        for index, task in enumerate(job["Tasks"]):
            given = None if job.get("RequiredGpuMemory") else _devices(job, task, GPU_MEMORY)
            milli = given.total_milli if given and not job.get("IsBestEffortJob") else 0
            asked[f"{job['Name']}-{index}"] = milli / WHOLE_DEVICE_MILLI
    return asked


def _devices(job: Json, task: Json, memory: int) -> DeviceRequest | None:
    if job.get("RequiredGpuMemory"):
        milli = job["RequiredGpuMemory"] * WHOLE_DEVICE_MILLI // memory
        return DeviceRequest(count=_device_count(job), milli=milli)
    if _is_fraction(job):
        milli = round(job["RequiredGPUsPerTask"] * WHOLE_DEVICE_MILLI)
        return DeviceRequest(count=_device_count(job), milli=milli)
    count = task.get("RequiredGPUs", int(job.get("RequiredGPUsPerTask", 0)))
    return DeviceRequest(count=count) if count else None


def _constraints(job: Json, task: Json, labels: Mapping[str, str]) -> Constraints:
    terms = []
    if task.get("NodeAffinityNames"):
        terms.append(Requirement(NODE_TYPE, "In", tuple(task["NodeAffinityNames"])))
    if _is_fraction(job):
        terms.append(Requirement(MIG_STRATEGY, "NotIn", ("single",)))
    if task.get("RequiredMigInstances"):
        terms.append(Requirement(MIG_LEGACY, "NotIn", ("True",)))
    if task.get("IsLegacyMigTask"):  # is started no more
        terms.append(Requirement(MIG_LEGACY, "DoesNotExist"))
    namespace = job.get("Namespace") or "default"
    return Constraints(
        required_nodes=(NodeSelectorTerm(expressions=tuple(terms)),) if terms else None,
        required_pods=_pod_terms(task.get("PodAffinityTopologyKey"), labels, namespace),
        forbidden_pods=_pod_terms(task.get("PodAntiAffinityTopologyKey"), labels, namespace),
    )


def _pod_terms(key: str | None, labels: Mapping[str, str], namespace: str) -> tuple[PodTerm, ...]:
    if not key or not labels:
        return ()
    selector = LabelSelector(
        tuple(Requirement(name, "In", (value,)) for name, value in sorted(labels.items()))
    )
    return (PodTerm(key, selector, (namespace,)),)


def _is_fraction(job: Json) -> bool:
    asked = job.get("RequiredGPUsPerTask", 0)
    return bool(job.get("RequiredGpuMemory")) or asked != int(asked)


def _device_count(job: Json) -> int:
    return int(job.get("RequiredMultiFractionDevicesPerTask") or 1)


def _gpu_memory(case: Mapping[str, Json]) -> int:
    """Return the memory of each GPU of the cluster.

    Raises OutOfScopeError where a request for memory meets GPUs of several sizes.
    """
    sizes = {
        (each or {}).get("GPUMemory", GPU_MEMORY) // GPU_MEMORY * GPU_MEMORY
        for _, each in _nodes(case)
    }
    if len(sizes) > 1 and any(job.get("RequiredGpuMemory") for job in case.get("Jobs") or ()):
        raise OutOfScopeError(Outside.UNLIKE_GPUS)
    return min(sizes, default=GPU_MEMORY)
