"""A small world inside the real API server: who asks, in which namespace, with which objects."""

import asyncio
import contextlib
import itertools
import os

import msgspec

from gpuyard.kube.connect import connected
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.resources import Resource
from gpuyard.kube.transport import Request

CONFIG_MAPS = Resource(
    group="", version="v1", kind="ConfigMap", plural="configmaps", is_namespaced=True
)
NAMESPACES = Resource(
    group="", version="v1", kind="Namespace", plural="namespaces", is_namespaced=False
)
JSON = (("Content-Type", "application/json"),)
RBAC = "/apis/rbac.authorization.k8s.io/v1"

_numbers = itertools.count(1)


def run(work):
    """Run a test's coroutine; nothing in this room takes longer than a minute."""

    async def bounded():
        async with asyncio.timeout(60):
            return await work()

    return asyncio.run(bounded())


def unused_name(stem="test"):
    """Return a name that no other test of this run has, in whatever worker."""
    return f"{stem}-{os.getpid()}-{next(_numbers)}"


def using(kubeconfig, **wish):
    """Return a connection as the user of a kubeconfig."""
    return connected(Wish(kubeconfig=str(kubeconfig), **wish), environ={})


async def send(client, method, path, value=None, *, headers=JSON):
    """Send one request that may change something, and return what came back."""
    body = None if value is None else msgspec.json.encode(value)
    request = Request(method=method, path=path, headers=headers, body=body, repeatable=False)
    reply = await client.send(request, doing=f"{method} {path}")
    return msgspec.json.decode(reply.body)


@contextlib.asynccontextmanager
async def administered(site):
    """Give the administrator's connection and a namespace that is made and removed."""
    async with using(site.admin_kubeconfig) as admin:
        name = unused_name()
        await send(admin.client, "POST", NAMESPACES.path(), {"metadata": {"name": name}})
        try:
            yield admin.client, name
        finally:
            await send(admin.client, "DELETE", NAMESPACES.path(name=name))


async def make_config_maps(client, namespace, count, **labels):
    """Create config maps that are called cm-00000, cm-00001 and so on."""
    gate = asyncio.Semaphore(16)

    async def make(number):
        metadata = {"name": f"cm-{number:05}", "labels": labels}
        value = {"metadata": metadata, "data": {"number": str(number)}}
        async with gate:
            await send(client, "POST", CONFIG_MAPS.path(namespace), value)

    await asyncio.gather(*map(make, range(count)))


async def make_service_account(client, namespace, name="reader"):
    """Create a service account and return a token for it."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    await send(client, "POST", path, {"metadata": {"name": name}})
    wanted = {"spec": {"expirationSeconds": 600}}
    answer = await send(client, "POST", f"{path}/{name}/token", wanted)
    return answer["status"]["token"]


async def grant(client, namespace, account, *rules):
    """Give a service account rights in its namespace: (verbs, group, resources)."""
    role = {
        "metadata": {"name": "granted"},
        "rules": [
            {"verbs": verbs, "apiGroups": [group], "resources": resources}
            for verbs, group, resources in rules
        ],
    }
    binding = {
        "metadata": {"name": "granted"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "granted"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    await send(client, "POST", f"{RBAC}/namespaces/{namespace}/roles", role)
    await send(client, "POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
