"""The table: idle devices by pool, flavor and reason, the most first."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from gpuyard.model.constraints import Constraints
from gpuyard.model.idle import IdleReason, IdleRow
from gpuyard.model.reasons import Constraint
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.feasibility import node_affinity
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.idle.lots import Lots
from gpuyard.scheduling.idle.steps import REASONS, Step
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot


class Said(NamedTuple):
    """An explanation: the step, a sentence, who it is about, and what binds."""

    step: Step
    sentence: str
    workload: str = ""
    binding: Constraint | None = None


class Explained(Protocol):
    """Idle thousandths with one explanation."""

    @property
    def said(self) -> Said:
        """The explanation."""

    @property
    def slots(self) -> IntArray:
        """The slots where they are."""

    @property
    def milli(self) -> IntArray:
        """How many, [row of slots, lot]."""


class _Sum:
    """A row in the making; the explanation of the largest part speaks."""

    def __init__(self) -> None:
        self.milli = 0
        self.lots: set[tuple[int, int]] = set()
        self.devices = 0
        self.slots: set[int] = set()
        self.by_said: dict[Said, int] = {}


def rows(
    snapshot: Snapshot, queues: Queues, lots: Lots, parts: Iterable[Explained]
) -> tuple[IdleRow, ...]:
    """Return the table of `parts`."""
    flavors = flavor_names(snapshot, queues)
    pools = {slot: node.pool for slot, node in snapshot.nodes.items()}
    found: dict[tuple[str, str, IdleReason], _Sum] = {}
    for part in parts:
        for slot, milli in zip(part.slots.tolist(), part.milli, strict=True):
            amount = int(milli.sum())
            if not amount:
                continue
            row = found.setdefault((pools[slot], flavors[slot], REASONS[part.said.step]), _Sum())
            row.milli += amount
            row.slots.add(slot)
            row.lots.update((slot, lot) for lot in np.flatnonzero(milli[: lots.devices]).tolist())
            pieces = milli[lots.devices :]
            row.devices += int((-(-pieces // WHOLE_DEVICE_MILLI)).sum())
            row.by_said[part.said] = row.by_said.get(part.said, 0) + amount
    made = [_row(key, total) for key, total in found.items()]
    return tuple(sorted(made, key=lambda row: (row.pool, row.flavor, -row.milli, row.reason)))


def flavor_names(snapshot: Snapshot, queues: Queues) -> list[str]:
    """Return for each slot the first flavor by name whose labels its node carries, or ""."""
    slots = np.arange(snapshot.fleet.size)
    names = [""] * len(slots)
    for name in sorted(queues.flavors, reverse=True):
        wanted = Constraints(node_selector=queues.flavors[name].node_labels)
        for slot in np.flatnonzero(node_affinity.suits(snapshot, wanted, slots)).tolist():
            names[slot] = name
    return names


def _row(key: tuple[str, str, IdleReason], total: _Sum) -> IdleRow:
    pool, flavor, reason = key
    said = max(total.by_said, key=lambda each: (total.by_said[each], each.workload))
    return IdleRow(
        pool=pool,
        flavor=flavor,
        reason=reason,
        milli=total.milli,
        devices=len(total.lots) + total.devices,
        nodes=len(total.slots),
        sentence=said.sentence,
        workload=said.workload,
        binding=said.binding,
    )
