"""How far a job has come, and what a runtime model must be able to answer.

In a world where jobs are stopped and put elsewhere, "it runs for an hour" says too little: how fast
a job is depends on where its pods are. A `Runtime` answers two questions about a job that has come
so far and whose pods stand so (`Spread`): when does it end if it is left alone, and how far has it
come when it is stopped before. It keeps no time of its own and may be asked in any order.
"""

from typing import NamedTuple, Protocol

Spread = tuple[int, ...]  # pods on each of the job's nodes, in the order in which they were placed


class Done(NamedTuple):
    """Whole epochs done, and the runtime's own measure of progress since the beginning."""

    epoch: int = 0
    progress: float = 0.0


NOTHING_DONE = Done()


class End(NamedTuple):
    """After how much work a job ends.

    `at_ns` is when it says it ended (rounded as the model rounds), `seen_ns` the earliest instant
    at which an onlooker can know; they differ by less than the model's unit of time.
    """

    at_ns: int
    seen_ns: int


class Runtime(Protocol):
    """The runtime of one job."""

    def end(self, done: Done, spread: Spread) -> End:
        """Return after how much work from `done` on it ends, if it is left on `spread`."""

    def after(self, done: Done, spread: Spread, worked_ns: int) -> Done:
        """Return how far it is when it has worked for `worked_ns` from `done` on."""
