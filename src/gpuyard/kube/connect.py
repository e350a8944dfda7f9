"""From a kubeconfig to an open client, in one step.

    async with connected(Wish(context="prod")) as cluster:
        nodes = await list_all(cluster.client, resource, Node)

The warnings of the access (nothing is verified) are the caller's to show.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping

import msgspec

from gpuyard.kube.access import Access
from gpuyard.kube.client import Client
from gpuyard.kube.http_transport import HttpTransport, Patience
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.kube.login.exec_plugin import EXEC_SECONDS_MAX
from gpuyard.kube.login.sources import source_of


class Connected(msgspec.Struct, frozen=True):
    """A cluster that can be asked, and how we got there."""

    access: Access
    client: Client


@contextlib.asynccontextmanager
async def connected(
    wish: Wish | Access | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    patience: Patience | None = None,
    exec_seconds_max: float = EXEC_SECONDS_MAX,
) -> AsyncIterator[Connected]:
    """Open the cluster that `wish` names; nothing is sent yet.

    Raises
    ------
    KubeconfigError
        where there is no cluster, or its kubeconfig cannot be used.

    """
    access = wish if isinstance(wish, Access) else find(wish or Wish(), environ)
    source = source_of(access.login, exec_seconds_max=exec_seconds_max)
    transport = HttpTransport(access, source=source, patience=patience)
    async with Client(transport, server=access.server) as client:
        yield Connected(access, client)
