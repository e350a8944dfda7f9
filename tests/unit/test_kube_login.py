"""Where credentials come from at the moment of use, without a server."""

import asyncio
import datetime as dt
import json
import os
import sys
import time

import pytest
from hypothesis import given, strategies as st

from gpuyard.kube.access import CertificateFiles, ExecCommand, Login
from gpuyard.kube.authority import Authority
from gpuyard.kube.errors import CredentialError
from gpuyard.kube.login import exec_plugin, files
from gpuyard.kube.login.exec_plugin import ExecPluginSource
from gpuyard.kube.login.files import WatchedFile
from gpuyard.kube.login.sources import source_of
from gpuyard.kube.login.validity import validity
from gpuyard.kube.secret import Secret, SecretJson
from tests.processes import is_running, wait_until

V1 = "client.authentication.k8s.io/v1"
AUTHORITY = Authority.new("test")


def identity(source):
    return asyncio.run(source.identity())


# --- Files --------------------------------------------------------------------------------------


def test_a_file_is_read_again_when_it_is_another(tmp_path):
    path = tmp_path / "token"
    path.write_text("one")
    file = WatchedFile(path, "token file")
    assert file.content() == b"one"
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").rename(path)
    assert file.content() == b"two"


def test_a_file_behind_a_link_is_read_again_when_the_link_moves(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "token"
    link.symlink_to(tmp_path / "a")
    file = WatchedFile(link, "token file")
    assert file.content() == b"a"
    link.unlink()
    link.symlink_to(tmp_path / "b")
    assert file.content() == b"b"


def test_forgetting_says_whether_there_is_something_new(tmp_path):
    path = tmp_path / "token"
    path.write_text("one")
    file = WatchedFile(path, "token file")
    file.content()
    assert file.forget() is False
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a change that hides itself
    assert file.content() == b"one"
    assert file.forget() is True
    assert file.content() == b"two"
    path.unlink()
    assert file.forget() is False


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CREDENTIAL_BYTES_MAX", 8)
    path = tmp_path / "token"
    path.write_text("123456789")
    with pytest.raises(CredentialError, match="larger than 8 bytes"):
        WatchedFile(path, "token file").content()


# --- A user's parts together --------------------------------------------------------------------


def test_nobody_has_no_credentials():
    nobody = source_of(Login(user=""))
    assert identity(nobody).authorization is None
    assert (nobody.forget(), nobody.remedy()) == (False, "name a user")


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        pytest.param({"token": Secret("t")}, "Bearer t", id="token"),
        pytest.param(
            {"basic": ("anna", Secret("pässword"))}, "Basic YW5uYTpww6Rzc3dvcmQ=", id="password"
        ),
        pytest.param({"token": Secret("t"), "basic": ("a", Secret("b"))}, "Bearer t", id="both"),
    ],
)
def test_what_is_sent(login, expected):
    assert identity(source_of(Login(user="a", **login))).authorization.reveal() == expected


def test_a_token_counts_until_its_file_is_there(tmp_path):
    file = tmp_path / "token"
    source = source_of(Login(user="a", token=Secret("first"), token_file=file))
    assert identity(source).authorization.reveal() == "Bearer first"
    file.write_text("second\n")
    assert identity(source).authorization.reveal() == "Bearer second"
    assert source.remedy() == f"renew {file}"


def test_a_certificate_and_a_token_go_together(tmp_path):
    (tmp_path / "tls.crt").write_bytes(b"pem")
    certificate = CertificateFiles(certificate=tmp_path / "tls.crt", key=Secret("key"))
    source = source_of(Login(user="a", token=Secret("t"), certificate=certificate))
    found = identity(source)
    assert found.authorization.reveal() == "Bearer t"
    assert found.certificate.certificate_pem == b"pem"
    assert found.certificate.key_pem.reveal() == "key"
    (tmp_path / "tls.crt").write_bytes(b"new")
    assert identity(source).certificate.certificate_pem == b"new"
    assert "renew the token of 'a', or renew the client certificate of user 'a'" in source.remedy()


# --- Dates of certificates ----------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, 1, 10_000, 36_500], ids=["over", "short", "long", "2126"])
def test_when_a_certificate_ends(days):
    valid_for = dt.timedelta(days=days)
    expected = dt.datetime.now(tz=dt.UTC) + valid_for
    pair = AUTHORITY.client("a", (), valid_for)
    found = validity(pair.certificate_pem)
    assert abs(found.ends - expected) < dt.timedelta(minutes=1)
    assert found.begins < found.ends


def test_a_certificate_is_found_behind_other_text():
    pem = b"subject=/CN=a\n" + AUTHORITY.client("a").certificate_pem
    assert validity(pem) == validity(AUTHORITY.client("a").certificate_pem)


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_damaged_certificate_has_dates_or_none(place, byte):
    pem = bytearray(AUTHORITY.pair.certificate_pem)
    pem[place % len(pem)] = byte
    found = validity(bytes(pem))
    assert found is None or found.begins.tzinfo is not None


@given(st.binary(max_size=80))
def test_any_bytes_have_dates_or_none(content):
    assert validity(content) is None
    pem = b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----"
    assert validity(pem) is None


def test_a_remedy_names_the_date():
    pair = AUTHORITY.client("a", (), dt.timedelta(days=-3))
    certificate = CertificateFiles(certificate=pair.certificate_pem, key=pair.key_pem)
    said = source_of(Login(user="a", certificate=certificate)).remedy()
    ended = dt.datetime.now(tz=dt.UTC) - dt.timedelta(days=3)
    assert f"user 'a', which expired on {ended:%Y-%m-%d}" in said


# --- Exec plugins -------------------------------------------------------------------------------


def python_plugin(body, **settings):
    """Return a source whose plugin is a line of Python."""
    command = ExecCommand(
        command=sys.executable,
        arguments=(Secret("-c"), Secret(f"import json, os, sys, time; {body}")),
        api_version=V1,
        **settings,
    )
    return ExecPluginSource("anna", command, seconds_max=10)


def printed(status, *, api_version=V1, kind="ExecCredential"):
    return json.dumps({"kind": kind, "apiVersion": api_version, "status": status})


def test_a_plugin_is_told_what_is_wanted(tmp_path):
    told = tmp_path / "told"
    body = (
        f"open({str(told)!r}, 'w').write(json.dumps([os.environ['KUBERNETES_EXEC_INFO'],"
        " os.environ['EXTRA'], sys.stdin.read()]));"
        f"print({printed({'token': 't'})!r})"
    )
    environment = (("EXTRA", Secret("x")),)
    source = python_plugin(
        body, environment=environment, cluster_info=SecretJson.of({"server": "https://a"})
    )
    assert identity(source).authorization.reveal() == "Bearer t"
    information, extra, standard_input = json.loads(told.read_text())
    assert json.loads(information) == {
        "kind": "ExecCredential",
        "apiVersion": V1,
        "spec": {"interactive": False, "cluster": {"server": "https://a"}},
    }
    assert (extra, standard_input) == ("x", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("print('geheim')", "is no ExecCredential", id="rubbish"),
        pytest.param("pass", "is no ExecCredential", id="nothing"),
        pytest.param("sys.stdout.buffer.write(b'\\xff')", "is no ExecCredential", id="bytes"),
        pytest.param("print('[' * 100000)", "is no ExecCredential", id="nested too deeply"),
        pytest.param(f"print({printed({}, kind='Secret')!r})", "is no ExecCredential", id="kind"),
        pytest.param(f"print({printed({})!r})", "neither a token nor", id="no credentials"),
        pytest.param(f"print({printed(None)!r})", "neither a token nor", id="no status"),
        pytest.param(
            f"print({printed({'clientCertificateData': 'geheim'})!r})", "half a client", id="half"
        ),
        pytest.param(
            f"print({printed({'token': 'geheim'}, api_version='v2')!r})",
            "it answered in apiVersion 'v2' where the kubeconfig says",
            id="another protocol",
        ),
        pytest.param(
            f"print({printed({'token': 5})!r})", "is no ExecCredential", id="another type"
        ),
        pytest.param(
            "print('geheim'); sys.stderr.write('a\\nlog in first\\x1b[0m\\n'); sys.exit(3)",
            "it failed with status 3 (log in first[0m); run it by hand",
            id="it fails, and says why",
        ),
        pytest.param("os.kill(os.getpid(), 9)", "it failed with status -9;", id="it is killed"),
    ],
)
def test_a_plugin_that_gives_nothing(body, said):
    with pytest.raises(CredentialError) as caught:
        identity(python_plugin(body))
    assert said in str(caught.value)
    assert str(caught.value).startswith(
        f"getting credentials for user 'anna' from exec plugin '{sys.executable}': "
    )
    assert "geheim" not in str(caught.value)


def test_a_plugin_that_prints_without_end(monkeypatch):
    monkeypatch.setattr(exec_plugin, "OUTPUT_BYTES_MAX", 1000)
    with pytest.raises(CredentialError, match="it printed more than 1000 bytes"):
        identity(python_plugin("print('x' * 10_000_000)"))


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        pytest.param("", "install it, or correct its name", id="no hint"),
        pytest.param("pip install it\n", "no such file or directory; pip install it", id="a hint"),
    ],
)
def test_a_plugin_that_is_not_there(hint, said):
    command = ExecCommand(command="no-such-plugin", api_version=V1, install_hint=hint)
    with pytest.raises(CredentialError, match=said):
        identity(ExecPluginSource("anna", command))


def test_a_plugin_runs_once_for_all_who_wait(tmp_path):
    count = tmp_path / "count"
    body = (
        f"open({str(count)!r}, 'a').write('x'); time.sleep(0.2);print({printed({'token': 't'})!r})"
    )

    async def ask_together(source):
        return await asyncio.gather(*(source.identity() for _ in range(5)))

    found = asyncio.run(ask_together(python_plugin(body)))
    assert {one.authorization.reveal() for one in found} == {"Bearer t"}
    assert count.read_text() == "x"


def test_a_plugin_is_ended_when_nobody_waits_any_more(tmp_path):
    process = tmp_path / "process"
    body = f"open({str(process)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    async def cancelled(source):
        task = asyncio.create_task(source.identity())
        while not process.exists() or not process.read_text():  # noqa: ASYNC110  not our process
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled(python_plugin(body)))
    wait_until(lambda: not is_running(int(process.read_text())))


@pytest.mark.parametrize(
    ("ends_in_s", "runs"),
    [
        pytest.param(None, 1, id="it never says"),
        pytest.param(3600, 1, id="far away"),
        pytest.param(5, 2, id="about to end"),
        pytest.param(-5, 2, id="over before it began"),
    ],
)
def test_how_long_a_plugins_answer_counts(tmp_path, ends_in_s, runs):
    count = tmp_path / "count"
    status = {"token": "t"}
    if ends_in_s is not None:
        ends = dt.datetime.fromtimestamp(time.time() + ends_in_s, tz=dt.UTC)
        status["expirationTimestamp"] = ends.isoformat().replace("+00:00", "Z")
    body = f"open({str(count)!r}, 'a').write('x'); print({printed(status)!r})"

    async def ask_twice(source):
        await source.identity()
        await source.identity()

    asyncio.run(ask_twice(python_plugin(body)))
    assert count.read_text() == "x" * runs
