"""One measurement in a process of its own: ``python -m benchmarks.child NAME`` prints it as JSON.

A fresh process, because peak memory is that of a process, and because caches and the garbage of an
earlier run would be measured along. The fixed work is timed before and after, since the load of a
shared machine changes while one looks.
"""

import resource
import sys
import time

import msgspec

from benchmarks.calibration import calibration_s
from benchmarks.workloads import BENCHMARKS

WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # some start a program and wait for it
BYTES_PER_RSS = 1 if sys.platform == "darwin" else 1024  # getrusage(2): KiB on Linux


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took and what it did."""

    cpu_s: float
    calibration_s: float
    peak_mb: float
    operations: int
    placements: int
    rows_built: int
    nodes_refreshed: int
    nodes_scored: int

    @property
    def ratio(self) -> float:
        """Time in units of the fixed work."""
        return self.cpu_s / self.calibration_s


def measure(name: str) -> Measurement:
    """Run the benchmark `name` once in this process."""
    work = BENCHMARKS[name].prepare()
    before_s = calibration_s()
    begun = _cpu_s()
    done = work()
    cpu_s = _cpu_s() - begun
    peak = max(resource.getrusage(who).ru_maxrss for who in WHOSE)
    counted = done.counted
    return Measurement(
        cpu_s=cpu_s,
        calibration_s=(before_s + calibration_s()) / 2,
        peak_mb=peak * BYTES_PER_RSS / 1e6,
        operations=done.operations,
        placements=counted.placements,
        rows_built=counted.rows_built,
        nodes_refreshed=counted.nodes_refreshed,
        nodes_scored=counted.nodes_scored,
    )


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    print(msgspec.json.encode(measure(sys.argv[1])).decode())
