"""Helm values of charts that bring GPUs into a cluster."""
