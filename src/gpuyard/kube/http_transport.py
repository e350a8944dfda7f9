"""`Transport` over httpx2: connections, credentials on each request, errors as sentences.

Credentials are asked for before each request, so a token file or plugin that renews them needs no
restart. When the server says 401, the source of the credentials is asked once whether it has
others; the request is then sent again, which is safe because the first one was not even looked at.
A new client certificate needs new connections: the old pool finishes what it carries and closes.

httpx2 is told to read nothing from the environment: it would take passwords from ``.netrc``. No
redirect is followed: it would carry credentials to another host.
"""

import asyncio
import contextlib
import importlib.util
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Self
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from gpuyard.kube.access import Access, Impersonation
from gpuyard.kube.errors import CredentialError, KubeconfigError
from gpuyard.kube.faults import unreachable
from gpuyard.kube.login.identity import ClientCertificate, Identity, Source
from gpuyard.kube.login.sources import source_of
from gpuyard.kube.secret import Secret
from gpuyard.kube.tls import context_for
from gpuyard.kube.transport import Answer, Request
from gpuyard.kube.user_agent import USER_AGENT

UNAUTHORIZED = 401
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long we wait for what, in seconds, and how many connections there may be."""

    connect_s: float = 10.0
    silence_s: float = 60.0
    connections_max: int = 32


class HttpTransport:
    """The way to one server. Use it as an async context manager, or close it."""

    def __init__(
        self, access: Access, *, source: Source | None = None, patience: Patience | None = None
    ) -> None:
        self._access = access
        self._source = source or source_of(access.login)
        self._patience = patience or Patience()
        self._proxy = _proxy(access.proxy)
        self._headers = _fixed_headers(access)
        self._pool: _Pool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Answer]:
        """Send a request as `Transport.open` says."""
        async with self._sent(request) as answer:
            if answer.status != UNAUTHORIZED:
                yield answer
                return
        if not self._source.forget():
            raise self._refused()
        async with self._sent(request) as answer:
            if answer.status == UNAUTHORIZED:
                raise self._refused()
            yield answer

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.retire()
            self._pool = None

    @contextlib.asynccontextmanager
    async def _sent(self, request: Request) -> AsyncIterator["_HttpAnswer"]:
        identity = await self._source.identity()
        pool = await self._pool_for(identity.certificate)
        async with pool.lent() as client:
            with self._faults():
                answer = await client.send(self._built(client, request, identity), stream=True)
            try:
                yield _HttpAnswer(answer, self._faults)
            finally:
                await answer.aclose()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn what the library raises into a sentence; some errors of TLS come out of it bare."""
        try:
            yield
        except (httpx2.TransportError, httpx2.DecodingError, OSError) as error:
            raise unreachable(error, self._access.server, self._proxy_shown()) from None

    def _built(
        self, client: httpx2.AsyncClient, request: Request, identity: Identity
    ) -> httpx2.Request:
        headers = [*self._headers, *request.headers]
        if identity.authorization is not None:
            headers.append(("Authorization", _header_value(identity.authorization, self._access)))
        silence_s = request.silence_s or self._patience.silence_s
        timeout = httpx2.Timeout(silence_s, connect=self._patience.connect_s)
        trust = self._access.trust
        return client.build_request(
            request.method,
            self._access.server + request.path,
            params=list(request.query) if request.query else None,
            headers=headers,
            content=request.body,
            timeout=timeout,
            extensions={"sni_hostname": trust.server_name} if trust.server_name else None,
        )

    async def _pool_for(self, certificate: ClientCertificate | None) -> "_Pool":
        """Return the connections on which we show `certificate`."""
        if self._pool is not None and self._pool.certificate == certificate:
            return self._pool
        old, self._pool = self._pool, self._new_pool(certificate)
        if old is not None:
            await old.retire()
        return self._pool

    def _new_pool(self, certificate: ClientCertificate | None) -> "_Pool":
        limits = httpx2.Limits(max_connections=self._patience.connections_max)
        transport = httpx2.AsyncHTTPTransport(
            verify=context_for(self._access.trust, certificate),
            trust_env=False,
            limits=limits,
            proxy=self._proxy,
        )
        return _Pool(httpx2.AsyncClient(transport=transport, trust_env=False), certificate)

    def _refused(self) -> CredentialError:
        return CredentialError(
            f"{self._access.server} does not accept the credentials"
            f" (context {self._access.context!r}); {self._source.remedy()}"
        )

    def _proxy_shown(self) -> str:
        """Return the proxy's host and port: its address may hold a password."""
        return f"{self._proxy.url.host}:{self._proxy.url.port}" if self._proxy else ""


class _HttpAnswer:
    def __init__(
        self, answer: httpx2.Response, faults: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._answer = answer
        self._faults = faults
        self.status: int = answer.status_code
        self.headers: Mapping[str, str] = answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        # not around a yield: an error of whoever reads the chunks is none of ours
        pieces = self._answer.aiter_bytes()
        while True:
            with self._faults():
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece


class _Pool:
    """Connections that show one client certificate, closed when retired and no longer used."""

    def __init__(self, client: httpx2.AsyncClient, certificate: ClientCertificate | None) -> None:
        self.certificate = certificate
        self._client = client
        self._lent = 0
        self._is_retired = False

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[httpx2.AsyncClient]:
        self._lent += 1
        try:
            yield self._client
        finally:
            self._lent -= 1
            await self._close_if_done()

    async def retire(self) -> None:
        self._is_retired = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._is_retired and self._lent == 0:
            await asyncio.shield(self._client.aclose())


def _fixed_headers(access: Access) -> tuple[tuple[str, str], ...]:
    """Return what goes with each request: who asks, in which encoding, and as whom."""
    encoding = "gzip" if access.compressed else "identity"
    headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", encoding)]
    if access.impersonation is not None:
        headers += _impersonation_headers(access.impersonation)
    return tuple(headers)


def _impersonation_headers(whom: Impersonation) -> list[tuple[str, str]]:
    """Return the headers of client-go's transport/round_trippers.go, keys percent-encoded."""
    headers = [("Impersonate-User", whom.user)]
    if whom.uid:
        headers.append(("Impersonate-Uid", whom.uid))
    headers += [("Impersonate-Group", group) for group in whom.groups]
    for key, values in whom.extra:
        headers += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", one) for one in values]
    return headers


def _header_value(secret: Secret, access: Access) -> str:
    """Return a credential fit for a header; the library's own complaint would show it."""
    value = secret.reveal()
    if not value.isascii() or not value.isprintable():
        raise CredentialError(
            f"the credentials of context {access.context!r} ({access.origin}) hold a line break or"
            " another character that cannot be sent; copy the token again, as one line"
        )
    return value


def _demand_socks(scheme: str) -> None:
    if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise KubeconfigError(
            f"the proxy speaks {scheme}, for which a package is missing; run:"
            " pip install 'httpx2[socks]'"
        )


def _proxy(address: Secret | None) -> httpx2.Proxy | None:
    if address is None:
        return None
    try:
        scheme, host = urlsplit(address.reveal()).scheme, urlsplit(address.reveal()).hostname
        if scheme in PROXY_SCHEMES and host:
            _demand_socks(scheme)
            own_tls = ssl.create_default_context() if scheme == "https" else None
            return httpx2.Proxy(address.reveal(), ssl_context=own_tls)
    except (ValueError, httpx2.InvalidURL):
        pass  # its text may hold a password, so nothing of it is shown
    raise KubeconfigError(
        "the proxy (proxy-url, or HTTPS_PROXY) is no address of the form http://HOST:PORT;"
        f" schemes are {', '.join(PROXY_SCHEMES)}"
    )
