"""A fixed piece of work to measure the machine by.

It does what the core does, in about the same proportions, and nothing of the core itself: small
numpy calls on a few nodes, whole-array passes over a thousand, and Python between them. A machine
that is half as fast, or shared with others, needs about twice as long for this and for the replay,
so their quotient stays. Changing anything here makes every figure in ``ranges.yaml`` meaningless.
"""

import time

import numpy as np

ROUNDS = 20_000
NODES = 1_200
FEW = 40


def calibration_s() -> float:
    """Return the CPU seconds that the fixed work took: about 0.2 on a server of 2023."""
    rng = np.random.default_rng(7)
    score = rng.integers(0, 100, NODES)
    devices = rng.integers(0, 1000, (NODES, 8))
    few = np.sort(rng.choice(NODES, FEW, replace=False))
    seen: dict[tuple[int, str], list[int]] = {}
    begun = time.process_time()
    for round_ in range(ROUNDS):
        best = int(np.flatnonzero(score == score.max())[0])
        fits = (devices[few] >= round_ % 1000).sum(axis=1) > 1
        score[few] = np.where(fits, devices[few, 0] % 100, score[few])
        entry = seen.setdefault((best, str(round_ % 97)), [])
        entry.append(sum(left for left in devices[best].tolist() if left > FEW))
        if len(entry) > FEW:
            entry.clear()
    return time.process_time() - begun
