"""Where results go: a terminal, a pipe or a file that is whole or absent."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Command = TypeVar("Command", bound=Callable[..., Any])

NARROW_COLUMNS = 100  # what a table may take where the width is not known (a pipe, a file)
WIDE_COLUMNS = 1000  # more than any table takes


def options(*forms: str) -> Callable[[Command], Command]:
    """Return the options of every command that answers in one of `forms`, the first by default."""
    in_order = (
        click.option(
            "-o",
            "--output",
            "form",
            type=click.Choice(forms),
            default=forms[0],
            show_default=True,
            help="The form of the answer.",
        ),
        click.option(
            "--to",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="Write to a file, whole or not at all. [default: the terminal]",
        ),
        click.option(
            "--no-color", is_flag=True, help="No colour, also with NO_COLOR in the environment."
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(in_order):
            command = option(command)
        return command

    return add


def write(text: str, to: Path | None) -> None:
    """Print `text`, or write it to the file `to` so that it is there whole or not at all.

    A pipe or a device is written to as it is: it cannot be replaced.

    Raises
    ------
    TraceError, OSError
        where it cannot be written; then nothing is left behind.

    """
    if to is not None and not _is_special(to):
        from gpuyard.traces.whole import write_whole

        write_whole(to.resolve(), text.encode())
        return
    try:
        if to is None:
            click.echo(text, nl=not text.endswith("\n"))
        else:
            to.write_text(text, encoding="utf-8")
    except BrokenPipeError:
        raise  # whoever read has read enough
    except OSError as error:
        place = "the output" if to is None else to
        if to is None:  # or Python would try once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(
            f"{place} cannot be written ({error.strerror}); choose another place"
        ) from error


def write_bytes(content: bytes, to: Path) -> None:
    """Write to the file `to`, whole or not at all; to a pipe or a device as it is.

    Raises
    ------
    TraceError, OSError
        where it cannot be written; then nothing is left behind.

    """
    if _is_special(to):
        to.write_bytes(content)
        return
    from gpuyard.traces.whole import write_whole

    write_whole(to.resolve(), content)


def check_writable(to: Path | None, option: str = "--to") -> None:
    """Refuse a place that cannot be written to before the work is done, not after.

    Raises
    ------
    click.BadParameter
        where `to` is a folder or protected, or lies in a folder that is not there or not ours.

    """
    if to is None:
        return
    folder = to.resolve().parent
    if to.is_dir():
        raise _bad_place(f"{to} is a folder; name a file in it", option)
    if to.exists() and not os.access(to, os.W_OK):
        raise _bad_place(f"{to} is write-protected; choose another name", option)
    if _is_special(to):
        return
    if not folder.is_dir():
        raise _bad_place(f"there is no folder {folder}; make it first", option)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _bad_place(
            f"{folder} cannot be written to ({error.strerror}); choose another place", option
        ) from None


def _bad_place(sentence: str, option: str) -> click.BadParameter:
    return click.BadParameter(sentence, param_hint=option)


def _is_special(to: Path) -> bool:
    """Tell a pipe or a device, which is there and is no file."""
    return to.exists() and not to.is_file()


def console(*, no_color: bool) -> "Console":
    """Return a console for tables: plain and 100 columns wide where nobody looks at it."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else NARROW_COLUMNS
    if no_color or os.environ.get("NO_COLOR"):
        return Console(color_system=None, width=width, highlight=False)
    return Console(width=width, highlight=False)


def looks(to: Path | None, *, no_color: bool) -> tuple[int, bool]:
    """Return the columns and whether there is colour, for text that is drawn without a console."""
    if to is not None or not sys.stdout.isatty():
        return NARROW_COLUMNS, False
    return shutil.get_terminal_size().columns, not (no_color or os.environ.get("NO_COLOR"))


def table(columns: list[tuple[str, bool]]) -> "Table":
    """Return an empty table; `columns` are (heading, is a number)."""
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for heading, is_number in columns:
        grid.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    return grid


def draw(console: "Console", title: str, grid: "Table", *, spare: Sequence[str]) -> None:
    """Draw a table under its title.

    Where it is too wide, whole columns are left out, those of `spare` in this order, and named:
    a name or a number is never cut.
    """
    left_out: list[str] = []
    for heading in spare:
        if _width(console, grid) <= console.width:
            break
        left_out += [heading for column in grid.columns if column.header == heading]
        grid.columns = [column for column in grid.columns if column.header != heading]
    console.print(title, style="bold")
    room = console.width
    console.width = max(room, _width(console, grid))
    console.print(grid)
    console.width = room
    if left_out:
        names = ", ".join(left_out)
        console.print(f"Left out for want of room: {names}; -o json has everything.")
    console.print()


def _width(console: "Console", grid: "Table") -> int:
    """Return the columns that `grid` takes where there is room for all of it."""
    return console.measure(grid, options=console.options.update(width=WIDE_COLUMNS)).maximum


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


@contextmanager
def activity(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is going on, and what; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda now: status.update(now or what)


def _nothing(*_: object) -> None:
    return
