"""Where built programs stay: one folder per version under the user's cache, whole or absent."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return ``$XDG_CACHE_HOME/gpuyard/kubernetes``, by default under ``~/.cache``."""
    home = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".cache")
    return Path(home) / "gpuyard" / "kubernetes"


@contextlib.contextmanager
def only_one(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Run the block in one process at a time; `waiting` is called if another one is in it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file releases the lock, also when this process dies
