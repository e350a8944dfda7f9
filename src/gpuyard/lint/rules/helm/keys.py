"""The values that the chart of NVIDIA's gpu-operator knows, version by version.

The chart has no schema: Helm takes any key and a template that does not ask for it never says so.
The table below holds every key that a template of the chart reads, or that the custom resource
takes where a template copies a whole mapping. One line per mapping: its path, then its keys, each
with its type and, where not every version knows it, the first and the last one that do.

====  ==========================  ====  =========================
``?``  true or false              ``[]``  a list
``$``  a text                     ``{}``  a mapping that is copied as it is
``#``  a whole number             ``=``   variables: a list of name and value
``*``  anything
====  ==========================  ====  =========================

``IMAGE`` stands for the five keys that name an image.

Source: NVIDIA/gpu-operator, deployments/gpu-operator (values.yaml, templates, crds) at each tag
from v23.3.0 to v26.7.0.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from gpuyard.dialects.plain import Path

Version = tuple[int, int, int]
Type = Literal["?", "$", "#", "[]", "{}", "=", "*"]

VERSIONS: tuple[Version, ...] = (
    *((23, 3, 0), (23, 3, 1), (23, 3, 2), (23, 6, 0), (23, 6, 1), (23, 6, 2)),
    *((23, 9, 0), (23, 9, 1), (23, 9, 2), (24, 3, 0), (24, 6, 0), (24, 6, 1), (24, 6, 2)),
    *((24, 9, 0), (24, 9, 1), (24, 9, 2), (25, 3, 0), (25, 3, 1), (25, 3, 2), (25, 3, 3)),
    *((25, 3, 4), (25, 10, 0), (25, 10, 1), (26, 3, 0), (26, 3, 1), (26, 3, 2), (26, 3, 3)),
    (26, 7, 0),
)
OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]

_IMAGE = ("repository$", "image$", "version$", "imagePullPolicy$", "imagePullSecrets[]")
_TYPES: tuple[Type, ...] = ("[]", "{}", "?", "$", "#", "=", "*")

_TABLE = """
.: extraObjects[]@26.3.0- fullnameOverride$ nameOverride$
ccManager: IMAGE@23.6.0- args[]@23.6.0- defaultMode$@23.6.0- enabled?@23.6.0- env=@23.6.0-
    hostNetwork?@26.3.1- resources{}@23.6.0-
cdi: default?@-26.3.3 enabled? nriPluginEnabled?@26.3.0-
clusterPolicy@26.7.0-: deployCR?
daemonsets: annotations{} labels{} podSecurityContext{}@26.7.0- priorityClassName$ tolerations[]
    updateStrategy$
daemonsets.rollingUpdate: maxUnavailable*
dcgm: IMAGE args[] enabled? env= hostNetwork?@26.3.1- hostPort#@-24.3.0 resources{}
dcgmExporter: IMAGE annotations{}@26.3.2- args[] enablePodLabels?@26.3.2- enablePodUID?@26.3.2-
    enabled? env= hostNetwork?@26.3.0- hostPID?@25.10.0- podLabelAllowlistRegex[]@26.3.2-
    resources{}
dcgmExporter.config: create?@24.9.0- data*@24.9.0- name$
dcgmExporter.hpcJobMapping@25.10.1-: directory$ enabled?
dcgmExporter.service@25.3.1-: internalTrafficPolicy$ type$
dcgmExporter.serviceMonitor: additionalLabels{} enabled? honorLabels? interval$
    relabelings[]@23.6.0- scrapeTimeout$@26.7.0-
devicePlugin: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
devicePlugin.config: create? data{} default$ name$
devicePlugin.mps@24.3.0-: root$
draDriver@26.7.0-: IMAGE featureGates{}
draDriver.computeDomains@26.7.0-: controller{} enabled? kubeletPlugin{}
draDriver.gpus@26.7.0-: kubeletPlugin{}
driver: IMAGE args[] enabled? env= hostNetwork?@26.3.1- kernelModuleType$@25.3.0-
    livenessProbe{}@23.3.2- readinessProbe{}@23.3.2- resources{} secretEnv$@25.10.0-
    startupProbe{}@23.3.2- useOpenKernelModules?@23.9.1-24.9.2 usePrecompiled?
driver.certConfig: name$
driver.kernelModuleConfig: name$
driver.licensingConfig: configMapName$ nlsEnabled? secretName$@25.10.0-
driver.manager: env= image$ imagePullPolicy$ imagePullSecrets[]@23.9.0- repository$ version$
driver.nvidiaDriverCRD@23.9.0-: deployDefaultCR? driverType$ enabled? nodeSelector{}
driver.rdma: enabled? useHostMofed?
driver.repoConfig: configMapName$
driver.upgradePolicy: autoUpgrade? maxParallelUpgrades# maxUnavailable*
driver.upgradePolicy.drain: deleteEmptyDir? enable? force? podSelector$ timeoutSeconds#
driver.upgradePolicy.gpuPodDeletion: deleteEmptyDir? force? timeoutSeconds#
driver.upgradePolicy.waitForCompletion: podSelector$ timeoutSeconds#
driver.virtualTopology: config$
gdrcopy@24.3.0-: IMAGE args[] enabled? env=
gds: IMAGE args[] enabled? env=
gfd: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
gpuCluster@26.7.0-: deployCR?
hostPaths: driverInstallDir$@24.6.0- kubeletRootDir$@26.7.0- rootFS$@24.6.0-
kataManager: IMAGE@23.6.0- args[]@23.6.0- config{}@23.6.0- enabled?@23.6.0- env=@23.6.0-
    hostNetwork?@26.3.1- resources{}@23.6.0-
kataSandboxDevicePlugin: IMAGE@26.3.0- args[]@26.3.0- enabled?@26.3.0- env=@26.3.0-
    hostNetwork?@26.3.1- resources{}@26.3.0-
mig: strategy$
migManager: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
migManager.config: create?@24.6.0- data{}@24.6.0- default$ name$
migManager.gpuClientsConfig: name$
nfd: enabled? nodefeaturerules?@23.6.0-
nodeStatusExporter: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
operator: IMAGE affinity{} annotations{} cleanupCRD? defaultGPUMode$ defaultRuntime$@-24.9.2
    env=@26.7.0- labels{} nodeSelector{} priorityClassName$ resources{} runtimeClass$
    tolerations[] upgradeCRD? use_ocp_driver_toolkit?
operator.initContainer@-26.3.3: IMAGE
operator.logging: develMode? level$ timeEncoding$
operator.metrics.serviceMonitor@26.7.0-: additionalLabels{} enabled? honorLabels? interval$
    relabelings[] scrapeTimeout$
platform: openshift?
psa@23.6.0-: enabled?
psp@-23.9.2: enabled?
sandboxDevicePlugin: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
sandboxWorkloads: defaultWorkload$ enabled? mode$@26.3.0-
toolkit: IMAGE enabled? env= hostNetwork?@26.3.1- installDir$ resources{}
validator: IMAGE args[] env= hostNetwork?@26.3.1- resources{}
validator.cuda@23.9.2-: env=
validator.driver: env=
validator.plugin: env=
validator.toolkit: env=
validator.vfioPCI: env=
validator.vgpuDevices: env=
validator.vgpuManager: env=
vfioManager: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
vfioManager.driverManager: env= image$ imagePullPolicy$ repository$ version$
vgpuDeviceManager: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
vgpuDeviceManager.config: default$ name$
vgpuManager: IMAGE args[] enabled? env= hostNetwork?@26.3.1- resources{}
vgpuManager.driverManager: env= image$ imagePullPolicy$ repository$ version$
vgpuManager.kernelModuleConfig@26.3.0-: name$
"""


class Key(msgspec.Struct, frozen=True):
    """One key of the chart: its type, and the first and the last version that know it."""

    type: Type
    since: Version = OLDEST
    until: Version = NEWEST

    def is_known(self, version: Version) -> bool:
        """Tell whether `version` of the chart reads it; what the newest does, later ones do too."""
        return self.since <= version and (version <= self.until or self.until == NEWEST)


def text(version: Version) -> str:
    """Return a version as the chart writes it."""
    return "v{}.{}.{}".format(*version)


def _rows() -> Iterator[tuple[Path, Key]]:
    joined = _TABLE.replace("\n    ", " ")
    for line in joined.strip().splitlines():
        head, _, listed = line.partition(":")
        place, _, all_in = head.partition("@")
        path = () if place == "." else tuple(place.split("."))
        for word in listed.split():
            name, _, own = word.partition("@")
            since, until = _range(own or all_in)
            for each in _IMAGE if name == "IMAGE" else (name,):
                kind = next(one for one in _TYPES if each.endswith(one))
                yield (*path, each.removesuffix(kind)), Key(kind, since, until)


def _range(written: str) -> tuple[Version, Version]:
    since, _, until = written.partition("-")
    return (_version(since) if since else OLDEST), (_version(until) if until else NEWEST)


def _version(written: str) -> Version:
    year, month, patch = map(int, written.split("."))
    return year, month, patch


KEYS: Mapping[Path, Key] = {
    **dict(_rows()),
    ("node-feature-discovery",): Key("{}"),
    ("global",): Key("{}"),
}


def _containers() -> dict[Path, list[Path]]:
    found: dict[Path, list[Path]] = {}
    for path in KEYS:
        for depth in range(len(path)):
            found.setdefault(path[:depth], []).append(path)
    return found


CONTAINERS: Mapping[Path, Sequence[Path]] = _containers()
"""Mappings that hold keys, each with the keys below it."""
