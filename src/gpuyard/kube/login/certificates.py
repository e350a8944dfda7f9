"""A client certificate of the kubeconfig: inline, or in files that are renewed beside us."""

import datetime as dt
import time
from pathlib import Path

from gpuyard.kube.access import CertificateFiles
from gpuyard.kube.login.files import WatchedFile
from gpuyard.kube.login.identity import ClientCertificate, Identity
from gpuyard.kube.login.validity import validity
from gpuyard.kube.secret import Secret


class CertificateSource:
    """Both halves of a client certificate as they are now."""

    def __init__(self, user: str, files: CertificateFiles) -> None:
        self._user = user
        self._certificate = _reader(files.certificate, "client certificate")
        self._key = _reader(files.key, "client key")

    async def identity(self) -> Identity:
        """Return the certificate with its key."""
        return Identity(certificate=self._current())

    def forget(self) -> bool:
        """Read the files again."""
        readers = [one for one in (self._certificate, self._key) if isinstance(one, WatchedFile)]
        return any([one.forget() for one in readers])  # noqa: C419  both, not up to the first

    def remedy(self) -> str:
        """Return what is wrong with the dates, if that is it."""
        found = validity(self._current().certificate_pem)
        now = dt.datetime.fromtimestamp(time.time(), tz=dt.UTC)
        if found and now > found.ends:
            wrong = f", which expired on {found.ends:%Y-%m-%d %H:%M} UTC"
        elif found and now < found.begins:
            wrong = f", which begins only on {found.begins:%Y-%m-%d %H:%M} UTC"
        else:
            wrong = ""
        return f"renew the client certificate of user {self._user!r}{wrong}"

    def _current(self) -> ClientCertificate:
        return ClientCertificate(
            _content(self._certificate),
            Secret(_content(self._key).decode("utf-8", "replace")),
        )


def _reader(half: Path | bytes | Secret, what: str) -> WatchedFile | bytes:
    if isinstance(half, Path):
        return WatchedFile(half, what)
    return half.reveal().encode() if isinstance(half, Secret) else half


def _content(half: WatchedFile | bytes) -> bytes:
    return half.content() if isinstance(half, WatchedFile) else half
