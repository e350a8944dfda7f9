"""Make etcd and Kubernetes' programs from their Go modules.

The first build takes minutes (it compiles a few million lines) and is kept; `say` is told at each
step. It happens in a folder of its own that is renamed into place when all programs are there, so
whoever looks sees all of them or none. Of several processes that want the same version one builds
and the others wait for it.

The modules come by name through Go's own means (its proxy, its checksum database, its cache), as
the user has set them up. Recipe: `gpuyard.local.go_module`.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from gpuyard.local.cache import only_one
from gpuyard.local.errors import LocalError
from gpuyard.local.go_module import (
    KUBERNETES,
    PACKAGES,
    link_flags,
    module_text,
    understood,
)

Say = Callable[[str], None]

LOG_LINES_SHOWN = 3
SAY_EVERY_S = 30


class _Downloaded(msgspec.Struct, frozen=True):
    go_mod: str = msgspec.field(default="", name="GoMod")
    error: str = msgspec.field(default="", name="Error")


def build(version: str, cache: Path, say: Say, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder with all programs of a Kubernetes version, built if they are not there.

    Raises
    ------
    LocalError
        where there is no Go, or it fails; the log is kept and named.

    """
    target = cache / version
    if is_whole(target):
        return target
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise LocalError(
            f"building Kubernetes {version}: there is no go on PATH; install Go, or let"
            " KUBEBUILDER_ASSETS name a folder with kube-apiserver and etcd"
        )

    def waiting() -> None:
        say(f"waiting for another process that builds Kubernetes {version}")

    with only_one(cache / f".{version}.lock", waiting):
        if is_whole(target):
            return target
        for left in cache.glob(f".{version}.*.part"):  # by a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(".part", f".{version}.", cache) as folder:
            made = _Builder(go, version, Path(folder), cache / f"{version}.log", environ).run(say)
            shutil.rmtree(target, ignore_errors=True)  # an older half, if there is one
            made.rename(target)
    return target


def is_whole(folder: Path) -> bool:
    """Say whether a folder of the cache has every program."""
    return all((folder / name).is_file() for name in PACKAGES)


def _quiet() -> None:
    """Say nothing: the step is short."""


def _waited_for(go: subprocess.Popen[bytes], still_running: Callable[[], None]) -> bytes:
    """Return what go prints; stop it when we are stopped."""
    try:
        while True:
            try:
                printed, _ = go.communicate(timeout=SAY_EVERY_S)
            except subprocess.TimeoutExpired:
                still_running()
            else:
                return printed
    except BaseException:
        go.terminate()
        raise


class _Builder:
    def __init__(
        self, go: str, version: str, folder: Path, log: Path, environ: Mapping[str, str]
    ) -> None:
        self._go = go
        self._version = version
        self._folder = folder
        self._log = log
        own = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GO111MODULE": "on"}
        self._environ = dict(environ) | own

    def run(self, say: Say) -> Path:
        """Return a folder with all programs."""
        say(f"building Kubernetes {self._version} with Go, once; this takes about ten minutes")
        self._log.write_bytes(b"")
        began = time.monotonic()
        text = self._module()
        (self._folder / "go.mod").write_text(text, encoding="utf-8")
        made = self._folder / "made"
        made.mkdir()
        flags = ["-mod=mod", "-buildvcs=false", "-trimpath", "-ldflags", link_flags(self._version)]
        for name, package in PACKAGES.items():
            command = ["build", *flags, "-o", str(made / name), package]
            self._run(command, partial(self._say_age, say, f"still building {name}", began))
            self._say_age(say, f"built {name}", began)
        return made

    def _say_age(self, say: Say, what: str, began: float) -> None:
        say(f"{what} ({time.monotonic() - began:.0f} s since the beginning)")

    def _module(self) -> str:
        """Return our go.mod; Kubernetes' own is downloaded to see which parts it has."""
        # a module of our own around it, or go would look for one in the folders above
        (self._folder / "go.mod").write_text("module gpuyard.local/lookup\n", encoding="utf-8")
        wanted = f"{KUBERNETES}@v{self._version}"
        printed = self._run(["mod", "download", "-json", wanted])
        found = msgspec.json.decode(printed, type=_Downloaded)
        module = understood(Path(found.go_mod).read_text(encoding="utf-8"))
        return module_text(self._version, module)

    def _run(self, arguments: list[str], still_running: Callable[[], None] = _quiet) -> bytes:
        with (
            self._log.open("ab") as log,
            subprocess.Popen(  # noqa: S603  go, with arguments that are ours
                [self._go, *arguments],
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            ) as go,
        ):
            printed = _waited_for(go, still_running)
        if go.returncode != 0:
            raise LocalError(
                f"building Kubernetes {self._version}: go {arguments[0]} failed with status"
                f" {go.returncode} ({self._last_words(printed)}); the whole log is"
                f" {self._log}"
            )
        return printed

    def _last_words(self, printed: bytes) -> str:
        """Return go's own complaint: what ``-json`` reported, or the end of its log."""
        try:
            if error := msgspec.json.decode(printed, type=_Downloaded).error:
                return " ".join(error.split())
        except msgspec.MsgspecError:
            pass
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line.strip() for line in lines if not line.startswith("go: downloading")]
        return "; ".join(told[-LOG_LINES_SHOWN:]) or "it said nothing"
