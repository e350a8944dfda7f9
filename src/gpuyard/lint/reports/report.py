"""What every form of report is made from, and the words that they share."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from gpuyard.lint.rule import SEVERITIES, Finding, Rule
from gpuyard.lint.wording import count


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one run; findings are sorted by file and place."""

    findings: Sequence[Finding]
    files: Sequence[str]  # everything that was read, with findings or without
    objects: int
    suppressed: int = 0  # by annotation or comment
    in_baseline: int = 0
    unreadable: int = 0  # files found in a folder that are no YAML and have nothing about GPUs
    cluster: str | None = None  # where the objects were seen, if they were not written in files
    rules: Sequence[Rule] = ()  # all that could have been found
    version: str = ""
    columns: int = 100  # how wide a table may be
    color: bool = False


def by_file(findings: Iterable[Finding]) -> Iterable[tuple[str, list[Finding]]]:
    """Return (file, its findings) in order."""
    return ((name, list(group)) for name, group in groupby(findings, key=lambda one: one.file))


def spot(finding: Finding) -> str:
    """Return ``line:column``; "" for an object of a cluster, which was written nowhere."""
    return f"{finding.line}:{finding.column}" if finding.line else ""


def totals(report: Report) -> str:
    """Return the last line of a report: what was found, in how much, and what is not shown."""
    counts = Counter(one.severity for one in report.findings)
    found = ", ".join(
        # "info" has no plural; a report says "2 info"
        f"{counts[one]} {one}{'s' if counts[one] > 1 and one != 'info' else ''}"
        for one in SEVERITIES
        if counts[one]
    )
    files = f"{count(len(report.files), 'file')}, " if report.cluster is None else ""
    read = f"{files}{count(report.objects, 'object')}"
    hidden = [
        f"{number} {how}"
        for number, how in (
            (report.suppressed, "suppressed"),
            (report.in_baseline, "in baseline"),
            (report.unreadable, "unreadable and not about GPUs"),
        )
        if number
    ]
    seen = f" of {report.cluster}" if report.cluster else ""
    return f"{found or 'nothing found'} in {read}{seen}{''.join(f'; {one}' for one in hidden)}"
