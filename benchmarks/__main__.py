"""Run the benchmarks and print a table; see README.md in this folder.

Runs of all benchmarks are interleaved, so that a busy minute of the machine falls on all of them.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import msgspec

from benchmarks.child import Measurement
from benchmarks.ranges import RANGES_PATH, Range, RangesError, Spread, beyond, load_ranges
from benchmarks.workloads import BENCHMARKS, data_folder

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
HEADER = (
    f"{'benchmark':<28}{'CPU s min':>10}{'median':>8}{'max':>8}{'ratio':>8}{'bound':>7}"
    f"{'peak MB':>9}{'ops':>8}{'µs/op':>7}{'placed':>8}{'refr/op':>9}{'scored/op':>10}{'rows':>6}"
)


class BenchmarkError(ValueError):
    """A call that makes no sense, in one sentence."""


def run_once(name: str, source: Path | None = None) -> Measurement:
    """Measure `name` in a fresh process; `source` is another version's ``src`` folder."""
    path = os.environ.get("PYTHONPATH", "") if source is None else str(source)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise BenchmarkError(f"{name} did not finish: {last[0]}")
    return msgspec.json.decode(done.stdout, type=Measurement)


def measure(names: Sequence[str], runs: int, source: Path | None) -> dict[str, list[Measurement]]:
    """Return `runs` measurements by name; with `source` also under ``NAME (before)``."""
    measured: dict[str, list[Measurement]] = {}
    for turn in range(runs):
        for name in names:
            if sys.stderr.isatty():
                print(f"\rrun {turn + 1} of {runs}: {name:<40}", end="", file=sys.stderr)
            if source is not None:
                measured.setdefault(f"{name} (before)", []).append(run_once(name, source))
            measured.setdefault(name, []).append(run_once(name))
    if sys.stderr.isatty():
        print("\r" + " " * 70, end="\r", file=sys.stderr)
    return measured


def row(name: str, runs: Sequence[Measurement], bounds: Range | None) -> str:
    """Return one line of the table; counts are those of one run, the same in all."""
    cpu = Spread.of([run.cpu_s for run in runs])
    ratio = Spread.of([run.ratio for run in runs])
    peak = Spread.of([run.peak_mb for run in runs])
    one = runs[0]
    bound = f"{bounds.ratio:g}" if bounds else ""
    return (
        f"{name:<28}{cpu.min:>10.3f}{cpu.median:>8.3f}{cpu.max:>8.3f}{ratio.median:>8.2f}{bound:>7}"
        f"{peak.median:>9.0f}{one.operations:>8}{cpu.median / one.operations * 1e6:>7.1f}"
        f"{one.placements:>8}{one.nodes_refreshed / one.operations:>9.2f}"
        f"{one.nodes_scored / one.operations:>10.2f}{one.rows_built:>6}"
    )


def lines(
    names: Sequence[str], measured: Mapping[str, list[Measurement]], ranges: Mapping[str, Range]
) -> Iterator[str]:
    """Yield the table, and what another version took in units of this one."""
    yield HEADER
    for name in names:
        before = measured.get(f"{name} (before)")
        if before:
            yield row(f"{name} (before)", before, None)
        yield row(name, measured[name], ranges.get(name))
        if before:
            quotients = [
                now.ratio / then.ratio for now, then in zip(measured[name], before, strict=True)
            ]
            spread = Spread.of(quotients)
            yield (
                f"{'':<28}now/before {spread.median:.2f}"
                f" (pairs of runs: {spread.min:.2f} to {spread.max:.2f})"
            )


def yaml_lines(measured: Mapping[str, list[Measurement]]) -> Iterator[str]:
    """Yield the ``measured`` part of ``ranges.yaml`` for each benchmark."""
    for name, runs in measured.items():
        yield f"{name}:"
        yield "  measured:"
        yield f"    runs: {len(runs)}"
        for field, digits in (("cpu_s", 3), ("ratio", 2), ("peak_mb", 0)):
            spread = Spread.of([getattr(run, field) for run in runs])
            values = (f"{value:.{digits}f}" for value in (spread.min, spread.median, spread.max))
            yield f"    {field}: [{', '.join(values)}]"


def chosen(arguments: argparse.Namespace, ranges: Mapping[str, Range]) -> list[str]:
    """Return the benchmarks to run: those named, else all that this machine has the data for.

    Raises
    ------
    BenchmarkError
        where a name is unknown, its data or its range is not there, or nothing would be run.

    """
    has_data = data_folder() is not None
    for name in arguments.names:
        if name not in BENCHMARKS:
            near = get_close_matches(name, BENCHMARKS, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise BenchmarkError(f"unknown benchmark {name!r}; {meant}({', '.join(BENCHMARKS)})")
        if BENCHMARKS[name].needs_data and not has_data:
            raise BenchmarkError(
                f"{name} replays openb: set GPUYARD_DATA to the folder that has it"
            )
    if arguments.runs < 1:
        raise BenchmarkError(f"--runs {arguments.runs} measures nothing; give at least 1")
    runnable = [name for name, one in BENCHMARKS.items() if has_data or not one.needs_data]
    names = list(dict.fromkeys(arguments.names)) or runnable
    missing = [name for name in names if name not in ranges]
    if arguments.check and missing:
        raise BenchmarkError(f"{arguments.ranges} has no range for {', '.join(missing)}")
    if not arguments.names and not has_data:
        print("GPUYARD_DATA names no folder with openb/: only generated traces are replayed")
    return names


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", metavar="NAME", nargs="*", help="benchmarks (default: all)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each (default: {RUNS})")
    parser.add_argument("--check", action="store_true", help="exit 1 when a median is out of range")
    parser.add_argument("--ranges", type=Path, default=RANGES_PATH, help="another range file")
    parser.add_argument(
        "--against", type=Path, help="another version's src folder, to compare with"
    )
    parser.add_argument(
        "--yaml", action="store_true", help="print what ranges.yaml records of runs"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 when a range was asked for and left, 2 for a call in error."""
    arguments = _arguments(argv)
    try:
        ranges = load_ranges(arguments.ranges)
        names = chosen(arguments, ranges)
        measured = measure(names, arguments.runs, arguments.against)
    except (BenchmarkError, RangesError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    for line in yaml_lines(measured) if arguments.yaml else lines(names, measured, ranges):
        print(line)
    if not arguments.check:
        return 0
    found = [f"{name}: {each}" for name in names for each in beyond(ranges[name], measured[name])]
    print("\n".join(found) if found else "all within their ranges")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
