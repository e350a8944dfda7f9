"""The fields of a kubeconfig that we read; others are skipped.

Names and types: client-go v0.36, tools/clientcmd/api/v1/types.go. Whatever may hold a secret is
decoded into a `Secret` at once, so that no struct, however printed, shows one.
"""

import msgspec

from gpuyard.kube.secret import Secret, SecretJson


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    """Where the API server is and whom to trust."""

    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: Secret | None = None
    disable_compression: bool = False
    extensions: list["Extension"] | None = None


class Extension(msgspec.Struct, frozen=True):
    """A named piece of data that we do not read, only hand to an exec plugin."""

    name: str = ""
    extension: SecretJson | None = None


class EnvVar(msgspec.Struct, frozen=True):
    """A variable for an exec plugin; its value may be a secret."""

    name: str
    value: Secret = Secret("")


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """A program that prints credentials. Its arguments may hold secrets and are never shown."""

    command: str = ""
    args: list[Secret] | None = None
    env: list[EnvVar] | None = None
    api_version: str = ""
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class AuthProvider(msgspec.Struct, frozen=True):
    """A login built into old kubectls; named only to be refused."""

    name: str = ""


class User(msgspec.Struct, frozen=True, rename="kebab"):
    """Who we are: a certificate, a token, a plugin; and whom to act as."""

    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: Secret | None = None
    token: Secret | None = None
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: Secret | None = None
    impersonate: str = msgspec.field(default="", name="as")
    impersonate_uid: str = msgspec.field(default="", name="as-uid")
    impersonate_groups: list[str] | None = msgspec.field(default=None, name="as-groups")
    impersonate_extra: dict[str, list[str]] | None = msgspec.field(
        default=None, name="as-user-extra"
    )
    auth_provider: AuthProvider | None = None
    exec: ExecPlugin | None = None


class Context(msgspec.Struct, frozen=True):
    """A cluster, a user and a namespace under one name."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


class NamedCluster(msgspec.Struct, frozen=True):
    """An entry of ``clusters``."""

    name: str
    cluster: Cluster | None = None


class NamedUser(msgspec.Struct, frozen=True):
    """An entry of ``users``."""

    name: str
    user: User | None = None


class NamedContext(msgspec.Struct, frozen=True):
    """An entry of ``contexts``."""

    name: str
    context: Context | None = None


class Kubeconfig(msgspec.Struct, frozen=True, rename="kebab"):
    """One file."""

    current_context: str = ""
    clusters: list[NamedCluster] | None = None
    users: list[NamedUser] | None = None
    contexts: list[NamedContext] | None = None


def decode(value: object) -> Kubeconfig:
    """Return plain YAML values as a `Kubeconfig`.

    Raises msgspec.ValidationError, whose message names a path and types but never a value.
    """
    return msgspec.convert(value, Kubeconfig, dec_hook=_into_secret)


def _into_secret(kind: type, value: object) -> Secret:
    if kind is SecretJson:
        return SecretJson.of(value)
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")  # msgspec adds the path
