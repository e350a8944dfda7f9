"""The fields of Kueue's objects that are read, as they are on the wire."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from gpuyard.dialects import wire
from gpuyard.dialects.wire import Wire
from gpuyard.model import queues
from gpuyard.model.admission_fair_sharing import AdmissionMode

OlderFungibility = Literal["Borrow", "Preempt", ""]
Omitted = Literal[""]  # Go leaves out an empty text, or writes it
Nested = dict[str, Any] | None  # read by `topology`
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class ResourceFlavorSpec(Wire, frozen=True):
    """ResourceFlavorSpec."""

    node_labels: dict[str, str] | None = None
    node_taints: list[wire.Taint] | None = None
    tolerations: list[wire.Toleration] | None = None
    topology_name: str | None = None


class ResourceFlavor(Wire, frozen=True):
    """ResourceFlavor."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: ResourceFlavorSpec = ResourceFlavorSpec()


class ResourceQuota(Wire, frozen=True):
    """ResourceQuota."""

    name: str
    nominal_quota: wire.Quantity = 0
    borrowing_limit: wire.Quantity | None = None
    lending_limit: wire.Quantity | None = None


class FlavorQuotas(Wire, frozen=True):
    """FlavorQuotas."""

    name: str
    resources: list[ResourceQuota] | None = None


class ResourceGroup(Wire, frozen=True):
    """ResourceGroup."""

    covered_resources: list[str] | None = None
    flavors: list[FlavorQuotas] | None = None


class FlavorFungibility(Wire, frozen=True):
    """FlavorFungibility, with the words of v1beta1 that v1beta2 has given up."""

    when_can_borrow: queues.FungibilityPolicy | OlderFungibility | None = None
    when_can_preempt: queues.FungibilityPolicy | OlderFungibility | None = None
    preference: queues.FungibilityPreference | Omitted | None = None


class BorrowWithinCohort(Wire, frozen=True):
    """BorrowWithinCohort."""

    policy: queues.BorrowWithinCohortPolicy | Omitted = ""
    max_priority_threshold: int | None = None


class Preemption(Wire, frozen=True):
    """ClusterQueuePreemption."""

    within_cluster_queue: queues.WithinClusterQueue | Omitted = ""
    reclaim_within_cohort: queues.ReclaimWithinCohort | Omitted = ""
    borrow_within_cohort: BorrowWithinCohort | None = None


class FairSharing(Wire, frozen=True):
    """FairSharing."""

    weight: wire.Quantity | None = None


class AdmissionScope(Wire, frozen=True):
    """AdmissionScope."""

    admission_mode: AdmissionMode | Omitted = ""


class ClusterQueueSpec(Wire, frozen=True):
    """ClusterQueueSpec; `cohort` is the word of v1beta1."""

    cohort_name: str = ""
    cohort: str = ""
    resource_groups: list[ResourceGroup] | None = None
    queueing_strategy: queues.QueueingStrategy | Omitted = ""
    namespace_selector: wire.LabelSelector | None = None
    flavor_fungibility: FlavorFungibility | None = None
    preemption: Preemption | None = None
    stop_policy: queues.StopPolicy | Omitted | None = None
    fair_sharing: FairSharing | None = None
    admission_scope: AdmissionScope | None = None


class ClusterQueue(Wire, frozen=True):
    """ClusterQueue."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: ClusterQueueSpec = ClusterQueueSpec()


class CohortSpec(Wire, frozen=True):
    """CohortSpec."""

    parent_name: str = ""
    resource_groups: list[ResourceGroup] | None = None
    fair_sharing: FairSharing | None = None


class Cohort(Wire, frozen=True):
    """Cohort."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: CohortSpec = CohortSpec()


class LocalQueueSpec(Wire, frozen=True):
    """LocalQueueSpec."""

    cluster_queue: str = ""
    stop_policy: queues.StopPolicy | Omitted | None = None
    fair_sharing: FairSharing | None = None


class LocalQueue(Wire, frozen=True):
    """LocalQueue."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: LocalQueueSpec = LocalQueueSpec()


class WorkloadMeta(wire.ObjectMeta, frozen=True):
    """ObjectMeta with what orders a queue."""

    creation_timestamp: Instant | None = None
    uid: str = ""
    annotations: dict[str, str] | None = None


class PodTemplate(Wire, frozen=True):
    """PodTemplateSpec."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: wire.PodSpec = wire.PodSpec()


class PodSet(Wire, frozen=True):
    """PodSet."""

    name: str = "main"
    count: int = 1
    template: PodTemplate = PodTemplate()
    min_count: int | None = None
    topology_request: Nested = None


class WorkloadSpec(Wire, frozen=True):
    """WorkloadSpec."""

    pod_sets: list[PodSet] | None = None
    queue_name: str = ""
    priority: int | None = None
    active: bool | None = None


class PodSetAssignment(Wire, frozen=True):
    """PodSetAssignment."""

    name: str = "main"
    flavors: dict[str, str] | None = None
    resource_usage: wire.ResourceList | None = None
    count: int | None = None
    topology_assignment: Nested = None


class Admission(Wire, frozen=True):
    """Admission."""

    cluster_queue: str = ""
    pod_set_assignments: list[PodSetAssignment] | None = None


class ReclaimablePod(Wire, frozen=True):
    """ReclaimablePod."""

    name: str
    count: int


class Condition(Wire, frozen=True):
    """Condition."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    last_transition_time: Instant | None = None


class UnhealthyNode(Wire, frozen=True):
    """UnhealthyNode."""

    name: str


class RequeueState(Wire, frozen=True):
    """RequeueState."""

    requeue_at: Instant | None = None


class WorkloadStatus(Wire, frozen=True):
    """WorkloadStatus."""

    admission: Admission | None = None
    conditions: list[Condition] | None = None
    reclaimable_pods: list[ReclaimablePod] | None = None
    unhealthy_nodes: list[UnhealthyNode] | None = None
    requeue_state: RequeueState | None = None


class Workload(Wire, frozen=True):
    """Workload."""

    metadata: WorkloadMeta = WorkloadMeta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus | None = None
