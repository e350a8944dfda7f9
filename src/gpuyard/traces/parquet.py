"""Parquet files as the same rows of text that a CSV file gives.

polars reads and writes them. It comes with the extra ``gpuyard[analysis]`` and is imported only
when a Parquet file is met, so that CSV users do without it. Lines count the rows from 1, for there
is no header line. Whole numbers may lie in columns of floats (pandas does that where one is
missing): 4.0 reads as 4.
"""

import importlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

from gpuyard.traces.rows import ROWS_MAX, Row, read_bytes
from gpuyard.traces.trace import FilePath, TraceError

PARQUET_MAGIC = b"PAR1"
PARQUET_SUFFIX = ".parquet"


def is_parquet(path: FilePath) -> bool:
    """Tell from its first bytes whether `path` is a Parquet file."""
    return read_bytes(path, limit=len(PARQUET_MAGIC)).startswith(PARQUET_MAGIC)


def read_parquet(path: FilePath) -> tuple[tuple[str, ...], Iterator[Row]]:
    """Return the column names and the rows of a Parquet file, every cell as text."""
    polars = _polars(path)
    content = read_bytes(path)
    try:
        frame = polars.read_parquet(io.BytesIO(content), n_rows=ROWS_MAX + 1)
        floats = [name for name, kind in frame.schema.items() if kind.is_float()]
        frame = frame.with_columns(polars.col(floats).fill_nan(None))
        frame = frame.select(polars.all().cast(polars.String).fill_null(""))
        frame = frame.with_columns(polars.col(floats).str.strip_suffix(".0"))
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise TraceError(
            path, None, f"not a readable Parquet table ({reason}); write it again"
        ) from None
    if frame.height > ROWS_MAX:
        raise TraceError(path, ROWS_MAX + 1, f"more than {ROWS_MAX} rows; split the trace")
    columns = tuple(frame.columns)
    rows = (
        Row(str(path), line, {name: cell.strip() for name, cell in cells.items()})
        for line, cells in enumerate(frame.iter_rows(named=True), start=1)
    )
    return columns, rows


def parquet_bytes(
    path: FilePath, columns: Sequence[str], rows: Sequence[Sequence[str | int]]
) -> bytes:
    """Return `rows` as the content of a Parquet file for `path`; the same rows, the same bytes."""
    polars = _polars(path)
    buffer = io.BytesIO()
    frame = polars.DataFrame(
        list(rows), schema=list(columns), orient="row", infer_schema_length=None
    )
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _polars(path: FilePath) -> Any:  # noqa: ANN401  an optional package has no type here
    try:
        return importlib.import_module("polars")
    except ImportError:
        raise TraceError(
            path,
            None,
            "a Parquet file needs polars; run: pip install 'gpuyard[analysis]', or use CSV",
        ) from None
