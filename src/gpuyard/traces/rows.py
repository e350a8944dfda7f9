"""CSV files as rows that know their line: bounded, gzip or plain, never a bare exception.

In: a path. Out: `Row`s in the order of the file, one at a time. Whether a file is compressed is
read from its first bytes, not from its name. Everything has a limit (bytes after decompression,
rows, characters per line and per text), so that a wrong path or a hostile archive ends in one
sentence instead of a full memory.

A cell is read by asking for what it must be (`Row.integer`, `Row.seconds_ns`, `Row.text`); a cell
that is not that raises `TraceError` with the line of the row and the values that are allowed.
"""

import csv
import difflib
import gzip
import io
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from gpuyard.traces.trace import FilePath, TraceError

FILE_BYTES_MAX = 256 * 2**20  # after decompression
ROWS_MAX = 1_000_000  # a hundred times the longest openb list
LINE_CHARS_MAX = 16_384
TEXT_CHARS_MAX = 512  # of a name; Kubernetes allows 253 and a namespace
TIME_S_MAX = 4 * 10**9  # in nanoseconds still below 2**63; far beyond today as a Unix time
SECOND_NS = 10**9
GZIP_MAGIC = b"\x1f\x8b"
SHOWN_CHARS_MAX = 40  # of a wrong value, in a message

WHOLE = re.compile(r"-?[0-9]{1,18}")
SECONDS = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,9}))?")


class Row(msgspec.Struct, frozen=True):
    """One row of a table: its cells by column name, and where it stands."""

    path: str
    line: int
    cells: Mapping[str, str]

    def error(self, sentence: str) -> TraceError:
        """Return an error that blames this row."""
        return TraceError(self.path, self.line, sentence)

    def text(self, column: str, default: str = "") -> str:
        """Return the cell, `default` where it is empty or there is no such column."""
        value = self.cells.get(column) or default
        if len(value) > TEXT_CHARS_MAX or not value.isprintable():
            raise self.error(
                f"{column} is {shown(value)}; write printable text of at most "
                f"{TEXT_CHARS_MAX} characters"
            )
        return value

    def name(self, column: str) -> str:
        """Return the cell, which must not be empty."""
        value = self.text(column)
        if not value:
            raise self.error(f"{column} is empty; give every row a name")
        return value

    def integer(self, column: str, minimum: int, maximum: int, default: int | None = None) -> int:
        """Return the cell as a whole number in [`minimum`, `maximum`].

        An empty cell or a missing column gives `default` where there is one.
        """
        value = self.cells.get(column, "")
        if not value and default is not None:
            return default
        if WHOLE.fullmatch(value) and minimum <= int(value) <= maximum:
            return int(value)
        raise self.error(
            f"{column} is {shown(value)}; write a whole number from {minimum} to {maximum}"
        )

    def seconds_ns(self, column: str) -> int | None:
        """Return the cell, seconds with up to nine decimals, in nanoseconds; `None` where empty."""
        value = self.cells.get(column, "")
        if not value:
            return None
        match = SECONDS.fullmatch(value)
        if match is None or int(match[1]) > TIME_S_MAX:
            raise self.error(
                f"{column} is {shown(value)}; write seconds from 0 to {TIME_S_MAX}, "
                "at most nine decimals"
            )
        return int(match[1]) * SECOND_NS + int((match[2] or "").ljust(9, "0"))


def shown(value: str) -> str:
    """Return `value` quoted and short enough for a message."""
    short = value if len(value) <= SHOWN_CHARS_MAX else value[:SHOWN_CHARS_MAX] + "..."
    return ascii(short)


def suggestion(value: str, known: Collection[str]) -> str:
    """Return ``; did you mean 'x'? (all that is known)`` for a misspelt `value`."""
    if not known:
        return "; there is none, leave it out"
    every = ", ".join(sorted(known))
    by_folded = {name.casefold(): name for name in sorted(known)}
    close = difflib.get_close_matches(
        value.casefold()[:SHOWN_CHARS_MAX], by_folded, n=1, cutoff=0.5
    )
    meant = f"did you mean {by_folded[close[0]]!r}? ({every})" if close else f"known are {every}"
    return f"; {meant}"


def read_rows(path: FilePath, required: tuple[str, ...]) -> Iterator[Row]:
    """Yield all rows of the CSV file at `path`, whose header must have the `required` columns."""
    return parse_rows(path, read_text(path), required)


def parse_rows(path: FilePath, text: str, required: tuple[str, ...]) -> Iterator[Row]:
    """Yield the same of `text`, wherever it was read from; `path` is who is blamed."""
    reader = csv.reader(_lines(path, text), strict=True)
    count = 0
    try:
        header = tuple(cell.strip() for cell in next(reader, []))
        check_header(path, 1, header, required)
        for cells in reader:
            if not cells:  # a blank line carries nothing
                continue
            count += 1
            if count > ROWS_MAX:
                raise TraceError(
                    path, reader.line_num, f"more than {ROWS_MAX} rows; split the trace"
                )
            yield _row(path, reader.line_num, header, cells)
    except csv.Error as error:
        raise TraceError(
            path, reader.line_num, f"not a CSV row ({error}); check quotes and line ends"
        ) from None
    if not count:
        raise TraceError(path, None, "no rows below the header; give a file with at least one")


def unique(rows: Iterable[Row], column: str) -> Iterator[Row]:
    """Yield the rows, whose names in `column` must be there and different."""
    lines: dict[str, int] = {}
    for row in rows:
        name = row.name(column)
        if name in lines:
            raise row.error(
                f"{column} {shown(name)} stands already in line {lines[name]}; rename one"
            )
        lines[name] = row.line
        yield row


def check_header(
    path: FilePath, line: int | None, header: tuple[str, ...], required: tuple[str, ...]
) -> None:
    """Raise `TraceError` unless each column is named once and none of the `required` is missing."""
    missing = [column for column in required if column not in header]
    if missing:
        raise TraceError(
            path,
            line,
            f"the header lacks {', '.join(missing)}; it must name {','.join(required)}",
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise TraceError(
            path, line, f"the header names {shown(twice[0])} twice; name each column once"
        )


def read_header(path: FilePath) -> tuple[str, ...]:
    """Return the column names of the CSV file at `path`; what follows them is not looked at."""
    begins = read_bytes(path, limit=LINE_CHARS_MAX).decode("utf-8-sig", errors="replace")
    try:
        names = next(csv.reader(_lines(path, begins)), [])
    except csv.Error as error:
        raise TraceError(path, 1, f"not a CSV header ({error}); name the columns") from None
    return tuple(name.strip() for name in names)


def read_text(path: FilePath) -> str:
    """Return the whole file as text, decompressed where its first bytes say gzip."""
    content = read_bytes(path)
    if b"\0" in content:
        raise TraceError(path, None, "a binary file; give a CSV or JSON text file, plain or gzip")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TraceError(path, line, "not UTF-8 text; save the file as UTF-8") from None
    if not text.strip():
        raise TraceError(path, None, "the file is empty; give a file with a header and rows")
    return text


def read_bytes(path: FilePath, limit: int = FILE_BYTES_MAX + 1) -> bytes:
    """Return the first `limit` bytes, decompressed where the file begins as gzip does."""
    try:
        with Path(path).open("rb") as file:
            begins = file.read(len(GZIP_MAGIC))
            file.seek(0)
            if begins == GZIP_MAGIC:
                with gzip.GzipFile(fileobj=file) as archive:
                    content = archive.read(limit)
            else:
                content = file.read(limit)
    except FileNotFoundError:
        raise TraceError(path, None, "no such file; check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(path, None, f"a damaged gzip file ({error}); download it again") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise TraceError(path, None, f"cannot be read ({reason}); give a readable file") from None
    if len(content) > FILE_BYTES_MAX:
        raise TraceError(
            path, None, f"more than {FILE_BYTES_MAX // 2**20} MiB of text; split the trace"
        )
    return content


def _lines(path: FilePath, text: str) -> Iterator[str]:
    """Yield the lines of `text` with their ends, none of them too long."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > LINE_CHARS_MAX:
            raise TraceError(
                path,
                number,
                f"a line of more than {LINE_CHARS_MAX} characters; is this a CSV file?",
            )
        yield line


def _row(path: FilePath, line: int, header: tuple[str, ...], cells: list[str]) -> Row:
    """Return one row; it must have as many cells as the header."""
    if len(cells) != len(header):
        raise TraceError(
            path,
            line,
            f"{len(cells)} cells under a header of {len(header)}; fill or quote the cells",
        )
    values = [cell.strip() for cell in cells]
    return Row(str(path), line, dict(zip(header, values, strict=True)))
