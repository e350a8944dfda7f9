"""The process that owns a cluster's programs, and outlives its owner just long enough to end them.

``python -m gpuyard.local.keeper FOLDER`` reads orders from standard input, one JSON object a line,
and answers each with a line: ``{"start": NAME, "argv": […], "log": FILE}`` starts a program,
``{"ask": NAME}`` says whether it runs, ``{"signal": NAME, "number": N}`` sends it a signal. When
its input ends, for whatever reason, also because its owner was killed and could do nothing any
more, it ends all programs, removes the folder, and goes.

Three things hold even when the keeper itself is killed: each program asked the kernel to die with
it (PR_SET_PDEATHSIG), all are in its process group, and the lock on the folder that it inherited
falls, by which the next start knows that the folder is nobody's and removes it.

The standard library only, and nothing of gpuyard: it starts in a moment and stays small.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOK_EVERY_S = 0.5
GRACE_S = 1.0  # nothing here has to survive; a server with open watches would take its time
LINE_BYTES_MAX = 2**20

Order = dict[str, Any]


class Keeper:
    """The programs of one cluster, by name, in the order in which they were started."""

    def __init__(self) -> None:
        self._programs: dict[str, subprocess.Popen[bytes]] = {}

    def obey(self, order: Order) -> Order:
        """Carry out an order and return the answer."""
        try:
            if "start" in order:
                return self._start(order["start"], order["argv"], order["log"])
            if "signal" in order:
                self._programs[order["signal"]].send_signal(order["number"])
                return {}
            return {"ended": self._programs[order["ask"]].poll()}
        except (OSError, KeyError) as error:
            return {"error": str(error)}

    def _start(self, name: str, argv: list[str], log: str) -> Order:
        with Path(log).open("ab") as file:
            self._programs[name] = subprocess.Popen(  # noqa: S603  what our owner orders
                argv,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  this process has one thread
            )
        return {"pid": self._programs[name].pid}

    def end_all(self) -> None:
        """End the programs, the last started first; whoever is slow is killed."""
        running = [one for one in reversed(self._programs.values()) if one.poll() is None]
        for program in running:
            program.terminate()
        until = time.monotonic() + GRACE_S
        for program in running:
            try:
                program.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def _die_with_parent() -> None:
    """Ask the kernel, in the child, to kill it when its parent dies."""
    parent = os.getppid()
    with contextlib.suppress(AttributeError, OSError):  # another kernel than Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def main(folder: Path) -> None:
    """Keep programs until the input ends, then remove every trace."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's Ctrl-C is our owner's business
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    keeper = Keeper()
    try:
        for line in _lines():
            answer = json.dumps(keeper.obey(json.loads(line)))
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        pass  # our owner is gone, or not ours
    finally:
        keeper.end_all()
        shutil.rmtree(folder, ignore_errors=True)


def _lines() -> "Any":  # noqa: ANN401  an iterator; typing it would cost an import
    """Give orders until the input ends or the owner is gone."""
    owner = os.getppid()
    waiting = b""
    while os.getppid() == owner:
        ready, _, _ = select.select([sys.stdin], [], [], LOOK_EVERY_S)
        if not ready:
            continue
        chunk = os.read(sys.stdin.fileno(), 2**16)
        waiting += chunk
        if not chunk or len(waiting) > LINE_BYTES_MAX:
            return
        *whole, waiting = waiting.split(b"\n")
        yield from whole


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
