"""Metrics of shared GPUs.

Where several pods share a GPU the exporter names one of them, whichever it finds: with
``KUBERNETES_VIRTUAL_GPUS`` it repeats each value for every pod that has a share. What a single pod
uses it cannot tell in either case.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import all_settings
from gpuyard.lint.rules.sharing.plugin_config import STRATEGIES, configs
from gpuyard.lint.world import World

VARIABLE = "KUBERNETES_VIRTUAL_GPUS"


def check(world: World, _world: World) -> Iterator[Hit]:
    """Find an exporter without the switch beside a device plugin that shares."""
    for entry, found in all_settings(world):
        if not found.given("devicePlugin.config.name") or found.is_off("dcgmExporter.enabled"):
            continue
        if any(name == VARIABLE for _, name, _ in found.env("dcgmExporter")):
            continue
        shared = [
            one.name
            for one in configs(world)
            if any(plain.mappings(one.value, "sharing", way, "resources") for way in STRATEGIES)
        ]
        if shared:
            yield Hit(
                found.at("devicePlugin.config.name"),
                f"configuration {shared[0]} shares GPUs, and dcgmExporter.env has no {VARIABLE}: "
                "metrics name one of the pods that share, whichever comes first",
                on=entry,
            )


VALUES = """\
# gpuyard:chart gpu-operator v25.10.1
dcgmExporter:
  env:
    - name: KUBERNETES_VIRTUAL_GPUS
      value: "true"
devicePlugin:
  config:
    create: true
    name: sharing
    default: any
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

RULES = (
    Rule(
        id="SHARE-METRICS",
        severity="info",
        title="Metrics of a shared GPU name all pods that share it",
        why="Without the switch the values of a GPU carry the name of one of its pods. Cost and "
        "idle reports charge that pod for all, and see nothing of the others.",
        remedy='set KUBERNETES_VIRTUAL_GPUS to "true" in dcgmExporter.env',
        source="NVIDIA/dcgm-exporter, pkg/cmd/app.go (KUBERNETES_VIRTUAL_GPUS); #151, #201",
        scope="world",
        check=check,
        failing=VALUES.replace("KUBERNETES_VIRTUAL_GPUS", "DCGM_EXPORTER_DEBUG").replace(
            "name: sharing", "name: sharing # <- here"
        ),
        passing=VALUES,
    ),
)
