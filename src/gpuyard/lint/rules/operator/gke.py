"""The gpu-operator's container toolkit on GKE.

The values of the operator tell GKE by the folder in which its driver lies. From 1.33 on GKE's
containerd has its configuration in several files, and the toolkit has to be told to read the file
instead of asking the daemon.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import all_settings
from gpuyard.lint.world import World

DRIVER_FOLDER = "/home/kubernetes/bin/nvidia"
SOURCE_VARIABLE = "RUNTIME_CONFIG_SOURCE"


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
)
