"""The server's "no" as an `ApiError`: its own words, and what to do.

A refusal comes as a ``Status`` object. Where it comes as something else (a page of a load balancer,
nothing), the HTTP status is all there is to say, and whether this is an API server at all is a
fair question.

Format: Kubernetes API conventions, "Response Status Kind"; k8s.io/apimachinery v0.36, meta/v1.
"""

import http

import msgspec

from gpuyard.kube.errors import ApiError

MESSAGE_SHOWN_MAX = 1000
FORBIDDEN, NOT_FOUND, GONE = 403, 404, 410

REMEDIES = {
    400: "correct the request",
    FORBIDDEN: "ask for this right, or name another user with --as or --context",
    NOT_FOUND: "check the name, the namespace and that the cluster serves this kind",
    405: "the cluster does not serve this for the kind",
    409: "somebody else changed it; look at it again",
    GONE: "start again",
    413: "send less at once",
    422: "correct the object",
    429: "the server is busy; try again later",
}
REMEDY_OTHERWISE = "try again later, and if it stays look at the server's log"


class _Details(msgspec.Struct, frozen=True, rename="camel"):
    retry_after_seconds: int = 0


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    message: str = ""
    reason: str = ""
    details: _Details | None = None


def verdict(status: int, body: bytes, retry_after_s: float | None, server: str) -> ApiError:
    """Return the error for an answer with an HTTP status that is no success."""
    said = _status(body)
    if said is None:
        words = f"{status} {_phrase(status)}".strip()
        return ApiError(
            f"{server} answered {words} without saying why; is an API server behind this address?",
            status=status,
            retry_after_s=retry_after_s,
        )
    if retry_after_s is None and said.details and said.details.retry_after_seconds:
        retry_after_s = float(said.details.retry_after_seconds)
    message = printable(said.message) or f"{status} {_phrase(status)}"
    remedy = REMEDIES.get(status, REMEDY_OTHERWISE)
    return ApiError(
        f"{message}; {remedy}",
        status=status,
        reason=said.reason,
        message=said.message,
        retry_after_s=retry_after_s,
    )


def printable(text: str) -> str:
    """Return the server's words on one line, without control characters and not endless."""
    line = " ".join(text.split())
    clean = "".join(one for one in line if one.isprintable())
    return clean if len(clean) <= MESSAGE_SHOWN_MAX else clean[:MESSAGE_SHOWN_MAX] + "…"


def _status(body: bytes) -> _Status | None:
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said if said.kind == "Status" else None


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
