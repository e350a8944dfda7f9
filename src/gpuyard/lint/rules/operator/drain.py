"""Driver upgrades that empty whole nodes.

To load a new driver nobody may use the old one. The operator by default deletes the pods that have
a GPU; with ``drain`` it drains the node, and everything on it has to go, databases and other work
that only needs its CPU too. A pod selector limits that.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import Settings, all_settings
from gpuyard.lint.world import World

DRAIN = "driver.upgradePolicy.drain"


def check(world: World, _world: World) -> Iterator[Hit]:
    """Find upgrade policies that drain whole nodes."""
    for entry, found in all_settings(world):
        if found.given(f"{DRAIN}.enable") is not True or found.given(f"{DRAIN}.podSelector"):
            continue
        if found.given("driver.enabled") is False or _is_by_hand(found):
            continue
        also = [
            words
            for field, words in (
                ("force", "pods that nobody makes again"),
                ("deleteEmptyDir", "what lies in emptyDirs"),
            )
            if found.given(f"{DRAIN}.{field}") is True
        ]
        lost = f", and deletes {' and '.join(also)}" if also else ""
        yield Hit(
            found.at(f"{DRAIN}.enable"),
            f"a new driver version drains every GPU node of all its pods, on its own{lost}",
            on=entry,
        )


def _is_by_hand(found: Settings) -> bool:
    return found.given("driver.upgradePolicy.autoUpgrade") is False


RULES = (
    Rule(
        id="DRIVER-DRAIN",
        severity="warning",
        title="A driver upgrade does not drain whole nodes by itself",
        why="Changing driver.version starts upgrades at once. With drain.enable each node is "
        "emptied of all pods, training that has no checkpoint as well, when only pods with a GPU "
        "have to go.",
        remedy="leave drain.enable false (gpuPodDeletion removes GPU pods), set drain.podSelector, "
        "or set autoUpgrade false and start upgrades yourself",
        source="NVIDIA/gpu-operator v26.7.0, controllers/upgrade_controller.go; NVIDIA "
        "k8s-operator-libs, pkg/upgrade; GPU Operator documentation, GPU Driver Upgrades",
        scope="world",
        check=check,
        failing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  upgradePolicy:
    autoUpgrade: true
    drain:
      enable: true # <- here
      deleteEmptyDir: true
""",
        passing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  upgradePolicy:
    autoUpgrade: true
    drain:
      enable: false
""",
    ),
)
