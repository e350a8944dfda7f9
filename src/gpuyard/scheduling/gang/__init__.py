"""Pods that start together: the barrier of a gang, and the one domain it may need."""
