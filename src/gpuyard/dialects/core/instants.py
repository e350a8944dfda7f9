"""Instants as the API writes them, to the nanosecond.

``metav1.Time`` is RFC 3339 in whole seconds and ``MicroTime`` has six digits more, but nothing
forbids nine, and tests of Kubernetes itself tell pods apart by one nanosecond. Python's own reader
stops at microseconds, so the fraction is read here.
"""

import datetime as dt
import re

from gpuyard.dialects import wire

RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|z|[+-]\d{2}:\d{2})"
)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NS_PER_SECOND = 10**9


def nanoseconds(text: str, place: str) -> int:
    """Return the instant `text` in nanoseconds since 1970; `place` names it in errors.

    Raises DialectError.
    """
    found = RFC3339.fullmatch(text)
    if found is None:
        raise wire.DialectError(f"{place}: {text!r} is not an RFC 3339 instant")
    seconds, fraction, zone = found.groups()
    try:
        instant = dt.datetime.fromisoformat(seconds + zone.upper())
    except ValueError as error:
        raise wire.DialectError(f"{place}: {text!r}: {error}") from None
    whole = round((instant - EPOCH).total_seconds())
    return whole * NS_PER_SECOND + int((fraction or "").ljust(9, "0"))
