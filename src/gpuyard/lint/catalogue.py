"""All rules, by id.

A rule is found through the table below and in no other way: the order of a folder decides nothing,
and a rule that nobody entered does not exist. Modules are imported when their rules are first
needed. Those under `CLUSTER_MODULES` need objects that only a cluster has; they may import the
scheduling core, and a run over files that holds no such object never pays for that.
"""

import importlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache

from gpuyard.dialects.workloads import KINDS
from gpuyard.lint.rule import Rule

# Folders of gpuyard/lint/rules, and the modules in them; each module exports RULES.
MODULES = (
    "clouds.labels",
    "clouds.tolerations",
    "disruption.checkpoints",
    "disruption.evictions",
    "disruption.limits",
    "disruption.priorities",
    "disruption.signals",
    "gangs.flavors",
    "gangs.leaders",
    "gangs.missing",
    "helm.conflicts",
    "helm.dead_keys",
    "helm.mig",
    "helm.value_types",
    "images.driver_check",
    "jobs.bare",
    "jobs.failures",
    "jobs.time",
    "launch.addresses",
    "launch.host_network",
    "launch.rendezvous",
    "launch.sizes",
    "nccl.debugging",
    "nccl.names",
    "network.unattached",
    "operator.drain",
    "operator.gke",
    "operator.monitors",
    "operator.neighbours",
    "operator.runtime_class",
    "pods.image_tags",
    "pods.levels",
    "pods.memory_lock",
    "pods.mesh",
    "pods.network_policy",
    "pods.priority",
    "pods.secrets",
    "pods.service_links",
    "pods.tolerations",
    "queues.admission",
    "queues.names",
    "ray.num_gpus",
    "rdma.efa",
    "rdma.gpudirect",
    "rdma.locked_memory",
    "rdma.nvlink_domains",
    "rdma.pcie_root",
    "rdma.second_networks",
    "rdma.upkeep",
    "resources.containers",
    "resources.count",
    "resources.huge_pages",
    "resources.isolation",
    "resources.limits",
    "resources.misplaced",
    "resources.requests",
    "resources.shared_memory",
    "resources.shared_memory_size",
    "resources.visible",
    "scaling.keda",
    "scaling.knative",
    "scaling.pace",
    "scaling.several",
    "scaling.signals",
    "serving.disruption_budget",
    "serving.grace",
    "serving.parallel",
    "serving.probes",
    "serving.roll_out",
    "sharing.metrics",
    "sharing.mig",
    "sharing.plugin_config",
    "sharing.plugin_default",
    "sharing.shares",
    "sharing.too_big",
    "texts.reading",
    "texts.suppression",
    "weights.cache",
    "weights.claims",
    "weights.disk",
    "weights.file_systems",
    "weights.hub",
    "weights.prefetch",
)
CLUSTER_MODULES = (
    "gangs.topology",
    "jobs.terminating",
    "nodes.daemons",
    "nodes.devices",
    "nodes.fit",
    "nodes.gang",
    "nodes.gke_plugin",
    "nodes.replicas",
    "nodes.scaling",
    "nodes.shares",
    "nodes.software",
    "nodes.untainted",
    "operator.upgrade",
    "rdma.offers",
)

# Kinds that rules look up beside what they are shown; what a rule names in `kinds` or `reads` need
# not stand here. No Secret: no rule looks into one.
BESIDE = (
    "ConfigMap",
    "LimitRange",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "Service",
    "admissionregistration.k8s.io/MutatingWebhookConfiguration",
    "autoscaling/HorizontalPodAutoscaler",
    "k8s.cni.cncf.io/NetworkAttachmentDefinition",
    "keda.sh/ScaledObject",
    "kueue.x-k8s.io/ClusterQueue",
    "kueue.x-k8s.io/LocalQueue",
    "kueue.x-k8s.io/ResourceFlavor",
    "kueue.x-k8s.io/Topology",
    "kueue.x-k8s.io/WorkloadPriorityClass",
    "mellanox.com/HostDeviceNetwork",
    "mellanox.com/IPoIBNetwork",
    "mellanox.com/MacvlanNetwork",
    "mellanox.com/NicClusterPolicy",
    "networking.k8s.io/NetworkPolicy",
    "node.k8s.io/RuntimeClass",
    "nvidia.com/ClusterPolicy",
    "policy/PodDisruptionBudget",
    "resource.k8s.io/ResourceClaim",
    "resource.k8s.io/ResourceClaimTemplate",
    "resource.nvidia.com/ComputeDomain",
    "scheduling.k8s.io/PriorityClass",
    "sriovnetwork.openshift.io/OVSNetwork",
    "sriovnetwork.openshift.io/SriovIBNetwork",
    "sriovnetwork.openshift.io/SriovNetwork",
    "sriovnetwork.openshift.io/SriovNetworkNodeState",
    "storage.k8s.io/StorageClass",
)
# Where Helm values stand in a cluster (`gpuyard.lint.values`).
VALUES = (
    "argoproj.io/Application",
    "argoproj.io/ApplicationSet",
    "helm.cattle.io/HelmChart",
    "helm.toolkit.fluxcd.io/HelmRelease",
)


class UnknownRuleError(ValueError):
    """A rule id that is in no catalogue, with what was probably meant."""

    def __init__(self, asked: str) -> None:
        """Look for the nearest id."""
        near = get_close_matches(asked.upper(), by_id(), n=1)
        hint = f"did you mean {near[0]}?" if near else "gpuyard explain lists them"
        super().__init__(f"unknown rule {asked!r}; {hint}")


def rules(*, for_cluster: bool = True) -> tuple[Rule, ...]:
    """Return the rules, sorted by id; without `for_cluster` only what files can decide."""
    return _sorted(MODULES + CLUSTER_MODULES if for_cluster else MODULES)


@cache
def by_id(*, for_cluster: bool = True) -> Mapping[str, Rule]:
    """Return the rules by their id; without `for_cluster` only what files can decide."""
    return {rule.id: rule for rule in rules(for_cluster=for_cluster)}


def rule(name: str) -> Rule:
    """Return the rule of that id; case does not matter.

    Raises UnknownRuleError, with what was probably meant.
    """
    for for_cluster in (False, True):  # most are in the first half; the other is heavy to import
        found = by_id(for_cluster=for_cluster).get(name.upper())
        if found is not None:
            return found
    raise UnknownRuleError(name)


def kinds() -> tuple[str, ...]:
    """Return what has to be listed of a cluster so that every rule sees all that it looks at.

    These are the workloads of every ecosystem, and what rules look up beside them; a cluster serves
    some of these kinds. Core kinds are bare, others carry their group: ``apps/Deployment``.
    """
    of_rules = {kind for rule in rules() for kind in (*rule.kinds, *rule.reads)}
    of_workloads = {f"{group}/{kind}" if group else kind for group, kind in KINDS}
    return tuple(sorted(of_rules | of_workloads | {*BESIDE, *VALUES}))


@cache
def _sorted(modules: Iterable[str]) -> tuple[Rule, ...]:
    return tuple(sorted((one for name in modules for one in _of(name)), key=lambda one: one.id))


def _of(module: str) -> tuple[Rule, ...]:
    exported: tuple[Rule, ...] = importlib.import_module(f"gpuyard.lint.rules.{module}").RULES
    return exported
