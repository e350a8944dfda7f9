"""Queues and fleets of the sizes that the project promises something about.

Everything here is made of whole nodes of eight devices. A flavor is all of them, with racks and
hosts as its topology; queues share one cohort. Workloads are gangs of whole nodes or less, a few
templates each, as in a real cluster; those that hold something hold places and nodes as well.

* `victims`: 2,000 nodes, held by 700 workloads in queues that borrow everything; one gang of 100
  nodes in the queue that owns it. Everybody is a candidate.
* `pending`: 2,000 nodes in use, and 100 queues in each of which 100 workloads wait.
* `verdict`: 500 nodes and a gang of 512 that does not fit: why, and the largest that would.
* `large`: 20,000 nodes, 50,000 workloads that run and 50,000 that wait.
* `parked`: queues in which everybody was tried in vain.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.nodes import Device, Node
from gpuyard.model.queues import (
    Admission,
    Admitted,
    ClusterQueue,
    FlavorQuotas,
    LocalQueue,
    PodSetAssignment,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import CPU, PODS, Resources
from gpuyard.model.running import Running
from gpuyard.model.topology import (
    HOSTNAME,
    DomainCount,
    Topology,
    TopologyAssignment,
    TopologyRequest,
)
from gpuyard.model.workloads import (
    Assignment,
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    Workload,
)
from gpuyard.scheduling import idle, queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.explain import of_placement
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.cost import Gang, Limits, VictimRules
from gpuyard.scheduling.preemption.cheapest.victims import Victims, cheapest
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.queue_cycle import QueuePlan
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import PodSetRequest, Refusal, place, survey

ONE_ROUND = QueuePolicy()  # as Kueue looks at the world again after each
MANY_ROUNDS = QueuePolicy(rounds_per_cycle=1_000, keeps_domains=False)

GPU = "nvidia.com/gpu"
GPUS = 8
RACK_NODES = 20
NOW_NS = 10**9
RACKS = Topology(name="racks", levels=("rack", HOSTNAME))
FLAVOR = ResourceFlavor(name="h100", node_labels=(("flavor", "h100"),), topology="racks")
PLAIN = ResourceFlavor(name="h100", node_labels=(("flavor", "h100"),))


class Yard(NamedTuple):
    """Everything that a cycle needs."""

    placer: Placer
    queues: Queues
    waiting: Waiting
    policy: QueuePolicy

    def cycle(self) -> QueuePlan:
        """Run one cycle."""
        nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
            now_ns=NOW_NS,
        )
        return queue_cycle.run(self.waiting, nominator, self.policy, NOW_NS, placer=self.placer)


# -- parts


def fleet(nodes: int) -> Snapshot:
    """Return so many empty nodes in racks."""
    snapshot = Snapshot()
    for index in range(nodes):
        name = f"node-{index:05d}"
        labels = {"flavor": "h100", "rack": f"rack-{index // RACK_NODES:04d}", HOSTNAME: name}
        snapshot.apply(
            NodeObserved(
                Node(
                    name=name,
                    rank=index,
                    allocatable=Resources.of({CPU: 128_000, GPU: GPUS, PODS: 110}),
                    devices=(Device(model="h100"),) * GPUS,
                    labels=tuple(sorted(labels.items())),
                )
            )
        )
    return snapshot


def pods(count: int, gpus: int, topology: TopologyRequest | None = None) -> PodSet:
    """Return a pod set that asks for devices and is counted by them."""
    request = Request(
        resources=Resources.of({CPU: 4_000 * gpus, GPU: gpus}), devices=DeviceRequest(count=gpus)
    )
    return PodSet(
        name="main", count=count, template=PodTemplate(request=request), topology=topology
    )


def gang(key: str, pod_set: PodSet, queue: str, *, priority: int = 0, at_ns: int = 0) -> Workload:
    """Return a workload of one pod set."""
    return Workload(
        key=key, pod_sets=(pod_set,), queue=f"t/{queue}", priority=priority, created_ns=at_ns
    )


def yard(
    snapshot: Snapshot,
    specs: list[ClusterQueue],
    policy: QueuePolicy,
    *,
    has_places: bool,
) -> Yard:
    """Return queues over a fleet, with places in racks or without."""
    flavor = FLAVOR if has_places else PLAIN
    places = {flavor.name: survey(snapshot, flavor, RACKS)} if has_places else {}
    local = [LocalQueue(namespace="t", name=each.name, cluster_queue=each.name) for each in specs]
    queues = Queues(specs, flavors=[flavor], local_queues=local, places=places)
    placer = Placer(snapshot, PLACEMENTS["best-fit"], np.random.default_rng(0))
    return Yard(placer, queues, Waiting(queues, policy.rules), policy)


def queue(name: str, gpus: int, *, reclaims: bool = False) -> ClusterQueue:
    """Return a queue of the cohort."""
    owned = (
        ResourceQuota(resource=CPU, nominal=gpus * 16_000),
        ResourceQuota(resource=GPU, nominal=gpus),
    )
    preemption = QueuePreemption(
        reclaim_within_cohort="Any" if reclaims else "Never", within_cluster_queue="LowerPriority"
    )
    return ClusterQueue(
        name=name,
        cohort="all",
        resource_groups=(ResourceGroup((CPU, GPU), (FlavorQuotas("h100", owned),)),),
        preemption=preemption,
    )


def hold(on: Yard, workload: Workload, hosts: list[str]) -> Running:
    """Let a workload run with one pod on each of `hosts`."""
    pod_set = workload.pod_sets[0]
    usage = {
        name: amount * pod_set.count for name, amount in pod_set.template.request.resources.amounts
    }
    topology = None
    if on.queues.places:
        domains = tuple(DomainCount((host,), 1) for host in sorted(hosts))
        topology = TopologyAssignment((HOSTNAME,), domains)
    given = PodSetAssignment(
        name=pod_set.name,
        count=pod_set.count,
        flavors=tuple((name, "h100") for name in sorted(usage)),
        usage=Resources.of(usage),
        topology=topology,
    )
    queue_name = workload.queue.removeprefix("t/")
    on.queues.admit(
        Admitted(
            workload=workload,
            admission=Admission(queue_name, (given,)),
            reserved_ns=workload.created_ns,
        )
    )
    keys = []
    for index, host in enumerate(hosts):
        pod = f"{workload.key}/main-{index}"
        keys.append(pod)
        on.placer.snapshot.apply(
            PodBound(Assignment(pod=pod, template=pod_set.template, node=host, group=workload.key))
        )
    return Running(
        key=workload.key,
        pods=tuple(keys),
        started_ns=workload.created_ns,
        priority=workload.priority,
        queued_ns=workload.created_ns,
    )


def hosts_in_turn(snapshot: Snapshot) -> Iterator[str]:
    """Yield the names of all nodes."""
    yield from (snapshot.nodes[slot].name for slot in sorted(snapshot.nodes))


# -- victims

NODES = 2_000
VICTIMS = 700
BORROWERS = 10
WANTED = 100  # whole nodes


def fill(made: Yard) -> list[Running]:
    """Let 700 workloads of two or three nodes, in queues that own nothing, hold all 2,000."""
    hosts = hosts_in_turn(made.placer.snapshot)
    running = []
    for index in range(VICTIMS):
        size = 2 if index < 3 * VICTIMS - NODES else 3
        workload = gang(
            f"t/v{index}", pods(size, GPUS), f"borrower-{index % BORROWERS}", at_ns=index
        )
        running.append(hold(made, workload, [next(hosts) for _ in range(size)]))
    return running


def victims(policy: QueuePolicy, *, has_places: bool) -> tuple[Yard, list[Running]]:
    """Return a fleet that 700 workloads fill, and a gang that takes back what is its own."""
    borrowers = [queue(f"borrower-{index}", 0) for index in range(BORROWERS)]
    owner = queue("owner", NODES * GPUS, reclaims=True)
    made = yard(fleet(NODES), [*borrowers, owner], policy, has_places=has_places)
    running = fill(made)
    wish = TopologyRequest(mode="preferred", level="rack") if has_places else None
    made.waiting.add(gang("t/owner", pods(WANTED, GPUS, wish), "owner", priority=5))
    return made, running


def cheapest_victims(made: Yard, running: list[Running]) -> int:
    """Choose victims by what they lose; return how many."""
    template = pods(1, GPUS).template
    asked = Gang(
        key="t/owner",
        pods=tuple((f"t/owner/{index}", template) for index in range(WANTED)),
        priority=5,
    )
    found = cheapest(
        made.placer, asked, running, rules=VictimRules(), limits=Limits(), now_ns=NOW_NS
    )
    assert isinstance(found, Victims), found
    return len(found.candidates)


# -- pending

PENDING_QUEUES = 100
PENDING_EACH = 100
SIZES = ((1, 1), (1, 4), (2, 8), (4, 8), (8, 8), (16, 8), (1, 2), (64, 8))


def pending(policy: QueuePolicy, *, has_victims: bool, free_nodes: int = 0) -> Yard:
    """Return a fleet, full but for some nodes, and 10,000 workloads that wait for it.

    With victims everything is borrowed, by 700 workloads, from the queues in which they wait;
    without, as many workloads as nodes hold it in these queues, and nobody may evict them.
    """
    snapshot = fleet(NODES)
    own = NODES * GPUS // PENDING_QUEUES
    owners = [queue(f"q{index}", own, reclaims=True) for index in range(PENDING_QUEUES)]
    borrowers = [queue(f"borrower-{index}", 0) for index in range(BORROWERS)]
    made = yard(snapshot, [*owners, *borrowers], policy, has_places=False)
    if has_victims:
        fill(made)
    else:
        for index, host in enumerate(list(hosts_in_turn(snapshot))[free_nodes:]):
            name = f"q{index % PENDING_QUEUES}"
            hold(made, gang(f"t/h{index}", pods(1, GPUS), name, priority=9), [host])
    for index in range(PENDING_QUEUES):
        for turn in range(PENDING_EACH):
            pod_set = pods(*SIZES[(index + 3 * turn) % len(SIZES)])
            made.waiting.add(gang(f"t/w{index}-{turn}", pod_set, f"q{index}", at_ns=turn))
    return made


# -- verdict

VERDICT_NODES = 500
VERDICT_PODS = 512


def verdict_fleet() -> Snapshot:
    """Return 500 nodes, every third of which has a pod on it already."""
    snapshot = fleet(VERDICT_NODES)
    template = pods(1, 1).template
    for index, host in enumerate(hosts_in_turn(snapshot)):
        if index % 3 == 0:
            snapshot.apply(PodBound(Assignment(pod=f"p{index}", template=template, node=host)))
    return snapshot


def verdict(snapshot: Snapshot) -> int:
    """Say why a gang of 512 whole nodes waits; return the largest gang that would start."""
    placer = Placer(snapshot, PLACEMENTS["best-fit"], np.random.default_rng(0))
    pod_set = pods(VERDICT_PODS, GPUS)
    missing = [(f"pod-{index}", pod_set.template) for index in range(VERDICT_PODS)]
    reason = of_placement(placer, missing)
    assert reason.binding is not None, reason
    return reason.binding.have


def rack_verdict(snapshot: Snapshot) -> int:
    """Say why it gets no places in one rack, with a new picture of the racks."""
    wish = TopologyRequest(mode="required", level="rack")
    pod_set = pods(VERDICT_PODS, GPUS, wish)
    asked = PodSetRequest(
        pod_set=pod_set, count=VERDICT_PODS, per_pod=pod_set.template.request.resources
    )
    refusal = place(survey(snapshot, FLAVOR, RACKS), [asked])
    assert isinstance(refusal, Refusal), refusal
    return refusal.have


# -- large, and parked

LARGE_NODES = 20_000
LARGE_EACH = 50_000
LARGE_QUEUES = 200


def large() -> Yard:
    """Return 160,000 devices, 50,000 workloads that hold some of them and 50,000 that wait."""
    snapshot = fleet(LARGE_NODES)
    each = LARGE_NODES * GPUS // LARGE_QUEUES
    specs = [queue(f"q{index}", each, reclaims=True) for index in range(LARGE_QUEUES)]
    made = yard(snapshot, specs, ONE_ROUND, has_places=True)
    hosts = list(hosts_in_turn(snapshot))
    for index in range(LARGE_EACH):
        workload = gang(f"t/h{index}", pods(1, 2), f"q{index % LARGE_QUEUES}", at_ns=index)
        hold(made, workload, [hosts[index % LARGE_NODES]])
    for index in range(LARGE_EACH):
        count, gpus = SIZES[index % len(SIZES)]
        made.waiting.add(
            gang(f"t/w{index}", pods(count, gpus), f"q{index % LARGE_QUEUES}", at_ns=index)
        )
    return made


PARKED_QUEUES = 10


def parked(count: int) -> Yard:
    """Return queues without quota in which `count` workloads were tried in vain."""
    specs = [queue(f"q{index}", 0) for index in range(PARKED_QUEUES)]
    made = yard(fleet(100), specs, MANY_ROUNDS, has_places=False)
    for index in range(count):
        pod_set = pods(1 + index % 50, 1)
        made.waiting.add(gang(f"t/w{index}", pod_set, f"q{index % PARKED_QUEUES}", at_ns=index))
    while made.cycle().rounds:
        pass
    return made


def idle_reasons(made: Yard) -> int:
    """Explain idle devices; return how many parts the explanation has."""
    found = idle.explain(made.placer, made.waiting, Ledger(), made.policy, NOW_NS)
    return len(found.parts)
