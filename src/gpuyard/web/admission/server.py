"""Listening, and stopping without cutting anybody off.

SIGTERM is what a kubelet sends: from then on ``/readyz`` says no, so that the Service sends nobody
here any more, and for `DRAIN_S` reviews are still answered, because that takes a moment to be known
everywhere. SIGINT, or a second SIGTERM, ends at once; what is being answered is answered.

The garbage collector is told to leave alone what is there when we begin (rules, modules): it would
look through all of it again and again, in the middle of a review.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn

from gpuyard.web.admission.app import Webhook
from gpuyard.web.admission.certificates import Shown
from gpuyard.web.admission.log import Log, where

DRAIN_S = 3.0
LAST_ANSWERS_S = 5
IDLE_S = 75  # an API server keeps connections for 90 s
BACKLOG = 512


class ListenError(ValueError):
    """An address cannot be listened on: one sentence."""


class State:
    """Why no more reviews should come, or ``""``."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self.is_stopping = False

    def not_ready(self) -> str:
        """Return the reason in a few words."""
        return "stopping" if self.is_stopping else self._shown.problem()


def listen(address: str) -> socket.socket:
    """Return a socket at ``HOST:PORT``, ``[HOST]:PORT`` or, on all addresses, ``:PORT``.

    Raises
    ------
    ListenError
        where that is no address, or it cannot be had.

    """
    host, colon, number = address.rpartition(":")
    port = int(number) if number.isascii() and number.isdigit() else -1
    if not colon or not 0 <= port < 2**16:
        raise ListenError(f"{address!r} is no address; write HOST:PORT, or :PORT for all")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ListenError(f"listening on {address}: {said}; choose another address") from None


def serve(webhook: Webhook, at: socket.socket, shown: Shown, state: State, log: Log) -> None:
    """Answer reviews until a signal says to stop."""
    config = uvicorn.Config(
        webhook.app,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
        ssl_context_factory=lambda _config, _default: shown.context,
    )
    gc.collect()
    gc.freeze()
    with _warnings_to(log), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Server(config), at, state, log))


async def _serve(server: uvicorn.Server, at: socket.socket, state: State, log: Log) -> None:
    loop = asyncio.get_running_loop()

    def stop_now() -> None:
        state.is_stopping = True
        server.should_exit = True

    def stop_soon() -> None:
        if state.is_stopping:
            stop_now()
            return
        state.is_stopping = True
        log.say("info", "stopping", drain_s=DRAIN_S)
        loop.call_later(DRAIN_S, stop_now)

    loop.add_signal_handler(signal.SIGTERM, stop_soon)
    loop.add_signal_handler(signal.SIGINT, stop_now)
    host, port = at.getsockname()[:2]
    log.say("info", "listening", address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    await server.serve(sockets=[at])
    log.say("info", "stopped")


class _Server(uvicorn.Server):
    """Leaves the signals to `_serve`: uvicorn would end by sending itself the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Handler(logging.Handler):
    """Carries what libraries complain about into our log, by logger and type, without texts."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._log.say(
            "warning",
            "library",
            logger=record.name,
            error=type(error).__name__ if error else "",
            where=where(error) if error else f"{record.module}:{record.lineno}",
        )


@contextlib.contextmanager
def _warnings_to(log: Log) -> Iterator[None]:
    handler = _Handler(log)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
