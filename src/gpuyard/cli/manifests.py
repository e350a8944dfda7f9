"""Which files are meant by the paths on a command line, and what is in them.

A folder means its ``.yaml``, ``.yml`` and ``.json`` files at any depth, sorted; hidden folders and
``node_modules`` are left alone, links to folders are not followed, and what is no regular file is
passed over. A path that is given by name is read whatever it is called, a pipe too, and ``-`` is
the standard input.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuyard.lint.texts import BYTES_MAX, Text

if TYPE_CHECKING:
    from gpuyard.lint.texts import Given

STDIN = "-"
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
PASSED_OVER = frozenset({"node_modules"})


def find(paths: Iterable[str], unreadable: Callable[[OSError], None]) -> list[tuple[str, bool]]:
    """Return (path, was it named) of all files that `paths` mean, each once.

    Of a folder that cannot be listed, `unreadable` is told.

    Raises
    ------
    click.UsageError
        where a path leads nowhere, or all of them to no manifest.

    """
    asked = list(paths)
    if asked.count(STDIN) > 1:
        raise click.UsageError("the standard input can be read once; give - once")
    found: dict[str, bool] = {}
    for path in asked:
        if path == STDIN or not Path(path).is_dir():
            if path != STDIN and not os.path.lexists(path):
                raise click.UsageError(f"{path}: no such file or folder; check the path")
            found[_tidy(path)] = True
        else:
            for inside in _walk(path, unreadable):
                found.setdefault(_tidy(inside), False)
    if not found:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise click.UsageError(
            f"{', '.join(asked)}: no file that ends in {suffixes}; name a folder with manifests"
        )
    return list(found.items())


def texts(
    files: Iterable[tuple[str, bool]], unreadable: Callable[[OSError], None]
) -> Iterator[Text]:
    """Read one file after the other; of one that cannot be read, tell `unreadable`."""
    for path, is_named in files:
        try:
            content = _read(path)
        except OSError as error:
            error.filename = path
            unreadable(error)
        else:
            yield Text(path, content, is_named)


def rewrite(path: str, before: bytes, after: bytes) -> None:
    """Put `after` in the place of `before`, whole or not at all, with the file's own permissions.

    Raises OSError where it cannot be written, or holds something else than `before` by now.
    """
    target = Path(path).resolve()
    if target.read_bytes() != before:
        raise OSError(errno.ESTALE, "has changed in the meantime; try again", path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _read(path: str) -> bytes:
    # One byte more than is allowed, so that the reader sees and says that it is too much.
    if path == STDIN:
        return sys.stdin.buffer.read(BYTES_MAX + 1)
    with Path(path).open("rb") as file:
        return file.read(BYTES_MAX + 1)


def _walk(folder: str, unreadable: Callable[[OSError], None]) -> Iterator[str]:
    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in PASSED_OVER
        )
        for name in sorted(files):
            path = Path(place, name)
            is_meant = not name.startswith(".") and path.suffix.lower() in SUFFIXES
            if is_meant and _is_regular(path):
                yield str(path)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True  # a link that leads nowhere: reading it says so


def _tidy(path: str) -> str:
    """Return `path` as reports show it: relative to here where it lies below."""
    if path == STDIN:
        return path
    normal, here = Path(os.path.normpath(path)), Path.cwd()
    return str(normal.relative_to(here) if normal.is_relative_to(here) else normal)


def bundle(path: Path) -> "Given":
    """Return the objects of a bundle; one that cannot be read as a whole tells of nothing."""
    from gpuyard.lint import read_texts

    given = read_texts([Text(str(path), path.read_bytes())])
    for problem in given.problems:
        if not problem.is_read:
            place = f"{problem.source}:{problem.position.line}:{problem.position.column}"
            how = "" if problem.code == "too-large" else "; make it with kubectl get … -o json"
            raise click.UsageError(f"{place}: {problem.message}{how}")
    return given
