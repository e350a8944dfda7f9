"""Record which published results the code reproduces: ``python -m verification.record``.

Runs every comparison in full (some ten minutes on two cores) and writes the outcome to the file
that reports show as their validity strip (`gpuyard.studies.validity`). A miss is recorded as one.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from gpuyard.studies import validity
from gpuyard.studies.validity import Check, Record
from verification import fgd
from verification.oracles.__main__ import files_of
from verification.oracles.kube_scheduler import KUBE_SCHEDULER
from verification.oracles.runner import check_file


def fgd_checks(data: Path) -> Iterator[Check]:
    """Yield the checks against the FGD paper's published experiments."""
    traces = sorted({trace for trace, _, _ in fgd.published(data)})
    command = "python -m verification.fgd"
    with ProcessPoolExecutor() as pool:
        rows = list(fgd.compare(data, traces, fgd.SEEDS, pool))
        exact, total = sum(one.exact for one in rows), sum(one.rows for one in rows)
        yield Check(
            name=f"FGD, USENIX ATC'23: {len(traces)} traces, {len(fgd.SEEDS)} seeds, "
            f"{len(fgd.POLICIES)} policies, 131 points each within 0.01",
            result=f"{exact} of {total} experiments exact",
            is_met=exact == total,
            command=command,
        )
        random = list(fgd.compare_random(data, traces, pool))
        yield Check(
            name=f"FGD's random policy, {len(fgd.OWN_SEEDS)} seeds of our own on each trace",
            result=f"largest |z| {max(abs(one.z) for one in random):.2f}",
            is_met=all(one.is_met for one in random),
            command=f"{command} --random",
        )


def kube_scheduler_check(data: Path) -> Check:
    """Return the check against kube-scheduler's own tables."""
    folder = data / "oracles" / "kube_scheduler"
    found = [check_file(path, KUBE_SCHEDULER) for path in files_of([folder])]
    done = [one for one in found if not one.later]
    passed, failed = sum(one.passed for one in done), sum(one.failed for one in done)
    outside = sum(one.outside.total() for one in done)
    return Check(
        name="kube-scheduler v1.36.3's own filter and score tables",
        result=f"{passed} of {passed + failed} rows, {outside} out of scope",
        is_met=all(one.is_fine for one in done),
        command="python -m verification.oracles kube-scheduler",
    )


def main() -> int:
    """Write the record; return 1 where any check is not met."""
    data = Path(os.environ.get("GPUYARD_DATA", ""))
    if not (data / "fgd_expected").is_dir():
        print("verification.record: set GPUYARD_DATA to the folder with fgd_expected/ and oracles/")
        return 2
    checks = (*fgd_checks(data), kube_scheduler_check(data))
    for check in checks:
        print(f"{check.name}: {check.result}{'' if check.is_met else '   MISSED'}")
    today = datetime.now(UTC).date().isoformat()
    record = Record(version=version("gpuyard"), recorded=today, checks=checks)
    path = Path(validity.__file__).with_name(validity.RECORD)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    print(f"recorded in {path}")
    return 0 if all(check.is_met for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
