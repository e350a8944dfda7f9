"""What can go wrong with a cluster on this machine, as one sentence."""


class LocalError(Exception):
    """What was being done, what was wrong, what to do."""
