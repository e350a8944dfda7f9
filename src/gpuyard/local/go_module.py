"""The Go module from which Kubernetes' programs are built: our own text, four lines and a list.

Kubernetes' module replaces its parts (``k8s.io/api`` and thirty more) by folders beside it. A
module that depends on it does not inherit that, so each part is replaced by the version of it that
was published with the release: Kubernetes 1.36.3 goes with parts 0.36.3. Language version and
``godebug`` settings decide how a program behaves, so they are taken over.

Mechanics: Go Modules Reference, "go.mod files"; staging: k8s.io/kubernetes, staging/README.md.
"""

import re

import msgspec

KUBERNETES = "k8s.io/kubernetes"
COMPONENT_VERSION = "k8s.io/component-base/version"
CLIENT_VERSION = "k8s.io/client-go/pkg/version"

# etcd first: it is small, so whoever watches the build soon sees that it works.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": f"{KUBERNETES}/cmd/kube-apiserver",
    "kube-controller-manager": f"{KUBERNETES}/cmd/kube-controller-manager",
    "kube-scheduler": f"{KUBERNETES}/cmd/kube-scheduler",
}

STAGED = re.compile(r"^\s*(?:replace\s+)?(k8s\.io/\S+)\s+=>\s+\./staging/", re.MULTILINE)
GO_LINE = re.compile(r"^go \S+$", re.MULTILINE)
GODEBUG_LINE = re.compile(r"^godebug .*=\S+$", re.MULTILINE)


class KubernetesModule(msgspec.Struct, frozen=True):
    """What we take from the ``go.mod`` of a Kubernetes release."""

    staged: tuple[str, ...]
    settings: tuple[str, ...]


def understood(go_mod: str) -> KubernetesModule:
    """Return the parts and settings that a Kubernetes ``go.mod`` names."""
    settings = (*GO_LINE.findall(go_mod)[:1], *GODEBUG_LINE.findall(go_mod))
    return KubernetesModule(tuple(sorted(set(STAGED.findall(go_mod)))), settings)


def module_text(version: str, module: KubernetesModule) -> str:
    """Return our own ``go.mod`` for building Kubernetes `version`."""
    part_version = "v0." + version.partition(".")[2]
    lines = [
        "module gpuyard.local/kubernetes",
        "",
        *module.settings,
        "",
        f"require {KUBERNETES} v{version}",
        "",
        "replace (",
        *(f"\t{part} => {part} {part_version}" for part in module.staged),
        ")",
        "",
    ]
    return "\n".join(lines)


def link_flags(version: str) -> str:
    """Return the linker's flags: no symbols, and the version that the programs report.

    Without the version a server calls itself v0.0.0, and clients take it for an ancient one.
    """
    major, minor, _ = version.split(".")
    stamps = {
        f"{COMPONENT_VERSION}.gitVersion": f"v{version}",
        f"{COMPONENT_VERSION}.gitMajor": major,
        f"{COMPONENT_VERSION}.gitMinor": minor,
        f"{CLIENT_VERSION}.gitVersion": f"v{version}",
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamps.items())])
