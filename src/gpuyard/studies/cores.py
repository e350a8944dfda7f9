"""Independent runs over all cores of the machine.

Workers are started afresh (no fork), so that a progress display's thread in the parent is nobody's
concern. Ctrl-C does not reach them: the parent ends them when it stops early, whatever the reason.
Should the parent itself be killed, they end with it.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def over_cores(work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """Yield ``work(task)`` for each of `tasks`, in their order, as soon as each is there.

    A single task, or a machine with one core, needs no second process.

    Raises
    ------
    ChildProcessError
        where a worker was ended from outside.

    """
    cores = len(os.sched_getaffinity(0))
    if cores == 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    pool = ProcessPoolExecutor(min(cores, len(tasks)), get_context("spawn"), _begin_worker)
    try:
        with _interrupts_held():
            futures = [pool.submit(work, task) for task in tasks]
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise ChildProcessError(
            "a worker process was ended from outside, perhaps for want of memory; "
            "close other programs or ask for less at once"
        ) from None
    except BaseException:
        _end_workers(pool)
        raise
    finally:
        pool.shutdown(wait=False)  # cancels nothing: ended workers are how it learns of the end


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the block is left; processes that begin in it never hear of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_workers(pool: ProcessPoolExecutor) -> None:
    """End workers in the middle of their work: nobody waits for it any more."""
    processes = pool._processes  # noqa: SLF001  has a public name only from Python 3.14 on
    for process in list((processes or {}).values()):
        process.terminate()


def _begin_worker() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
