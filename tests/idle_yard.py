"""A whole yard in a few lines: nodes, queues with quota, who waits, what is kept, and cycles."""

import msgspec
import numpy as np

from gpuyard.model.constraints import UNCONSTRAINED
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.ledger import Hold, Room
from gpuyard.model.nodes import Device, Node
from gpuyard.model.queues import (
    Admission,
    Admitted,
    ClusterQueue,
    FlavorQuotas,
    LocalQueue,
    PodSetAssignment,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.workloads import (
    Assignment,
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    Workload,
)
from gpuyard.scheduling import idle, presets, queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot

GPU = "nvidia.com/gpu"
NOW = 1000
MODEL = "h100"


def node(name, gpus=4, cpu=64_000, *, counts=False, flavor=MODEL, labels=(), **facts):
    """Return a node with devices; with `counts` it offers pieces and says nothing of devices."""
    amounts = {CPU: cpu, **({GPU: gpus} if counts else {})}
    return Node(
        name=name,
        allocatable=Resources.of(amounts),
        devices=() if counts else (Device(model=flavor),) * gpus,
        labels=tuple(sorted({**dict(labels), "flavor": flavor}.items())),
        **facts,
    )


def pods(count, gpus=1, cpu=1000, name="main", *, milli=1000, counts=False, **more):
    """Return a pod set; each pod asks for `gpus` devices, or with `counts` for pieces.

    Quota is counted in CPU where pods ask for devices, for devices themselves have none.
    """
    constraints = more.pop("constraints", UNCONSTRAINED)
    if counts:
        request = Request(resources=Resources.of({CPU: cpu, GPU: gpus}))
    else:
        devices = DeviceRequest(count=gpus, milli=milli) if gpus else None
        request = Request(resources=Resources.of({CPU: cpu}), devices=devices)
    template = PodTemplate(request=request, constraints=constraints)
    return PodSet(name=name, count=count, template=template, **more)


def queue(name="main", *, flavors=(MODEL,), cpu=10**6, gpus=10**6, **more):
    """Return a queue with so much quota in each of `flavors`."""
    owned = (ResourceQuota(resource=CPU, nominal=cpu), ResourceQuota(resource=GPU, nominal=gpus))
    group = ResourceGroup((CPU, GPU), tuple(FlavorQuotas(flavor, owned) for flavor in flavors))
    return ClusterQueue(name=name, resource_groups=(group,) if flavors else (), **more)


def flavor(name):
    """Return the flavor of nodes with its name in their label."""
    return ResourceFlavor(name=name, node_labels=(("flavor", name),))


class Yard:
    """Nodes, queues, who waits in them, and what the ledger keeps."""

    def __init__(self, nodes, queues=None, *, rounds=50, places=None, policy="best-fit"):
        self.snapshot = Snapshot()
        for one in nodes:
            self.snapshot.apply(NodeObserved(one, NOW))
        self.places = places(self.snapshot) if places else {}
        self.policy = QueuePolicy(rounds_per_cycle=rounds)
        self.placer = Placer(self.snapshot, presets.placement(policy), np.random.default_rng(0))
        self.ledger = Ledger()
        self.use_queues(queues or [queue()])

    def use_queues(self, specs):
        """Serve these queues from now on; those who wait and those who hold quota stay."""
        names = {
            each.flavor for spec in specs for one in spec.resource_groups for each in one.flavors
        }
        flavors = [flavor(name) for name in sorted(names)]
        if self.places:
            flavors = [capacity.flavor for capacity in self.places.values()]
        local = [LocalQueue(namespace="t", name=one.name, cluster_queue=one.name) for one in specs]
        before = getattr(self, "queues", None)
        self.queues = Queues(specs, flavors=flavors, local_queues=local, places=self.places)
        if before is None:
            self.waiting = Waiting(self.queues, self.policy.rules)
        else:
            for held in before.admitted.values():
                self.queues.admit(held)
            self.waiting.follow(self.queues, now_ns=NOW)

    def submit(self, key, *pod_sets, to="main", **facts):
        """Let a workload wait."""
        asked = Workload(key=key, pod_sets=pod_sets, queue=f"t/{to}", **{"created_ns": 0, **facts})
        self.waiting.add(asked, now_ns=NOW)
        return asked

    def run_on(self, where, pod_set, key="running", *, devices=None):
        """Let pods run on a node, without any quota."""
        for index in range(pod_set.count):
            pod = f"{key}-{len(self.snapshot.bookings)}-{index}"
            self.snapshot.apply(
                PodBound(
                    Assignment(pod=pod, template=pod_set.template, node=where, devices=devices), NOW
                )
            )

    def use_quota(self, cpu=0, gpus=0, *, name="main", key="holder"):
        """Let somebody hold quota in the first flavor of a queue."""
        flavors = tuple((resource, self.queues.flavors_of(name)[0]) for resource in (CPU, GPU))
        held = PodSetAssignment(
            name="main", count=1, flavors=flavors, usage=Resources.of({CPU: cpu, GPU: gpus})
        )
        workload = Workload(key=key, pod_sets=(pods(1),), created_ns=0)
        self.queues.admit(Admitted(workload=workload, admission=Admission(name, (held,))))

    def keep(self, pod_set, *, kind=Hold, workload="held", until_ns=NOW + 1, **where):
        """Keep room for the pods of a pod set."""
        room = Room(request=pod_set.template.request, count=pod_set.count, **where)
        since = {"since_ns": 0} if kind is Hold else {"from_ns": 0}
        entry = kind(workload=workload, rooms=(room,), until_ns=until_ns, **since)
        self.ledger = Ledger([*self.ledger.entries(), entry])

    def nominator(self):
        return Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
        )

    def cycle(self):
        """Run a cycle; return the keys of who started."""
        plan = queue_cycle.run(self.waiting, self.nominator(), self.policy, NOW, placer=self.placer)
        return [each.workload for each in plan.starts]

    def idle(self, **rules):
        """Return why devices are idle."""
        return idle.explain(
            self.placer,
            self.waiting,
            self.ledger,
            self.policy,
            NOW,
            rules=msgspec.structs.replace(idle.DEFAULT_RULES, **rules),
        )


def by_reason(found):
    """Return thousandths by reason, from the table."""
    total = {}
    for row in found.rows:
        total[row.reason] = total.get(row.reason, 0) + row.milli
    return total
