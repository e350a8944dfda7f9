"""Where there is a cluster: the kubeconfig that is named or usual, else the pod's own.

The order is kubectl's: a named file counts alone; then ``KUBECONFIG`` or ``~/.kube/config``; and
only where none of these says anything, the service account of the pod that we run in.
"""

from collections.abc import Mapping
from pathlib import Path

from gpuyard.kube.access import Access
from gpuyard.kube.errors import KubeconfigError
from gpuyard.kube.kubeconfig import files
from gpuyard.kube.kubeconfig.choose import Wish, choose
from gpuyard.kube.kubeconfig.in_cluster import SERVICE_ACCOUNT_FOLDER, in_cluster, is_pod


def find(wish: Wish, environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT_FOLDER) -> Access:
    """Return the way into the cluster that `wish` and the environment point to.

    Raises
    ------
    KubeconfigError
        where there is none, or what there is cannot be used.

    """
    merged = files.load(wish.kubeconfig, environ)
    if merged.contexts or wish.kubeconfig or wish.context:
        _demand_something(merged.files, environ)
        return choose(merged, wish, environ)
    if is_pod(environ, folder):
        return in_cluster(environ, wish, folder)
    _demand_something(merged.files, environ)
    return choose(merged, wish, environ)


def _demand_something(read: tuple[Path, ...], environ: Mapping[str, str]) -> None:
    if read:
        return
    looked = ", ".join(map(str, files.candidates(environ)))
    raise KubeconfigError(
        f"looking for a cluster: {looked} does not exist, and this is no pod; name a kubeconfig"
        " with --kubeconfig or KUBECONFIG"
    )
