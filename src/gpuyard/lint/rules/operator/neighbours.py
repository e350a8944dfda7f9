"""Two that do the same on one node: device plugins, and who mends nodes.

Two device plugins register the same resource with the kubelet; the last one wins, and after each
restart it may be the other. Two remediators cordon, reboot and release a node by different rules.
Both are installed by different people, so that each looks right for itself.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.clouds.known import wanted
from gpuyard.lint.rules.helm.settings import all_settings
from gpuyard.lint.world import Entry, World

PLUGIN_IMAGES = ("/k8s-device-plugin", "nvidia-gpu-device-plugin")
OPERATORS_OWN = "nvidia-device-plugin-daemonset"  # as the operator calls its own
OTHER_PROGRAMS = ("gpu-feature-discovery", "mps-control-daemon", "config-manager")
HAS_GPUS = frozenset(
    {"nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present", "kubernetes.io/os"}
    | {"feature.node.kubernetes.io/cpu-model.vendor_id", "kubernetes.io/arch"}
    | {"feature.node.kubernetes.io/pci-0302_10de.present"}
)
"""Labels that a node with NVIDIA GPUs has anyway."""

# Workloads that cordon, drain, reboot or replace nodes, by what their names contain.
MENDERS = {
    "fault-quarantine": "NVSentinel",
    "fault-remediation": "NVSentinel",
    "eks-node-monitoring-agent": "the EKS node monitoring agent",
    "node-healthcheck-controller": "medik8s",
    "self-node-remediation": "medik8s",
    "draino": "draino",
    "node-problem-controller": "node-problem-controller",
    "machine-health-check": "machine health checks",
}
MENDER_KINDS = ("apps/Deployment", "apps/DaemonSet")


def check_plugins(world: World, _world: World) -> Iterator[Hit]:
    """Find DaemonSets with a device plugin beside an operator that runs one, or each other."""
    mine = [one for one in world.of_kind("apps/DaemonSet") if _is_plugin(one)]
    owned = [one for one in mine if one.name == OPERATORS_OWN]
    others = [one for one in mine if one.name != OPERATORS_OWN and not _opted_out(one)]
    is_on = [entry for entry, found in all_settings(world) if not found.is_off(SWITCH)]
    if others and (is_on or owned):
        by = (is_on or owned)[0].title or "the values of the gpu-operator"
        yield Hit(
            ("metadata", "name"),
            f"{others[0].title} runs a device plugin on the GPU nodes, and so does {by}",
            on=others[0],
        )


def check_menders(world: World, _world: World) -> Iterator[Hit]:
    """Find several systems that each mend nodes by themselves."""
    found: dict[str, Entry] = {}
    for kind in MENDER_KINDS:
        for entry in world.of_kind(kind):
            for part, name in MENDERS.items():
                if part in entry.name:
                    found.setdefault(name, entry)
    if len(found) > 1:
        names = sorted(found)
        yield Hit(
            ("metadata", "name"),
            f"{len(names)} systems mend nodes here, each by its own rules: {', '.join(names)}",
            on=found[names[-1]],
        )


SWITCH = "devicePlugin.enabled"


def _is_plugin(entry: Entry) -> bool:
    """Tell whether it is a device plugin; its image holds feature discovery and MPS as well."""
    for pod in entry.workload.pods if entry.workload else ():
        for box in pod.containers:
            is_other = any(other in word for other in OTHER_PROGRAMS for word, _ in box.words)
            if not is_other and any(part in box.image for part in PLUGIN_IMAGES):
                return True
    return False


def _opted_out(entry: Entry) -> bool:
    """Tell whether it runs on nodes that it chose otherwise than by their having GPUs."""
    for pod in entry.workload.pods if entry.workload else ():
        if {one.key for one in wanted(pod)} - HAS_GPUS:
            return True  # whose nodes these are is not known
    return False


RULES = (
    Rule(
        id="PLUGIN-TWICE",
        severity="warning",
        title="One device plugin per GPU node",
        why="Two plugins register nvidia.com/gpu with the same kubelet. Which of them answers "
        "changes with every restart: GPUs are handed out twice, sharing comes and goes.",
        remedy="remove the DaemonSet, or set devicePlugin.enabled: false for the operator; on GKE "
        "label the nodes gke-no-default-nvidia-gpu-device-plugin=true",
        source="NVIDIA/aicr #1998, #2044; GPU Operator documentation, Google GKE; "
        "NVIDIA/k8s-device-plugin README",
        scope="world",
        check=check_plugins,
        failing="""\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  devicePlugin:
    enabled: true
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: nvidia-plugin # <- here
spec:
  selector:
    matchLabels: {app: plugin}
  template:
    metadata:
      labels: {app: plugin}
    spec:
      tolerations:
        - operator: Exists
      containers:
        - name: plugin
          image: nvcr.io/nvidia/k8s-device-plugin:v0.17.4
""",
        passing="""\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  devicePlugin:
    enabled: false
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: nvidia-plugin
spec:
  selector:
    matchLabels: {app: plugin}
  template:
    metadata:
      labels: {app: plugin}
    spec:
      tolerations:
        - operator: Exists
      containers:
        - name: plugin
          image: nvcr.io/nvidia/k8s-device-plugin:v0.17.4
""",
    ),
    Rule(
        id="NODE-MENDERS",
        severity="warning",
        title="One system mends GPU nodes",
        why="Each cordons, reboots and releases a node by its own rules. One reboots a node under "
        "the diagnosis of the other, or lets pods back onto it, and both count the same failure.",
        remedy="let one of them act and set the others to report only",
        source="NVIDIA/NVSentinel, fault-quarantine and node-drainer; AWS EKS node monitoring "
        "agent; medik8s node-healthcheck-operator",
        scope="world",
        check=check_menders,
        failing="""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: fault-quarantine
spec: {}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: node-healthcheck-controller-manager # <- here
spec: {}
""",
        passing="""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: fault-quarantine
spec: {}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: node-drainer
spec: {}
""",
    ),
)
