"""What httpx2 raises or lets through, as an `UnreachableError`: what is wrong, what to do.

The library's own texts are not used: they speak of sockets and headers, and one of them quotes the
header that could not be sent. What counts is the class, and the first error below it.
"""

import os
import socket
import ssl
from collections.abc import Iterator

import httpx2

from gpuyard.kube.errors import Fault, UnreachableError
from gpuyard.kube.tls import explain

CUT = (
    httpx2.ReadError,
    httpx2.WriteError,
    httpx2.CloseError,
    httpx2.RemoteProtocolError,
    httpx2.DecodingError,  # gzip that ends in the middle
)
NO_COMPLAINT = (
    ssl.SSLEOFError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    ssl.SSLZeroReturnError,
)
SILENT = (httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.PoolTimeout)


def unreachable(error: Exception, server: str, proxy: str) -> UnreachableError:
    """Return the sentence for a failed request to `server`, through `proxy` if there is one."""
    way = f"{server} through the proxy {proxy}" if proxy else server
    if not isinstance(error, SILENT) and (tls := _handshake_error(error)) is not None:
        return UnreachableError(explain(tls, way), fault="tls")
    if isinstance(error, httpx2.ProxyError):
        said = str(error) or "no reason given"
        return UnreachableError(
            f"the proxy {proxy} does not let us through to {server} ({said}); check its name and"
            " password, or NO_PROXY",
            fault="proxy",
        )
    fault, wrong, remedy = _sorted_out(error)
    return UnreachableError(f"{way} {wrong}; {remedy}", fault=fault)


def _handshake_error(error: BaseException) -> ssl.SSLError | None:
    """Return what TLS itself complained of; that a connection ended or waits is no complaint."""
    for one in _below(error):
        if isinstance(one, ssl.SSLError) and not isinstance(one, NO_COMPLAINT):
            return one
    return None


def _sorted_out(error: Exception) -> tuple[Fault, str, str]:
    if isinstance(error, SILENT):
        return "silent", "says nothing any more", "try again, or look at its load"
    if isinstance(error, CUT):
        return "cut", "broke off in the middle of an answer", "try again, or look for what cut it"
    reason = "no connection in time" if isinstance(error, httpx2.ConnectTimeout) else _why(error)
    return "connect", f"cannot be reached ({reason})", "check its address, VPN and firewall"


def _why(error: BaseException) -> str:
    """Return the operating system's words for what went wrong."""
    for one in _below(error):
        if isinstance(one, socket.gaierror):
            return "its name is not known"
        if isinstance(one, OSError) and one.errno:
            return os.strerror(one.errno).lower()  # asyncio writes texts of its own
    return "no connection"


def _below(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what caused it, outermost first, members of groups included."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        one = stack.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            stack.extend(one.exceptions)
        stack.extend((one.__context__, one.__cause__))
