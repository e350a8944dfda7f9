"""Which devices of a node a request gets.

The scheduler predicts with these functions what the node agent will choose, so both are one. A
device is described by what is left of it, in milli (1000 is a whole free device); the answer is the
positions of the chosen devices in the node's list, ascending, or `None` where they do not suffice.

``best_fit`` takes the devices with the least left that still suffice, the first among equals:
shares gather on devices that are already shared, whole ones stay whole. It is what the FGD paper's
simulator does under every policy but FGD and Random (hkust-adsl/kubernetes-scheduler-simulator,
``gpuSelMethod: best``).
"""

from collections.abc import Sequence

import numpy as np


def best_fit(left_milli: Sequence[int], count: int, milli: int) -> tuple[int, ...] | None:
    """Return the `count` fullest devices that have `milli` left, the first among equals."""
    fitting = sorted((left, index) for index, left in enumerate(left_milli) if left >= milli)
    if len(fitting) < count:
        return None
    return tuple(sorted(index for _, index in fitting[:count]))


def first_fit(left_milli: Sequence[int], count: int, milli: int) -> tuple[int, ...] | None:
    """Return the first `count` devices that have `milli` left."""
    fitting = [index for index, left in enumerate(left_milli) if left >= milli]
    return tuple(fitting[:count]) if len(fitting) >= count else None


def distributed(left_milli: Sequence[int], count: int, milli: int) -> tuple[int, ...] | None:
    """Return the `count` emptiest devices that have `milli` left, the first among equals.

    NVIDIA's device plugin proposes this for time-sliced and MPS replicas by default (v0.20.0,
    ``sharedDevicesAllocationPolicy: distributed``); for whole devices all choices are alike here.
    """
    fitting = sorted((-left, index) for index, left in enumerate(left_milli) if left >= milli)
    if len(fitting) < count:
        return None
    return tuple(sorted(index for _, index in fitting[:count]))


def any_fit(
    left_milli: Sequence[int], count: int, milli: int, rng: np.random.Generator
) -> tuple[int, ...] | None:
    """Return `count` of the devices that have `milli` left, each as likely as any other."""
    fitting = [index for index, left in enumerate(left_milli) if left >= milli]
    if len(fitting) < count:
        return None
    if len(fitting) == count:
        return tuple(fitting)
    return tuple(sorted(int(index) for index in rng.choice(fitting, size=count, replace=False)))
