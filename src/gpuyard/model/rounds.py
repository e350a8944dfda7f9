"""Deciding in rounds: who comes first by the service attained so far.

Some schedulers do not wait for something to end: at every round they decide anew who runs, and
whoever is not among them gives its devices back. Their policies are plain data like every other;
the rules that read them stand in `gpuyard.scheduling.rounds` and `gpuyard.scheduling.ordering`.
Service is counted in *device-nanoseconds*: devices held, times how long they were held.
"""

import msgspec


class LeastAttained(
    msgspec.Struct, frozen=True, cache_hash=True, kw_only=True, tag="least-attained"
):
    """Least attained service in queues: one more queue than there are thresholds.

    A workload starts in the first queue and moves to the next when it has attained a threshold,
    `thresholds_device_ns`, ascending. A lower queue is served before a higher one.
    """

    thresholds_device_ns: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse thresholds that no workload could pass in their order."""
        ascending = all(
            low < high
            for low, high in zip(
                (0, *self.thresholds_device_ns), self.thresholds_device_ns, strict=False
            )
        )
        if not ascending:
            msg = f"thresholds must be positive and ascend, not {self.thresholds_device_ns}"
            raise ValueError(msg)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The queue in which a workload stands (0 is served first), and since when."""

    queue: int = 0
    entered_ns: int
