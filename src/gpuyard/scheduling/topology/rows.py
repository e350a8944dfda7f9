"""How many pods of one request fit on each leaf, kept from one question to the next.

Workloads of one template ask the same of the same hosts again and again, and between two questions
only a few hosts have changed. So the numbers stay, and those of changed leaves are worked out anew
when the request is asked for again (`ChangeLog`). Rows are an answer kept, never another rule: the
arithmetic is `counts.how_many`, and a property test compares with a fresh count.
"""

import numpy as np

from gpuyard.scheduling.changes import ChangeLog
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.topology.counts import how_many


class LeafRow:
    """The numbers of one request; of leaves that do not take its pods they are 0.

    `limiting` is for each leaf the position in `names` of the resource that runs out first.
    """

    def __init__(
        self, takes: BoolArray, names: list[str], columns: IntArray, each: IntArray
    ) -> None:
        """Start with nothing counted; a pod takes `each` of the resources in `columns`."""
        self.takes = takes
        self.names = names
        self.counts: IntArray = np.zeros(len(takes), dtype=np.int64)
        self.limiting: IntArray = np.zeros(len(takes), dtype=np.int64)
        self.total = 0
        self._columns = columns
        self._each = each
        self._position = -1

    def refresh(self, free: IntArray, used: IntArray | None, changes: ChangeLog) -> None:
        """Count again on leaves that changed, of which so much is free and, if told, used."""
        leaves = changes.since(self._position, len(self.takes))
        self._position = changes.position
        leaves = leaves[self.takes[leaves]]
        if not len(leaves):
            return
        cells = leaves[:, None], self._columns
        left = free[cells] if used is None else free[cells] - used[cells]
        fitting = how_many(left, self._each)
        self.counts[leaves], self.limiting[leaves] = fitting
        self.total = int(self.counts.sum())
