"""Writing a record while a run goes on."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from gpuyard.model.deltas import YardDelta
from gpuyard.model.plan import Plan
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.cycle import Pending
from gpuyard.twin.record.form import Asked, End, Head, RecordedCycle

MayFit = Callable[[str], bool]


class Recorder(Protocol):
    """Who is told what a run is told, and what it decides."""

    def told(self, delta: YardDelta) -> None:
        """Hear what the run was told."""

    def asking(self, may_fit: MayFit) -> MayFit:
        """Listen to who is ruled out in the next cycle."""

    def decided(self, pending: Sequence[Pending], plan: Plan, now_ns: int) -> None:
        """Hear the plan of a cycle."""


class RecordWriter:
    """Writes a record line by line; `close` makes it whole."""

    def __init__(self, write: Callable[[bytes], object], head: Head) -> None:
        """Write `head`; `write` takes the bytes of one line or more."""
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._deltas: list[YardDelta] = []
        self._ruled_out: list[str] = []
        self._known: dict[str, Workload] = {}
        self._cycles = 0
        self._line(head)

    def told(self, delta: YardDelta) -> None:
        """Keep what was told for the next line."""
        self._deltas.append(delta)

    def asking(self, may_fit: MayFit) -> MayFit:
        """Return `may_fit`, and note for whom it says no."""

        def noted(workload: str) -> bool:
            is_worth_a_try = may_fit(workload)
            if not is_worth_a_try:
                self._ruled_out.append(workload)
            return is_worth_a_try

        return noted

    def decided(self, pending: Sequence[Pending], plan: Plan, now_ns: int) -> None:
        """Write the line of a cycle."""
        self._cycles += 1
        new = [one.workload for one in pending if self._is_new(one.workload)]
        recorded = RecordedCycle(
            cycle=self._cycles,
            now_ns=now_ns,
            deltas=tuple(self._deltas),
            workloads=tuple(new),
            asked=tuple(_asked(one) for one in pending),
            ruled_out=tuple(self._ruled_out),
            plan=plan,
        )
        self._deltas.clear()
        self._ruled_out.clear()
        self._line(recorded)

    def close(self) -> None:
        """Say that this was all."""
        self._line(End(cycles=self._cycles))

    def _is_new(self, workload: Workload) -> bool:
        is_new = self._known.get(workload.key) is not workload
        self._known[workload.key] = workload
        return is_new

    def _line(self, struct: msgspec.Struct) -> None:
        self._write(self._encode(struct) + b"\n")


def _asked(pending: Pending) -> Asked:
    workload, missing = pending.workload, pending.missing
    if len(missing) == workload.pod_count:
        return Asked(workload.key)
    return Asked(workload.key, tuple(pod for pod, _ in missing))
