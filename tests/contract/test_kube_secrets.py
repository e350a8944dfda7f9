"""Nothing secret leaves: not in the loudest logs, not in reprs, not in errors or tracebacks."""

import base64
import contextlib
import logging
import pickle
import traceback

import msgspec
import pytest

from gpuyard.kube.connect import connected
from gpuyard.kube.errors import KubeError
from gpuyard.kube.kubeconfig import files
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.kube.secret import Secret
from tests.cluster_world import administered, make_service_account, run, send, unused_name
from tests.tcp_proxies import tunnel

PATH = "/api/v1/namespaces"
EXTENSION = {
    "name": "client.authentication.k8s.io/exec",
    "extension": {"password": "geheime-erweiterung"},
}


@pytest.fixture
def heard(caplog):
    """A function that returns everything that was logged, at the loudest."""
    caplog.set_level(logging.DEBUG)
    for name in logging.root.manager.loggerDict:
        logging.getLogger(name).setLevel(logging.DEBUG)
    return lambda: "\n".join(f"{one.getMessage()} {one.args}" for one in caplog.records)


def forms(secret):
    """Return a secret as it is, and as base64 and bytes would show it."""
    return {secret, base64.b64encode(secret.encode()).decode(), repr(secret.encode())[2:-1]}


async def attempt(access):
    """Send requests as somebody and return what a person could see of it, errors included."""
    shown = [repr(access), str(access), repr(access.login), repr(access.proxy)]
    with contextlib.suppress(KubeError):
        async with connected(access, environ={}) as connection:
            shown += [repr(connection), repr(connection.client), repr(connection.client.transport)]
            try:
                await send(connection.client, "GET", PATH)
            except KubeError as error:
                shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
    return "\n".join(shown)


def users(cluster, token, tmp_path):
    """Return every way to log in, and the secrets of each."""
    pair = cluster.user("anna")
    key = base64.b64decode(pair["client-key-data"]).decode().splitlines()[1]
    half = pair | {"client-key-data": base64.b64encode(b"geheimer Rest").decode()}
    printing = tmp_path / "plugin"
    printing.write_text(f'#!/bin/sh\necho \'{{"token": "{token}"}}\'\n')
    printing.chmod(0o700)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": str(printing),
        "args": ["--password=geheimes-argument"],
        "env": [{"name": "PASSWORD", "value": "geheime-variable"}],
        "provideClusterInfo": True,
    }
    (tmp_path / "token").write_text(token)
    return [
        ({"token": token}, [token]),
        ({"token": f"{token}\nbroken"}, [token]),
        ({"token": f"{token}x"}, [token]),
        ({"tokenFile": str(tmp_path / "token")}, [token]),
        ({"username": "anna", "password": "geheimes-passwort"}, ["geheimes-passwort"]),
        (pair, [key, pair["client-key-data"]]),
        (half, ["geheimer Rest"]),
        ({"exec": plugin}, [token, "geheimes-argument", "geheime-variable"]),
    ]


def test_secrets_are_nowhere_to_be_seen(cluster, heard, tmp_path):
    async def work():
        async with administered(cluster) as (admin, namespace):
            token = await make_service_account(admin, namespace)
            async with tunnel("anna:geheimer-proxy") as (address, _):
                for user, secrets in users(cluster, token, tmp_path):
                    file = cluster.kubeconfig(unused_name(), user)
                    proxied = tmp_path / "proxied"
                    config = msgspec.json.decode(file.read_bytes())
                    config["clusters"][0]["cluster"] |= {
                        "proxy-url": address.replace("//", "//anna:geheimer-proxy@"),
                        "extensions": [EXTENSION],
                    }
                    proxied.write_bytes(msgspec.json.encode(config))
                    seen = ""
                    for one in (file, proxied):
                        seen += repr(files.load(str(one), {}))
                        seen += await attempt(find(Wish(kubeconfig=str(one)), {}))
                    seen += heard()
                    for secret in [*secrets, "geheimer-proxy", "geheime-erweiterung"]:
                        assert [form for form in forms(secret) if form in seen] == []
            assert "connect_tcp" in heard()  # the loudest logs were listened to

    run(work)


def test_what_is_logged_of_a_request_is_its_address(cluster, heard):
    async def work():
        access = find(Wish(kubeconfig=str(cluster.admin_kubeconfig)), {})
        await attempt(access)
        assert PATH in heard()

    run(work)


def test_a_secret_can_be_compared_but_not_written_down():
    secret = Secret("geheim")
    assert secret == Secret("geheim")
    assert secret != Secret("anderes")
    assert len({secret, Secret("geheim")}) == 1
    assert (str(secret), f"{secret}", repr([secret])) == ("Secret(…)", "Secret(…)", "[Secret(…)]")
    assert (bool(secret), bool(Secret(""))) == (True, False)
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
