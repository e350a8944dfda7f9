"""The gpu-operator on GKE, where the cloud installs a driver and a device plugin of its own.

The values of the operator tell GKE by the folder in which its driver lies. From 1.33 on GKE's
containerd has its configuration in several files, and the toolkit has to be told to read the file
instead of asking the daemon. A node pool keeps GKE's device plugin away only by a label.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import POLICY, all_settings, of_policy
from gpuyard.lint.rules.nodes.untainted import gpus_of
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

DRIVER_FOLDER = "/home/kubernetes/bin/nvidia"
SOURCE_VARIABLE = "RUNTIME_CONFIG_SOURCE"
ACCELERATOR = "cloud.google.com/gke-accelerator"
OPT_OUT = "gke-no-default-nvidia-gpu-device-plugin"


def check_runtime(world: World, _world: World) -> Iterator[Hit]:
    """Find a toolkit on GKE that asks containerd instead of reading its file."""
    for entry, found in all_settings(world):
        if found.given("hostPaths.driverInstallDir") != DRIVER_FOLDER or found.is_off(
            "toolkit.enabled"
        ):
            continue
        if not any(name == SOURCE_VARIABLE for _, name, _ in found.env("toolkit")):
            yield Hit(
                found.at("toolkit.env"),
                f"the driver lies in GKE's {DRIVER_FOLDER}, and toolkit.env has no "
                f"{SOURCE_VARIABLE}: from GKE 1.33 on the toolkit breaks containerd's own file",
                on=entry,
            )


def check_plugin(policy: Entry, world: World) -> Iterator[Hit]:
    """Find GKE nodes on which both GKE and the operator run a device plugin."""
    if of_policy(policy).is_off("devicePlugin.enabled"):
        return
    nodes = [node for node in world.of_kind("Node") if ACCELERATOR in node.labels and gpus_of(node)]
    both = [node for node in nodes if node.labels.get(OPT_OUT) != "true"]
    if both:
        yield Hit(
            ("spec", "devicePlugin", "enabled"),
            f"{len(both)} of {count(len(nodes), 'GKE node')} with GPUs run GKE's device plugin and "
            f"the operator's: they lack the label {OPT_OUT}=true",
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
VALUES = """\
# gpuyard:chart gpu-operator v25.10.1
driver:
  enabled: false
hostPaths:
  driverInstallDir: /home/kubernetes/bin/nvidia
toolkit:
  env:
    - name: RUNTIME_CONFIG_SOURCE
      value: file
"""

RULES = (
    Rule(
        id="GKE-TOOLKIT",
        severity="warning",
        title="On GKE the container toolkit reads containerd's file",
        why="From GKE 1.33 on the toolkit otherwise writes a configuration with which containers "
        "do not start on the node any more.",
        remedy="add RUNTIME_CONFIG_SOURCE with the value file to toolkit.env",
        source="GPU Operator documentation, Google GKE and Known Issues of 25.10; "
        "NVIDIA/cloud-native-docs #312",
        scope="world",
        check=check_runtime,
        failing=VALUES.replace("env:", "env: # <- here").replace(
            "RUNTIME_CONFIG_SOURCE\n      value: file",
            "CONTAINERD_SOCKET\n      value: /run/containerd/containerd.sock",
        ),
        passing=VALUES,
    ),
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
        check=check_plugin,
        failing=OPERATOR.replace("enabled: true", "enabled: true # <- here").replace(
            '    gke-no-default-nvidia-gpu-device-plugin: "true"\n', ""
        ),
        passing=OPERATOR,
    ),
)
