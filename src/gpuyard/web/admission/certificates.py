"""The certificate that is shown to API servers, and how it is exchanged without a restart.

Mounted files are looked at in each handshake: a Secret that was renewed is in use with the next
connection, and nobody has to send a signal. A pair that does not fit (one half is written before
the other) or cannot be read changes nothing; the old one stays until the files change again.

The context that the server holds only answers hellos: it hands each connection over to the context
that was built last, so that a half-loaded one is never seen.

A certificate of our own needs ``cryptography`` (the extra ``gpuyard[webhook]``). It lives as long
as this process; only who was told its authority believes it.
"""

import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from gpuyard.kube.login.validity import Validity, validity
from gpuyard.web.admission.log import Log


class CertificateError(ValueError):
    """A certificate cannot be shown: one sentence."""


class Source(Protocol):
    """Where a certificate comes from."""

    def stamp(self) -> object:
        """Return something that is different when the certificate is; never raises."""

    def load(self) -> tuple[ssl.SSLContext, Validity]:
        """Return a context that shows it, and its dates.

        Raises
        ------
        CertificateError
            where it cannot be shown.

        """


class Files:
    """A certificate and its key in two files, as a Secret is mounted."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key

    def stamp(self) -> object:
        """Return what changes when one of the files does."""
        return _stamp(self._certificate), _stamp(self._key)

    def load(self) -> tuple[ssl.SSLContext, Validity]:
        """Read both files."""
        context = _context()
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
            dates = validity(self._certificate.read_bytes())
        except ssl.SSLError as error:
            wrong = (
                "the key belongs to another certificate"
                if error.reason == "KEY_VALUES_MISMATCH"
                else "they are not a PEM certificate and an unencrypted PEM key"
            )
            raise CertificateError(
                f"loading {self._certificate} and {self._key}: {wrong}; write both halves again"
            ) from None
        except OSError as error:
            raise CertificateError(
                f"loading {self._certificate} and {self._key}: {error.strerror}; mount both files"
            ) from None
        if dates is None:
            raise CertificateError(f"{self._certificate} has no dates that can be read; renew it")
        return context, dates


class Own:
    """A certificate of an authority that nobody else has, for as long as we run."""

    def __init__(self, hosts: Sequence[str]) -> None:
        try:
            from gpuyard.kube.authority import Authority  # noqa: PLC0415  not installed by all
        except ImportError:
            raise CertificateError(
                "making a certificate needs the extra gpuyard[webhook]; install it, or give --cert"
                " and --key"
            ) from None
        authority = Authority.new("gpuyard-webhook")
        self._pair = authority.server(hosts)
        self.authority_pem = authority.pair.certificate_pem

    @property
    def pair_pem(self) -> tuple[bytes, bytes]:
        """The certificate and its key, for a Secret."""
        return self._pair.certificate_pem, self._pair.key_pem.reveal().encode()

    def stamp(self) -> object:
        """Return always the same."""
        return ()

    def load(self) -> tuple[ssl.SSLContext, Validity]:
        """Write both halves where only we can read them, for the moment that ``ssl`` needs."""
        certificate, key = self.pair_pem
        with tempfile.TemporaryDirectory(prefix="gpuyard-") as folder:
            files = Path(folder) / "tls.crt", Path(folder) / "tls.key"
            files[0].write_bytes(certificate)
            files[1].write_bytes(key)
            return Files(*files).load()


class Shown:
    """What is shown at the moment; `context` is for the server.

    Raises CertificateError where there is nothing to show at the start.
    """

    def __init__(self, source: Source, log: Log, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._log = log
        self._clock = clock
        self._stamp = source.stamp()
        self._current, self._dates = source.load()
        self.context = _context()
        self.context.sni_callback = self._on_hello

    @property
    def ends_s(self) -> float:
        """When the certificate ends, in seconds since 1970."""
        return self._dates.ends.timestamp()

    def problem(self) -> str:
        """Return what API servers will not like about the certificate, or ``""``."""
        self.refresh()
        now = self._clock()
        if now > self.ends_s:
            return f"the certificate ended at {self._dates.ends:%Y-%m-%d %H:%M} UTC"
        if now < self._dates.begins.timestamp():
            return f"the certificate begins at {self._dates.begins:%Y-%m-%d %H:%M} UTC"
        return ""

    def refresh(self) -> None:
        """Take a certificate that is newer; keep the old one where that fails."""
        stamp = self._source.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._current, self._dates = self._source.load()
        except CertificateError as error:
            self._log.say("warning", "certificate-refused", reason=str(error))
        else:
            ends = f"{self._dates.ends:%Y-%m-%dT%H:%M:%SZ}"
            self._log.say("info", "certificate-renewed", ends=ends)

    def _on_hello(
        self,
        connection: ssl.SSLSocket | ssl.SSLObject,
        _name: str | None,
        _context: ssl.SSLContext,
    ) -> None:
        self.refresh()
        connection.context = self._current


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size


def _no_password() -> str:
    """Answer instead of the terminal, on which nobody sits."""
    return ""
