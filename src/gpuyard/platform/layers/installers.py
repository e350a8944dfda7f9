"""Who put an object into the cluster, by what each installer leaves on it.

An operator is the owner of what it makes. Helm and OLM label their objects, clouds mark their
add-ons, Rancher annotates what it applies from disk, GitOps controllers what they sync; kubectl
leaves what it applied last. Where nothing is left, the field manager that created the object may
still tell; the rest is unknown, and is called so.

Sources: NVIDIA/gpu-operator v26.7.0, controllers/object_controls.go (owner references) and chart
helpers; Helm 3 documentation, Labels and Annotations; Operator Lifecycle Manager, lib/ownerutil;
Kubernetes cluster addons, addon-manager; rancher/wrangler, pkg/apply; Argo CD documentation,
Resource Tracking; Flux documentation, Kustomization and HelmRelease.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import View
from gpuyard.platform.layers import versions
from gpuyard.platform.layers.facts import DEPLOYMENT, Facts

Kind = Literal["cloud", "operator", "helm", "olm", "rancher", "gitops", "manifest", "unknown"]

OWNERS: Mapping[str, str] = {
    "ClusterPolicy": "gpu-operator",
    "NVIDIADriver": "gpu-operator",
    "GPUCluster": "gpu-operator",
    "NicClusterPolicy": "network-operator",
    "NodeFeatureDiscovery": "nfd-operator",
}
"""Kinds whose controllers make the layers, and what those are called."""

ADDON_MODE = "addonmanager.kubernetes.io/mode"
AKS_MANAGED = "kubernetes.azure.com/managedby"
GKE_NAMESPACES = ("gke-managed-",)
RANCHER_OWNER = "objectset.rio.cattle.io/owner-name"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
FIELD_MANAGERS: tuple[tuple[str, Kind, str], ...] = (
    ("eksctl", "cloud", "eksctl"),
    ("helm", "helm", "Helm"),
    ("argocd", "gitops", "Argo CD"),
    ("kustomize-controller", "gitops", "Flux"),
    ("kubectl", "manifest", "kubectl"),
    ("terraform", "manifest", "Terraform"),
    ("HashiCorp", "manifest", "Terraform"),
)


class Installer(msgspec.Struct, frozen=True, kw_only=True):
    """Who installed an object, and in which version of its own where that is known."""

    kind: Kind
    name: str
    version: str = ""

    @property
    def text(self) -> str:
        """Who it was, in a cell of a table; a release without the version of its chart."""
        return self.name if self.kind == "helm" else f"{self.name} {self.version}".strip()


UNKNOWN = Installer(kind="unknown", name="unknown")


def installer_of(value: Mapping[str, object], facts: Facts) -> Installer:
    """Return who installed an object; the first trace that is found decides."""
    found = View(value, ())
    labels = plain.texts(value, "metadata", "labels")
    notes = plain.texts(value, "metadata", "annotations")
    return (
        _operator(found, labels, facts)
        or _cloud(found, labels)
        or _olm(labels)
        or _gitops(labels, notes)
        or _helm(labels, notes)
        or _rancher(notes)
        or _kubectl(notes)
        or _writer(found)
        or UNKNOWN
    )


def _operator(found: View, labels: Mapping[str, str], facts: Facts) -> Installer | None:
    for _, owner in found.mappings("metadata", "ownerReferences"):
        name = OWNERS.get(plain.text(owner, "kind"), "")
        if name and plain.is_true(owner, "controller"):
            version = versions.of_chart(labels)[1] or operator_version(facts, name)
            return Installer(kind="operator", name=name, version=version)
    return None


def operators(facts: Facts, name: str) -> Sequence[Mapping[str, object]]:
    """Return the Deployments of the operator of that name."""
    return [one for one in facts.of(DEPLOYMENT) if plain.text(one, "metadata", "name") == name]


def operator_version(facts: Facts, name: str) -> str:
    """Return the version of an operator: of its chart, its bundle, or its image."""
    for one in operators(facts, name):
        labels = plain.texts(one, "metadata", "labels")
        bundle = labels.get("olm.owner", "").partition(".v")[2]
        images = [
            plain.text(container, "image")
            for _, container in plain.mappings(one, "spec", "template", "spec", "containers")
        ]
        found = versions.of_chart(labels)[1] or bundle or versions.of_labels(labels)
        return found or next(filter(None, map(versions.of_image, images)), "")
    return ""


def _cloud(found: View, labels: Mapping[str, str]) -> Installer | None:
    if ADDON_MODE in labels or found.text("metadata", "namespace").startswith(GKE_NAMESPACES):
        return Installer(kind="cloud", name="GKE")
    if labels.get(AKS_MANAGED) == "aks":
        return Installer(kind="cloud", name="AKS")
    return None


def _olm(labels: Mapping[str, str]) -> Installer | None:
    owner = labels.get("olm.owner", "")
    name, _, version = owner.partition(".v")
    return Installer(kind="olm", name=f"OLM {name}", version=version) if owner else None


def _gitops(labels: Mapping[str, str], notes: Mapping[str, str]) -> Installer | None:
    if "argocd.argoproj.io/tracking-id" in notes:
        app = notes["argocd.argoproj.io/tracking-id"].partition(":")[0]
        return Installer(kind="gitops", name=f"Argo CD {app}")
    for key in ("helm.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/name"):
        if key in labels:
            return Installer(kind="gitops", name=f"Flux {labels[key]}")
    return None


def _helm(labels: Mapping[str, str], notes: Mapping[str, str]) -> Installer | None:
    release = notes.get("meta.helm.sh/release-name", "")
    if not release and labels.get("app.kubernetes.io/managed-by") not in {"Helm", "Tiller"}:
        return None
    named = release or labels.get("app.kubernetes.io/instance", "")
    version = " ".join(versions.of_chart(labels)).strip()
    return Installer(kind="helm", name=f"Helm {named}".strip(), version=version)


def _rancher(notes: Mapping[str, str]) -> Installer | None:
    owner = notes.get(RANCHER_OWNER, "")
    return Installer(kind="rancher", name=f"RKE2/K3s add-on {owner}") if owner else None


def _kubectl(notes: Mapping[str, str]) -> Installer | None:
    return Installer(kind="manifest", name="kubectl apply") if LAST_APPLIED in notes else None


def _writer(found: View) -> Installer | None:
    for _, field in found.mappings("metadata", "managedFields"):
        if plain.text(field, "subresource"):
            continue
        for start, kind, name in FIELD_MANAGERS:
            if plain.text(field, "manager").startswith(start):
                return Installer(kind=kind, name=name)
    return None
