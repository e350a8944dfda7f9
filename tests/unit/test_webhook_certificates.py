"""Which certificate is shown, while its files change in every way in which they do."""

import datetime as dt
import ssl

import msgspec
import pytest

from gpuyard.kube.authority import Authority
from gpuyard.web.admission.certificates import CertificateError, Files, Own, Shown
from gpuyard.web.admission.log import Log

HOST = "gpuyard-webhook.gpuyard-system.svc"


class Mounted:
    """A folder as a kubelet mounts a Secret: one link is moved, and both files are others."""

    def __init__(self, folder):
        self.folder = folder
        self.lines = []
        self.log = Log(self.lines.append)
        self.count = 0

    def write(self, certificate, key):
        self.count += 1
        version = self.folder / f"version-{self.count}"
        version.mkdir()
        (version / "tls.crt").write_bytes(certificate)
        (version / "tls.key").write_bytes(key)
        link = self.folder / "new"
        link.symlink_to(version.name)
        link.rename(self.folder / "data")

    def write_pair(self, authority, **more):
        pair = authority.server([HOST], **more)
        self.write(pair.certificate_pem, pair.key_pem.reveal().encode())
        return pair

    @property
    def files(self):
        return Files(self.folder / "data" / "tls.crt", self.folder / "data" / "tls.key")

    def shown(self, **more):
        return Shown(self.files, self.log, **more)

    @property
    def events(self):
        return [msgspec.json.decode(line)["event"] for line in self.lines]


@pytest.fixture
def mounted(tmp_path):
    return Mounted(tmp_path)


def greeted(shown, authority, host=HOST, **limits):
    """Shake hands with the server's context; return the certificate that was shown, and how."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=authority.pair.certificate_pem.decode())
    if host is None:
        client.check_hostname = False
    for name, value in limits.items():
        setattr(client, name, value)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = shown.context.wrap_bio(to_server, to_client, server_side=True)
    pending = [ours, theirs]
    while pending:
        side = pending.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pending.append(side)
    return ssl.DER_cert_to_PEM_cert(ours.getpeercert(binary_form=True)).encode(), ours.version()


@pytest.fixture
def authority():
    return Authority.new("somebody's")


def test_a_renewed_pair_is_shown_with_the_next_handshake(mounted, authority):
    first = mounted.write_pair(authority)
    shown = mounted.shown()
    assert greeted(shown, authority)[0] == first.certificate_pem
    second = mounted.write_pair(authority)
    assert greeted(shown, authority)[0] == second.certificate_pem
    assert greeted(shown, authority)[0] == second.certificate_pem
    assert mounted.events == ["certificate-renewed"]


def test_also_where_the_client_names_nobody(mounted, authority):
    mounted.write_pair(authority)
    shown = mounted.shown()
    second = mounted.write_pair(authority)
    assert greeted(shown, authority, host=None)[0] == second.certificate_pem


@pytest.mark.parametrize("wrong", ["another key", "no key", "rubbish", "gone", "no dates"])
def test_what_cannot_be_shown_changes_nothing(mounted, authority, wrong):
    first = mounted.write_pair(authority)
    shown = mounted.shown()
    other = authority.server([HOST])
    key = other.key_pem.reveal().encode()
    if wrong == "another key":
        mounted.write(first.certificate_pem, key)
    elif wrong == "no key":
        mounted.write(other.certificate_pem, b"")
    elif wrong == "rubbish":
        mounted.write(b"\0\1\2", b"\3")
    elif wrong == "no dates":
        mounted.write(b"", key)
    else:
        (mounted.folder / "data").unlink()
    assert greeted(shown, authority)[0] == first.certificate_pem
    assert greeted(shown, authority)[0] == first.certificate_pem
    assert mounted.events == ["certificate-refused"], "once, not with each handshake"
    last = mounted.write_pair(authority)
    assert greeted(shown, authority)[0] == last.certificate_pem


@pytest.mark.parametrize(
    ("certificate", "key", "sentence"),
    [
        pytest.param(None, None, "No such file or directory; mount both files", id="nothing"),
        pytest.param(b"x", b"y", "they are not a PEM certificate", id="rubbish"),
    ],
)
def test_nothing_to_show_at_the_start(mounted, certificate, key, sentence):
    if certificate:
        mounted.write(certificate, key)
    with pytest.raises(CertificateError, match=sentence):
        mounted.shown()


def test_the_key_of_another_certificate_is_named(mounted, authority):
    one, other = authority.server([HOST]), authority.server([HOST])
    mounted.write(one.certificate_pem, other.key_pem.reveal().encode())
    with pytest.raises(CertificateError, match="the key belongs to another certificate") as caught:
        mounted.shown()
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        pytest.param(-1, "the certificate begins at 20", id="too early"),
        pytest.param(0, "", id="now"),
        pytest.param(29, "", id="still"),
        pytest.param(31, "the certificate ended at 20", id="too late"),
    ],
)
def test_dates(mounted, authority, days, problem):
    mounted.write_pair(authority, valid_for=dt.timedelta(days=30))
    at = dt.datetime.now(tz=dt.UTC) + dt.timedelta(days=days)
    found = mounted.shown(clock=at.timestamp).problem()
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_an_expired_pair_is_mended_by_renewing_it(mounted, authority):
    mounted.write_pair(authority, valid_for=dt.timedelta(seconds=-60))
    shown = mounted.shown()
    assert shown.problem()
    mounted.write_pair(authority)
    assert shown.problem() == ""
    assert shown.ends_s > dt.datetime.now(tz=dt.UTC).timestamp()


def test_a_certificate_of_our_own_is_believed_by_who_knows_its_authority():
    own = Own([HOST, "127.0.0.1"])
    shown = Shown(own, Log(lambda _: None))

    class Known:
        class pair:  # noqa: N801
            certificate_pem = own.authority_pem

    for host in (HOST, "127.0.0.1"):
        assert greeted(shown, Known, host)[0] == own.pair_pem[0]
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        greeted(shown, Known, "elsewhere")
    assert "PRIVATE" not in repr(own.__dict__)


def test_old_versions_of_tls_are_not_spoken(mounted, authority):
    mounted.write_pair(authority)
    shown = mounted.shown()
    assert greeted(shown, authority)[1] == "TLSv1.3"
    assert greeted(shown, authority, maximum_version=ssl.TLSVersion.TLSv1_2)[1] == "TLSv1.2"
    assert shown.context.minimum_version == ssl.TLSVersion.TLSv1_2
