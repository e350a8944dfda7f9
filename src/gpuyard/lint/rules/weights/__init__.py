"""Weights of models: where they come from, where they lie, how they are read."""
