"""What answers requests: probes, budgets, roll-outs, grace."""
