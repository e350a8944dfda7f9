"""A `Login` as something that can be asked for credentials.

A kubeconfig's user may combine a client certificate (shown in the TLS handshake) with a token or a
plugin (whose token goes with each request), so the parts are asked one by one and laid together;
where two give the same thing the first counts. As in kubectl a plugin's certificate gives way to
one that the kubeconfig names.
"""

import base64
from collections.abc import Sequence

from gpuyard.kube.access import Login
from gpuyard.kube.errors import CredentialError
from gpuyard.kube.login.certificates import CertificateSource
from gpuyard.kube.login.exec_plugin import EXEC_SECONDS_MAX, ExecPluginSource
from gpuyard.kube.login.files import WatchedFile
from gpuyard.kube.login.identity import Identity, Source
from gpuyard.kube.secret import Secret


def source_of(login: Login, *, exec_seconds_max: float = EXEC_SECONDS_MAX) -> Source:
    """Return where the credentials of `login` come from, now and later."""
    parts: list[Source] = []
    if login.token or login.token_file:
        parts.append(TokenSource(login))
    elif login.basic:
        parts.append(PasswordSource(login.user, *login.basic))
    if login.certificate:
        parts.append(CertificateSource(login.user, login.certificate))
    if login.exec:
        parts.append(ExecPluginSource(login.user, login.exec, seconds_max=exec_seconds_max))
    return parts[0] if len(parts) == 1 else Together(login.user, parts)


class Together:
    """Several sources as one; no source at all is somebody without a name."""

    def __init__(self, user: str, parts: Sequence[Source]) -> None:
        self._user = user
        self._parts = tuple(parts)

    async def identity(self) -> Identity:
        """Return what the parts give together."""
        authorization, certificate = None, None
        for part in self._parts:
            found = await part.identity()
            authorization = authorization or found.authorization
            certificate = certificate or found.certificate
        return Identity(authorization=authorization, certificate=certificate)

    def forget(self) -> bool:
        """Let every part look again."""
        return any([part.forget() for part in self._parts])  # noqa: C419  every one, not up to the first

    def remedy(self) -> str:
        """Return the parts' advice."""
        if not self._parts:
            return f"give user {self._user!r} credentials" if self._user else "name a user"
        return ", or ".join(part.remedy() for part in self._parts)


class TokenSource:
    """A token, fixed or in a file; with both the fixed one counts until the file is there."""

    def __init__(self, login: Login) -> None:
        self._user = login.user
        self._fixed = login.token
        self._file = WatchedFile(login.token_file, "token file") if login.token_file else None

    async def identity(self) -> Identity:
        """Return the token of now."""
        return Identity(authorization=Secret(f"Bearer {self._token()}"))

    def forget(self) -> bool:
        """Read the file again."""
        return self._file.forget() if self._file else False

    def remedy(self) -> str:
        """Return which token to renew."""
        return f"renew {self._file.path}" if self._file else f"renew the token of {self._user!r}"

    def _token(self) -> str:
        if self._file is None:
            assert self._fixed is not None
            return self._fixed.reveal()
        try:
            return _one_token(self._file)
        except CredentialError:
            if self._fixed:
                return self._fixed.reveal()
            raise


def _one_token(file: WatchedFile) -> str:
    """Return a file's token; what would break out of a header is refused without being shown."""
    token = file.content().decode("ascii", "replace").strip()
    if not token or not token.isprintable() or "\ufffd" in token or " " in token:
        raise CredentialError(
            f"reading the token file {file.path}: it does not hold one token on one line;"
            " write it anew"
        )
    return token


class PasswordSource:
    """A name and password, for proxies in front of an API server: Kubernetes takes none."""

    def __init__(self, user: str, name: str, password: Secret) -> None:
        self._user = user
        pair = base64.b64encode(f"{name}:{password.reveal()}".encode()).decode()
        self._identity = Identity(authorization=Secret(f"Basic {pair}"))

    async def identity(self) -> Identity:
        """Return the pair."""
        return self._identity

    def forget(self) -> bool:
        """Nothing is renewed here."""
        return False

    def remedy(self) -> str:
        """Return what to correct."""
        return f"correct the password of {self._user!r}"
