"""Independent runs over all cores of the machine.

Workers are started afresh (no fork), so that a progress display's thread in the parent is nobody's
concern, and they leave Ctrl-C to the parent, which ends them.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def over_cores(work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """Yield ``work(task)`` for each of `tasks`, in their order, as soon as each is there.

    A single task, or a machine with one core, needs no second process.
    """
    cores = len(os.sched_getaffinity(0))
    if cores == 1 or len(tasks) == 1:
        yield from map(work, tasks)
        return
    pool = ProcessPoolExecutor(min(cores, len(tasks)), get_context("spawn"), _leave_interrupts)
    try:
        yield from pool.map(work, tasks)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
