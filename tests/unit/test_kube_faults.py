"""What a failed connection means, in words of ours: the library's are not for people."""

import errno
import os
import socket
import ssl

import httpx2
import pytest

from gpuyard.kube.access import Trust
from gpuyard.kube.authority import Authority
from gpuyard.kube.errors import CredentialError, KubeconfigError
from gpuyard.kube.faults import unreachable
from gpuyard.kube.login.identity import ClientCertificate
from gpuyard.kube.secret import Secret
from gpuyard.kube.tls import context_for, explain

SERVER = "https://api:6443"
AUTHORITY = Authority.new("test")


def caused(error, cause):
    error.__cause__ = cause
    return error


def refused(number):
    return caused(httpx2.ConnectError("x"), OSError(number, "Connect call failed ('10.0.0.1', 1)"))


def tls(reason, kind=ssl.SSLError):
    error = kind(1, "x")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "fault", "said"),
    [
        pytest.param(
            refused(errno.ECONNREFUSED), "connect", "(connection refused)", id="nobody listens"
        ),
        pytest.param(
            refused(errno.EHOSTUNREACH),
            "connect",
            os.strerror(errno.EHOSTUNREACH).lower(),
            id="no way",
        ),
        pytest.param(
            caused(httpx2.ConnectError("x"), socket.gaierror(-2, "Name or service not known")),
            "connect",
            "(its name is not known)",
            id="no such name",
        ),
        pytest.param(
            caused(
                httpx2.ConnectError("x"),
                ExceptionGroup("all", [OSError(errno.ENETUNREACH, "Connect call failed")]),
            ),
            "connect",
            "(network is unreachable)",
            id="several addresses, none reachable",
        ),
        pytest.param(httpx2.ConnectError("x"), "connect", "(no connection)", id="no reason"),
        pytest.param(
            httpx2.ConnectTimeout("x"), "connect", "(no connection in time)", id="no answer"
        ),
        pytest.param(httpx2.ReadTimeout("x"), "silent", "says nothing any more", id="silence"),
        pytest.param(httpx2.PoolTimeout("x"), "silent", "says nothing any more", id="all busy"),
        pytest.param(httpx2.ReadError("x"), "cut", "broke off in the middle", id="cut"),
        pytest.param(httpx2.RemoteProtocolError("x"), "cut", "broke off", id="half an answer"),
        pytest.param(httpx2.DecodingError("x"), "cut", "broke off", id="half a gzip"),
        pytest.param(tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "tls", "it wants", id="bare TLS"),
        pytest.param(ConnectionResetError(104, "x"), "connect", "connection reset", id="bare OS"),
        pytest.param(
            caused(httpx2.ReadError("x"), ssl.SSLEOFError(8, "EOF")),
            "cut",
            "broke off",
            id="TLS end",
        ),
        pytest.param(
            caused(httpx2.ReadTimeout("x"), ssl.SSLWantReadError(2, "x")),
            "silent",
            "says nothing",
            id="silence inside TLS",
        ),
        pytest.param(
            caused(httpx2.ReadError("x"), tls("TLSV13_ALERT_CERTIFICATE_REQUIRED")),
            "tls",
            "it wants a client certificate; name a user that has one",
            id="a certificate is wanted",
        ),
    ],
)
def test_what_a_failure_means(error, fault, said):
    found = unreachable(error, SERVER, "")
    assert found.fault == fault
    assert said in str(found)
    assert SERVER in str(found)
    assert "10.0.0.1" not in str(found)


def test_a_proxy_is_named_on_the_way():
    said = str(unreachable(refused(errno.ECONNREFUSED), SERVER, "proxy:3128"))
    assert said.startswith(f"{SERVER} through the proxy proxy:3128 cannot be reached")
    found = unreachable(httpx2.ProxyError("407 Proxy Authentication Required"), SERVER, "proxy:1")
    assert found.fault == "proxy"
    assert "(407 Proxy Authentication Required)" in str(found)


def unverified(code, message):
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(unverified(10, "certificate has expired"), "has expired; its owner", id="old"),
        pytest.param(unverified(9, "not yet"), "is not valid yet; compare this", id="too new"),
        pytest.param(
            unverified(62, "Hostname mismatch."), "(Hostname mismatch); correct", id="name"
        ),
        pytest.param(unverified(64, "IP mismatch"), "belongs to somebody else", id="address"),
        pytest.param(unverified(18, "x"), "authority that is not trusted here", id="self-signed"),
        pytest.param(unverified(20, "x"), "authority that is not trusted here", id="unknown"),
        pytest.param(unverified(24, "invalid CA"), "is not accepted (invalid CA)", id="other"),
        pytest.param(tls("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "certificate as expired", id="ours"),
        pytest.param(tls("SSLV3_ALERT_BAD_CERTIFICATE"), "refuses our client", id="ours, bad"),
        pytest.param(tls("TLSV1_ALERT_UNKNOWN_CA"), "who signed our client", id="ours, unknown"),
        pytest.param(tls("WRONG_VERSION_NUMBER"), "does not speak TLS", id="no TLS"),
        pytest.param(tls("NO_CIPHERS_IN_COMMON"), "(no ciphers in common)", id="its own words"),
        pytest.param(tls(None), "(no reason given)", id="no words"),
    ],
)
def test_what_a_handshake_means(error, said):
    assert said in explain(error, SERVER)
    assert SERVER in explain(error, SERVER)


# --- Contexts -----------------------------------------------------------------------------------


def test_a_server_is_verified():
    context = context_for(Trust(ca_pem=AUTHORITY.pair.certificate_pem), None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_a_server_is_not_verified_only_where_the_kubeconfig_says_so():
    context = context_for(Trust(insecure=True), None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize("pem", [b"", b"rubbish", b"\xff", b"-----BEGIN CERTIFICATE-----\nx"])
def test_an_authority_that_is_none(pem):
    with pytest.raises(KubeconfigError, match="it holds no PEM certificate"):
        context_for(Trust(ca_pem=pem), None)


def test_a_client_certificate_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    pair = AUTHORITY.client("a")
    context_for(Trust(), ClientCertificate(pair.certificate_pem, pair.key_pem))
    assert list(tmp_path.iterdir()) == []


ENCRYPTED = """-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,0D6B0E2C7B0F0F1B3C1B4E7A9D2C5E6F

AAAA
-----END EC PRIVATE KEY-----
"""


@pytest.mark.parametrize("key", ["", "rubbish", ENCRYPTED], ids=["none", "rubbish", "encrypted"])
def test_a_key_that_cannot_be_used_asks_nobody_for_a_password(key):
    pair = AUTHORITY.client("a")
    with pytest.raises(CredentialError, match="not a PEM certificate with an unencrypted PEM key"):
        context_for(Trust(), ClientCertificate(pair.certificate_pem, Secret(key)))
