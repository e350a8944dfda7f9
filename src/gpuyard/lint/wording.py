"""Numbers with their nouns, so that a message never says ``1 GPUs``."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 GPU``, ``2 GPUs``; `plural` where an s is not enough: ``2 replicas of …``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
