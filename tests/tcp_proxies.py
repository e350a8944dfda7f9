"""Proxies between a client and the API server, made to be unpleasant.

`relay` passes bytes through, which it cannot read, and cuts or stalls a connection after so many of
them. `tunnel` is an HTTP proxy that speaks CONNECT, with a password if one is given.
"""

import asyncio
import base64
import contextlib
from urllib.parse import urlsplit

CHUNK = 2**14


class Faults:
    """What to do to connections: after how many bytes from the server, and for how many of them."""

    def __init__(self, *, cut_after=None, stall_after=None, times=10**9):
        self.cut_after = cut_after
        self.stall_after = stall_after
        self.times = times
        self.done = 0

    def take(self):
        """Return the limits for a new connection's next answer; none when enough was done."""
        return (self.cut_after, self.stall_after) if self.done < self.times else (None, None)


@contextlib.asynccontextmanager
async def relay(server, faults):
    """Give the address of a port from which everything goes to `server` and back."""
    url = urlsplit(server)

    async def serve(reader, writer):
        async with _connected(url.hostname, url.port) as (upstream_reader, upstream_writer):
            await _until_one_ends(
                _copy(reader, upstream_writer), _copy_with_faults(upstream_reader, writer, faults)
            )

    async with _listening(serve) as port:
        yield f"https://127.0.0.1:{port}"


async def _copy(reader, writer):
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()


async def _copy_with_faults(reader, writer, faults):
    passed = 0
    while chunk := await reader.read(CHUNK):
        cut_after, stall_after = faults.take()
        passed += len(chunk)
        if stall_after is not None and passed > stall_after:
            faults.done += 1
            await asyncio.sleep(3600)
        if cut_after is not None and passed > cut_after:
            faults.done += 1
            return
        writer.write(chunk)
        await writer.drain()


async def _until_one_ends(*work):
    """Run copies of both directions until one is over; then the connection is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _connected(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def tunnel(password=None):
    """Give the address of an HTTP proxy, and the list of whom it was asked to connect to."""
    asked = []
    expected = f"Basic {base64.b64encode(password.encode()).decode()}" if password else None

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        asked.append((method, target))
        given = [line.partition(": ")[2] for line in head if line.lower().startswith("proxy-auth")]
        if expected and expected not in given:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host, _, port = target.rpartition(":")
        async with _connected(host, int(port)) as (upstream_reader, upstream_writer):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _until_one_ends(_copy(reader, upstream_writer), _copy(upstream_reader, writer))

    async with _listening(serve) as port:
        yield f"http://127.0.0.1:{port}", asked


@contextlib.asynccontextmanager
async def _listening(serve):
    """Serve on a free port; connections that are still open at the end are ended."""
    tasks = set()

    async def tracked(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(tracked, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
