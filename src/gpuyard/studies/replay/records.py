"""Records as files: kept while a replay runs, and checked afterwards.

A record (`gpuyard.twin.record`) is written line by line into a file that is there when it is whole;
a name that ends in ``.gz`` is compressed. It is read line by line as well, so neither needs the
memory that a long run would. Whether a file is compressed is read from its first bytes.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gpuyard.scheduling.policy import Policy
from gpuyard.traces.rows import GZIP_MAGIC
from gpuyard.traces.trace import FilePath, TraceError
from gpuyard.traces.whole import GZIP_SUFFIX, opened_whole
from gpuyard.twin import record
from gpuyard.twin.record import Difference, Head, RecordWriter

LINE_BYTES_MAX = 2**28  # the first cycle of a hundred thousand nodes stays far below


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of computing the plans of a record again; `difference`: the first, if any."""

    record: str
    trace: str
    policy: str
    seed: int
    cycles: int
    difference: Difference | None


@contextmanager
def keeping(path: FilePath, head: Head) -> Iterator[RecordWriter]:
    """Keep the record of what runs in the block in `path`, whole or not at all.

    Raises
    ------
    TraceError
        where the file cannot be written.

    """
    with opened_whole(path) as file:
        if str(path).endswith(GZIP_SUFFIX):
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as archive:
                writer = RecordWriter(archive.write, head)
                yield writer
                writer.close()
        else:
            writer = RecordWriter(file.write, head)
            yield writer
            writer.close()


def check(path: FilePath, policy: Policy | None = None, policy_name: str = "") -> Checked:
    """Compute every plan of the record in `path` again, with its own policy or with `policy`.

    Raises
    ------
    TraceError, RecordError
        where the file cannot be used, with its line and what to do.

    """
    read = record.read(_lines(path), str(path))
    verdict = record.recompute(read, policy)
    return Checked(
        record=str(path),
        trace=read.head.trace,
        policy=read.head.policy_name if policy is None else policy_name,
        seed=read.head.seed,
        cycles=verdict.cycles,
        difference=verdict.difference,
    )


def _lines(path: FilePath) -> Iterator[bytes]:
    try:
        with Path(path).open("rb") as file:
            is_compressed = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
            with gzip.GzipFile(fileobj=file) if is_compressed else file as lines:
                number = 0
                while line := lines.readline(LINE_BYTES_MAX):
                    number += 1
                    if len(line) == LINE_BYTES_MAX:
                        raise TraceError(path, number, "the line is longer than any of a record")
                    yield line
    except FileNotFoundError:
        raise TraceError(path, None, "no such file; check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(path, None, f"a damaged gzip file ({error}); take a whole one") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise TraceError(path, None, f"cannot be read ({reason}); give a readable file") from None
