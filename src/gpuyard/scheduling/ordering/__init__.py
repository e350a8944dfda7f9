"""Who goes first: inside a queue, between queues, and among workloads that run."""
