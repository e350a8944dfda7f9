"""How fast decisions become facts: the client's own limit, and what a write takes.

A client of an API server limits itself: a bucket holds `burst` tokens, each write takes one, and
`per_second` new ones come. Whoever finds the bucket empty waits for the next token, first come
first served (client-go ``flowcontrol``, token bucket). A write that has its token is a fact
`latency_ns` later. Without a limit only the latency is left; zero is a setting, not another path.
"""

from fractions import Fraction

import msgspec

SECOND_NS = 10**9


class WriteLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may write. `per_second` of `None`: as much as it likes."""

    per_second: int | None = None
    burst: int = 1
    latency_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse limits that nobody could keep."""
        if self.per_second is not None and self.per_second <= 0:
            raise ValueError(f"{self.per_second} writes a second: give more than none, or no limit")
        if self.burst < 1 or self.latency_ns < 0:
            raise ValueError("a burst is at least 1, a latency at least 0")


class Writer:
    """A client in virtual time; writes are asked for in the order of time."""

    def __init__(self, limit: WriteLimit) -> None:
        """Start with a full bucket at instant 0."""
        self.limit = limit
        self.writes = 0
        self._tokens = Fraction(limit.burst)
        self._at_ns = 0

    def write(self, now_ns: int) -> int:
        """Return the instant at which a write that is asked for now is a fact."""
        self.writes += 1
        if self.limit.per_second is None:
            return now_ns + self.limit.latency_ns
        at_ns = max(now_ns, self._at_ns)
        rate = Fraction(self.limit.per_second, SECOND_NS)
        self._tokens = min(Fraction(self.limit.burst), self._tokens + (at_ns - self._at_ns) * rate)
        if self._tokens < 1:
            missing_ns = -((self._tokens - 1) // rate)  # whole nanoseconds, rounded up
            at_ns += int(missing_ns)
            self._tokens += missing_ns * rate
        self._tokens -= 1
        self._at_ns = at_ns
        return at_ns + self.limit.latency_ns
