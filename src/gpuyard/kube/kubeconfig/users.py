"""A kubeconfig's user as a `Login`: which credentials, from where, and what contradicts itself.

A token beside a token file is the first value of that file and gives way to it; a token stops the
exec plugin from being asked, as kubectl does it. Half a client certificate is refused, and so are
logins that only old kubectls carried inside themselves.

Semantics: client-go v0.36, tools/clientcmd/client_config.go (`getUserIdentificationPartialConfig`),
validation.go (`validateAuthInfo`), rest/exec.go.
"""

import base64
import os
from pathlib import Path

import msgspec

from gpuyard.kube.access import CertificateFiles, ExecCommand, Login, Trust
from gpuyard.kube.errors import KubeconfigError, did_you_mean
from gpuyard.kube.kubeconfig.inline import decoded
from gpuyard.kube.kubeconfig.merge import Entry
from gpuyard.kube.kubeconfig.schema import Cluster, ExecPlugin, User
from gpuyard.kube.secret import Secret, SecretJson

EXEC_API = "client.authentication.k8s.io"
EXEC_VERSIONS = (f"{EXEC_API}/v1", f"{EXEC_API}/v1beta1")
EXEC_CONFIG_EXTENSION = f"{EXEC_API}/exec"
INTERACTIVE_MODES = ("Never", "IfAvailable", "Always")


def login_of(name: str, user: Entry[User], cluster: Cluster, trust: Trust) -> Login:
    """Return the credentials of a user.

    Raises
    ------
    KubeconfigError
        with the user, the file and the field that cannot be.

    """
    value = user.value
    place = f"user {name!r} of {user.file}"
    if value.auth_provider is not None:
        raise KubeconfigError(
            f"{place} logs in through the auth-provider {value.auth_provider.name!r}, which"
            " kubectl has dropped too; use an exec plugin or a token"
        )
    if (value.username or value.password) and (value.token or value.token_file):
        raise KubeconfigError(f"{place} has a token and a password; keep one of them")
    token_file = user.file.absolute().parent / value.token_file if value.token_file else None
    basic = (value.username, value.password or Secret("")) if value.username else None
    has_token = bool(value.token or token_file or basic)
    return Login(
        user=name,
        token=value.token or None,
        token_file=token_file,
        basic=basic,
        certificate=_certificate(place, user),
        exec=_exec(place, user, cluster, trust) if value.exec and not has_token else None,
    )


def _certificate(place: str, user: Entry[User]) -> CertificateFiles | None:
    value, folder = user.value, user.file.absolute().parent
    certificate: Path | bytes | None = None
    key: Path | Secret | None = None
    if value.client_certificate_data:
        certificate = decoded(place, "client-certificate-data", value.client_certificate_data)
    elif value.client_certificate:
        certificate = folder / value.client_certificate
    if value.client_key_data:
        inline = decoded(place, "client-key-data", value.client_key_data.reveal())
        key = Secret(inline.decode("utf-8", "replace"))
    elif value.client_key:
        key = folder / value.client_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "client-certificate" if certificate is None else "client-key"
        raise KubeconfigError(f"{place} has half a client certificate; add {missing}")
    return CertificateFiles(certificate=certificate, key=key)


def _exec(place: str, user: Entry[User], cluster: Cluster, trust: Trust) -> ExecCommand | None:
    plugin = user.value.exec
    if plugin is None:
        return None
    _check(place, plugin)
    command = plugin.command
    if os.sep in command:
        command = str(user.file.absolute().parent / command)
    return ExecCommand(
        command=command,
        arguments=tuple(plugin.args or ()),
        environment=tuple((one.name, one.value) for one in plugin.env or ()),
        api_version=plugin.api_version,
        install_hint=plugin.install_hint,
        cluster_info=_cluster_info(cluster, trust) if plugin.provide_cluster_info else None,
    )


def _check(place: str, plugin: ExecPlugin) -> None:
    named = f"{place}: exec plugin {plugin.command!r}"
    if not plugin.command:
        raise KubeconfigError(f"{place}: exec has no command; add the plugin's name")
    if plugin.api_version not in EXEC_VERSIONS:
        wanted = did_you_mean(plugin.api_version, EXEC_VERSIONS)
        raise KubeconfigError(
            f"{named} speaks apiVersion {plugin.api_version!r}, which is not served any more;"
            f" {wanted}"
        )
    mode = plugin.interactive_mode
    if not mode and plugin.api_version == EXEC_VERSIONS[0]:
        raise KubeconfigError(f"{named}: interactiveMode must be set with v1; write IfAvailable")
    if mode and mode not in INTERACTIVE_MODES:
        raise KubeconfigError(
            f"{named}: interactiveMode {mode!r} is unknown; {did_you_mean(mode, INTERACTIVE_MODES)}"
        )
    if mode == "Always":
        raise KubeconfigError(
            f"{named} wants a terminal (interactiveMode Always), and gpuyard gives it none;"
            " log in with it first and use a token, or let it allow IfAvailable"
        )


def _cluster_info(cluster: Cluster, trust: Trust) -> SecretJson:
    """Return what a plugin is told about its cluster: ExecCredential ``spec.cluster``."""
    said: dict[str, object] = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(trust.ca_pem or b"").decode(),
        "proxy-url": cluster.proxy_url.reveal() if cluster.proxy_url else "",
        "disable-compression": cluster.disable_compression,
        "config": _exec_config(cluster),
    }
    return SecretJson.of({key: value for key, value in said.items() if value})


def _exec_config(cluster: Cluster) -> object:
    for one in cluster.extensions or ():
        if one.name == EXEC_CONFIG_EXTENSION:
            return msgspec.Raw(one.extension.reveal().encode()) if one.extension else None
    return None
