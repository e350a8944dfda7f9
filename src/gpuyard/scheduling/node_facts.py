"""What nodes say about themselves, as columns of small codes.

A fleet of thousands of nodes has a handful of zones, GPU models and taint sets. Each fact that a
rule asks about (a label key, the taints, whether the node is cordoned, its name) becomes one
column: a code per node slot and the list of distinct values. A rule then decides once per distinct
value and one numpy lookup spreads the answer over the nodes; and two nodes are in the same topology
domain exactly when their codes are equal.

Columns are made when they are first asked for and follow `Snapshot.node_changes`. At most
`COLUMNS_KEPT_MAX` are kept, the least recently used goes first; and a column that remembers far
more values than there are nodes (names of nodes that came and went) is made anew, so codes are good
only until the next call.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gpuyard.model.nodes import Node
from gpuyard.scheduling.fleet import BoolArray, IntArray

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

ABSENT = -1  # the code where the node has no such label, or where there is no node
COLUMNS_KEPT_MAX = 256
VALUES_PER_NODE_MAX = 4
VALUES_FREE = 64  # a column this short is never worth making anew


class Fact(NamedTuple):
    """What to ask of a node; `key` names the label and is empty otherwise."""

    about: Literal["label", "taints", "unschedulable", "name"]
    key: str = ""


TAINTS = Fact("taints")
UNSCHEDULABLE = Fact("unschedulable")
NAME = Fact("name")


class Column:
    """One fact of every node: `values[codes[slot]]`."""

    __slots__ = ("code_of", "codes", "position", "values")

    def __init__(self) -> None:
        """Start with no node looked at."""
        self.codes: IntArray = np.empty(0, dtype=np.int64)
        self.values: list[Any] = []
        self.code_of: dict[Hashable, int] = {}
        self.position = -1

    def code(self, value: Hashable) -> int:
        """Return the code of `value`, given out in the order of appearance."""
        if value is None:
            return ABSENT
        if value not in self.code_of:
            self.code_of[value] = len(self.values)
            self.values.append(value)
        return self.code_of[value]


class NodeFacts:
    """The columns of one snapshot."""

    def __init__(self, snapshot: "Snapshot") -> None:
        """Start with no columns."""
        self._snapshot = snapshot
        self._columns: OrderedDict[Fact, Column] = OrderedDict()

    def column(self, fact: Fact) -> Column:
        """Return the column of `fact`, up to date for every slot."""
        column = self._columns.get(fact)
        if column is None or self._remembers_too_much(column):
            column = self._columns[fact] = Column()
            if len(self._columns) > COLUMNS_KEPT_MAX:
                self._columns.popitem(last=False)
        self._columns.move_to_end(fact)
        self._refresh(fact, column)
        return column

    def domains(self, topology_key: str) -> IntArray:
        """Return for every slot the code of its domain, `ABSENT` where it lacks the label."""
        return self.column(Fact("label", topology_key)).codes

    def ask(self, fact: Fact, slots: IntArray, question: Callable[[Any], bool]) -> BoolArray:
        """Return the answer to `question` for each of `slots`; it is asked once per value.

        The question gets `None` where the node has no such label.
        """
        answers: BoolArray = self.measure(fact, slots, question) != 0
        return answers

    def has(self, fact: Fact, slots: IntArray, value: Hashable) -> BoolArray:
        """Tell for each of `slots` whether its fact is `value`; nothing is asked of other values.

        Worth it where nearly every node has a value of its own, such as its name.
        """
        column = self.column(fact)
        code = column.code_of.get(value)
        if code is None:
            return np.zeros(len(slots), dtype=np.bool_)
        has: BoolArray = column.codes[slots] == code
        return has

    def measure(self, fact: Fact, slots: IntArray, question: Callable[[Any], int]) -> IntArray:
        """Return the number that `question` gives for each of `slots`; otherwise like `ask`."""
        column = self.column(fact)
        codes = column.codes[slots]
        if len(codes) < len(column.values):
            present, spread = np.unique(codes, return_inverse=True)
            return _answers(question, [_value(column, code) for code in present.tolist()])[spread]
        return _answers(question, [*column.values, None])[codes]  # ABSENT is the last one

    def _remembers_too_much(self, column: Column) -> bool:
        return len(column.values) > VALUES_FREE + VALUES_PER_NODE_MAX * self._snapshot.fleet.size

    def _refresh(self, fact: Fact, column: Column) -> None:
        snapshot = self._snapshot
        size = snapshot.fleet.size
        if column.position == snapshot.node_changes.position:
            return
        if len(column.codes) < size:
            grown = np.full(size, ABSENT, dtype=np.int64)
            grown[: len(column.codes)] = column.codes
            column.codes = grown
        for slot in snapshot.node_changes.since(column.position, size).tolist():
            node = snapshot.nodes.get(slot)
            column.codes[slot] = ABSENT if node is None else column.code(_read(fact, node))
        column.position = snapshot.node_changes.position


def _read(fact: Fact, node: Node) -> Hashable:
    match fact.about:
        case "label":
            return next((value for key, value in node.labels if key == fact.key), None)
        case "taints":
            return node.taints
        case "unschedulable":
            return node.unschedulable
        case "name":
            return node.name


def _value(column: Column, code: int) -> Any:  # noqa: ANN401  a label, taints, a flag
    return None if code == ABSENT else column.values[code]


def _answers(question: Callable[[Any], int], values: list[Any]) -> IntArray:
    return np.array([question(value) for value in values], dtype=np.int64)
