"""The keeper and its owner, with programs that only sleep."""

import os
import signal
import ssl
import stat
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gpuyard.kube.authority import Authority, signing_key
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.kube.secret import Secret
from gpuyard.local import kept as kept_module
from gpuyard.local.credentials import kubeconfig_text, user_of_token, write_private
from gpuyard.local.errors import LocalError
from gpuyard.local.kept import Kept, sweep
from gpuyard.local.ports import free_ports
from tests.processes import SECONDS_MAX, is_running, wait_until


@pytest.fixture
def own_temp(tmp_path, monkeypatch):
    """A place for temporary files that nobody else uses."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def kept(own_temp):
    """A folder with its keeper, ended in any case."""
    one = Kept()
    yield one
    one.end()
    assert not one.folder.exists()


def test_programs_start_speak_and_end(kept):
    kept.start("talker", ["sh", "-c", "echo one; echo two >&2; exit 3"])
    wait_until(lambda: kept.has_ended("talker") is not None)
    assert kept.has_ended("talker") == 3
    assert kept.last_words("talker") == "two"
    assert kept.tail_of_all() == "one\ntwo\n"
    sleeper = kept.start("sleeper", ["sleep", "600"])
    assert kept.has_ended("sleeper") is None
    kept.signal("sleeper", signal.SIGTERM)
    wait_until(lambda: kept.has_ended("sleeper") is not None)
    assert kept.has_ended("sleeper") == -signal.SIGTERM
    assert not is_running(sleeper)


def test_a_program_that_says_nothing(kept):
    kept.start("quiet", ["true"])
    assert kept.last_words("quiet") == "it said nothing"
    assert kept.last_words("nobody") == "it said nothing"


def test_a_program_that_cannot_be_started(kept):
    with pytest.raises(LocalError, match=r"starting x: .*No such file.*; is /no/such for this"):
        kept.start("x", ["/no/such"])


def test_the_end_is_the_end_of_all(own_temp):
    one = Kept()
    deaf = one.start("deaf", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    began = time.monotonic()
    one.end()
    assert time.monotonic() - began < SECONDS_MAX
    assert not is_running(deaf)
    assert list(own_temp.iterdir()) == []
    one.end()


def test_a_keeper_that_does_not_end_is_killed_with_its_programs(own_temp, monkeypatch):
    monkeypatch.setattr(kept_module, "END_SECONDS_MAX", 0.5)
    one = Kept()
    sleeper = one.start("sleeper", ["sleep", "600"])
    os.kill(one._keeper.pid, signal.SIGSTOP)
    one.end()
    wait_until(lambda: not is_running(sleeper))
    assert list(own_temp.iterdir()) == []


def test_a_keeper_that_is_told_to_end_leaves_nothing(own_temp):
    one = Kept()
    sleeper = one.start("sleeper", ["sleep", "600"])
    os.kill(one._keeper.pid, signal.SIGTERM)
    wait_until(lambda: not one.folder.exists())
    assert not is_running(sleeper)
    one.end()


def test_a_terminals_interrupt_is_not_for_the_keeper(kept):
    kept.start("first", ["true"])
    os.kill(kept._keeper.pid, signal.SIGINT)
    os.kill(kept._keeper.pid, signal.SIGHUP)
    kept.start("still", ["true"])


def test_the_folder_is_private_and_locked(kept):
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    sweep()
    assert kept.folder.exists()


def test_a_sweep_removes_what_is_nobodys(own_temp):
    abandoned = own_temp / "gpuyard-cluster-old"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    unfinished = own_temp / "gpuyard-cluster-new"
    unfinished.mkdir()
    other = own_temp / "other"
    other.mkdir()
    sweep()
    assert {path.name for path in own_temp.iterdir()} == {"gpuyard-cluster-new", "other"}


def test_ports_are_different():
    assert len(set(free_ports(20))) == 20


# --- Private files ------------------------------------------------------------------------------


def test_a_private_file_is_private_from_the_first_byte(tmp_path):
    before = os.umask(0)
    try:
        file = write_private(tmp_path / "key", b"one")
        write_private(file, b"two")
    finally:
        os.umask(before)
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_kubeconfig_is_read_back(tmp_path):
    file = tmp_path / "config"
    file.write_bytes(kubeconfig_text("https://127.0.0.1:1", b"pem", user_of_token(Secret("t"))))
    access = find(Wish(kubeconfig=str(file)), {})
    assert (access.server, access.trust.ca_pem) == ("https://127.0.0.1:1", b"pem")
    assert access.login.token == Secret("t")


# --- Certificates -------------------------------------------------------------------------------


def test_what_an_authority_signs_is_believed(tmp_path):
    authority = Authority.new("test")
    again = Authority(authority.pair)
    for pair in (again.server(["127.0.0.1", "a.example"]), authority.client("anna", ["g"])):
        (tmp_path / "x.pem").write_bytes(pair.certificate_pem + pair.key_pem.reveal().encode())
        context = ssl.create_default_context(cadata=authority.pair.certificate_pem.decode())
        context.load_cert_chain(tmp_path / "x.pem")
    assert signing_key().reveal().startswith("-----BEGIN EC PRIVATE KEY-----")


def test_an_authority_of_another_kind_is_refused():
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pair = Authority.new("test").pair
    with pytest.raises(TypeError, match="elliptic curve"):
        Authority(type(pair)(pair.certificate_pem, Secret(key.decode())))
