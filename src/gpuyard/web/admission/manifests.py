"""What a cluster needs so that its API server asks us, as plain manifests.

Two ValidatingWebhookConfigurations: ``gpuyard-lint`` warns everywhere and, where the namespace is
labelled so, only writes to the audit log; ``gpuyard-lint-enforce`` refuses, in namespaces labelled
for it. A review does not carry the labels of its namespace, so the API server has to choose, by
``namespaceSelector``, which path it asks. All of them fail open, wait two seconds at most, and are
asked only about kinds that make pods, and of those only about objects that mention a GPU. Kinds
that are completed by others (KServe, TrainJob) are always asked about: they are few.

The Deployment gets no rights at all: no token, no root, no capability, nothing to write to.

API: admissionregistration.k8s.io/v1 with matchConditions (Kubernetes 1.30 and newer).
"""

import base64
from collections.abc import Callable, Iterator

import msgspec

from gpuyard.lint.policies import (
    API,
    LABEL,
    OFF,
    SYSTEM_NAMESPACES,
    cel,
    everywhere_but,
    kinds_of,
    resource_rules,
)
from gpuyard.lint.policies.places import COMPLETED_CLUSTER_WIDE, COMPLETED_ELSEWHERE, PLACES
from gpuyard.web.admission.app import PATHS
from gpuyard.web.admission.judge import Mode

NAME = "gpuyard-webhook"
NAMESPACE = "gpuyard-system"
PORT = 8443
SERVICE_PORT = 443
TIMEOUT_S = 2
USER = 65532  # nobody in particular, as distroless images have it
CERTIFICATES = "/etc/gpuyard/tls"
SETTINGS = "/etc/gpuyard/config"
SETTINGS_NAME = "gpuyard.yaml"

CONFIGURATIONS: dict[str, tuple[Mode, ...]] = {
    "gpuyard-lint": ("warn", "audit"),
    "gpuyard-lint-enforce": ("enforce",),
}
LABELS = {"app.kubernetes.io/name": "gpuyard", "app.kubernetes.io/component": "webhook"}

Manifest = dict[str, object]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifests are for.

    `url` is where the webhook listens outside of the cluster, without a path; then only the
    configurations are made. `pair_pem` are certificate and key for a Secret, `None` where somebody
    else makes that.
    """

    authority_pem: bytes
    image: str = ""
    namespace: str = NAMESPACE
    url: str = ""
    pair_pem: tuple[bytes, bytes] | None = None
    settings: str = ""


def hosts(namespace: str) -> list[str]:
    """Return the names under which an API server calls the Service."""
    return [f"{NAME}.{namespace}.svc", f"{NAME}.{namespace}.svc.cluster.local"]


def manifests(wanted: Wanted) -> list[Manifest]:
    """Return everything, in the order in which it can be applied."""
    made = [] if wanted.url else list(_inside(wanted))
    return [*made, *_configurations(wanted)]


# --- Who asks when ------------------------------------------------------------------------------


def _configurations(wanted: Wanted) -> Iterator[Manifest]:
    def reached(mode: Mode) -> Manifest:
        ca = base64.b64encode(wanted.authority_pem).decode("ascii")
        if wanted.url:
            return {"url": wanted.url.rstrip("/") + PATHS[mode], "caBundle": ca}
        service = {
            "name": NAME,
            "namespace": wanted.namespace,
            "path": PATHS[mode],
            "port": SERVICE_PORT,
        }
        return {"service": service, "caBundle": ca}

    ours = () if wanted.url else (wanted.namespace,)
    for name, modes in CONFIGURATIONS.items():
        yield {
            "apiVersion": API,
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name, "labels": LABELS},
            "webhooks": [one for mode in modes for one in _webhooks(mode, reached, ours)],
        }


def _webhooks(
    mode: Mode, reached: Callable[[Mode], Manifest], ours: tuple[str, ...]
) -> Iterator[Manifest]:
    """Return the webhook of a mode for kinds that CEL can look into, and that for the others."""
    others = resource_rules(COMPLETED_ELSEWHERE)
    if mode == "warn":  # what has no namespace has no label either
        others += resource_rules(COMPLETED_CLUSTER_WIDE, "Cluster")
    for name, rules, more in (
        (mode, resource_rules(kinds_of(PLACES)), [cel.mentions_condition(PLACES)]),
        (f"{mode}-completed", others, []),
    ):
        yield {
            "name": f"{name}.lint.gpuyard.io",
            "admissionReviewVersions": ["v1"],
            "clientConfig": reached(mode),
            "failurePolicy": "Ignore",
            "matchConditions": [*cel.conditions(), *more],
            "namespaceSelector": {"matchExpressions": _namespaces(mode, ours)},
            "rules": rules,
            "sideEffects": "None",
            "timeoutSeconds": TIMEOUT_S,
        }


def _namespaces(mode: Mode, ours: tuple[str, ...]) -> list[Manifest]:
    if mode == "warn":
        chosen = everywhere_but(OFF, "audit", "enforce")
    else:
        chosen = everywhere_but(OFF)
        chosen[-1] = {"key": LABEL, "operator": "In", "values": [mode]}
    chosen[0]["values"] = [*SYSTEM_NAMESPACES, *ours]
    return chosen


# --- What runs in the cluster -------------------------------------------------------------------


def _inside(wanted: Wanted) -> Iterator[Manifest]:
    def of(api_version: str, kind: str, name: str, **more: object) -> Manifest:
        metadata = {"name": name, "namespace": wanted.namespace, "labels": LABELS}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}

    enforced = "pod-security.kubernetes.io/enforce"
    yield {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": wanted.namespace, "labels": {enforced: "restricted"}},
    }
    yield of("v1", "ServiceAccount", NAME, automountServiceAccountToken=False)
    if wanted.settings:
        yield of("v1", "ConfigMap", NAME, data={SETTINGS_NAME: wanted.settings})
    if wanted.pair_pem is not None:
        certificate, key = (base64.b64encode(one).decode("ascii") for one in wanted.pair_pem)
        data = {"tls.crt": certificate, "tls.key": key}
        yield of("v1", "Secret", f"{NAME}-tls", type="kubernetes.io/tls", data=data)
    yield of("apps/v1", "Deployment", NAME, spec=_deployment(wanted))
    yield of(
        "policy/v1",
        "PodDisruptionBudget",
        NAME,
        spec={"minAvailable": 1, "selector": {"matchLabels": LABELS}},
    )
    port = {"name": "https", "port": SERVICE_PORT, "targetPort": "https"}
    yield of("v1", "Service", NAME, spec={"selector": LABELS, "ports": [port]})


def _deployment(wanted: Wanted) -> Manifest:
    spread = {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": LABELS},
    }
    secret = {"secretName": f"{NAME}-tls", "defaultMode": 0o440}
    volumes: list[Manifest] = [{"name": "tls", "secret": secret}]
    if wanted.settings:
        volumes.append({"name": "config", "configMap": {"name": NAME}})
    pod = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [_container(wanted)],
        "volumes": volumes,
    }
    return {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": pod},
    }


def _container(wanted: Wanted) -> Manifest:
    mounts: list[Manifest] = [{"name": "tls", "mountPath": CERTIFICATES, "readOnly": True}]
    args = [
        "webhook",
        f"--listen=:{PORT}",
        f"--cert={CERTIFICATES}/tls.crt",
        f"--key={CERTIFICATES}/tls.key",
    ]
    if wanted.settings:
        args.append(f"--config={SETTINGS}/{SETTINGS_NAME}")
        mounts.append({"name": "config", "mountPath": SETTINGS, "readOnly": True})

    def probe(path: str) -> Manifest:
        return {"httpGet": {"path": path, "port": "https", "scheme": "HTTPS"}, "timeoutSeconds": 2}

    return {
        "name": "webhook",
        "image": wanted.image,
        "command": ["gpuyard"],
        "args": args,
        "ports": [{"name": "https", "containerPort": PORT}],
        "readinessProbe": probe("/readyz") | {"periodSeconds": 5},
        "livenessProbe": probe("/healthz") | {"periodSeconds": 20},
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
