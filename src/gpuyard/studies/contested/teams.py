"""A fleet divided among teams: one ClusterQueue each, all in one cohort, one flavor per GPU model.

Each team owns its share of every flavor, of GPUs, CPU and memory alike; what is left over by
rounding down goes to the first ones, so that quota adds up to the fleet. Without limits on lending
and borrowing a team may use all that others leave, and gives it back when they ask for it.

The queues are set up as Kueue's documentation recommends it for a shared cluster (v0.19,
"ClusterQueue", preemption; "Topology Aware Scheduling"): reclaim at any priority within the cohort,
within a queue the less important go, topology down to the host so that admission counts places.
Flavors are tried from the smallest machine to the largest, so that whoever takes any GPU leaves
large nodes to those who need them.
"""

from collections.abc import Iterable, Sequence

from gpuyard.model.catalogue import UnknownDeviceModel, device_model
from gpuyard.model.nodes import Node
from gpuyard.model.queues import (
    ClusterQueue,
    Cohort,
    FlavorQuotas,
    LocalQueue,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.topology import HOSTNAME, Topology
from gpuyard.studies.contested.whole_gpus import GPU, PRODUCT

COHORT = "fleet"
HOSTS = Topology(name="hosts", levels=(HOSTNAME,))
COVERED = (CPU, MEMORY, GPU)
RECLAIMS = QueuePreemption(within_cluster_queue="LowerPriority", reclaim_within_cohort="Any")


def teams_queues(
    nodes: Sequence[Node], shares: dict[str, int], preemption: QueuePreemption = RECLAIMS
) -> tuple[ClusterQueue, ...]:
    """Return a ClusterQueue for each team of `shares`, named like it."""
    flavors = [(flavor.name, _total(nodes, flavor)) for flavor in flavors_of(nodes)]
    quotas = {
        (flavor, resource): dict(
            zip(shares, divided(total.get(resource), list(shares.values())), strict=True)
        )
        for flavor, total in flavors
        for resource in COVERED
    }
    return tuple(
        ClusterQueue(
            name=team,
            cohort=COHORT,
            preemption=preemption,
            resource_groups=(
                ResourceGroup(
                    COVERED,
                    tuple(
                        FlavorQuotas(
                            flavor,
                            tuple(
                                ResourceQuota(
                                    resource=resource, nominal=quotas[flavor, resource][team]
                                )
                                for resource in COVERED
                            ),
                        )
                        for flavor, _ in flavors
                    ),
                ),
            ),
        )
        for team in shares
    )


def cohorts() -> tuple[Cohort, ...]:
    """Return the cohort of all teams; it owns nothing itself."""
    return (Cohort(name=COHORT),)


def doors(teams: Iterable[str]) -> tuple[LocalQueue, ...]:
    """Return the LocalQueue of each team, of the same name."""
    return tuple(LocalQueue(namespace="", name=team, cluster_queue=team) for team in teams)


def flavors_of(nodes: Iterable[Node]) -> tuple[ResourceFlavor, ...]:
    """Return a flavor for each GPU model, the smallest machines first."""
    sizes: dict[str, tuple[int, int, str]] = {}
    for node in nodes:
        product = dict(node.labels)[PRODUCT]
        gpus = max(len(node.devices), sizes.get(product, (0,))[0])
        sizes[product] = (gpus, _memory_bytes(node.devices[0].model), product)
    return tuple(
        ResourceFlavor(name=product, node_labels=((PRODUCT, product),), topology=HOSTS.name)
        for product in sorted(sizes, key=sizes.__getitem__)
    )


def divided(amount: int, shares: Sequence[int]) -> list[int]:
    """Return whole parts of `amount` in proportion to `shares`; they add up to it."""
    total = sum(shares)
    parts = [amount * share // total for share in shares]
    for index in range(amount - sum(parts)):
        parts[index] += 1
    return parts


def _total(nodes: Iterable[Node], flavor: ResourceFlavor) -> Resources:
    carries = set(flavor.node_labels)
    total = Resources()
    for node in nodes:
        if carries <= set(node.labels):
            total = total.plus(node.allocatable)
    return total


def _memory_bytes(model: str) -> int:
    try:
        return device_model(model).memory_bytes or 0
    except UnknownDeviceModel:
        return 0
