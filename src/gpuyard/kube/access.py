"""One way into one cluster: the server, whom to trust, who we are, whom to act as.

An `Access` is plain data: made by `kubeconfig.choose` or `kubeconfig.in_cluster`, used by
`connect`. Paths in it are absolute, and files that may change while we run (tokens, certificates)
are named here, not read. It can be printed: what is secret in it is a `Secret`.
"""

from pathlib import Path

import msgspec

from gpuyard.kube.secret import Secret, SecretJson


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """How the server proves itself.

    Without `ca_pem` the system's own authorities count. `insecure` is true only where the
    kubeconfig itself says ``insecure-skip-tls-verify``.
    """

    ca_pem: bytes | None = None
    server_name: str = ""
    insecure: bool = False


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A client certificate: each half inline as PEM, or a file that may be renewed."""

    certificate: Path | bytes
    key: Path | Secret


class ExecCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A credential plugin: what to run, and what it is told about the cluster."""

    command: str
    arguments: tuple[Secret, ...] = ()
    environment: tuple[tuple[str, Secret], ...] = ()
    api_version: str
    install_hint: str = ""
    cluster_info: SecretJson | None = None


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are; the parts may be combined as a kubeconfig's user combines them."""

    user: str
    token: Secret | None = None
    token_file: Path | None = None
    basic: tuple[str, Secret] | None = None
    certificate: CertificateFiles | None = None
    exec: ExecCommand | None = None


class Impersonation(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to act as: ``--as``, ``--as-group``."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to talk to one cluster; `origin` and the names are for people.

    `warnings` are sentences that the user must see, for instance that nothing is verified.
    """

    origin: str
    context: str
    cluster: str
    namespace: str
    server: str
    trust: Trust
    login: Login
    proxy: Secret | None = None
    impersonation: Impersonation | None = None
    compressed: bool = True
    warnings: tuple[str, ...] = ()
