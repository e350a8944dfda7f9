"""Record which published results the code reproduces: ``python -m verification.record``.

Runs every comparison in full (an hour or so on two cores), each with the command that the
record names, and writes the outcome to the file that reports show as their validity strip
(`gpuyard.studies.validity`). A miss is recorded as one. With names of checks as arguments only
those are run again, and the others stay as they were recorded.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from gpuyard.studies import validity
from gpuyard.studies.validity import Check, Record

HOURS_MAX = 1


class Comparison(NamedTuple):
    """A comparison by name: what it holds us to, its command, and where its result is printed.

    `said` finds the result in what the command prints; of several matches the last counts.
    """

    name: str
    title: str
    command: str
    said: str


ORACLES = "python -m verification.oracles"
COUNTS = r"^all files: (passed .*?); altered"

COMPARISONS = (
    Comparison(
        "fgd",
        "FGD, USENIX ATC'23: 8 traces, 10 seeds, 5 policies, 131 points each within 0.01",
        "python -m verification.fgd --random",
        r"^(all reproduced.*|\d+ comparisons missed.*)$",
    ),
    Comparison(
        "kube-scheduler",
        "kube-scheduler v1.36.3's own tables: filters, scores, gangs, preemption",
        f"{ORACLES} kube-scheduler",
        COUNTS,
    ),
    Comparison(
        "kueue",
        "Kueue v0.19.2's own tables: cycles, flavors, fair sharing, topology, queues",
        f"{ORACLES} kueue",
        COUNTS,
    ),
    Comparison(
        "kueue-cases",
        "Kueue's own tables: topology placement and preemption",
        f"{ORACLES} kueue $GPUYARD_DATA/oracles/kueue_cases.jsonl.gz",
        COUNTS,
    ),
    Comparison("kai", "KAI v0.17's own tables of actions", f"{ORACLES} kai", COUNTS),
    Comparison("volcano", "Volcano's own tables", f"{ORACLES} volcano", COUNTS),
    Comparison(
        "tiresias",
        "Tiresias in the Pollux artifact, OSDI'21: completion times, four loads",
        "python -m verification.tiresias",
        r"^(\d+ of \d+ jobs to the second)",
    ),
    Comparison(
        "kueue-performance",
        "Kueue's performance tests: makespan in the twin",
        "python -m verification.kueue_performance",
        r"^(.*baseline.*)$",
    ),
    Comparison(
        "victims",
        "Victims by GPU-hours lost: 10,000 random cases against all subsets",
        "python -m verification.victims",
        r"^ours +(.*)$",
    ),
    Comparison(
        "contested",
        "Teams that contend for a fleet: our preset against Kueue's rules",
        "python -m verification.contested",
        r"^(\d of \d contests.*)$",
    ),
)


def run(comparison: Comparison) -> Check:
    """Run one comparison and return what came of it."""
    words = shlex.split(os.path.expandvars(comparison.command))
    done = subprocess.run(  # noqa: S603  our own commands, from the table above
        [sys.executable, *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=HOURS_MAX * 3600,
    )
    found = re.findall(comparison.said, done.stdout, re.MULTILINE)
    said = found[-1] if found else f"no result; exit {done.returncode}"
    return Check(
        name=comparison.title,
        result=" ".join(said.split()),
        is_met=bool(found) and done.returncode == 0,
        command=comparison.command,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the record; return 1 where any comparison is not met."""
    names = [each.name for each in COMPARISONS]
    parser = argparse.ArgumentParser(prog="python -m verification.record", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    asked = parser.parse_args(argv).names
    if unknown := sorted(set(asked) - set(names)):
        parser.error(f"there is no comparison {unknown[0]!r}; there are {', '.join(names)}")
    if not (Path(os.environ.get("GPUYARD_DATA", "")) / "fgd_expected").is_dir():
        parser.error("set GPUYARD_DATA to the folder with fgd_expected/ and oracles/")
    path = Path(validity.__file__).with_name(validity.RECORD)
    known = {check.name: check for check in validity.record().checks}
    checks: list[Check] = []
    for comparison in COMPARISONS:
        if asked and comparison.name not in asked:
            checks += [known[comparison.title]] if comparison.title in known else []
            continue
        checks.append(run(comparison))
        print(f"{checks[-1].name}: {checks[-1].result}{'' if checks[-1].is_met else '   MISSED'}")
    today = datetime.now(UTC).date().isoformat()
    record = Record(version=version("gpuyard"), recorded=today, checks=tuple(checks))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    print(f"recorded in {path}")
    return 0 if all(check.is_met for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
