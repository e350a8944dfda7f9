"""Kueue's queues: that they are there, take work, and lead to GPUs."""
