"""Which leaves would take such a pod at all, and what keeps it from the others.

Asked only where leaves are hosts, and asked of the same filters as everywhere else: those that look
at nothing but the node. A leaf that stands for several nodes takes any pod, and the scheduler that
binds has to find the right ones; Kueue does the same.

Where nodes are preferred, a leaf has as many points as the terms that its node meets weigh.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/scheduling_simulator_default.go. Kueue looks at
taints, the node selector and the required affinity; the other filters count under their own names.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from gpuyard.model.constraints import Constraints
from gpuyard.scheduling.feasibility import FILTERS, node_affinity, taint_toleration
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology.refusals import Exclusions, counted


class Match(NamedTuple):
    """Which leaves take such a pod, how many points each has, and why the others do not."""

    takes: BoolArray
    points: IntArray
    excluded: Exclusions


def match_all(leaves: int) -> Match:
    """Return that every leaf takes every pod."""
    return Match(
        np.ones(leaves, dtype=np.bool_), np.zeros(leaves, dtype=np.int64), Exclusions(leaves=leaves)
    )


def match(snapshot: Snapshot, slots: IntArray, shape: Shape) -> Match:
    """Return which of the hosts in `slots` take `shape`."""
    takes = np.ones(len(slots), dtype=np.bool_)
    turned_down: dict[str, IntArray] = {}
    for rule in FILTERS:
        if rule.reads == "labels" and rule.concerns(shape):
            left = np.flatnonzero(takes)
            fails = left[~rule.passes(snapshot, shape, slots[left])]
            turned_down[rule.name] = slots[fails]
            takes[fails] = False
    points = np.zeros(len(slots), dtype=np.int64)
    for preferred in shape.constraints.preferred_nodes:
        holds = node_affinity.term_holds(snapshot, preferred.term, slots)
        points[takes] += preferred.weight * holds[takes]
    return Match(takes, points, _exclusions(snapshot, shape.constraints, turned_down, len(slots)))


def _exclusions(
    snapshot: Snapshot, asked: Constraints, turned_down: dict[str, IntArray], leaves: int
) -> Exclusions:
    """Return how many leaves each filter turned down; a taint speaks for itself."""
    nothing = np.empty(0, dtype=np.int64)
    tainted = turned_down.pop(taint_toleration.NAME, nothing)
    unsuited = turned_down.pop(node_affinity.NAME, nothing)
    by_selector = replace(asked, required_nodes=None)
    selected = int(node_affinity.suits(snapshot, by_selector, unsuited).sum())
    return Exclusions(
        leaves=leaves,
        node_selector=len(unsuited) - selected,
        affinity=selected,
        taints=counted(Counter(_taint(snapshot, asked, slot) for slot in tainted.tolist())),
        others=counted(Counter({name: len(slots) for name, slots in turned_down.items()})),
    )


def _taint(snapshot: Snapshot, asked: Constraints, slot: int) -> str:
    """Return the first taint of a node that repels the pod, as Kubernetes writes it."""
    first = next(
        taint
        for taint in snapshot.nodes[slot].taints
        if taint.effect in taint_toleration.REPELLING
        and not taint_toleration.is_tolerated(taint, asked.tolerations)
    )
    value = f"={first.value}" if first.value else ""
    return f"{first.key}{value}:{first.effect}"
