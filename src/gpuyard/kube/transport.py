"""The narrow gate through which everything passes that goes to an API server.

`Transport` moves one request and gives the answer as it comes in: a status, headers, chunks. It
adds credentials and knows TLS and proxies, and nothing else: no retries, no JSON, no kinds. What
stands above it (a client, lists, watches) never sees a credential; what stands below (httpx2 today)
can be exchanged, and tests put their own in its place.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

Query = tuple[tuple[str, str], ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `silence_s` is how long the server may say nothing before we give up.

    `repeatable` says that sending it twice does no harm: a read, a dry run.
    """

    method: str = "GET"
    path: str
    query: Query = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    silence_s: float | None = None
    repeatable: bool = True


class Answer(Protocol):
    """The beginning of an answer, and its body as it arrives."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are found in any case."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the body, decompressed, in pieces of any size."""


class Transport(Protocol):
    """A way to one server as one user."""

    def open(self, request: Request) -> AbstractAsyncContextManager[Answer]:
        """Send a request; the answer is there while the block runs.

        Raises
        ------
        UnreachableError
            where no answer comes, or it breaks off.
        CredentialError
            where there are no credentials, or the server does not accept them.

        """

    async def close(self) -> None:
        """Close all connections."""
