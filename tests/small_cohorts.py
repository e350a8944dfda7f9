"""Cohorts of queues with one flavor, and workloads that hold or want some of it.

Amounts are GPUs, or a dictionary by resource. A limit in a tuple: nominal, borrowing, lending.
"""

from gpuyard.model.queues import (
    Admission,
    Admitted,
    BorrowWithinCohort,
    ClusterQueue,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    PodSetAssignment,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
    Usage,
)
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import quota
from gpuyard.scheduling.preemption.queues.rules import Demand, QueuePreemptionRules
from gpuyard.scheduling.queues import Queues

GPU = FlavorResource("h100", "gpu")
CPU = FlavorResource("h100", "cpu")

BOTH_WAYS = QueuePreemption(within_cluster_queue="LowerPriority", reclaim_within_cohort="Any")
NEVER = QueuePreemption()

KUEUE = QueuePreemptionRules()
FAIR = QueuePreemptionRules(fair_sharing=True)


def allow(within="Never", reclaim="Never", borrow="Never", threshold=None):
    return QueuePreemption(
        within_cluster_queue=within,
        reclaim_within_cohort=reclaim,
        borrow_within_cohort=BorrowWithinCohort(policy=borrow, max_priority_threshold=threshold),
    )


def amounts(given):
    return given if isinstance(given, dict) else {"gpu": given}


def groups(owned):
    if owned is None:
        return ()
    quotas = []
    for resource, given in amounts(owned).items():
        nominal, borrowing, lending = given if isinstance(given, tuple) else (given, None, None)
        quotas.append(
            ResourceQuota(
                resource=resource,
                nominal=nominal,
                borrowing_limit=borrowing,
                lending_limit=lending,
            )
        )
    return (ResourceGroup(tuple(amounts(owned)), (FlavorQuotas(GPU.flavor, tuple(quotas)),)),)


def queue(name, owned=0, cohort="all", preemption=BOTH_WAYS, **more):
    return ClusterQueue(
        name=name, cohort=cohort, resource_groups=groups(owned), preemption=preemption, **more
    )


def cohort(name, owned=None, parent="", **more):
    return Cohort(name=name, parent=parent, resource_groups=groups(owned), **more)


def workload(key, priority=0, created_ns=0, **more):
    return Workload(key=key, pod_sets=(), created_ns=created_ns, priority=priority, **more)


def holder(key, in_queue, used, priority=0, *, since_ns=0, evicted=False, **more):
    held = PodSetAssignment(
        name="main",
        count=1,
        flavors=tuple((resource, GPU.flavor) for resource in sorted(amounts(used))),
        usage=Resources.of(amounts(used)),
    )
    return Admitted(
        workload=workload(key, priority, **more),
        admission=Admission(in_queue, (held,)),
        reserved_ns=since_ns,
        evicted=evicted,
    )


def yard(*members):
    """Return queues with their holders; given are queues, cohorts and who holds quota."""
    made = Queues(
        [one for one in members if isinstance(one, ClusterQueue)],
        [one for one in members if isinstance(one, Cohort)],
        flavors=[ResourceFlavor(name=GPU.flavor)],
    )
    for one in members:
        if isinstance(one, Admitted):
            made.admit(one)
    return made


def demand(queues, in_queue, wanted, priority=0, *, key="new", contested=None, **more):
    """Return who wants what; contested is what does not fit, if nothing else is said."""
    asked = {
        FlavorResource(GPU.flavor, resource): amount for resource, amount in amounts(wanted).items()
    }
    node = queues.node(in_queue)
    missing = {key for key, amount in asked.items() if not quota.fits(node, {key: amount})}
    return Demand(
        workload=workload(key, priority, **more),
        queue=in_queue,
        usage=Usage(tuple(sorted(asked.items()))),
        contested=frozenset(missing if contested is None else contested),
    )


def state(queues):
    """Return everything that a trial may change, in no order."""
    everyone = [*queues.tree.cluster_queues.values(), *queues.tree.cohorts.values()]
    return (
        {repr(node): dict(node.usage) for node in everyone},
        dict(queues.admitted),
        {name: dict(held) for name, held in queues.holders.items()},
    )
