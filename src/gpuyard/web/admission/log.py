"""One line of JSON for each thing that somebody should know, and never more than a few a second.

A line names events, kinds and rules. It never holds what is inside an object, nor the text of an
exception, which may quote it: an error is told by its type and the line of ours where it was
raised.
"""

import datetime as dt
import sys
import time
import traceback
from collections.abc import Callable
from typing import Literal

import msgspec

Level = Literal["info", "warning", "error"]
Field = str | int | float | bool | None

LINES_PER_SECOND_MAX = 20
PACKAGE = "gpuyard"


class Log:
    """Writes lines; what is too much in one second is counted and told in the next."""

    def __init__(
        self,
        write: Callable[[str], object] = sys.stderr.write,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._write = write
        self._clock = clock
        self._second = 0
        self._written = 0
        self._left_out = 0

    def say(self, level: Level, event: str, **fields: Field) -> None:
        """Write a line."""
        now = self._clock()
        if int(now) != self._second:
            self._second, self._written = int(now), 0
        if self._written >= LINES_PER_SECOND_MAX:
            self._left_out += 1
            return
        self._written += 1
        if self._left_out:
            fields["left_out"] = self._left_out
            self._left_out = 0
        at = dt.datetime.fromtimestamp(now, tz=dt.UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": level, "event": event, **fields}
        self._write(msgspec.json.encode(line).decode() + "\n")


def where(error: BaseException) -> str:
    """Return the line of ours at which an error was raised: ``lint/run.py:120``."""
    ours = [
        f"{frame.filename.rpartition(f'/{PACKAGE}/')[2]}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if f"/{PACKAGE}/" in frame.filename
    ]
    return ours[-1] if ours else ""
