"""What the gpu-operator is told, by Helm values or by its ClusterPolicy.

Both say the same things at nearly the same paths. A rule about what the operator does asks here and
holds for either; what the chart fills in where values say nothing is known for values only, since a
ClusterPolicy without a field leaves it to the operator.
"""

from collections.abc import Iterator, Mapping

import msgspec

from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import View
from gpuyard.lint.rules.helm.keys import Version
from gpuyard.lint.rules.helm.release import releases
from gpuyard.lint.world import Entry, World

POLICY = "nvidia.com/ClusterPolicy"
CDI_BY_DEFAULT: Version = (25, 10, 0)

_DEFAULTS: Mapping[str, object] = {
    "clusterPolicy.deployCR": True,
    "cdi.nriPluginEnabled": False,
    "dcgm.enabled": False,
    "dcgmExporter.enabled": True,
    "devicePlugin.config.create": False,
    "devicePlugin.enabled": True,
    "driver.enabled": True,
    "driver.kernelModuleType": "auto",
    "driver.nvidiaDriverCRD.enabled": False,
    "driver.rdma.enabled": False,
    "gds.enabled": False,
    "gpuCluster.deployCR": False,
    "mig.strategy": "single",
    "migManager.config.create": False,
    "migManager.enabled": True,
    "sandboxWorkloads.enabled": False,
    "toolkit.enabled": True,
    "vgpuManager.enabled": False,
}


class Settings(msgspec.Struct, frozen=True):
    """What one ClusterPolicy or one set of values says."""

    view: View
    version: Version | None
    """The version of the chart, `None` where nobody says it."""
    is_policy: bool
    what: str
    """What to call it in a message."""

    def given(self, dotted: str) -> object:
        """Return what is written at a path like ``driver.rdma.enabled``, `None` for nothing."""
        return self.view.get(*dotted.split("."))

    def text(self, dotted: str) -> str:
        """Return the text that holds at a path, the chart's where values say nothing."""
        found = self.get(dotted)
        return found if isinstance(found, str) else ""

    def get(self, dotted: str) -> object:
        """Return what holds at a path: what is written, or what the chart says."""
        found = self.given(dotted)
        if found is not None or self.is_policy:
            return found
        if dotted == "cdi.enabled":
            return self.version is None or self.version >= CDI_BY_DEFAULT
        return _DEFAULTS.get(dotted)

    def is_on(self, dotted: str) -> bool:
        """Tell whether a switch is on."""
        return self.get(dotted) in (True, "true")

    def is_off(self, dotted: str) -> bool:
        """Tell whether a switch is off; of a ClusterPolicy, whether it says so."""
        return self.get(dotted) in (False, "false")

    def env(self, component: str) -> Iterator[tuple[Path, str, object]]:
        """Return the variables of a component: place, name, value."""
        path = (*component.split("."), "env")
        for index, one in self.view.mappings(*path):
            yield self.view.at(*path, index), str(one.get("name") or ""), one.get("value")

    def at(self, dotted: str) -> Path:
        """Return the place of a path in its document."""
        return self.view.at(*dotted.split("."))


def of_policy(policy: Entry) -> Settings:
    """Return what a ClusterPolicy tells the operator."""
    view = View(policy.mapping("spec"), ("spec",))
    return Settings(view=view, version=None, is_policy=True, what="ClusterPolicy")


def all_settings(world: World) -> Iterator[tuple[Entry, Settings]]:
    """Return everything that was given and tells an operator what to do."""
    for policy in world.of_kind(POLICY):
        yield policy, of_policy(policy)
    for entry, found in releases(world):
        if found.is_modelled:
            version = found.version if found.is_said else None
            yield (
                entry,
                Settings(view=found.view, version=version, is_policy=False, what=found.chart),
            )
