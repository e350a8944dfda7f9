"""Queues with flavors, and workloads for them, in one line each."""

from gpuyard.model.constraints import UNCONSTRAINED
from gpuyard.model.queues import (
    ClusterQueue,
    FlavorQuotas,
    FlavorResource,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
    Usage,
)
from gpuyard.model.resources import Resources
from gpuyard.model.topology import DomainCount, TopologyAssignment
from gpuyard.model.workloads import PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling.flavors import FlavorRequest, assign
from gpuyard.scheduling.flavors.question import NotPlaced
from gpuyard.scheduling.flavors.requests import of_pending
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.preemption.queues.rules import Simulation
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.topology.refusals import Refusal

GPU = "nvidia.com/gpu"
HOST = ("kubernetes.io/hostname",)


def group(**nominal):
    """Return a resource group: by flavor, amounts by resource (an int is of GPUs).

    A tuple instead of an amount is nominal quota and borrowing limit.
    """
    by_flavor = {
        flavor: given if isinstance(given, dict) else {GPU: given}
        for flavor, given in nominal.items()
    }
    covered = dict.fromkeys(name for given in by_flavor.values() for name in given)
    return ResourceGroup(
        tuple(covered),
        tuple(
            FlavorQuotas(flavor, tuple(quota(name, amount) for name, amount in given.items()))
            for flavor, given in by_flavor.items()
        ),
    )


def quota(resource, amount):
    nominal, limit = amount if isinstance(amount, tuple) else (amount, None)
    return ResourceQuota(resource=resource, nominal=nominal, borrowing_limit=limit)


def queue(*groups, name="main", **more):
    return ClusterQueue(name=name, resource_groups=groups, **more)


def queues_of(*specs, flavors=(), used=(), cohorts=()):
    """Return queues; flavors that are only named are plain. `used` is of the first queue."""
    named = {each.flavor for spec in specs for one in spec.resource_groups for each in one.flavors}
    special = {flavor.name: flavor for flavor in flavors}
    plain = [ResourceFlavor(name=name) for name in sorted(named - special.keys())]
    made = Queues(specs, cohorts, flavors=[*special.values(), *plain])
    if used:
        made.use(specs[0].name, usage(used))
    return made


def usage(amounts):
    """Return the usage of amounts by flavor; an int is of GPUs."""
    keyed = {}
    for flavor, given in dict(amounts).items():
        for resource, amount in (given if isinstance(given, dict) else {GPU: given}).items():
            keyed[FlavorResource(flavor, resource)] = amount
    return Usage(tuple(sorted(keyed.items())))


def pods(count, gpus=1, name="main", *, asks=None, constraints=UNCONSTRAINED, **more):
    """Return a pod set; each pod asks for `gpus`, or for what `asks` says by resource."""
    request = Request(resources=Resources.of({GPU: gpus} if asks is None else asks))
    template = PodTemplate(request=request, constraints=constraints)
    return PodSet(name=name, count=count, template=template, **more)


def workload(*pod_sets, key="team/job"):
    return Workload(key=key, pod_sets=pod_sets, created_ns=0)


class Oracle:
    """What preemption could do, by flavor; it writes down what it was asked."""

    def __init__(self, **by_flavor):
        self.by_flavor = by_flavor
        self.asked = []

    def __call__(self, key, amount, /):
        self.asked.append((key.flavor, key.resource, amount))
        given = self.by_flavor.get(key.flavor, "Preempt")
        possibility, levels = given if isinstance(given, tuple) else (given, 0)
        return Simulation(possibility=possibility, borrowing_levels=levels)


class Hosts:
    """Topologies of one level with so many free pods on one host each, and in all when empty."""

    def __init__(self, **free_and_all):
        self.hosts = free_and_all
        self.asked = []

    def levels(self, flavor, /):
        return HOST if flavor in self.hosts else None

    def place(self, requests, /, *, empty):
        self.asked.append((sorted(requests), empty))
        found = {}
        for flavor, asked in sorted(requests.items()):
            left = self.hosts[flavor][1 if empty else 0]
            for each in asked:
                left -= each.count
                if left < 0:
                    return NotPlaced(flavor, no_room(each.name))
                domain = DomainCount((f"{flavor}-host",), each.count)
                found[each.name] = TopologyAssignment(HOST, (domain,))
        return found


def no_room(pod_set, needed=1):
    return Refusal(code="no-room", pod_sets=(pod_set,), topology="hosts", needed=needed)


def assigned(queues, *pod_sets, rules=None, simulate=None, topologies=None, counts=None, **more):
    """Return the assignment of a workload with these pod sets in the queue ``main``."""
    rules = rules or FlavorRules()
    asked = of_pending(workload(*pod_sets), rules, counts)
    return assign(
        queues,
        FlavorRequest(**{"queue": "main", "pod_sets": asked, **more}),
        rules=rules,
        simulate=simulate or Oracle(),
        topologies=topologies or Hosts(),
    )


def chosen(assignment):
    """Return the flavors by pod set: one name where all resources have the same."""
    found = {}
    for each in assignment.pod_sets:
        names = {resource: choice.flavor for resource, choice in each.choices}
        same = set(names.values())
        found[each.name] = same.pop() if len(same) == 1 else names
    return found
