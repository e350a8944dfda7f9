"""Pick a context and resolve it into an `Access`.

Relative paths start at the folder of the file that names them. Inline data wins over a file of the
same thing. What contradicts itself is refused as kubectl refuses it, and so is what we would have
to guess. Sending credentials over plain HTTP is refused except to this machine.

Semantics: client-go v0.36, tools/clientcmd/client_config.go and validation.go.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gpuyard.kube.access import Access, Impersonation, Trust
from gpuyard.kube.errors import KubeconfigError, did_you_mean
from gpuyard.kube.kubeconfig import proxies
from gpuyard.kube.kubeconfig.inline import decoded
from gpuyard.kube.kubeconfig.merge import Entry, Merged
from gpuyard.kube.kubeconfig.schema import Cluster, Context, User
from gpuyard.kube.kubeconfig.users import login_of

NAMESPACE_DEFAULT = "default"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says about the cluster: kubectl's flags of the same names."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    impersonate: str | None = None
    impersonate_groups: tuple[str, ...] = ()


def choose(merged: Merged, wish: Wish, environ: Mapping[str, str]) -> Access:
    """Return the way into the cluster that `wish` names, or the current context's.

    Raises
    ------
    KubeconfigError
        where a name is unknown, a file is missing, or an entry contradicts itself.

    """
    name, context = _context(merged, wish.context)
    place = f"context {name!r} of {context.file}"
    cluster = _named("cluster", context.value.cluster, merged.clusters, place)
    user = _user(context, merged, place)
    trust = _trust(context.value.cluster, cluster)
    _check_server(context.value.cluster, cluster)
    return Access(
        origin=str(context.file),
        context=name,
        cluster=context.value.cluster,
        namespace=wish.namespace or context.value.namespace or NAMESPACE_DEFAULT,
        server=cluster.value.server.rstrip("/"),
        trust=trust,
        login=login_of(context.value.user, user, cluster.value, trust),
        proxy=cluster.value.proxy_url or proxies.from_environment(cluster.value.server, environ),
        impersonation=impersonation(context.value.user, user.value, wish),
        compressed=not cluster.value.disable_compression,
        warnings=_warnings(context.value.cluster, cluster, trust),
    )


def _context(merged: Merged, wished: str | None) -> tuple[str, Entry[Context]]:
    files = ", ".join(map(str, merged.files))
    name = wished or merged.current_context
    if not name:
        there = did_you_mean("", merged.contexts)
        raise KubeconfigError(
            f"reading {files}: no context is current; choose one with --context ({there})"
        )
    if name not in merged.contexts:
        raise KubeconfigError(
            f"reading {files}: unknown context {name!r}; {did_you_mean(name, merged.contexts)}"
        )
    return name, merged.contexts[name]


def _named(kind: str, name: str, known: Mapping[str, Entry[Cluster]], place: str) -> Entry[Cluster]:
    if not name:
        raise KubeconfigError(f"{place} names no {kind}; add one to it")
    if name not in known:
        raise KubeconfigError(
            f"{place} names the unknown {kind} {name!r}; {did_you_mean(name, known)}"
        )
    return known[name]


def _user(context: Entry[Context], merged: Merged, place: str) -> Entry[User]:
    """Return the user; a context without one talks without credentials, as kubectl lets it."""
    name = context.value.user
    if not name:
        return Entry(User(), context.file)
    if name not in merged.users:
        raise KubeconfigError(
            f"{place} names the unknown user {name!r}; {did_you_mean(name, merged.users)}"
        )
    return merged.users[name]


def _check_server(name: str, cluster: Entry[Cluster]) -> None:
    place = f"cluster {name!r} of {cluster.file}"
    if not cluster.value.server:
        raise KubeconfigError(f"{place} has no server; add its address, https://…")
    try:
        url = urlsplit(cluster.value.server)
        host, _ = url.hostname, url.port
    except ValueError:
        host, url = None, urlsplit("")
    if url.scheme not in {"http", "https"} or not host:
        raise KubeconfigError(
            f"{place}: server {cluster.value.server!r} is no address of the form https://HOST:PORT"
        )
    if url.scheme == "http" and host not in LOOPBACK:
        raise KubeconfigError(
            f"{place}: server {cluster.value.server!r} is not encrypted, and credentials are sent"
            " in clear only on this machine; write https://"
        )


def _trust(name: str, cluster: Entry[Cluster]) -> Trust:
    value = cluster.value
    place = f"cluster {name!r} of {cluster.file}"
    has_authority = bool(value.certificate_authority or value.certificate_authority_data)
    if value.insecure_skip_tls_verify and has_authority:
        raise KubeconfigError(
            f"{place} names a certificate authority and insecure-skip-tls-verify; remove the latter"
        )
    return Trust(
        ca_pem=_authority(place, cluster),
        server_name=value.tls_server_name,
        insecure=value.insecure_skip_tls_verify,
    )


def _authority(place: str, cluster: Entry[Cluster]) -> bytes | None:
    if data := cluster.value.certificate_authority_data:
        return decoded(place, "certificate-authority-data", data)
    if not cluster.value.certificate_authority:
        return None
    file = resolved(cluster.value.certificate_authority, cluster.file)
    try:
        return file.read_bytes()
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise KubeconfigError(
            f"{place}: certificate-authority {file}: {reason}; correct the path"
        ) from None


def resolved(path: str, file: Path) -> Path:
    """Return `path` as seen from the kubeconfig `file` that names it."""
    return file.absolute().parent / path


def impersonation(name: str, user: User, wish: Wish) -> Impersonation | None:
    """Return whom to act as: the command line's word replaces the kubeconfig's whole."""
    if wish.impersonate or wish.impersonate_groups:
        found = Impersonation(user=wish.impersonate or "", groups=wish.impersonate_groups)
    else:
        found = Impersonation(
            user=user.impersonate,
            uid=user.impersonate_uid,
            groups=tuple(user.impersonate_groups or ()),
            extra=tuple(
                (key, tuple(values)) for key, values in (user.impersonate_extra or {}).items()
            ),
        )
    if found == Impersonation():
        return None
    if not found.user:
        raise KubeconfigError(
            f"acting as groups {', '.join(found.groups) or 'of user ' + repr(name)}:"
            " no user is named to act as; add --as USER"
        )
    return found


def _warnings(name: str, cluster: Entry[Cluster], trust: Trust) -> tuple[str, ...]:
    if not trust.insecure:
        return ()
    warning = (
        f"cluster {name!r} is not verified: {cluster.file} says insecure-skip-tls-verify, so"
        " whoever answers at its address sees your credentials; name its certificate-authority"
        " instead"
    )
    return (warning,)
