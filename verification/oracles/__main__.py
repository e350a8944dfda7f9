"""Check published test cases: ``python -m verification.oracles NAME [PATH...]``.

Without a path all of them are taken, from the folder of that name in ``$GPUYARD_DATA/oracles``, or
from the one file there that the adapter names.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from verification.oracles.kai import KAI
from verification.oracles.kube_scheduler import KUBE_SCHEDULER
from verification.oracles.kueue import KUEUE
from verification.oracles.rows import Adapter
from verification.oracles.runner import Findings, check_file
from verification.oracles.volcano import VOLCANO

ADAPTERS: dict[str, Adapter] = {
    "kai": KAI,
    "kube-scheduler": KUBE_SCHEDULER,
    "kueue": KUEUE,
    "volcano": VOLCANO,
}


def main(arguments: list[str] | None = None) -> int:
    """Print what became of the rows; return 0 where all of them are as they should be."""
    parser = argparse.ArgumentParser(prog="python -m verification.oracles", description=__doc__)
    parser.add_argument("name", choices=sorted(ADAPTERS), help="whose test cases")
    parser.add_argument("paths", nargs="*", type=Path, help="files, or folders of them")
    chosen = parser.parse_args(arguments)
    if not chosen.paths:
        data = os.environ.get("GPUYARD_DATA")
        if not data:
            parser.error("give files or folders, or set GPUYARD_DATA to the folder with oracles/")
        place = ADAPTERS[chosen.name].place or chosen.name.replace("-", "_")
        chosen.paths = [Path(data, "oracles", place)]
    missing = [path for path in chosen.paths if not path.exists()]
    if missing:
        parser.error(f"{missing[0]} does not exist")
    findings = []
    for path in files_of(chosen.paths):
        found = check_file(path, ADAPTERS[chosen.name])
        findings.append(found)
        for line in lines_of(found):
            print(line)
    print(summary(findings))
    asked_for = {path.name for path in chosen.paths if path.is_file()}
    is_left_out = any(found.later and found.file in asked_for for found in findings)
    return 0 if findings and not is_left_out and all(found.is_fine for found in findings) else 1


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files, and those in the folders, by name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.jsonl*"))
        else:
            yield path


def lines_of(found: Findings) -> Iterator[str]:
    """Yield what to say of one file."""
    outside = found.outside.total()
    counts = f"passed {found.passed}, failed {found.failed}, out of scope {outside}"
    if found.later:
        counts += f", not attempted {found.later.total()}"
    yield f"{found.file} {counts}"
    yield from (f"  not attempted: {count} {test}" for test, count in sorted(found.later.items()))
    for reason, count in sorted(found.outside.items()):
        yield f"  out of scope: {count} {reason}"
    if found.outside_pct > found.outside_max_pct:
        most = found.outside_max_pct
        yield f"  {found.outside_pct:.0f} % are out of scope, at most {most} % may be"
    for reason, count in sorted(found.disagreements.items()):
        if count:
            yield f"  disagree: {count} {reason}"
    yield from (f"  failed {line}" for line in found.differences)
    yield from (f"  cannot fail: {line}" for line in found.unnoticed)


def summary(findings: list[Findings]) -> str:
    """Return one sentence on all files."""
    passed, failed = sum(each.passed for each in findings), sum(each.failed for each in findings)
    later = sum(each.later.total() for each in findings)
    outside = sum(each.outside.total() for each in findings)
    altered = sum(each.altered for each in findings)
    noticed = altered - sum(len(each.unnoticed) for each in findings)
    return (
        f"all files: passed {passed}, failed {failed}, out of scope {outside}"
        f"{f', not attempted {later}' if later else ''}; "
        f"altered expectations noticed: {noticed} of {altered}"
    )


if __name__ == "__main__":
    sys.exit(main())
