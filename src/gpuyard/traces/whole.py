"""Files that are whole or absent: written beside their place, then renamed into it."""

import gzip
import os
from pathlib import Path

from gpuyard.traces.trace import FilePath, TraceError

GZIP_SUFFIX = ".gz"


def write_whole(path: FilePath, content: bytes) -> None:
    """Write `content` to `path`; whoever opens it sees all of it or what was there before."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as file:
                file.write(content)
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
