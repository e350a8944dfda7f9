"""The ten lines that a notebook runs.

``mypy --strict`` checks the types said here, and tests/unit/test_public_surface.py runs the lines
in a folder with a fleet in nodes.csv and workloads in pods.csv.
"""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import gpuyard

trace = gpuyard.read_trace("nodes.csv", "pods.csv")
fgd = gpuyard.fill(trace, "fgd")
kube = gpuyard.fill(trace, gpuyard.preset("kube"), seed=1)
gain_gpus = (fgd.allocated_milli - kube.allocated_milli) / 1000
curve = np.array([sample.allocated_pct for sample in gpuyard.samples(fgd)])
week = gpuyard.live(trace, "gpuyard", until_s=7 * 86_400)
mean_wait_s = week.jobs.waited_ns.mean() / 1e9
useful_gpus = week.timeline.mean(week.timeline.useful_milli) / 1000
made = gpuyard.generate(gpuyard.parse_fleet("2x8xH100"), seed=1, days=0.1, load=0.9)
busy = gpuyard.live(made, "gpuyard").timeline.allocated_milli

assert_type(trace, gpuyard.Trace)
assert_type(fgd, gpuyard.FillRun)
assert_type(fgd.placed, NDArray[np.bool_])
assert_type(fgd.arrived_milli, NDArray[np.int64])
assert_type(fgd.allocated_milli, NDArray[np.int64])
assert_type(fgd.fragment_milli, NDArray[np.float64])
assert_type(gpuyard.preset("kube"), gpuyard.Policy)
assert_type(week, gpuyard.TimedRun)
assert_type(week.jobs.waited_ns, NDArray[np.int64])
assert_type(week.jobs.kind, tuple[str, ...])
assert_type(week.timeline.at_ns, NDArray[np.int64])
assert_type(week.timeline.useful_milli, NDArray[np.int64])
assert_type(week.timeline.fragment_milli, NDArray[np.float64])
assert_type(useful_gpus, float)
assert_type(busy, NDArray[np.int64])
