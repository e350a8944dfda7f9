"""Several requests at a time, a bounded number of them, and none left behind.

When one fails the others are cancelled and its error is raised as it is, so that callers meet one
sentence and no task goes on with a client that is being closed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def together(work: Iterable[Callable[[], Awaitable[T]]], *, at_once: int) -> list[T]:
    """Return the results of all `work`, in its order; raise the first error."""
    gate = asyncio.Semaphore(at_once)

    async def one(start: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await start()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(start)) for start in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
