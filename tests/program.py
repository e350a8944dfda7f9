"""The program as people run it: a process of its own, in a pipe or in a terminal."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROGRAM = (sys.executable, "-m", "gpuyard")
DEADLINE_S = 120
# Set by the machine of whoever runs the tests, they would change what is tested.
FOREIGN = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONUNBUFFERED", "PYTHONHASHSEED")

FORKING = """
import json, os, sys, tempfile
from gpuyard.cli import demo, doctor, explain, lint, main, manifests, replay
from gpuyard.lint import catalogue, fix, reports
from gpuyard.studies.demo import page as demo_page
from gpuyard.studies.replay import page as replay_page

catalogue.rules()
for line in sys.stdin:
    folder, args = json.loads(line)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(folder)
            sys.argv = ["gpuyard", *args]
            main.main()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        print(json.dumps([code, out.read().decode(), err.read().decode()]), flush=True)
"""


class Answer(NamedTuple):
    """What a process left behind."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """Runs gpuyard in processes that fork from one which has all libraries: twenty times faster."""

    def __init__(self) -> None:
        self.parent = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=on_one_core,  # noqa: PLW1509  no thread of ours runs here
            encoding="utf-8",
        )

    def __call__(self, *args: str, cwd: Path) -> Answer:
        """Run gpuyard in the folder `cwd`."""
        assert self.parent.stdin
        assert self.parent.stdout
        self.parent.stdin.write(json.dumps([str(cwd), args]) + "\n")
        self.parent.stdin.flush()
        return Answer(*json.loads(self.parent.stdout.readline()))

    def close(self) -> None:
        """End the process that the others fork from."""
        self.parent.communicate()


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without what would change the output, with `settings`."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "TERM": "xterm-256color", **settings}


def on_one_core() -> None:
    """Leave this process one of its cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def run(
    *args: str,
    cwd: Path,
    program: tuple[str, ...] = PROGRAM,
    before: Callable[[], None] | None = None,
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run gpuyard with its output in pipes.

    `before` runs in the child: by default it leaves one core, so that no worker processes are
    started, which would take longer than the work of a test. `settings` are its environment.
    """
    return subprocess.run(
        [*program, *args],
        cwd=cwd,
        env=environment(**settings),
        preexec_fn=before or on_one_core,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )


def run_in_terminal(
    *args: str, cwd: Path, columns: int, streams: str = "out+err", **settings: str
) -> tuple[int, str, str]:
    """Run gpuyard in a terminal; return its exit code, what the screen got, what the pipe got.

    `streams` says which of ``out`` and ``err`` are the terminal; the other one is a pipe.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, *args],
        cwd=cwd,
        env=environment(**settings),
        stdin=theirs,
        stdout=theirs if "out" in streams else subprocess.PIPE,
        stderr=theirs if "err" in streams else subprocess.PIPE,
        preexec_fn=on_one_core,  # noqa: PLW1509  no thread of ours runs here
    )
    os.close(theirs)
    screen = _read_all(ours)
    pipe = process.stdout or process.stderr
    piped = pipe.read().decode() if pipe else ""
    if pipe:
        pipe.close()
    code = process.wait(DEADLINE_S)
    os.close(ours)
    return code, screen.decode().replace("\r\n", "\n"), piped


def _read_all(terminal: int) -> bytes:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            return b"".join(parts)
        if not part:
            return b"".join(parts)
        parts.append(part)
