"""Two that do the same on one node.

Who installs a second one rarely knows of the first: a cloud's own stack has no chart, an image
brings a plugin that no list shows, an operator installs all layers unless each is switched off.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.platform.layers.checks.check import Case, Check, share
from gpuyard.platform.layers.clouds import GKE, GKE_OPT_OUT
from gpuyard.platform.layers.components import Component
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.pools import Pool
from gpuyard.platform.layers.words import LAYERS, Finding, Layer, Severity

DOUBLES: dict[Layer, tuple[Severity, str]] = {
    "driver": ("error", "the second unloads or overwrites the modules of the first"),
    "toolkit": ("error", "both rewrite the container runtime's configuration"),
    "device-plugin": (
        "error",
        "both register the same resource; which of them hands out GPUs changes with every restart",
    ),
    "labels": ("warning", "each removes what the other writes"),
    "mig-manager": ("error", "both repartition the GPUs"),
    "nfd": ("warning", "each removes the labels that the other writes"),
    "dra-driver": ("error", "both publish the same devices"),
}
"""Layers of which there must be one on a node: how bad two are, and what then happens."""

SWITCHES: dict[Layer, str] = {
    "driver": "driver.enabled",
    "toolkit": "toolkit.enabled",
    "device-plugin": "devicePlugin.enabled",
    "labels": "gfd.enabled",
    "exporter": "dcgmExporter.enabled",
    "mig-manager": "migManager.enabled",
    "nfd": "nfd.enabled",
}
"""How the values of the gpu-operator's chart switch a layer off."""

Provider = tuple[str, str]  # who, which object


def check_twice(check: Check, case: Case) -> Iterator[Finding]:
    """Find nodes on which two provide one layer."""
    for pool in case.pools:
        for layer, (severity, what_then) in DOUBLES.items():
            by_group: dict[tuple[Provider, ...], list[GpuNode]] = {}
            for node in pool.nodes:
                for group in _groups(pool, node, layer):
                    by_group.setdefault(group, []).append(node)
            for group, nodes in by_group.items():
                names = " and ".join(f"{by} ({name})" if name else by for by, name in group)
                yield check.found(
                    severity,
                    f"{share(nodes, pool)} have {len(group)} × {LAYERS[layer]}: {names}; "
                    f"{what_then}",
                    _remedy(pool, layer, group),
                    pool=pool,
                    on=next((name for _, name in group if name), ""),
                )


def _groups(pool: Pool, node: GpuNode, layer: Layer) -> Iterator[tuple[Provider, ...]]:
    """Return those who provide the same on a node, two or more at a time."""
    on_node = sorted(pool.on(node, layer), key=lambda one: one.installer.kind != "cloud")
    row = pool.built_in(node, layer)
    along = [(row.by, "")] if row else []
    resources = {one.resource for one in on_node} or {""}
    for resource in sorted(resources):
        same = [one for one in on_node if one.resource == resource]
        mine = along if resource in {"", "nvidia.com/gpu"} else []
        group = (*mine, *((one.installer.text, one.title) for one in same))
        if len(group) > 1:
            yield group


def _remedy(pool: Pool, layer: Layer, group: tuple[Provider, ...]) -> str:
    is_operator = any(by.startswith("gpu-operator") for by, _ in group)
    by_cloud = any(by == "GKE" for by, _ in group)
    switch = SWITCHES.get(layer, "")
    if pool.cloud == GKE and by_cloud and layer == "device-plugin":
        other = f"set {switch}: false for the gpu-operator" if is_operator else "remove the other"
        return (
            f"choose one: label the node pool {GKE_OPT_OUT}=true and set gpu-driver-version="
            f"disabled (GKE then installs no driver either), or {other}"
        )
    if pool.cloud == GKE and by_cloud and layer == "driver":
        return (
            "choose one: create the node pool with gpu-driver-version=disabled, or set "
            "driver.enabled: false for the gpu-operator"
        )
    if is_operator and switch:
        return f"keep one: set {switch}: false for the gpu-operator, or remove the other"
    if any(not name for _, name in group):
        return "remove the DaemonSet, or keep it off these nodes: they bring their own"
    return "keep one and remove the other, or give each nodes of its own"


def check_exporters(check: Check, case: Case) -> Iterator[Finding]:
    """Find two exporters on one node, above all on one port of it."""
    for pool in case.pools:
        by_group: dict[tuple[str, ...], tuple[list[GpuNode], int]] = {}
        for node in pool.nodes:
            on_node = pool.on(node, "exporter")
            row = pool.built_in(node, "exporter")
            names = (*((row.by,) if row else ()), *(one.title for one in on_node))
            if len(names) > 1:
                clash = _clash(on_node, row.port if row else 0)
                by_group.setdefault(names, ([], clash))[0].append(node)
        for group, (nodes, port) in by_group.items():
            what = (
                f"both want port {port} of the node, and one of them cannot start"
                if port
                else "each metric is counted twice by whoever adds up without their labels"
            )
            yield check.found(
                "error" if port else "warning",
                f"{share(nodes, pool)} have {len(group)} DCGM exporters: {' and '.join(group)}; "
                f"{what}",
                "keep one: dcgmExporter.enabled: false switches off the gpu-operator's",
                pool=pool,
                on=group[-1],
            )


def _clash(on_node: list[Component], built_in_port: int) -> int:
    """Return the port of the node that two want, 0 where there is none."""
    ports = [one.port for one in on_node if one.is_host_port] + [built_in_port] * bool(
        built_in_port
    )
    return next((port for port in ports if ports.count(port) > 1), 0)


def check_dra(check: Check, case: Case) -> Iterator[Finding]:
    """Find nodes whose GPUs are handed out by a device plugin and by DRA."""
    whole = {
        plain.text(one, "spec", "nodeName")
        for one in case.facts.of("resource.k8s.io/ResourceSlice")
        if plain.text(one, "spec", "driver") == "gpu.nvidia.com"
    }
    for pool in case.pools:
        nodes = [
            node
            for node in pool.nodes
            if node.name in whole and any(name.startswith("nvidia.com/") for name in node.offers)
        ]
        if nodes:
            yield check.found(
                "error",
                f"{share(nodes, pool)} offer their GPUs by a device plugin and by DRA driver "
                "gpu.nvidia.com; neither knows what the other hands out",
                "let one of them have the GPUs of a node: set gpus.enabled: false for the DRA "
                "driver, or keep the device plugin off these nodes",
                pool=pool,
            )


def check_schedulers(check: Check, case: Case) -> Iterator[Finding]:
    """Find two schedulers that place gangs on the same GPUs."""
    names = {one.product for one in case.components if one.layer == "queue"} & {"Volcano", "KAI"}
    if len(names) > 1:
        yield check.found(
            "info",
            f"{' and '.join(sorted(names))} both place pods; each sees the other's pods only once "
            "they are bound",
            "give each nodes of its own, by taints or node selectors",
        )


CHECKS = (
    Check(
        id="LAYER-TWICE",
        title="One provider of each layer on a node",
        source="NVIDIA/aicr #1998, #2044, #2047; GPU Operator documentation, Google GKE; Amazon "
        "EKS user guide, Install Kubernetes device plugin for GPUs",
        look=check_twice,
    ),
    Check(
        id="EXPORTER-TWICE",
        title="One DCGM exporter on a node",
        source="NVIDIA/dcgm-exporter 4.8.2, DCGM_EXPORTER_LISTEN; AKS documentation, Fully managed "
        "GPU node pools (port 19400)",
        look=check_exporters,
    ),
    Check(
        id="PLUGIN-AND-DRA",
        title="GPUs of a node are handed out in one way",
        source="NVIDIA/k8s-dra-driver-gpu, README and #719; its chart, gpuResourcesEnabledOverride",
        look=check_dra,
    ),
    Check(
        id="SCHEDULER-TWICE",
        title="One gang scheduler for a node",
        source="KAI Scheduler README; Volcano documentation, Multiple schedulers",
        look=check_schedulers,
    ),
)
