"""One real API server for a whole test run, however many workers it has.

Whoever needs it first starts it; the others find its folder and use it. All hold a lock in common
while they do. The one who started it waits for the others to let go before stopping it, and is the
process with which it would die, so nothing is left behind in any case.
"""

import contextlib
import fcntl
import sys
from collections.abc import Iterator
from pathlib import Path

from gpuyard.local.cache import only_one
from gpuyard.local.cluster import start
from gpuyard.local.site import Site, open_site


@contextlib.contextmanager
def shared_cluster(base: Path) -> Iterator[Site]:
    """Give the cluster of the run whose folder for temporary files is `base`."""
    note, mine = base / "cluster.folder", None
    with (base / "cluster.users").open("wb") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with only_one(base / "cluster.lock", lambda: None):
            if not note.exists():
                mine = start(say=_say)
                note.write_text(str(mine.site.folder))
        try:
            yield open_site(Path(note.read_text()))
        finally:
            if mine is not None:
                fcntl.flock(users, fcntl.LOCK_EX)  # waits until nobody else uses it
                note.unlink()
                mine.stop()


def _say(text: str) -> None:
    """Write past pytest's capture: a build takes minutes, and silence looks like a hang."""
    assert sys.__stderr__ is not None
    sys.__stderr__.write(f"gpuyard: {text}\n")
    sys.__stderr__.flush()
