"""GKE's own device plugin beside the gpu-operator's.

GKE runs its device plugin on every GPU node. A node pool keeps it away only by a label.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import POLICY, of_policy
from gpuyard.lint.rules.nodes.untainted import gpus_of
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

ACCELERATOR = "cloud.google.com/gke-accelerator"
OPT_OUT = "gke-no-default-nvidia-gpu-device-plugin"


def check(policy: Entry, world: World) -> Iterator[Hit]:
    """Find GKE nodes on which both GKE and the operator run a device plugin."""
    if of_policy(policy).is_off("devicePlugin.enabled"):
        return
    nodes = [node for node in world.of_kind("Node") if ACCELERATOR in node.labels and gpus_of(node)]
    both = [node for node in nodes if node.labels.get(OPT_OUT) != "true"]
    if both:
        yield Hit(
            ("spec", "devicePlugin", "enabled"),
            "GKE's device plugin and the operator's both run on "
            f"{len(both)} of {count(len(nodes), 'GKE node')} with GPUs, for want of the label "
            f"{OPT_OUT}=true",
        )


OPERATOR = """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  devicePlugin:
    enabled: true
---
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
  labels:
    cloud.google.com/gke-accelerator: nvidia-l4
    gke-no-default-nvidia-gpu-device-plugin: "true"
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    nvidia.com/gpu: "8"
"""
RULES = (
    Rule(
        id="GKE-PLUGIN",
        severity="warning",
        title="On GKE nodes of the gpu-operator there is one device plugin",
        why="GKE runs its device plugin on every GPU node that does not opt out. The two register "
        "the same resource, and which of them answers changes with every restart.",
        remedy="label the node pools gke-no-default-nvidia-gpu-device-plugin=true, or set "
        "devicePlugin.enabled: false",
        source="GPU Operator documentation, Google GKE; GKE documentation, NVIDIA GPU Operator; "
        "NVIDIA/aicr #1998",
        scope="object",
        kinds=(POLICY,),
        needs="cluster",
        reads=("Node",),
        check=check,
        failing=OPERATOR.replace("enabled: true", "enabled: true # <- here").replace(
            '    gke-no-default-nvidia-gpu-device-plugin: "true"\n', ""
        ),
        passing=OPERATOR,
    ),
)
