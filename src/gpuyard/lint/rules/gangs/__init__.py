"""Pods that start together, and where: gangs and topology."""
