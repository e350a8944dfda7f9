"""What runs on this machine, and waiting for it to change."""

import contextlib
import time
from pathlib import Path

SECONDS_MAX = 60


def is_running(pid):
    """Say whether a process exists and is not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_with(text):
    """Return ids and command lines of running processes that mention `text`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if text in command:
                found[int(folder.name)] = command
    return found


def wait_until(condition):
    """Wait for what happens soon, but not at once on a busy machine."""
    until = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
