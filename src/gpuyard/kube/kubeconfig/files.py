"""Which kubeconfig files count, and what they hold.

A file named on the command line counts alone and must exist. Otherwise ``KUBECONFIG`` lists files,
of which missing ones are passed over, and without it there is ``~/.kube/config``.

A kubeconfig is YAML, read with the safe loader; a file larger than ``KUBECONFIG_BYTES_MAX`` is not
read. Parse errors give line and column, never the text around them: it may be a token.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import yaml

from gpuyard.kube.errors import KubeconfigError
from gpuyard.kube.kubeconfig.merge import Merged, merge
from gpuyard.kube.kubeconfig.schema import Kubeconfig, decode

KUBECONFIG_BYTES_MAX = 4 * 2**20
KUBECONFIG_FILES_MAX = 100
DEPTH_MAX = 100


class _Mark(Protocol):
    line: int
    column: int


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(explicit: str | None, environ: Mapping[str, str]) -> Merged:
    """Return all files that count as one; without any file, an empty one.

    Raises
    ------
    KubeconfigError
        where a file cannot be read or is no kubeconfig, or the one that was asked for is missing.

    """
    if explicit:
        file = Path(explicit)
        return merge([(file, read(file))])
    files = candidates(environ)
    return merge((file, read(file)) for file in files if file.exists())


def candidates(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that count when none is named, existing or not, each once."""
    listed = environ.get("KUBECONFIG", "")
    names = dict.fromkeys(name for name in listed.split(os.pathsep) if name)
    if len(names) > KUBECONFIG_FILES_MAX:
        raise KubeconfigError(
            f"reading KUBECONFIG: it lists {len(names)} files; at most {KUBECONFIG_FILES_MAX}"
            " are read, so shorten it"
        )
    if names:
        return tuple(Path(name) for name in names)
    home = environ.get("HOME") or str(Path.home())
    return (Path(home) / ".kube" / "config",)


def read(file: Path) -> Kubeconfig:
    """Return one file, decoded; an empty file is an empty kubeconfig."""
    text = _text(file)
    try:
        _check_depth(file, text)
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506  both loaders are safe ones
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark)
        raise KubeconfigError(
            f"reading kubeconfig {file}{place}: it is not YAML ({error.problem}); mend this place"
        ) from None
    except (yaml.YAMLError, ValueError):
        raise KubeconfigError(
            f"reading kubeconfig {file}: it is not YAML that can be read; write it anew"
        ) from None
    try:
        return decode({} if value is None else value)
    except msgspec.ValidationError as error:
        raise KubeconfigError(
            f"reading kubeconfig {file}: {_with_place_first(str(error))}; correct this field"
        ) from None


def _check_depth(file: Path, text: str) -> None:
    """Refuse deep nesting before libyaml's recursion meets it: it would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise KubeconfigError(
                f"reading kubeconfig {file}{_place(event.start_mark)}: it is nested more than"
                f" {DEPTH_MAX} levels deep; is it a kubeconfig?"
            )


def _place(mark: _Mark | None) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(KUBECONFIG_BYTES_MAX + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise KubeconfigError(
            f"reading kubeconfig {file}: {reason.lower()}; name another file with --kubeconfig"
            " or KUBECONFIG"
        ) from None
    if len(content) > KUBECONFIG_BYTES_MAX:
        raise KubeconfigError(
            f"reading kubeconfig {file}: it is larger than {KUBECONFIG_BYTES_MAX} bytes;"
            " is it a kubeconfig?"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KubeconfigError(
            f"reading kubeconfig {file}: byte {error.start} is not UTF-8; save it as UTF-8"
        ) from None


def _with_place_first(message: str) -> str:
    """Turn "Expected …, got … - at `$.users[0].name`" into "users[0].name: expected …"."""
    problem, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    lowered = problem[:1].lower() + problem[1:]
    return f"{field}: {lowered}" if field else lowered
