"""Layers that nobody provides, and nodes that nobody reaches.

Only what would have been seen is called missing: without a look at the DaemonSets these checks are
silent. A driver or toolkit on the node itself shows in no API; that it works is concluded from GPUs
that are offered, that it is missing never from their absence alone.
"""

from collections import Counter
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.model.constraints import Taint
from gpuyard.platform.layers.checks.check import Case, Check, count, share, title
from gpuyard.platform.layers.clouds import EKS, GKE, GKE_OPT_OUT
from gpuyard.platform.layers.facts import DAEMON_SET
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.pools import Pool
from gpuyard.platform.layers.words import LAYERS, Finding, Layer, Severity

SWITCHES: dict[str, Layer] = {
    "driver": "driver",
    "toolkit": "toolkit",
    "devicePlugin": "device-plugin",
    "gfd": "labels",
    "dcgmExporter": "exporter",
    "migManager": "mig-manager",
}
"""Parts of a ClusterPolicy that can be switched off, and the layer that is then missing."""

LOSSES: dict[Layer, tuple[Severity, str]] = {
    "driver": ("error", "they offer no GPU"),
    "toolkit": ("error", "they offer no GPU"),
    "device-plugin": ("error", "they offer no GPU"),
    "labels": ("warning", "pods cannot choose a GPU model by its label"),
    "exporter": ("warning", "their GPUs have no metrics"),
    "mig-manager": ("error", "their label nvidia.com/mig.config changes nothing"),
}
MIG_CONFIG = "nvidia.com/mig.config"


def check_disabled(check: Check, case: Case) -> Iterator[Finding]:
    """Find layers that the gpu-operator leaves to others, who are not there."""
    if not case.facts.sees(DAEMON_SET):
        return
    for policy in case.policies:
        for part, layer in SWITCHES.items():
            if plain.get(policy, "spec", part, "enabled") is not False:
                continue
            severity, what_then = LOSSES[layer]
            for pool in case.pools:
                nodes = _without(case, pool, layer)
                if nodes:
                    yield check.found(
                        severity,
                        f"spec.{part}.enabled is false and nothing else in the cluster provides "
                        f"the {LAYERS[layer]} on {share(nodes, pool)}: {what_then}",
                        f"set {part}.enabled: true, or install the {LAYERS[layer]} on these nodes",
                        pool=pool,
                        on=title("ClusterPolicy", policy),
                    )


def _without(case: Case, pool: Pool, layer: Layer) -> list[GpuNode]:
    """Return the nodes of a pool for which the absence of a layer can be told."""
    settled = {node.name for node in case.settled(pool)}
    nodes = [node for node in pool.lacks(layer) if node.name in settled]
    if layer == "driver":
        return [node for node in nodes if not node.offers and not node.driver]
    if layer in {"toolkit", "device-plugin"}:
        return [node for node in nodes if not node.offers]
    if layer == "mig-manager":
        return [node for node in nodes if MIG_CONFIG in node.labels]
    return nodes


def check_plugin(check: Check, case: Case) -> Iterator[Finding]:
    """Find GPU nodes for which there is no device plugin at all."""
    if not case.facts.sees(DAEMON_SET) or _is_disabled(case, "devicePlugin"):
        return
    for pool in case.pools:
        nodes = [
            node
            for node in _without(case, pool, "device-plugin")
            if not pool.on(node, "dra-driver")
            and not any(
                node.name in one.barred for one in case.components if one.layer == "device-plugin"
            )
        ]
        if nodes:
            yield check.found(
                "error",
                f"nobody runs a device plugin on {share(nodes, pool)}: they offer no GPU",
                _plugin_remedy(pool, nodes),
                pool=pool,
            )


def _is_disabled(case: Case, part: str) -> bool:
    return any(plain.get(one, "spec", part, "enabled") is False for one in case.policies)


def _plugin_remedy(pool: Pool, nodes: list[GpuNode]) -> str:
    if pool.cloud == GKE and any(node.labels.get(GKE_OPT_OUT) == "true" for node in nodes):
        return f"install one, or remove the label {GKE_OPT_OUT}: it switches GKE's own off"
    if pool.cloud == EKS:
        return "install NVIDIA's device plugin: the AL2023 image brings a driver and no plugin"
    return "install NVIDIA's device plugin, by itself or with the gpu-operator"


def check_taints(check: Check, case: Case) -> Iterator[Finding]:
    """Find GPU nodes whose taints keep a layer out."""
    for pool in case.pools:
        names = {node.name: node for node in pool.nodes}
        for one in case.components:
            barred = {name: taint for name, taint in one.barred.items() if name in names}
            if not barred:
                continue
            severity, what_then = LOSSES.get(one.layer, ("warning", "it is missing there"))
            shown = ", ".join(sorted({_shown(taint) for taint in barred.values()}))
            key = Counter(taint.key for taint in barred.values()).most_common(1)[0][0]
            where = (
                "daemonsets.tolerations of the gpu-operator"
                if one.installer.name == "gpu-operator"
                else f"the tolerations of {one.title}"
            )
            yield check.found(
                severity,
                f"{shown} keeps the {LAYERS[one.layer]} out of "
                f"{share([names[name] for name in sorted(barred)], pool)}: {what_then}",
                f"add key {key} with operator Exists to {where}",
                pool=pool,
                on=one.title,
            )


def _shown(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"taint {taint.key}{value}:{taint.effect}"


def check_offers(check: Check, case: Case) -> Iterator[Finding]:
    """Find nodes whose labels speak of GPUs and that offer none, though a plugin is there."""
    for pool in case.pools:
        nodes = [
            node
            for node in case.settled(pool)
            if not node.offers
            and (node.labelled_count or node.driver)
            and (pool.on(node, "device-plugin") or pool.built_in(node, "device-plugin"))
        ]
        if not nodes:
            continue
        labelled = sum(node.labelled_count for node in nodes)
        spoken = f"labels speak of {count(labelled, 'GPU')}" if labelled else "a driver is there"
        plugins = sorted({one.title for node in nodes for one in pool.on(node, "device-plugin")})
        yield check.found(
            "error",
            f"{share(nodes, pool)} offer no GPU, though {spoken} and a device plugin is there",
            f"read the log of {plugins[0]} on {nodes[0].name}"
            if plugins
            else f"look at the driver on {nodes[0].name}: nvidia-smi",
            pool=pool,
            on=plugins[0] if plugins else "",
        )


def check_stale_labels(check: Check, case: Case) -> Iterator[Finding]:
    """Find GPU labels that nobody writes any more."""
    if not case.facts.sees(DAEMON_SET):
        return
    for pool in case.pools:
        nodes = [
            node
            for node in pool.nodes
            if "nvidia.com/gpu.product" in node.labels
            and not pool.on(node, "labels")
            and not any(node.name in one.barred for one in pool.on_some("labels"))
            and pool.built_in(node, "device-plugin") is None
        ]
        if nodes:
            yield check.found(
                "info",
                f"{share(nodes, pool)} carry nvidia.com/gpu.product and nobody here writes it: it "
                "stays as it is when GPUs or the driver change",
                "run GPU feature discovery there, or remove the labels",
                pool=pool,
            )


CHECKS = (
    Check(
        id="LAYER-DISABLED",
        title="What the gpu-operator leaves out, somebody else provides",
        source="NVIDIA/gpu-operator v26.7.0, api/nvidia/v1/clusterpolicy_types.go",
        look=check_disabled,
    ),
    Check(
        id="PLUGIN-MISSING",
        title="Each GPU node has a device plugin or a DRA driver",
        source="Kubernetes documentation, Schedule GPUs; Amazon EKS user guide, Install Kubernetes "
        "device plugin for GPUs; GKE documentation, About GPUs",
        look=check_plugin,
    ),
    Check(
        id="TAINT-BARS",
        title="Taints of GPU nodes let the layers in",
        source="Kubernetes documentation, Taints and Tolerations; GPU Operator documentation, "
        "daemonsets.tolerations",
        look=check_taints,
    ),
    Check(
        id="OFFERS-NONE",
        title="A node with GPUs, a driver and a plugin offers them",
        source="Kubernetes documentation, Device Plugins; GPU Operator documentation, "
        "Troubleshooting",
        look=check_offers,
    ),
    Check(
        id="LABELS-STALE",
        title="GPU labels have a writer",
        source="NVIDIA/k8s-device-plugin v0.20.0, docs/gpu-feature-discovery",
        look=check_stale_labels,
    ),
)
