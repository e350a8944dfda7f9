"""Autoscalers of GPU servers: what they look at, and how fast they act on it."""
