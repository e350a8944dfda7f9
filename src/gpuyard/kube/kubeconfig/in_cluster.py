"""The way in from inside a pod: its service account.

Kubernetes mounts token, CA and namespace into each pod and renews the token there, so the token is
named as a file, never read once and kept.

Semantics: client-go v0.36, rest/config.go (`InClusterConfig`).
"""

from collections.abc import Mapping
from pathlib import Path

from gpuyard.kube.access import Access, Login, Trust
from gpuyard.kube.errors import KubeconfigError
from gpuyard.kube.kubeconfig.choose import NAMESPACE_DEFAULT, Wish, impersonation
from gpuyard.kube.kubeconfig.schema import User

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def is_pod(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT_FOLDER) -> bool:
    """Say whether this process runs in a pod that may talk to its API server."""
    addressed = environ.get("KUBERNETES_SERVICE_HOST") and environ.get("KUBERNETES_SERVICE_PORT")
    return bool(addressed) and (folder / "token").exists()


def in_cluster(
    environ: Mapping[str, str], wish: Wish, folder: Path = SERVICE_ACCOUNT_FOLDER
) -> Access:
    """Return the way to the API server of the cluster that this pod runs in.

    Raises
    ------
    KubeconfigError
        where the mounted CA cannot be read, or groups without a user are to be acted as.

    """
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
    shown = f"[{host}]" if ":" in host else host
    try:
        ca_pem = (folder / "ca.crt").read_bytes()
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise KubeconfigError(
            f"reading the pod's service account: {folder / 'ca.crt'}: {reason};"
            " does the pod set automountServiceAccountToken?"
        ) from None
    return Access(
        origin="the pod's service account",
        context="in-cluster",
        cluster="in-cluster",
        namespace=wish.namespace or _namespace(folder),
        server=f"https://{shown}:{port}",
        trust=Trust(ca_pem=ca_pem),
        login=Login(user="service account", token_file=folder / "token"),
        impersonation=impersonation("service account", User(), wish),
    )


def _namespace(folder: Path) -> str:
    try:
        return (folder / "namespace").read_text(encoding="utf-8").strip() or NAMESPACE_DEFAULT
    except OSError:
        return NAMESPACE_DEFAULT
