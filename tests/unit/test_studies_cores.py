"""Work over all cores: in order, and nobody left behind when it stops early."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpuyard.studies import cores
from gpuyard.studies.cores import over_cores

# Tasks larger than a pipe: the parent is still handing them over when it is stopped.
SLEEPERS = """
import time
from gpuyard.studies.cores import over_cores

def work(task):
    time.sleep(task[0])

if __name__ == "__main__":
    for _ in over_cores(work, [(0, b"")] + [(300, bytes(10**6))] * 9):
        print("begun", flush=True)
"""
SOON_S = 20


@pytest.fixture
def two_cores(monkeypatch):
    """Two workers, whatever the machine has."""
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _pid: {0, 1})


def assert_nobody_works():
    deadline = time.monotonic() + SOON_S
    while multiprocessing.active_children():
        assert time.monotonic() < deadline, "a worker goes on"
        time.sleep(0.02)


def test_results_come_in_the_order_of_the_tasks(two_cores):
    tasks = [["sh", "-c", "sleep 0.5; echo first"], ["echo", "second"], ["echo", "third"]]
    assert list(over_cores(subprocess.check_output, tasks)) == [b"first\n", b"second\n", b"third\n"]


def test_one_task_needs_no_second_process(two_cores):
    assert list(over_cores(lambda task: (task, os.getpid()), ["it"])) == [("it", os.getpid())]
    assert list(over_cores(int, [])) == []


def test_one_core_needs_no_second_process(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _pid: {0})
    assert set(over_cores(lambda _task: os.getpid(), [1, 2])) == {os.getpid()}


def test_an_interrupt_reaches_the_parent_only(two_cores):
    blocked_in_worker = functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK)
    assert all(signal.SIGINT in blocked for blocked in over_cores(blocked_in_worker, [[], []]))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_error_in_a_worker_is_raised_once_and_ends_the_others(two_cores):
    begun = time.monotonic()
    with pytest.raises(ValueError, match="non-negative"):
        list(over_cores(time.sleep, [-1, 300, 300]))
    assert_nobody_works()
    assert time.monotonic() - begun < SOON_S


def test_who_stops_listening_ends_the_workers(two_cores):
    results = over_cores(time.sleep, [0, 300, 300])
    next(results)
    results.close()
    assert_nobody_works()


def test_a_worker_that_is_ended_from_outside_is_named(two_cores):
    with pytest.raises(ChildProcessError, match="ended from outside, perhaps for want of memory"):
        list(over_cores(os._exit, [3, 3]))
    assert_nobody_works()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core has no workers")
def test_workers_end_with_their_parent(tmp_path, stop):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert parent.stdout.readline() == b"begun\n"
    listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
    workers = [int(pid) for pid in listed.split()]
    assert len(workers) >= 2
    parent.send_signal(stop)
    _, complaint = parent.communicate(timeout=SOON_S)  # at once, not after five minutes
    assert complaint.count(b"Traceback") == (1 if stop == signal.SIGINT else 0), complaint
    deadline = time.monotonic() + SOON_S
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
