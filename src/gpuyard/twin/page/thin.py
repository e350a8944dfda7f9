"""Fewer points, same picture.

A week of samples is far more than a screen has columns. Leaving out every n-th point would lose
the peaks, which are what people look for. So the x range is cut into narrow columns and each
column keeps its lowest and its highest point, in their order: drawn a pixel wide, the line is the
same (the idea of M4: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation",
VLDB 2014). A gap in a column stays a gap.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

KEPT_PER_COLUMN = 3  # lowest, highest, and one that is missing


def thin(x: Floats, y: Floats, points_max: int) -> Indices:
    """Return ascending indices of at most `points_max` (≥ 8) points that draw the same line.

    `x` ascends; a `y` that is not finite is a gap. First and last point are always kept.
    """
    if len(x) <= points_max:
        return np.arange(len(x), dtype=np.int64)
    columns = _columns(x, (points_max - 2) // KEPT_PER_COLUMN)
    finite = np.isfinite(y)
    ends = np.array([0, len(x) - 1], dtype=np.int64)
    kept = (
        ends,
        _first_per_column(columns, y, finite),
        _first_per_column(columns, -y, finite),
        _first_per_column(columns, np.zeros_like(y), ~finite),
    )
    return np.unique(np.concatenate(kept))


def _columns(x: Floats, count: int) -> Indices:
    """Return for each point the column it falls into."""
    span = x[-1] - x[0]
    if span <= 0:
        return np.zeros(len(x), dtype=np.int64)
    columns: Indices = np.minimum(((x - x[0]) / span * count).astype(np.int64), count - 1)
    return columns


def _first_per_column(columns: Indices, order: Floats, eligible: npt.NDArray[np.bool_]) -> Indices:
    """Return in each column the eligible point that is first by `order`, then by place."""
    places = np.flatnonzero(eligible)
    ranked = places[np.lexsort((places, order[places], columns[places]))]
    _, first = np.unique(columns[ranked], return_index=True)
    chosen: Indices = ranked[first]
    return chosen
