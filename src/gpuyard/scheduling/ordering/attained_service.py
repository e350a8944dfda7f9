"""Least attained service: whoever has had the least of the devices goes first.

How long a training job will run is not known in advance, how much it had is. Serving the one with
the least lets short jobs pass long ones without knowing which they are. Sorted by the exact amount,
two equal jobs would take turns for ever, and every turn costs a restart; so service is cut into a
few queues. Within a queue it is first come, first served, by the instant of entering it: whoever is
moved down goes to the end of its new queue. Nobody moves up again.

Attained service is devices times time held, restarts included; waiting adds nothing.

Semantics: Tiresias (NSDI'19, section 3.2: discretised two-dimensional LAS) as its peers run it:
petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/tiresias.py. There: two queues, the
threshold at 16 GPU-hours, and no way back up (its PROMOTEKNOB off).
"""

from bisect import bisect_right

from gpuyard.model.rounds import LeastAttained, Standing
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI

Turn = tuple[int, int]


def standing(
    order: LeastAttained, before: Standing, attained_device_ns: int, now_ns: int
) -> Standing:
    """Return where a workload stands at `now_ns` with so much attained; never above `before`."""
    queue = bisect_right(order.thresholds_device_ns, attained_device_ns)
    return Standing(queue=queue, entered_ns=now_ns) if queue > before.queue else before


def turn(standing: Standing) -> Turn:
    """Return a sort key; who has equal ones goes in the order of arrival."""
    return standing.queue, standing.entered_ns


def moves_down_after_ns(
    order: LeastAttained, before: Standing, attained_device_ns: int, device_milli: int
) -> int | None:
    """Return how long so many devices can be held before the next queue; `None`: for ever."""
    if before.queue >= len(order.thresholds_device_ns) or device_milli <= 0:
        return None
    missing = order.thresholds_device_ns[before.queue] - attained_device_ns
    return max(0, -(-missing * WHOLE_DEVICE_MILLI // device_milli))
