"""Credentials against a real server: renewed, expired, printed by plugins, not believed."""

import asyncio
import datetime as dt
import json
import stat
import sys
import time

import msgspec
import pytest

from gpuyard.kube.authority import Authority
from gpuyard.kube.connect import connected
from gpuyard.kube.errors import CredentialError, KubeError, UnreachableError
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.local.credentials import user_of_pair
from gpuyard.local.site import ADMINS
from tests.cluster_world import (
    JSON,
    administered,
    make_service_account,
    run,
    send,
    unused_name,
    using,
)
from tests.processes import is_running, wait_until

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
HOUR = dt.timedelta(hours=1)


class UserInfo(msgspec.Struct):
    username: str
    groups: list[str] = []


async def who_am_i(connection):
    """Return as whom the server sees us."""
    answer = await send(connection.client, "POST", REVIEW, {}, headers=JSON)
    return msgspec.convert(answer["status"]["userInfo"], UserInfo)


def kubeconfig(cluster, user):
    return cluster.kubeconfig(unused_name(), user)


# --- Tokens in files ----------------------------------------------------------------------------


def test_a_token_file_that_is_rotated_counts_at_once(cluster, tmp_path):
    file = tmp_path / "token"

    async def work():
        async with administered(cluster) as (admin, namespace):
            file.write_text(await make_service_account(admin, namespace, "first"))
            async with using(kubeconfig(cluster, {"tokenFile": str(file)})) as connection:
                seen = await who_am_i(connection)
                assert seen.username == f"system:serviceaccount:{namespace}:first"
                renewed = tmp_path / "renewed"
                renewed.write_text(await make_service_account(admin, namespace, "second") + "\n")
                renewed.rename(file)
                seen = await who_am_i(connection)
                assert seen.username == f"system:serviceaccount:{namespace}:second"

    run(work)


def test_a_token_that_the_server_does_not_take_any_more_is_named_by_its_file(cluster, tmp_path):
    file = tmp_path / "token"

    async def work():
        async with administered(cluster) as (admin, namespace):
            account = f"/api/v1/namespaces/{namespace}/serviceaccounts/reader"
            file.write_text(await make_service_account(admin, namespace))
            await send(admin, "DELETE", account)
            async with using(kubeconfig(cluster, {"tokenFile": str(file)})) as connection:
                with pytest.raises(CredentialError, match="does not accept") as caught:
                    await who_am_i(connection)
                assert str(caught.value).endswith(f"renew {file}")
                assert file.read_text() not in str(caught.value)
                file.write_text(await make_service_account(admin, namespace))
                assert (await who_am_i(connection)).username.endswith(":reader")

    run(work)


def test_a_token_file_that_is_missing_for_a_moment_does_no_harm(cluster, tmp_path):
    file = tmp_path / "token"

    async def work():
        async with administered(cluster) as (admin, namespace):
            file.write_text(await make_service_account(admin, namespace))
            async with using(kubeconfig(cluster, {"tokenFile": str(file)})) as connection:
                await who_am_i(connection)
                file.unlink()
                assert (await who_am_i(connection)).username.endswith(":reader")

    run(work)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "no such file or directory", id="missing"),
        pytest.param("", "does not hold one token on one line", id="empty"),
        pytest.param("a\r\nX-Evil: b", "does not hold one token on one line", id="two lines"),
        pytest.param("pass word", "does not hold one token on one line", id="a space"),
        pytest.param("tökén", "does not hold one token on one line", id="no ASCII"),
    ],
)
def test_a_token_file_without_a_token(cluster, tmp_path, content, said):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)

    async def work():
        async with using(kubeconfig(cluster, {"tokenFile": str(file)})) as connection:
            with pytest.raises(CredentialError, match=said) as caught:
                await who_am_i(connection)
            assert str(file) in str(caught.value)

    run(work)


def test_a_token_that_cannot_be_sent_is_not_shown(cluster):
    async def work():
        async with using(kubeconfig(cluster, {"token": "geheim\nX-Evil: 1"})) as connection:
            with pytest.raises(CredentialError, match="a line break") as caught:
                await who_am_i(connection)
            assert "geheim" not in str(caught.value)

    run(work)


def test_a_wrong_token_is_refused_and_not_shown(cluster):
    async def work():
        async with using(kubeconfig(cluster, {"token": "geheim"})) as connection:
            with pytest.raises(CredentialError, match="does not accept") as caught:
                await who_am_i(connection)
            assert str(caught.value).startswith(f"POST {REVIEW}: {cluster.server}")
            assert "geheim" not in str(caught.value)

    run(work)


# --- Client certificates ------------------------------------------------------------------------


def test_a_certificate_by_file_that_is_renewed_opens_new_connections(cluster, tmp_path):
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def issue(name):
        pair = cluster.authority.client(name, [ADMINS])
        certificate.write_bytes(pair.certificate_pem)
        key.write_text(pair.key_pem.reveal())

    async def work():
        issue("anna")
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        async with using(kubeconfig(cluster, user)) as connection:
            assert (await who_am_i(connection)).username == "anna"
            issue("berta")
            assert (await who_am_i(connection)).username == "berta"

    run(work)


@pytest.mark.parametrize(
    ("valid_for", "said"),
    [
        pytest.param(-HOUR, ", which expired on ", id="expired"),
        pytest.param(HOUR, "", id="of another cluster"),
    ],
)
def test_a_certificate_that_is_not_believed(cluster, valid_for, said):
    authority = cluster.authority if said else Authority.new("gpuyard-local")
    pair = authority.client("anna", [ADMINS], valid_for)

    async def work():
        name = unused_name()
        file = cluster.kubeconfig(name, user_of_pair(pair))
        async with using(file) as connection:
            with pytest.raises(CredentialError, match="does not accept the credentials") as caught:
                await who_am_i(connection)
            assert f"renew the client certificate of user 'gpuyard-local'{said}" in str(
                caught.value
            )

    run(work)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"client-key-data": "b25lIGtleQ=="}, "not a PEM certificate", id="rubbish"),
        pytest.param({"client-key-data": None}, "half a client certificate", id="half of it"),
        pytest.param({"client-key-data": "?"}, "is not base64", id="not base64"),
    ],
)
def test_a_certificate_that_cannot_be_used(cluster, change, said):
    user = cluster.user("anna") | change
    file = kubeconfig(cluster, {key: value for key, value in user.items() if value})

    async def work():
        async with using(file) as connection:
            await who_am_i(connection)

    with pytest.raises(KubeError, match=said):
        run(work)


def test_a_key_of_another_certificate(cluster):
    user = cluster.user("anna") | {"client-key-data": cluster.user("berta")["client-key-data"]}

    async def work():
        async with using(kubeconfig(cluster, user)) as connection:
            with pytest.raises(CredentialError, match="the key belongs to another certificate"):
                await who_am_i(connection)

    run(work)


# --- Exec plugins -------------------------------------------------------------------------------


def plugin(tmp_path, body, **settings):
    """Return a kubeconfig's user whose plugin is a Python program with this body."""
    program = tmp_path / "plugin.py"
    program.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": str(program),
    }
    return {"exec": command | settings}


PRINT = """
said = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
with open({count!r}, "a") as file:
    file.write("x")
status = json.load(open({status!r}))
print(json.dumps({{"kind": "ExecCredential", "apiVersion": said["apiVersion"], "status": status}}))
"""


@pytest.fixture
def printing(tmp_path):
    """A plugin that prints what a file holds, and a function that says how often it ran."""
    status, count = tmp_path / "status", tmp_path / "count"
    user = plugin(tmp_path, PRINT.format(status=str(status), count=str(count)))
    return user, lambda value: status.write_text(json.dumps(value)), lambda: len(count.read_text())


def test_a_plugin_is_asked_once_and_again_when_the_server_refuses(cluster, printing):
    user, prints, runs = printing

    def issue(name, **valid):
        pair = cluster.authority.client(name, [ADMINS], **valid)
        printed = {"clientCertificateData": pair.certificate_pem.decode()}
        prints(printed | {"clientKeyData": pair.key_pem.reveal()})

    async def work():
        issue("clara", valid_for=dt.timedelta(seconds=2))  # which the plugin does not mention
        async with using(kubeconfig(cluster, user)) as connection:
            assert (await who_am_i(connection)).username == "clara"
            issue("dora")
            assert (await who_am_i(connection)).username == "clara"
            assert runs() == 1
            await asyncio.sleep(2.5)
            assert (await who_am_i(connection)).username == "dora"
            assert runs() == 2

    run(work)


def test_a_plugin_runs_again_before_what_it_printed_ends(cluster, printing):
    user, prints, runs = printing

    async def work():
        async with administered(cluster) as (admin, namespace):
            token = await make_service_account(admin, namespace)
            async with using(kubeconfig(cluster, user)) as connection:
                for ends_in_s, expected in ((5, 1), (3600, 2), (3600, 2)):
                    ends = dt.datetime.now(tz=dt.UTC) + dt.timedelta(seconds=ends_in_s)
                    prints({"token": token, "expirationTimestamp": ends.isoformat()})
                    await who_am_i(connection)
                    assert runs() == expected

    run(work)


def test_a_plugin_whose_credentials_are_refused_is_run_only_once_more(cluster, printing):
    user, prints, runs = printing
    prints({"token": "geheim"})

    async def work():
        async with using(kubeconfig(cluster, user)) as connection:
            with pytest.raises(CredentialError, match="does not accept") as caught:
                await who_am_i(connection)
            assert "log in again for the exec plugin" in str(caught.value)
            assert "geheim" not in str(caught.value)

    run(work)
    assert runs() == 2


def test_a_plugin_that_hangs_is_named_with_its_time_and_ended(cluster, tmp_path):
    child = tmp_path / "child"
    hang = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"])
open({str(child)!r}, "w").write(str(child.pid))
child.wait()
"""
    user = plugin(tmp_path, hang)

    async def work():
        wish = Wish(kubeconfig=str(kubeconfig(cluster, user)))
        async with connected(wish, environ={}, exec_seconds_max=1.5) as connection:
            with pytest.raises(CredentialError) as caught:
                await who_am_i(connection)
            said = f"exec plugin '{tmp_path / 'plugin.py'}': no answer within 1.5 s"
            assert said in str(caught.value)

    began = time.monotonic()
    run(work)
    assert time.monotonic() - began < 20
    wait_until(lambda: not is_running(int(child.read_text())))


# --- Whom we believe ----------------------------------------------------------------------------


def access_to(cluster, **trust):
    access = find(Wish(kubeconfig=str(cluster.admin_kubeconfig)), {})
    return msgspec.structs.replace(access, trust=msgspec.structs.replace(access.trust, **trust))


@pytest.mark.parametrize(
    ("trust", "said"),
    [
        pytest.param(
            {"ca_pem": Authority.new("gpuyard-local").pair.certificate_pem},
            "is signed by an authority that is not trusted here",
            id="an authority of the same name",
        ),
        pytest.param({"ca_pem": None}, "not trusted here", id="the system's authorities"),
        pytest.param({"server_name": "other.example"}, "belongs to somebody else", id="name"),
    ],
)
def test_a_server_that_does_not_prove_itself(cluster, trust, said):
    async def work():
        async with connected(access_to(cluster, **trust), environ={}) as connection:
            with pytest.raises(UnreachableError, match=said) as caught:
                await who_am_i(connection)
            assert caught.value.fault == "tls"

    run(work)


@pytest.mark.parametrize(
    "trust",
    [
        pytest.param({"server_name": "kubernetes.default.svc"}, id="another of its names"),
        pytest.param({"ca_pem": None, "insecure": True}, id="nothing is verified"),
    ],
)
def test_a_server_that_is_believed(cluster, trust):
    async def work():
        async with connected(access_to(cluster, **trust), environ={}) as connection:
            assert (await who_am_i(connection)).username == "admin"

    run(work)
