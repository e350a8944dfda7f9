"""Who may use how much: flavors, quotas, queues and cohorts, in Kueue's words.

A *ResourceFlavor* is a kind of node (a node mask). A *ClusterQueue* holds quota per flavor and
resource; a *Cohort* is a group of ClusterQueues and of further Cohorts that lend to each other, and
may hold quota of its own. A *LocalQueue* is the door of one namespace into a ClusterQueue. Capacity
is counted on nodes, quota on flavors: neither replaces the other.

Quota amounts are integers in the resource's own unit (CPU in millicores, everything else in bytes
or pieces). ``QUOTA_MAX`` stands for "no bound": arithmetic saturates there instead of wrapping, and
what cannot be counted in 64 bits is read as it. A fair weight is counted in billionths, the finest
step that a Kubernetes quantity has, so that it is exact.

Words, defaults and meaning: Kueue v0.19.2, apis/kueue/v1beta2. Whether the pieces fit together
(a cycle of cohorts, a negative quota, an unknown flavor) is checked where the tree is built:
`gpuyard.scheduling.quota`.
"""

from typing import Literal, NamedTuple

import msgspec

from gpuyard.model.admission_fair_sharing import AdmissionMode
from gpuyard.model.constraints import Labels, LabelSelector, Taint, Toleration
from gpuyard.model.resources import NOTHING, Resources
from gpuyard.model.topology import TopologyAssignment, TopologyUsage
from gpuyard.model.workloads import Workload

QUOTA_MAX = 2**63 - 1  # Kueue's Unlimited; no bounded amount reaches it
QUOTA_MIN = -(2**63)
WEIGHT_ONE_NANO = 10**9

QueueingStrategy = Literal["StrictFIFO", "BestEffortFIFO"]
StopPolicy = Literal["None", "Hold", "HoldAndDrain"]
FungibilityPolicy = Literal["MayStopSearch", "TryNextFlavor"]
FungibilityPreference = Literal["BorrowingOverPreemption", "PreemptionOverBorrowing"]
ReclaimWithinCohort = Literal["Never", "LowerPriority", "Any"]
WithinClusterQueue = Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"]
BorrowWithinCohortPolicy = Literal["Never", "LowerPriority"]


class FlavorResource(NamedTuple):
    """What quota is counted by: a resource on nodes of one flavor."""

    flavor: str
    resource: str


class ResourceFlavor(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of node: those that carry `node_labels`.

    A workload must tolerate `node_taints` to be given the flavor, and gets `tolerations` with it.
    """

    name: str
    node_labels: Labels = ()
    node_taints: tuple[Taint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    topology: str = ""


class ResourceQuota(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue or cohort owns of one resource in one flavor.

    `borrowing_limit` bounds what it may take beyond that, `lending_limit` what others may take of
    it; `None` is no bound.
    """

    resource: str
    nominal: int
    borrowing_limit: int | None = None
    lending_limit: int | None = None


class FlavorQuotas(msgspec.Struct, frozen=True):
    """The quotas of one flavor."""

    flavor: str
    resources: tuple[ResourceQuota, ...] = ()


class ResourceGroup(msgspec.Struct, frozen=True):
    """Resources that one flavor is chosen for together; flavors in the order of the attempts."""

    covered_resources: tuple[str, ...]
    flavors: tuple[FlavorQuotas, ...]


class FlavorFungibility(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to try the next flavor before borrowing or preempting in this one."""

    when_can_borrow: FungibilityPolicy = "MayStopSearch"
    when_can_preempt: FungibilityPolicy = "TryNextFlavor"
    preference: FungibilityPreference = "BorrowingOverPreemption"


class BorrowWithinCohort(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a queue may preempt in its cohort and borrow as well, and up to which priority."""

    policy: BorrowWithinCohortPolicy = "Never"
    max_priority_threshold: int | None = None


class QueuePreemption(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a pending workload of this queue may evict (ClusterQueuePreemption)."""

    within_cluster_queue: WithinClusterQueue = "Never"
    reclaim_within_cohort: ReclaimWithinCohort = "Never"
    borrow_within_cohort: BorrowWithinCohort = BorrowWithinCohort()


class ClusterQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue with quota. `namespace_selector` of `None` admits from no namespace.

    `admission_mode` says whether its LocalQueues take turns by what they have used. One that
    `is_terminating` is being deleted.
    """

    name: str
    cohort: str = ""
    resource_groups: tuple[ResourceGroup, ...] = ()
    queueing_strategy: QueueingStrategy = "BestEffortFIFO"
    namespace_selector: LabelSelector | None = None
    fungibility: FlavorFungibility = FlavorFungibility()
    preemption: QueuePreemption = QueuePreemption()
    stop_policy: StopPolicy = "None"
    fair_weight_nano: int = WEIGHT_ONE_NANO
    admission_mode: AdmissionMode = "NoAdmissionFairSharing"
    is_terminating: bool = False


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """Queues and cohorts that lend to each other; without a `parent` it is the root of a tree."""

    name: str
    parent: str = ""
    resource_groups: tuple[ResourceGroup, ...] = ()
    fair_weight_nano: int = WEIGHT_ONE_NANO


class LocalQueue(msgspec.Struct, frozen=True, kw_only=True):
    """The door of `namespace` into a ClusterQueue."""

    namespace: str
    name: str
    cluster_queue: str
    stop_policy: StopPolicy = "None"
    fair_weight_nano: int = WEIGHT_ONE_NANO


class PodSetAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod set was given: a flavor for each resource, and what all its pods use together.

    `topology` says where its pods stand, in flavors that have a topology.
    """

    name: str
    count: int
    flavors: tuple[tuple[str, str], ...] = ()  # resource, flavor; sorted by resource
    usage: Resources = NOTHING
    topology: TopologyAssignment | None = None


class Usage(msgspec.Struct, frozen=True):
    """What a workload takes: quota by flavor and resource, and places in topologies."""

    quota: tuple[tuple[FlavorResource, int], ...] = ()  # sorted
    places: tuple[TopologyUsage, ...] = ()


class Admission(msgspec.Struct, frozen=True):
    """The quota that a workload holds in a ClusterQueue."""

    cluster_queue: str
    pod_sets: tuple[PodSetAssignment, ...] = ()

    def usage(self) -> Usage:
        """Return what counts against quota; a resource without a flavor has the flavor ""."""
        total: dict[FlavorResource, int] = {}
        places: list[TopologyUsage] = []
        for pod_set in self.pod_sets:
            flavors = dict(pod_set.flavors)
            for resource, amount in pod_set.usage.amounts:
                key = FlavorResource(flavors.get(resource, ""), resource)
                total[key] = total.get(key, 0) + amount
            if pod_set.topology is not None:
                places += _places(pod_set, pod_set.topology)
        return Usage(tuple(sorted(total.items())), tuple(places))


def _places(pod_set: PodSetAssignment, topology: TopologyAssignment) -> list[TopologyUsage]:
    """Return the places of one pod set, in each of its flavors once."""
    per_pod = pod_set.usage.divided_by(pod_set.count)
    flavors = sorted({flavor for _, flavor in pod_set.flavors})
    return [
        TopologyUsage(flavor, per_pod, topology.domains, topology.alone_in) for flavor in flavors
    ]


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that holds quota since `reserved_ns`; `None`: nobody wrote down since when.

    `evicted`: it was told to go, and holds its quota until its pods are gone. Pods on
    `unhealthy_nodes` need another place.
    """

    workload: Workload
    admission: Admission
    reserved_ns: int | None = None
    evicted: bool = False
    unhealthy_nodes: tuple[str, ...] = ()
