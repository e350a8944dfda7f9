"""The programs of a cluster: found, or built where they can be.

Looked for in this order: ``KUBEBUILDER_ASSETS`` (the folder that controller tests everywhere use),
``PATH``, the cache folder. A place counts only if it has every program that is needed, in the
wished version where one is wished: an assets folder without kube-scheduler is no place for a
cluster with one. Nothing found, the default or wished version is built.
"""

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from gpuyard.local.build import Say, build
from gpuyard.local.cache import cache_folder
from gpuyard.local.errors import LocalError
from gpuyard.local.versions import (
    SAID_BY_PROGRAM,
    WISH_VARIABLE,
    release_for,
    satisfies,
)

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
SERVER = ("etcd", "kube-apiserver")
VERSION_SECONDS_MAX = 30


class Programs(msgspec.Struct, frozen=True):
    """The version, where it was found, and a path by program name."""

    version: str
    origin: str
    paths: Mapping[str, Path]


def find(
    needed: Collection[str] = SERVER, environ: Mapping[str, str] = os.environ
) -> Programs | None:
    """Return programs that are there already, or None."""
    wish = environ.get(WISH_VARIABLE, "")
    for origin, paths in _places(environ):
        if all(name in paths for name in needed):
            version = _version(paths["kube-apiserver"])
            if version and satisfies(version, wish):
                return Programs(version, origin, {name: paths[name] for name in needed})
    return None


def provide(
    needed: Collection[str] = SERVER, *, say: Say, environ: Mapping[str, str] = os.environ
) -> Programs:
    """Return programs, found or built.

    Raises
    ------
    LocalError
        where there are none and they cannot be built.

    """
    if found := find(needed, environ):
        return found
    version = release_for(environ.get(WISH_VARIABLE, ""))
    folder = build(version, cache_folder(environ), say, environ)
    return Programs(version, str(folder), {name: folder / name for name in needed})


def what_is_missing(environ: Mapping[str, str] = os.environ) -> str:
    """Return why no API server can be had on this machine, or ``""``."""
    if shutil.which("go", path=environ.get("PATH")):
        return ""
    try:
        release_for(environ.get(WISH_VARIABLE, ""))
        there = find(SERVER, environ)
    except LocalError as error:
        return str(error)
    return "" if there else "neither go nor kube-apiserver and etcd on PATH"


def _places(environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Path]]]:
    """Give each place that may have programs, and those that it has."""
    names = (*SERVER, "kube-controller-manager", "kube-scheduler")
    if assets := environ.get(ASSETS_VARIABLE):
        yield assets, _in_folder(Path(assets), names)
    on_path = {name: shutil.which(name, path=environ.get("PATH")) for name in names}
    yield "PATH", {name: Path(path) for name, path in on_path.items() if path}
    cached = cache_folder(environ) / release_for(environ.get(WISH_VARIABLE, ""))
    yield str(cached), _in_folder(cached, names)


def _in_folder(folder: Path, names: Collection[str]) -> dict[str, Path]:
    return {name: folder / name for name in names if os.access(folder / name, os.X_OK)}


def _version(apiserver: Path) -> str:
    """Return the version that a kube-apiserver says it is, or ``""``."""
    try:
        done = subprocess.run(  # noqa: S603  the program that we are about to start
            [apiserver, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    said = SAID_BY_PROGRAM.search(done.stdout)
    return said.group(1) if said else ""
