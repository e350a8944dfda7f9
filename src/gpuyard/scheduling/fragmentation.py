"""How much of a node's idle GPU the typical pod cannot use.

The measure is that of FGD (Weng et al., "Beware of Fragmentation", USENIX ATC'23): for every class
of the typical pods, a node's idle device thousandths are a fragment where a pod of that class could
not take them; the fragment of a node is the mean over the classes, weighted by their frequency.
For one class, of a node with ``idle`` thousandths left over all its devices:

* the class asks for no device, or its device models are not on the node: all of ``idle``;
* CPU or devices do not suffice for one such pod: all of ``idle``;
* otherwise: what is left on devices that have less than the class's share.

The published results were computed in float64, class by class in the order of frequency, into six
sums by cause, which were then added in a fixed order; scores are truncated to integers, so a sum in
another order flips them where nothing changes (0.5 becomes 0.4999…). The order here is therefore
part of the rule (hkust-adsl/kubernetes-scheduler-simulator, pkg/utils/frag.go).

Layout: what the classes see of a device depends on its model and on what is left of it alone. A
table holds that, packed into one integer per class group, for every model and every 0..1000; a
node's *profile* is the sum over its devices. Trying a device means subtracting one row of the table
and adding another.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpuyard.model.deltas import MixEntry
from gpuyard.model.resources import CPU
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.fleet import CPU_COLUMN, IntArray

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

FloatArray = NDArray[np.float64]

STATES = WHOLE_DEVICE_MILLI + 1  # what may be left of a device: 0..1000
STATES_KEPT_MAX = 1 << 16  # states of nodes whose fragment is remembered, about 200 bytes each
# A packed entry: milli on devices too small for the class | devices that suffice | devices allowed.
SUFFICES = 1 << 32
ALLOWED = 1 << 48
SMALL_MASK = SUFFICES - 1
COUNT_MASK = (1 << 16) - 1

# The six sums, in the order in which they are added: lacks both, lacks device, lacks CPU, no device
# asked and CPU suffices, no device asked and CPU lacks, no access to the model.
CAUSES = 6
CAUSE_OF = np.array(
    # CPU lacks, CPU suffices
    [
        [5, 5],  # no allowed device on the node
        [0, 1],  # devices do not suffice
        [2, 1],  # devices suffice: with CPU the rest is what smaller devices hold, "lacks device"
        [4, 3],  # the class asks for no device
    ],
    dtype=np.int64,
).ravel()
NO_ACCESS, LACKS, SUFFICIENT, ASKS_NONE = 0, 2, 4, 6  # rows of the table above, twice


class MixTable:
    """The typical pods, laid out for many nodes at once."""

    def __init__(self, mix: tuple[MixEntry, ...], models: dict[str, int]) -> None:
        """Tabulate `mix` for the device models known so far."""
        self.frequency: FloatArray = np.array([entry.frequency for entry in mix])
        self.cpu_milli: IntArray = np.array(
            [entry.request.resources.get(CPU) for entry in mix], dtype=np.int64
        )
        groups: dict[tuple[int, int, tuple[str, ...]], int] = {}
        self.group_of_class: IntArray = np.array(
            [groups.setdefault(_group(entry), len(groups)) for entry in mix], dtype=np.int64
        )
        self.count: IntArray = np.array([count for count, _, _ in groups], dtype=np.int64)
        self.asks_none: IntArray = np.flatnonzero(self.count == 0)
        self.restricts_models = any(names for _, _, names in groups)
        # [model + 1, left, group + 1]: row 0 is "no device"; the last column is what is left.
        table = np.zeros((len(models) + 1, STATES, len(groups) + 1), dtype=np.int64)
        left = np.arange(STATES)
        for column, (_, milli, names) in enumerate(groups):
            suffices = np.where(left >= milli, SUFFICES, left) + ALLOWED
            for model, code in models.items():
                allowed = not names or model in names
                table[code + 1, :, column] = suffices if allowed else left
        table[1:, :, -1] = left
        self.table: IntArray = table.reshape(-1, len(groups) + 1)

    def rows(self, model: IntArray, left: IntArray) -> IntArray:
        """Return the index into `table` for devices of `model` with `left` thousandths left."""
        return (model + 1) * STATES + np.maximum(left, 0)

    def fragment(self, profile: IntArray, cpu_free: IntArray) -> FloatArray:
        """Return the fragment, in milli, of nodes in the given states.

        `profile` is [node, group + 1] (sums of `table` rows over the node's devices), `cpu_free`
        is [node] in millicores.
        """
        idle = profile[:, -1:]
        groups = profile[:, :-1]
        access = np.where(((groups >> 32) & COUNT_MASK) >= self.count, SUFFICIENT, LACKS)
        if self.restricts_models:
            access[groups < ALLOWED] = NO_ACCESS
        access[:, self.asks_none] = ASKS_NONE
        rest = np.where(access == SUFFICIENT, groups & SMALL_MASK, idle)
        has_cpu = cpu_free[:, None] >= self.cpu_milli
        amount = np.where(has_cpu, rest.take(self.group_of_class, axis=1), idle)
        cause = CAUSE_OF[access.take(self.group_of_class, axis=1) + has_cpu]
        cause += np.arange(0, CAUSES * len(profile), CAUSES)[:, None]
        # bincount and accumulate add one after the other, which numpy's sum would not.
        sums = np.bincount(
            cause.ravel(), (self.frequency * amount).ravel(), CAUSES * len(profile)
        ).reshape(-1, CAUSES)
        total: FloatArray = np.add.accumulate(sums, axis=1)[:, -1]
        return total


def _group(entry: MixEntry) -> tuple[int, int, tuple[str, ...]]:
    devices = entry.request.devices
    return (devices.count, devices.milli, devices.models) if devices else (0, 0, ())


class Fragments:
    """The fragment of nodes in any state, for the mix and the device models of one snapshot.

    It depends on what is left of each device and on which classes the free CPU suffices for. Few
    such states ever occur: openb's 10,866 arrivals on 1,213 nodes meet some 16,000 in 210,000
    questions. So answers are remembered, and a try costs a look-up instead of a sum over the mix;
    beyond `STATES_KEPT_MAX` all are forgotten and computed again.
    """

    def __init__(self, snapshot: "Snapshot") -> None:
        """Start with nothing remembered."""
        self._snapshot = snapshot
        self._mix: tuple[MixEntry, ...] | None = None
        self._models = -1
        self._known: dict[bytes, float] = {}
        self._cpu_steps: IntArray = np.empty(0, dtype=np.int64)
        self.table = MixTable((), {})

    @property
    def milli(self) -> FloatArray:
        """Return the fragment of every slot as it is now."""
        fleet = self._snapshot.fleet
        self.refresh()
        rows = self.table.rows(fleet.device_model, fleet.device_free)
        return self.of(rows, fleet.free[:, CPU_COLUMN])

    def refresh(self) -> None:
        """Take in a change of the mix or a new device model."""
        mix, models = self._snapshot.mix, self._snapshot.fleet.models
        if self._mix is not mix or self._models != len(models):
            self._mix, self._models = mix, len(models)
            self.table = MixTable(mix, models)
            self._cpu_steps = np.unique(self.table.cpu_milli)
            self._known.clear()

    def of(self, rows: IntArray, cpu_free: IntArray) -> FloatArray:
        """Return the fragment, in milli, of nodes in the given states.

        `rows` is [node, device], indices into the table (`MixTable.rows`); `cpu_free` is [node].
        """
        step = self._cpu_steps.searchsorted(cpu_free, side="right")
        states = np.concatenate([rows, step[:, None]], axis=1)
        width, packed = states.shape[1] * states.itemsize, states.tobytes()
        keys = [packed[begin : begin + width] for begin in range(0, len(packed), width)]
        known = self._known
        unknown = {key: index for index, key in enumerate(keys) if key not in known}
        if unknown:
            if len(known) + len(unknown) > STATES_KEPT_MAX:
                known.clear()
                unknown = {key: index for index, key in enumerate(keys)}
            which = list(unknown.values())
            profile = self.table.table[rows[which]].sum(axis=1)
            fragments = self.table.fragment(profile, cpu_free[which]).tolist()
            known.update(zip(unknown, fragments, strict=True))
        return np.array([known[key] for key in keys])
