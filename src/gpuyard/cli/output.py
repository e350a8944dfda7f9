"""Where results go: a terminal, a pipe or a file that is whole or absent."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NARROW_COLUMNS = 100  # what a table may take where the width is not known (a pipe, a file)


def write(text: str, to: Path | None) -> None:
    """Print `text`, or write it to the file `to` so that it is there whole or not at all.

    Raises
    ------
    OSError
        where the file cannot be written; then nothing is left behind.

    """
    if to is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    descriptor, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(to)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_writable(to: Path | None) -> None:
    """Refuse a place that cannot be written to before the work is done, not after.

    Raises
    ------
    click.BadParameter
        where `to` is a folder or lies in one that is not there or not ours.

    """
    if to is None:
        return
    if to.is_dir():
        raise click.BadParameter(f"{to} is a folder; name a file in it", param_hint="--to")
    if not to.parent.is_dir():
        raise click.BadParameter(
            f"there is no folder {to.parent}; make it first", param_hint="--to"
        )
    if not os.access(to.parent, os.W_OK):
        raise click.BadParameter(f"{to.parent} cannot be written to", param_hint="--to")


def console(*, no_color: bool) -> "Console":
    """Return a console for tables: plain and 100 columns wide where nobody looks at it."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else NARROW_COLUMNS
    return Console(no_color=no_color or None, width=width, highlight=False)


def table(title: str, columns: list[tuple[str, bool]]) -> "Table":
    """Return an empty table; `columns` are (heading, is a number)."""
    from rich import box
    from rich.table import Table

    grid = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for heading, is_number in columns:
        grid.add_column(heading, justify="right" if is_number else "left", no_wrap=not is_number)
    return grid


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["gpuyard", *sys.argv[1:]])


def version() -> str:
    """Return the program and its version."""
    from importlib.metadata import version as installed

    return f"gpuyard {installed('gpuyard')}"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how many of `total` runs are done; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _nothing() -> None:
    return


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
