"""CSV files as rows that know their line: bounded, gzip or plain, never a bare exception.

In: a path. Out: `Row`s in the order of the file, one at a time. Whether a file is compressed is read
from its first bytes, not from its name. Everything has a limit (bytes after decompression, rows, characters per
line), so that a wrong path or a hostile archive ends in one sentence instead of a full memory.

A cell is read by asking for what it must be (`Row.integer`, `Row.text`); a cell that is not that
raises `TraceError` with the line of the row and the values that are allowed.
"""

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from gpuyard.traces.trace import FilePath, TraceError

FILE_BYTES_MAX = 256 * 2**20  # after decompression
ROWS_MAX = 1_000_000  # a hundred times the longest openb list
LINE_CHARS_MAX = 16_384
GZIP_MAGIC = b"\x1f\x8b"
SHOWN_CHARS_MAX = 40  # of a wrong value, in a message


class Row(msgspec.Struct, frozen=True):
    """One row of a table: its cells by column name, and where it stands."""

    path: str
    line: int
    cells: Mapping[str, str]

    def error(self, sentence: str) -> TraceError:
        """Return an error that blames this row."""
        return TraceError(self.path, self.line, sentence)

    def text(self, column: str, default: str = "") -> str:
        """Return the cell, `default` where the table has no such column."""
        return self.cells.get(column, default)

    def name(self, column: str) -> str:
        """Return the cell, which must not be empty."""
        value = self.cells[column]
        if not value:
            raise self.error(f"{column} is empty; give every row a name")
        return value

    def integer(self, column: str, minimum: int, maximum: int) -> int:
        """Return the cell as a whole number in [`minimum`, `maximum`]."""
        value = self.cells[column]
        if value.isascii() and value.isdigit() and len(value) <= len(str(maximum)):
            number = int(value)
            if minimum <= number <= maximum:
                return number
        raise self.error(
            f"{column} is {shown(value)}; write a whole number from {minimum} to {maximum}"
        )

    def optional_integer(self, column: str, minimum: int, maximum: int) -> int | None:
        """Return the cell as a whole number, `None` where it is empty or there is no column."""
        if not self.cells.get(column):
            return None
        return self.integer(column, minimum, maximum)


def shown(value: str) -> str:
    """Return `value` quoted and short enough for a message."""
    short = value if len(value) <= SHOWN_CHARS_MAX else value[:SHOWN_CHARS_MAX] + "..."
    return ascii(short)


def suggestion(value: str, known: Collection[str]) -> str:
    """Return ``; did you mean 'x'? (all that is known)`` for a misspelt `value`."""
    every = ", ".join(sorted(known))
    by_folded = {name.casefold(): name for name in sorted(known)}
    close = difflib.get_close_matches(value.casefold()[:SHOWN_CHARS_MAX], by_folded, n=1)
    meant = f"did you mean {by_folded[close[0]]!r}? ({every})" if close else f"known are {every}"
    return f"; {meant}"


def read_rows(path: FilePath, required: tuple[str, ...]) -> Iterator[Row]:
    """Yield all rows of the CSV file at `path`, whose header must have the `required` columns."""
    reader = csv.reader(_lines(path, read_text(path)), strict=True)
    count = 0
    try:
        header = _header(path, next(reader, []), required)
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


def read_header(path: FilePath) -> tuple[str, ...]:
    """Return the column names of the CSV file at `path`, as they stand in its first line."""
    try:
        return tuple(next(csv.reader(_lines(path, read_text(path))), []))
    except csv.Error as error:
        raise TraceError(path, 1, f"not a CSV header ({error}); name the columns") from None


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


def read_bytes(path: FilePath) -> bytes:
    """Return the whole file, decompressed where its first bytes say gzip."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if content.startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as archive:
                content = archive.read(FILE_BYTES_MAX + 1)
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


def _header(path: FilePath, cells: list[str], required: tuple[str, ...]) -> tuple[str, ...]:
    """Return the column names, each of them once and none of the `required` missing."""
    header = tuple(cell.strip() for cell in cells)
    missing = [column for column in required if column not in header]
    if missing:
        raise TraceError(
            path,
            1,
            f"the header lacks {', '.join(missing)}; it must name {','.join(required)}",
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise TraceError(
            path, 1, f"the header names {shown(twice[0])} twice; name each column once"
        )
    return header


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
