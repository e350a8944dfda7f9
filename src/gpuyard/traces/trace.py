"""What every loader returns, and the one way in which a trace can be wrong.

A `Trace` is a fleet and what arrives at it. The order of `workloads` is the order of arrival: it
decides between workloads of the same instant, and it is the only order in traces without times.
"""

from os import PathLike

import msgspec

from gpuyard.model.nodes import Node
from gpuyard.model.workloads import TimedWorkload

FilePath = str | PathLike[str]


class Trace(msgspec.Struct, frozen=True):
    """A fleet, and what arrives at it in this order."""

    name: str
    nodes: tuple[Node, ...]
    workloads: tuple[TimedWorkload, ...]


class TraceError(ValueError):
    """A file that cannot be used: where, what is wrong, and what to do, in one sentence.

    `line` counts from 1 and is `None` where no line is to blame (a missing file, a JSON document).
    """

    def __init__(self, path: FilePath, line: int | None, sentence: str) -> None:
        """Blame `line` of `path`."""
        self.path = str(path)
        self.line = line
        self.sentence = sentence
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {sentence}")
