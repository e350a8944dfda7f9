"""What a GPU cluster is built of, below the workloads.

`layers` reads a running cluster: which software makes the GPUs of each pool usable, who installed
it, and what of it contradicts itself. Rendering a platform from one file will live here too.
"""
