"""From the objects of a row to quota trees.

Everything goes through the dialect, as in a live cluster. A row of quantities
(``"default/cpu": 1000``) is split at the first slash into flavor and resource.
"""

from collections.abc import Iterable, Mapping

from gpuyard.dialects import kueue
from gpuyard.model.queues import QUOTA_MAX, FlavorResource
from gpuyard.scheduling import quota
from gpuyard.scheduling.quota import QuotaNode, QuotaTree
from verification.oracles.rows import Json


def tree(cluster_queues: Iterable[Json], cohorts: Iterable[Json] | None = ()) -> QuotaTree:
    """Return the trees of these objects; each flavor that they name exists."""
    queues = [kueue.cluster_queue(each) for each in cluster_queues]
    groups = [kueue.cohort(each) for each in cohorts or ()]
    quotas = [group for queue in queues for group in queue.resource_groups]
    quotas += [group for cohort in groups for group in cohort.resource_groups]
    flavors = {flavor.flavor for group in quotas for flavor in group.flavors}
    return quota.build(queues, groups, flavors=flavors)


def amounts(given: Mapping[str, Json] | None) -> dict[FlavorResource, int]:
    """Return a row of quantities."""
    return {key(name): number(amount) for name, amount in (given or {}).items()}


def key(name: str) -> FlavorResource:
    """Return the flavor and resource of a name like ``default/example.com/gpu``."""
    flavor, _, resource = name.partition("/")
    return FlavorResource(flavor, resource)


def number(amount: Json) -> int:
    """Return an amount, which may be ``Unlimited``."""
    return QUOTA_MAX if amount == "Unlimited" else int(amount)


def everyone(grown: QuotaTree) -> list[QuotaNode]:
    """Return all ClusterQueues and Cohorts."""
    return [*grown.cluster_queues.values(), *grown.cohorts.values()]
