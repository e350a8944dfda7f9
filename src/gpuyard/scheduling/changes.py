"""Which nodes changed since I last looked.

Every cached row remembers a position in a log of node slots; what follows that position is what
must be computed anew. The log is bounded: beyond `LOG_SLOTS_MAX` entries its older half is
forgotten, and whoever last looked before that gets every slot, which is always right and only
slower.
"""

import numpy as np
from numpy.typing import NDArray

LOG_SLOTS_MAX = 1 << 16


class ChangeLog:
    """An append-only log of node slots with positions that never go back."""

    def __init__(self) -> None:
        """Start empty at position 0."""
        self._slots: list[int] = []
        self._base = 0

    @property
    def position(self) -> int:
        """Return the position after the newest entry."""
        return self._base + len(self._slots)

    def append(self, slot: int) -> None:
        """Note that something about `slot` changed."""
        self._slots.append(slot)
        if len(self._slots) > LOG_SLOTS_MAX:
            forgotten = LOG_SLOTS_MAX // 2
            del self._slots[:forgotten]
            self._base += forgotten

    def since(self, position: int, size: int) -> NDArray[np.int64]:
        """Return the slots that changed after `position`, ascending and unique.

        `size` is the number of slots there are: the answer where the log no longer reaches back.
        """
        fresh = len(self._slots) - (position - self._base)
        if position < self._base or fresh >= 2 * size:
            return np.arange(size)
        if fresh <= 0:
            return NO_SLOTS
        if fresh == 1:
            return np.array(self._slots[-1:], dtype=np.int64)
        return np.array(sorted(set(self._slots[-fresh:])), dtype=np.int64)


NO_SLOTS: NDArray[np.int64] = np.empty(0, dtype=np.int64)
