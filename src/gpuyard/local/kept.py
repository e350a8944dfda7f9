"""Our end of the keeper: a folder for a cluster, and programs in it.

The folder is locked from the moment it exists, by a lock that passes on to the keeper. So a folder
that is not locked belongs to nobody, and `sweep` may remove it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuyard.local.errors import LocalError

FOLDER_PREFIX = "gpuyard-cluster-"
LOCK_NAME = "lock"
LOGS_NAME = "logs"
END_SECONDS_MAX = 10.0
LOG_BYTES_SHOWN = 2**14
WORDS_SHOWN_MAX = 400


class Kept:
    """A private folder and the programs that run in it, until `end`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))  # mode 0700
        (self.folder / LOGS_NAME).mkdir()
        unlocked = self.folder / f".{LOCK_NAME}"
        lock = os.open(unlocked, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unlocked.rename(self.folder / LOCK_NAME)  # only now may a sweep look at it
            self._keeper = subprocess.Popen(  # noqa: S603  this interpreter, our own module
                [sys.executable, "-m", "gpuyard.local.keeper", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(lock,),
                start_new_session=True,  # its process group is the cluster
            )
        finally:
            os.close(lock)

    def start(self, name: str, argv: Sequence[str | Path]) -> int:
        """Start a program and return its process id; its output goes to `log`.

        Raises
        ------
        LocalError
            where it cannot be started.

        """
        order = {"start": name, "argv": [str(one) for one in argv], "log": str(self.log(name))}
        answer = self._order(order)
        if "error" in answer:
            raise LocalError(f"starting {name}: {answer['error']}; is {argv[0]} for this machine?")
        return int(answer["pid"])

    def has_ended(self, name: str) -> int | None:
        """Return a program's exit status, or None while it runs."""
        ended = self._order({"ask": name}).get("ended")
        return None if ended is None else int(ended)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a program a signal."""
        self._order({"signal": name, "number": int(number)})

    def log(self, name: str) -> Path:
        """Return where a program's output goes."""
        return self.folder / LOGS_NAME / f"{name}.log"

    def last_words(self, name: str) -> str:
        """Return the last line that a program said."""
        lines = _tail(self.log(name)).strip().splitlines()
        return lines[-1].strip()[-WORDS_SHOWN_MAX:] if lines else "it said nothing"

    def tail_of_all(self) -> str:
        """Return the ends of all logs."""
        return "".join(_tail(file) for file in (self.folder / LOGS_NAME).glob("*.log"))

    def end(self) -> None:
        """End all programs and remove the folder; harmless when done twice."""
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._keeper.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._keeper.pid, signal.SIGKILL)
            self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # there only if the keeper was killed

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        try:
            self._keeper.stdin.write(json.dumps(order).encode() + b"\n")
            self._keeper.stdin.flush()
            answer = self._keeper.stdout.readline()
        except (OSError, ValueError):
            answer = b""
        if not answer:
            raise LocalError(
                f"running a cluster in {self.folder}: the process that keeps it is gone; start it"
                " again"
            )
        decoded: dict[str, Any] = json.loads(answer)
        return decoded


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_BYTES_SHOWN))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def sweep() -> None:
    """Remove folders of clusters whose keeper was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.geteuid() and _is_abandoned(folder / LOCK_NAME):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(lock: Path) -> bool:
    with lock.open("rb") as file:  # without a lock file it is just being made
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
