"""Requests that arrive: whole answers, tried again where that may help, decoded as the caller says.

A `Client` reads an answer to its end before it returns, up to `ANSWER_BYTES_MAX`, so an answer that
breaks off in the middle counts as none and is fetched again by the rules of `retries`. What is
left over as an error says what was being done: `doing` is written for that, "listing pods".
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self, TypeVar

import msgspec

from gpuyard.kube.errors import AnswerError, KubeError, UnreachableError
from gpuyard.kube.retries import Setback, pause_s, retry_after_s
from gpuyard.kube.transport import Answer, Request, Transport
from gpuyard.kube.verdicts import verdict

ANSWER_BYTES_MAX = 2**30
NO_SUCCESS = 300

T = TypeVar("T")


class Reply(msgspec.Struct, frozen=True):
    """A successful answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One API server as one user. Use it as an async context manager, or close it.

    `server` is its address, for sentences. `pause` and `chance` are the clock and the dice of the
    pauses between tries; tests put their own there.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        server: str,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        self.server = server
        self.transport = transport
        self._pause = pause
        self._chance = chance
        self._answer_bytes_max = answer_bytes_max

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.close()

    async def send(self, request: Request, *, doing: str) -> Reply:
        """Return the answer to a request.

        Raises
        ------
        ApiError
            where the server refuses, or keeps failing.
        UnreachableError, CredentialError, AnswerError
            where no answer comes, nobody believes us, or the answer is too large.

        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(request)
            except KubeError as error:
                wait_s = pause_s(
                    _setback(error),
                    tries,
                    repeatable=request.repeatable,
                    chance=self._chance(),
                )
                if wait_s is None:
                    raise error.during(_after(tries, doing)) from None
            await self._pause(wait_s)

    async def get(self, path: str, kind: type[T], *, doing: str) -> T:
        """Return what lies at a path as a `kind`."""
        reply = await self.send(Request(path=path), doing=doing)
        return self.decoded(reply, kind, doing=doing)

    def decoded(self, reply: Reply, kind: type[T], *, doing: str) -> T:
        """Return an answer as a `kind`.

        Raises
        ------
        AnswerError
            with the field that does not fit.

        """
        try:
            return decode(reply.body, kind)
        except AnswerError as error:
            raise error.during(f"{doing}: what {self.server} answered") from None

    async def _once(self, request: Request) -> Reply:
        async with self.transport.open(request) as answer:
            body = await self._whole(answer)
            if answer.status < NO_SUCCESS:
                return Reply(answer.status, answer.headers, body)
            after_s = retry_after_s(answer.headers.get("Retry-After"))
            raise verdict(answer.status, body, after_s, self.server)

    async def _whole(self, answer: Answer) -> bytes:
        body = bytearray()
        async for chunk in answer.chunks():
            body += chunk
            if len(body) > self._answer_bytes_max:
                raise AnswerError(
                    f"{self.server} answered with more than {self._answer_bytes_max} bytes;"
                    " ask for less at once, by namespace or label"
                )
        return bytes(body)


def decode(body: bytes, kind: type[T]) -> T:
    """Return JSON as a `kind`; an `AnswerError` names the field and the types, not the value."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise AnswerError(f"does not have the form that is expected ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AnswerError("is not JSON that can be read") from None


def _setback(error: KubeError) -> Setback:
    if isinstance(error, UnreachableError):
        return Setback(fault=error.fault)
    known: Any = error
    return Setback(
        status=getattr(known, "status", 0), retry_after_s=getattr(known, "retry_after_s", None)
    )


def _after(tries: int, doing: str) -> str:
    return doing if tries == 1 else f"{doing}, tried {tries} times"
