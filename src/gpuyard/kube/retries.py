"""Whether to send a request again, and when.

| what came                  | a repeatable request | any other            |
|----------------------------|----------------------|----------------------|
| 429, or Retry-After        | when the server says | when the server says |
| 500, 502, 503, 504         | after a pause        | no                   |
| no connection              | after a pause        | after a pause        |
| cut off, silence           | after a pause        | no                   |
| TLS or proxy, anything else| no                   | no                   |

Pauses double from `FIRST_PAUSE_S` up to `PAUSE_S_MAX`; each is drawn from its upper half, so that
clients which failed together do not come back together. There are at most `TRIES_MAX` tries, and
`CONNECT_TRIES_MAX` where nobody answers, for a person with a wrong address waits for the sentence.
No pause is longer than `RETRY_AFTER_S_MAX`: a server that wants more patience gets an error.

Semantics: Kubernetes API conventions ("Retry-After", status 429 and 503); client-go v0.36,
rest/with_retry.go.
"""

import msgspec

from gpuyard.kube.errors import Fault

TRIES_MAX = 6
CONNECT_TRIES_MAX = 3
FIRST_PAUSE_S = 0.2
PAUSE_S_MAX = 10.0
RETRY_AFTER_S_MAX = 60.0

TOO_MANY_REQUESTS = 429
PASSING = frozenset({500, 502, 503, 504})


class Setback(msgspec.Struct, frozen=True):
    """What went wrong with one try: the server's answer, or no answer."""

    status: int = 0
    fault: Fault | None = None
    retry_after_s: float | None = None


def may_pass(setback: Setback, *, repeatable: bool) -> bool:
    """Say whether the same request may be sent again."""
    if setback.fault is not None:
        return setback.fault == "connect" or (repeatable and setback.fault in {"cut", "silent"})
    if setback.status == TOO_MANY_REQUESTS:
        return True
    if setback.status not in PASSING:
        return False
    return repeatable or setback.retry_after_s is not None


def pause_s(setback: Setback, tries: int, *, repeatable: bool, chance: float) -> float | None:
    """Return how long to wait after `tries` tries, or None to give up; `chance` is in [0, 1)."""
    tries_max = CONNECT_TRIES_MAX if setback.fault == "connect" else TRIES_MAX
    if tries >= tries_max or not may_pass(setback, repeatable=repeatable):
        return None
    longest: float = min(PAUSE_S_MAX, FIRST_PAUSE_S * 2.0 ** (tries - 1))
    drawn = longest * (0.5 + chance / 2)
    if setback.retry_after_s is None:
        return drawn
    if setback.retry_after_s > RETRY_AFTER_S_MAX:
        return None
    return setback.retry_after_s + drawn


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``; a date, which API servers do not write, is none."""
    if header is None or not header.strip().isdecimal():
        return None
    return float(header.strip()[:9])
