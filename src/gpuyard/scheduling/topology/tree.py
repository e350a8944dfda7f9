"""The domains of a topology as arrays.

The domains of each level are numbered in the order of their values, from the widest label to their
own. So a smaller number always goes first where names decide, the children of a domain lie side by
side, and a sum over children is one ``reduceat``. The domains of the last level are *leaves*;
capacity is counted there and nowhere else. A tree never changes.

Where the last level is the host's name, that name alone identifies a leaf: it is all that an
assignment says, and of two nodes with one host name the wider labels of the first by name count.
Elsewhere a leaf is what all its labels say, and holds any number of nodes.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/tas_topology_tree.go (there a tree of pointers, and
of two nodes with one host name any may be the first).
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from gpuyard.model.topology import HOSTNAME
from gpuyard.scheduling.fleet import IntArray


class DomainTree:
    """The domains of one topology, level by level from the widest.

    `names[level][domain]` is the value of the level's own label, `parents[level][domain]` the
    number of the domain around it (0 at the widest level), `first_child[level]` has for each domain
    where its children begin in the next level, and one entry more for where they end.
    """

    def __init__(
        self, levels: Sequence[str], names: list[list[str]], parents: list[IntArray]
    ) -> None:
        """Take domains in the order described above."""
        self.levels = tuple(levels)
        self.names = names
        self.parents = parents
        self.first_child = [
            np.searchsorted(parents[level + 1], np.arange(len(names[level]) + 1))
            for level in range(len(levels) - 1)
        ]

    @property
    def last(self) -> int:
        """The level of the leaves."""
        return len(self.levels) - 1

    @property
    def ends_in_hosts(self) -> bool:
        """Whether a leaf is one host."""
        return self.levels[-1] == HOSTNAME

    def count(self, level: int) -> int:
        """Return how many domains `level` has."""
        return len(self.names[level])

    def level_of(self, label: str) -> int | None:
        """Return the number of the level with this label, `None` where there is none."""
        return self.levels.index(label) if label in self.levels else None

    def path(self, level: int, domain: int) -> tuple[str, ...]:
        """Return the values of a domain, the widest first."""
        values: list[str] = []
        for step in range(level, -1, -1):
            values.append(self.names[step][domain])
            domain = int(self.parents[step][domain])
        return tuple(reversed(values))

    @property
    def assigned_levels(self) -> tuple[str, ...]:
        """The labels by which an assignment names a leaf."""
        return self.levels[-1:] if self.ends_in_hosts else self.levels

    def leaf_values(self, leaf: int) -> tuple[str, ...]:
        """Return the values by which an assignment names a leaf."""
        return (self.names[-1][leaf],) if self.ends_in_hosts else self.path(self.last, leaf)

    @cached_property
    def leaf_of(self) -> dict[tuple[str, ...], int]:
        """Return the leaf for each of the values that an assignment can name."""
        return {self.leaf_values(leaf): leaf for leaf in range(self.count(self.last))}

    def children(self, level: int, domains: IntArray) -> IntArray:
        """Return the children of all of `domains`, in their order."""
        begin, end = self.first_child[level][domains], self.first_child[level][domains + 1]
        lengths = end - begin
        shift = begin - (np.cumsum(lengths) - lengths)
        return np.repeat(shift, lengths) + np.arange(int(lengths.sum()))

    def ancestors(self, level: int, below: int | None = None) -> IntArray:
        """Return the domain of `level` around each domain of `below` (default: each leaf)."""
        below = self.last if below is None else below
        around = np.arange(self.count(below))
        for step in range(below, level, -1):
            around = self.parents[step][around]
        return around


def grow(levels: Sequence[str], paths: Iterable[tuple[str, ...]]) -> DomainTree:
    """Return the tree of these leaves, each given by its values from the widest level."""
    leaves = sorted(set(paths))
    values = [sorted({path[level] for path in leaves}) for level in range(len(levels))]
    ranks = [
        {value: rank for rank, value in enumerate(values[level])} for level in range(len(levels))
    ]
    rows = [[ranks[level][path[level]] for level in range(len(levels))] for path in leaves]
    tree, _ = grow_coded(levels, np.array(rows, dtype=np.int64).reshape(-1, len(levels)), values)
    return tree


def grow_coded(
    levels: Sequence[str], codes: IntArray, values: Sequence[Sequence[str]]
) -> tuple[DomainTree, IntArray]:
    """Return the tree of leaves given as codes, [row, level], and the leaf of each row.

    `values[level]` are the values that the codes stand for, sorted. Rows may repeat.
    """
    order = np.lexsort(codes.T[::-1])
    rows = codes[order]
    begins = np.zeros(len(rows), dtype=np.bool_)
    begins[:1] = True
    around = np.zeros(len(rows), dtype=np.int64)
    names: list[list[str]] = []
    parents: list[IntArray] = []
    for level in range(len(levels)):
        begins[1:] |= rows[1:, level] != rows[:-1, level]
        first = np.flatnonzero(begins)
        names.append([values[level][code] for code in rows[first, level].tolist()])
        parents.append(around[first])
        around = np.cumsum(begins) - 1
    leaf_of_row = np.empty(len(rows), dtype=np.int64)
    leaf_of_row[order] = around
    return DomainTree(levels, names, parents), leaf_of_row
