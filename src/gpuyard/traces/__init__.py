"""Traces: what arrived at a cluster, when, and how long it ran.

Loaders of published trace formats (`openb`), our own documented table form for users' traces
(`table`), fleets written in one line (`fleet`), and a seeded generator of realistic weeks
(`generate`). Everything here ends in the same two things: a tuple of `gpuyard.model.nodes.Node` and
a tuple of `TimedWorkload` in order of arrival. Input that is wrong ends in a `TraceError`, which
names the file, the line and the way out; no other exception leaves this room because of a file.
"""
