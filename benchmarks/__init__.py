"""How fast the core is, in ratios that hold on a busy machine.

    python -m benchmarks [NAME...] [--runs N] [--check] [--against SRC]

Each measurement is a fresh process (`benchmarks.child`) that runs one workload of
`benchmarks.workloads` and times it beside a fixed piece of work (`benchmarks.calibration`): the
quotient of the two is what `ranges.yaml` bounds. ``python -m benchmarks.scaling`` explains how time
grows with the cluster. README.md says how to read all of it.
"""
