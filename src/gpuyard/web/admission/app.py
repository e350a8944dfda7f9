"""The ASGI application: bytes in, an answer out, and no way to fail in between.

A review is judged on the event loop: it takes less than a millisecond, and whoever waits longer
than ``timeoutSeconds`` is let through by the API server. What is kept small is what strangers could
make large: one body, and all bodies that are held at the same time.
"""

import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gpuyard.lint import Settings
from gpuyard.web.admission.answers import Answer, encode, failure
from gpuyard.web.admission.judge import Mode, judge
from gpuyard.web.admission.log import Log, where
from gpuyard.web.admission.measures import CONTENT_TYPE, Measures
from gpuyard.web.admission.reviews import Asked, ReviewError, read_review

# An API server takes requests of 3 MiB; an update carries the object twice.
BODY_BYTES_MAX = 7 * 2**20
HELD_BYTES_MAX = 4 * BODY_BYTES_MAX

PATHS: dict[Mode, str] = {"warn": "/admit", "audit": "/audit", "enforce": "/enforce"}

BAD_REQUEST, TOO_LARGE, BUSY = 400, 413, 503

Endpoint = Callable[[Request], Awaitable[Response]]


class RejectedError(Exception):
    """A request that gets no answer of ours, with its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Webhook:
    """Answers reviews; `not_ready` says in a few words why no more should come, or ``""``."""

    def __init__(
        self, settings: Settings, measures: Measures, log: Log, not_ready: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._measures = measures
        self._log = log
        self._not_ready = not_ready
        self._held_bytes = 0

    @property
    def app(self) -> Starlette:
        """The application for an ASGI server."""
        reviews = [
            Route(path, self._endpoint(mode), methods=["POST"]) for mode, path in PATHS.items()
        ]
        more = [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]
        return Starlette(routes=[*reviews, *more])

    def answer(self, asked: Asked, mode: Mode) -> tuple[Answer, bytes]:
        """Return the answer to a request, and as what it is sent, whatever happens."""
        try:
            answer = judge(asked, mode, self._settings)
            body = encode(asked.uid, answer)
        except Exception as error:  # noqa: BLE001  lint never breaks a cluster
            name = type(error).__name__
            self._log.say("error", "review-failed", error=name, where=where(error))
            answer = failure(f"{name} in gpuyard; please report it")
            return answer, encode(asked.uid, answer)
        if not answer.is_allowed:
            self._log.say(
                "info",
                "refused",
                kind=asked.kind.kind,
                namespace=asked.namespace,
                uid=asked.uid,
                rules=",".join(sorted(set(answer.rules))),
            )
        return answer, body

    def _endpoint(self, mode: Mode) -> Endpoint:
        async def review(request: Request) -> Response:
            try:
                asked = read_review(await self._body(request))
            except (RejectedError, ReviewError) as error:
                status = error.status if isinstance(error, RejectedError) else BAD_REQUEST
                self._measures.reject(status)
                return PlainTextResponse(f"{error}\n", status)
            except ClientDisconnect:
                return Response(status_code=BAD_REQUEST)  # nobody reads it
            begun = time.perf_counter()
            answer, body = self.answer(asked, mode)
            self._measures.count(mode, answer, time.perf_counter() - begun)
            return Response(body, media_type="application/json")

        return review

    async def _body(self, request: Request) -> bytes:
        """Return the body, and hold no more than may be held."""
        parts = bytearray()
        try:
            async for part in request.stream():
                self._held_bytes += len(part)
                parts += part
                if len(parts) > BODY_BYTES_MAX:
                    raise RejectedError(
                        TOO_LARGE, f"a review has at most {BODY_BYTES_MAX >> 20} MiB"
                    )
                if self._held_bytes > HELD_BYTES_MAX:
                    raise RejectedError(BUSY, "too many reviews at once; ask again")
        finally:
            self._held_bytes -= len(parts)  # from here on it is judged without another await
        return bytes(parts)

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, _request: Request) -> Response:
        reason = self._not_ready()
        return PlainTextResponse(f"{reason or 'ok'}\n", BUSY if reason else 200)

    async def _metrics(self, _request: Request) -> Response:
        return Response(self._measures.text(), media_type=CONTENT_TYPE)
