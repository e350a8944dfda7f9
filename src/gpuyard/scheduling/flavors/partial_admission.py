"""How many pods to admit where all of them do not fit.

A pod set with a minimal count can do with fewer pods. All pod sets shrink together, each in
proportion to what it can do without, from all pods (0 steps) to the minimal counts (as many steps
as pods can be left out altogether). A binary search finds the fewest steps at which it fits. What
fits must go on fitting with fewer pods; where it does not, the answer is one that fits, maybe not
the largest.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner/podset_reducer.go.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from gpuyard.model.workloads import PodSet

Answer = TypeVar("Answer")


def can_shrink(pod_sets: Sequence[PodSet]) -> bool:
    """Tell whether any pod set can do with fewer pods."""
    return any(spare > 0 for spare in _spares(pod_sets))


def search(
    pod_sets: Sequence[PodSet], fits: Callable[[tuple[int, ...]], Answer | None]
) -> Answer | None:
    """Return what `fits` says of the largest counts that fit, `None` where no counts do.

    `fits` returns `None` for counts that do not fit. It is asked at most log₂(steps) + 1 times.
    """
    spares = _spares(pod_sets)
    steps = sum(spares)
    if steps <= 0:
        return None
    found: Answer | None = None
    fewest, most = 0, steps + 1
    while fewest < most:
        step = (fewest + most) // 2
        counts = tuple(
            pod_set.count - spare * step // steps
            for pod_set, spare in zip(pod_sets, spares, strict=True)
        )
        answer = fits(counts)
        if answer is None:
            fewest = step + 1
        else:
            found, most = answer, step
    return found


def _spares(pod_sets: Sequence[PodSet]) -> list[int]:
    """Return how many pods each pod set can do without."""
    return [0 if each.min_count is None else each.count - each.min_count for each in pod_sets]
