"""Settings of the gpu-operator that exclude each other, or that wait for a switch that is off.

Some the chart refuses by itself while it renders, some the API server refuses with the types of the
custom resource; what is left is accepted and does nothing, or does half of it.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import CDI_BY_DEFAULT, Settings, all_settings
from gpuyard.lint.world import World

ONE_OF = {
    "ccManager.defaultMode": ("on", "off", "devtools"),
    "daemonsets.updateStrategy": ("RollingUpdate", "OnDelete"),
    "driver.kernelModuleType": ("auto", "open", "proprietary"),
    "migManager.config.default": ("all-disabled", ""),
    "mig.strategy": ("none", "single", "mixed"),
    "sandboxWorkloads.defaultWorkload": ("container", "vm-passthrough", "vm-vgpu"),
    "sandboxWorkloads.mode": ("kubevirt", "kata"),
}
"""Settings of which the custom resource takes only these values."""

IGNORED = {
    "cdi.default": (CDI_BY_DEFAULT, "since v25.10 cdi.enabled makes CDI the default"),
    "kataManager.enabled": ((26, 7, 0), "since v26.7 the operator starts no Kata manager"),
    "operator.initContainer": ((26, 3, 0), "since v26.3 no init container uses that image"),
}
"""Settings that the chart still hands on, from which version nobody reads them, and why."""

CHECKS_DATA = (26, 7, 0)  # since then the chart does
WITH_DRIVER = ("driver.version", "driver.usePrecompiled", "driver.kernelModuleType")


def check_conflicts(world: World, _world: World) -> Iterator[Hit]:
    """Find settings with which the release fails."""
    for entry, found in all_settings(world):
        if not found.is_policy:
            yield from (replace(hit, on=entry) for hit in _conflicts(found))


def check_words(world: World, _world: World) -> Iterator[Hit]:
    """Find words that the custom resource does not take."""
    for entry, found in all_settings(world):
        yield from (replace(hit, on=entry) for hit in _wrong_words(found))


def check_idle(world: World, _world: World) -> Iterator[Hit]:
    """Find settings that wait for a switch that is off."""
    for entry, found in all_settings(world):
        yield from (replace(hit, on=entry) for hit in _idle(found))


def _conflicts(found: Settings) -> Iterator[Hit]:
    if found.is_on("gpuCluster.deployCR"):
        if found.is_on("clusterPolicy.deployCR"):
            yield Hit(
                found.at("gpuCluster.deployCR"),
                "gpuCluster.deployCR and clusterPolicy.deployCR are both true, and only one of "
                "the two custom resources may exist",
                remedy="set clusterPolicy.deployCR to false beside it",
            )
        if found.is_on("driver.enabled") and not found.is_on("driver.nvidiaDriverCRD.enabled"):
            yield Hit(
                found.at("gpuCluster.deployCR"),
                "gpuCluster.deployCR needs the driver from an NVIDIADriver, but "
                "driver.nvidiaDriverCRD.enabled is false",
                remedy="set driver.nvidiaDriverCRD.enabled to true, or driver.enabled to false",
            )
    if found.given("cdi.nriPluginEnabled") is True:
        for switch in ("cdi.enabled", "toolkit.enabled"):
            if found.is_off(switch):
                yield Hit(
                    found.at("cdi.nriPluginEnabled"),
                    f"cdi.nriPluginEnabled is true, but {switch} is false",
                    remedy=f"set {switch} to true, or leave the NRI plugin off",
                )
    yield from _without_content(found)


def _without_content(found: Settings) -> Iterator[Hit]:
    """Find ConfigMaps that the chart is to make from nothing."""
    for component in ("devicePlugin", "migManager"):
        if found.given(f"{component}.config.create") is not True:
            continue
        needs_data = component == "devicePlugin" and _is_at_least(found, CHECKS_DATA)
        for field in ("name", "data") if needs_data else ("name",):
            if not found.given(f"{component}.config.{field}"):
                yield Hit(
                    found.at(f"{component}.config.create"),
                    f"{component}.config.create is true, but {component}.config.{field} is empty",
                    remedy=f"set {component}.config.{field}",
                )


def _wrong_words(found: Settings) -> Iterator[Hit]:
    for dotted, words in ONE_OF.items():
        written = found.given(dotted)
        if isinstance(written, str) and written and "{{" not in written and written not in words:
            yield Hit(
                found.at(dotted),
                f"{dotted} is {written!r}, but the custom resource takes only {_or(words)}",
                of="value",
                remedy=_right_word(dotted, written),
            )


def _right_word(dotted: str, written: str) -> str:
    if dotted == "migManager.config.default":
        return (
            "leave it at all-disabled and choose by node: label it "
            f"nvidia.com/mig.config={written}, in its node pool or with kubectl label"
        )
    return f"write {_or(ONE_OF[dotted])}"


def _or(words: tuple[str, ...]) -> str:
    named = [word or "nothing" for word in words]
    return f"{', '.join(named[:-1])} or {named[-1]}"


def _idle(found: Settings) -> Iterator[Hit]:
    if found.given("driver.enabled") is False:
        for dotted in WITH_DRIVER:
            written = found.given(dotted)
            if written and written != "auto":
                yield _waits(found, dotted, "driver.enabled is false: the host brings its driver")
    if found.given("driver.rdma.useHostMofed") is True and found.is_off("driver.rdma.enabled"):
        yield _waits(found, "driver.rdma.useHostMofed", "driver.rdma.enabled is false")
    if found.given("devicePlugin.config.default") and not found.given("devicePlugin.config.name"):
        yield _waits(
            found,
            "devicePlugin.config.default",
            "devicePlugin.config.name names no ConfigMap to look it up in",
        )
    if found.given("vgpuManager.enabled") is True and found.is_off("sandboxWorkloads.enabled"):
        yield _waits(found, "vgpuManager.enabled", "sandboxWorkloads.enabled is false")
    yield from _ignored(found)
    if (
        found.given("gds.enabled") is True
        and found.text("driver.kernelModuleType") == "proprietary"
    ):
        yield _waits(
            found, "gds.enabled", "GPUDirect Storage needs the open kernel module of the driver"
        )


def _ignored(found: Settings) -> Iterator[Hit]:
    """Find settings that are taken and no longer looked at."""
    for dotted, (since, why) in IGNORED.items():
        written = found.given(dotted)
        if written and _is_at_least(found, since):
            yield _waits(found, dotted, why)


def _is_at_least(found: Settings, version: tuple[int, int, int]) -> bool:
    return found.version is not None and found.version >= version


def _waits(found: Settings, dotted: str, why: str) -> Hit:
    return Hit(found.at(dotted), f"{dotted} has no effect: {why}")


RULES = (
    Rule(
        id="OPERATOR-CONFLICT",
        severity="error",
        title="Values of the gpu-operator do not exclude each other",
        why="The chart stops while it renders, or leaves out the part that was asked for. In a "
        "GitOps tool that shows as a release that never becomes ready.",
        remedy="keep one of the two",
        source="NVIDIA/gpu-operator v26.7.0, templates/validations.yaml and plugin_config.yaml",
        scope="world",
        check=check_conflicts,
        failing="""\
# gpuyard:chart gpu-operator v26.7.0
gpuCluster:
  deployCR: true # <- here
driver:
  nvidiaDriverCRD:
    enabled: true
""",
        passing="""\
# gpuyard:chart gpu-operator v26.7.0
gpuCluster:
  deployCR: true
clusterPolicy:
  deployCR: false
driver:
  nvidiaDriverCRD:
    enabled: true
""",
    ),
    Rule(
        id="OPERATOR-VALUE",
        severity="error",
        title="The gpu-operator's settings hold words that its types allow",
        why="The API server refuses the ClusterPolicy as a whole, so that the release fails and "
        "the operator keeps to what it was told before.",
        remedy="write one of the words that the type allows",
        source="NVIDIA/gpu-operator v23.3.0 to v26.7.0, crds/nvidia.com_clusterpolicies.yaml",
        scope="world",
        check=check_words,
        failing="""\
# gpuyard:chart gpu-operator v25.10.1
mig:
  strategy: single
migManager:
  config:
    default: all-1g.10gb # <- here
""",
        passing="""\
# gpuyard:chart gpu-operator v25.10.1
mig:
  strategy: single
migManager:
  config:
    default: all-disabled
""",
    ),
    Rule(
        id="OPERATOR-IDLE",
        severity="warning",
        title="No setting of the gpu-operator waits for a switch that is off",
        why="The setting is accepted and does nothing, because the part that would read it is "
        "switched off or looks elsewhere.",
        remedy="turn on what it waits for, or take the setting out",
        source="NVIDIA/gpu-operator v23.9.2 to v26.7.0, templates/clusterpolicy.yaml and "
        "controllers/object_controls.go; GPU Operator documentation, GPUDirect RDMA and Storage",
        scope="world",
        check=check_idle,
        failing="""\
# gpuyard:chart gpu-operator v25.3.4
driver:
  rdma:
    useHostMofed: true # <- here
toolkit:
  enabled: true
""",
        passing="""\
# gpuyard:chart gpu-operator v25.3.4
driver:
  rdma:
    enabled: true
    useHostMofed: true
toolkit:
  enabled: true
""",
    ),
)
