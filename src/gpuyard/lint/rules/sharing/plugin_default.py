"""A ConfigMap for the device plugin that no node uses.

The operator gives the plugin a ConfigMap with several configurations, and each node picks one by
the label ``nvidia.com/device-plugin.config``. A node without the label gets the default; where no
default is named it gets an empty configuration, without sharing, and nothing says so.
"""

from collections.abc import Iterator, Mapping

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import Settings, all_settings
from gpuyard.lint.world import World

LABEL = "nvidia.com/device-plugin.config"


def check_none(world: World, _world: World) -> Iterator[Hit]:
    """Find a ConfigMap without a default, where no node is known to pick from it."""
    for entry, found in all_settings(world):
        name = found.given("devicePlugin.config.name")
        if not name or found.given("devicePlugin.config.default"):
            continue
        if not any(LABEL in node.labels for node in world.of_kind("Node")):
            yield Hit(
                found.at("devicePlugin.config.name"),
                f"the device plugin gets ConfigMap {name}, but no devicePlugin.config.default: "
                f"nodes without the label {LABEL} share nothing",
                on=entry,
            )


def check_missing(world: World, _world: World) -> Iterator[Hit]:
    """Find a default that its ConfigMap does not hold."""
    for entry, found in all_settings(world):
        default = found.given("devicePlugin.config.default")
        names = _names(found, world)
        if isinstance(default, str) and default and names and default not in names:
            yield Hit(
                found.at("devicePlugin.config.default"),
                f"devicePlugin.config.default is {default!r}, but the ConfigMap has only "
                f"{', '.join(sorted(names))}",
                of="value",
                on=entry,
            )


def _names(found: Settings, world: World) -> set[str]:
    """Return the configurations there are, none where they are not known for sure."""
    data = found.given("devicePlugin.config.data")
    if found.given("devicePlugin.config.create") is True and isinstance(data, Mapping):
        return set(data)
    name = found.given("devicePlugin.config.name")
    maps = [one for one in world.of_kind("ConfigMap") if name and one.name == name]
    return set(maps[0].mapping("data")) if len(maps) == 1 else set()


MAP = """\
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: sharing
data:
  any: |
    version: v1
    sharing:
      timeSlicing:
        renameByDefault: true
        failRequestsGreaterThanOne: true
        resources:
          - name: nvidia.com/gpu
            replicas: 4
"""
POLICY = """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  devicePlugin:
    config:
      name: sharing
"""

RULES = (
    Rule(
        id="PLUGIN-NO-DEFAULT",
        severity="warning",
        title="The device plugin's ConfigMap has a default configuration",
        why="A node without the label nvidia.com/device-plugin.config gets the default. Without "
        "one it gets an empty configuration: GPUs are not shared, and nothing says so.",
        remedy="set devicePlugin.config.default to a key of the ConfigMap, or label the nodes "
        "nvidia.com/device-plugin.config=KEY",
        source="NVIDIA/gpu-operator #412; v26.7.0 controllers/object_controls.go "
        "(FALLBACK_STRATEGIES=empty)",
        scope="world",
        check=check_none,
        failing=POLICY.replace("name: sharing", "name: sharing # <- here") + MAP,
        passing=POLICY + "      default: any\n" + MAP,
    ),
    Rule(
        id="PLUGIN-DEFAULT-MISSING",
        severity="error",
        title="The device plugin's default configuration is in its ConfigMap",
        why="The sidecar that picks the configuration does not find the file, and the plugin does "
        "not start: the node offers no GPU.",
        remedy="name a key of the ConfigMap",
        source="NVIDIA/k8s-device-plugin v0.17, cmd/config-manager; NVIDIA/gpu-operator v26.7.0, "
        "controllers/object_controls.go",
        scope="world",
        check=check_missing,
        failing=POLICY + "      default: all # <- here\n" + MAP,
        passing=POLICY + "      default: any\n" + MAP,
    ),
)
