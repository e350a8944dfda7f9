"""Files that are whole or absent: written beside their place, then renamed into it."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gpuyard.traces.trace import FilePath, TraceError

GZIP_SUFFIX = ".gz"


def write_whole(path: FilePath, content: bytes) -> None:
    """Write `content` to `path`; whoever opens it sees all of it or what was there before."""
    with opened_whole(path) as file:
        file.write(content)


@contextmanager
def opened_whole(path: FilePath) -> Iterator[BinaryIO]:
    """Open a file to write that takes its place when the block ends well, and else never was.

    Raises
    ------
    TraceError
        where it cannot be written.

    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise TraceError(
            path, None, f"cannot be written ({reason}); choose another place"
        ) from None


def compressed_as_named(path: FilePath, content: bytes) -> bytes:
    """Return `content`, as gzip where `path` ends in ``.gz``; the same content, the same bytes."""
    if str(path).endswith(GZIP_SUFFIX):
        return gzip.compress(content, mtime=0)
    return content
