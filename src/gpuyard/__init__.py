"""Make Kubernetes run AI workloads on GPUs well. Today: the yard in virtual time.

    >>> import gpuyard
    >>> trace = gpuyard.generate(gpuyard.parse_fleet("2x8xH100"), seed=1, days=1.0)
    >>> week = gpuyard.live(trace, "gpuyard")
    >>> bool((week.jobs.waited_ns >= 0).all())
    True

Only the names in ``__all__`` are public; they are looked up when they are first used, so that
importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuyard.scheduling.policy import Policy
    from gpuyard.scheduling.presets import UnknownPolicyError, preset
    from gpuyard.studies.notebook import fill, live
    from gpuyard.traces.fleet import FleetError, parse_fleet
    from gpuyard.traces.generate import generate
    from gpuyard.traces.read import read_trace
    from gpuyard.traces.trace import Trace, TraceError
    from gpuyard.twin.fill import FillRun, samples
    from gpuyard.twin.timed import TimedRun

__all__ = [
    "FillRun",
    "FleetError",
    "Policy",
    "TimedRun",
    "Trace",
    "TraceError",
    "UnknownPolicyError",
    "fill",
    "generate",
    "live",
    "parse_fleet",
    "preset",
    "read_trace",
    "samples",
]

_HOME = {
    "FillRun": "twin.fill",
    "FleetError": "traces.fleet",
    "Policy": "scheduling.policy",
    "TimedRun": "twin.timed",
    "Trace": "traces.trace",
    "TraceError": "traces.trace",
    "UnknownPolicyError": "scheduling.presets",
    "fill": "studies.notebook",
    "generate": "traces.generate",
    "live": "studies.notebook",
    "parse_fleet": "traces.fleet",
    "preset": "scheduling.presets",
    "read_trace": "traces.read",
    "samples": "twin.fill",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module 'gpuyard' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"gpuyard.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
