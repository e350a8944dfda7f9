"""What each benchmark may take at most, and the measurements that say so: ``ranges.yaml``.

Bounds are ratios to `benchmarks.calibration`, megabytes, and counts per operation. A ratio holds
on a slow or a busy machine, and its bound leaves room for what noise remains; counts are the same
on every machine, so theirs are tight: a cache that no longer holds shows there first.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.child import Measurement

RANGES_PATH = Path(__file__).with_name("ranges.yaml")


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The smallest, the middle and the largest of several runs."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of `values`."""
        return cls(min(values), median(values), max(values))


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The runs behind a range, each list as minimum, median, maximum."""

    runs: int
    cpu_s: tuple[float, float, float]
    ratio: tuple[float, float, float]
    peak_mb: tuple[float, float, float]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Upper bounds of one benchmark's medians.

    `promise_s` is what the project promises of the time on a usual server; it stands there to be
    read beside `measured` and is not checked, because a machine may be slow.
    """

    ratio: float
    peak_mb: float
    refreshed: float  # nodes filtered again, per operation
    scored: float  # nodes scored again, per operation
    reason: str
    measured: Measured
    promise_s: float | None = None


class RangesError(ValueError):
    """A range file that cannot be used, in one sentence."""


def load_ranges(path: Path = RANGES_PATH) -> dict[str, Range]:
    """Return the ranges by the name of their benchmark.

    Raises
    ------
    RangesError
        where the file is missing or is not what `Range` says.

    """
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=dict[str, Range])
    except OSError as error:
        raise RangesError(f"{path}: {error.strerror}; name an existing range file") from None
    except msgspec.DecodeError as error:
        raise RangesError(f"{path}: {error}; see benchmarks/README.md for the fields") from None


def beyond(bounds: Range, runs: Sequence[Measurement]) -> list[str]:
    """Return a sentence for every median of `runs` that is beyond its bound."""
    operations = runs[0].operations
    checks = (
        ("ratio", Spread.of([run.ratio for run in runs]), bounds.ratio),
        ("peak_mb", Spread.of([run.peak_mb for run in runs]), bounds.peak_mb),
        (
            "refreshed",
            Spread.of([run.nodes_refreshed / operations for run in runs]),
            bounds.refreshed,
        ),
        ("scored", Spread.of([run.nodes_scored / operations for run in runs]), bounds.scored),
    )
    return [
        f"{name} {spread.median:.2f} ({spread.min:.2f} to {spread.max:.2f}) is beyond {bound:g}"
        for name, spread, bound in checks
        if spread.median > bound
    ]
