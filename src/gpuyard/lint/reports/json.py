"""The report for programs: the list of findings that DESIGN §7 promises, and nothing else."""

import msgspec

from gpuyard.lint.reports.report import Report


def render(report: Report) -> str:
    """Return a JSON list; an empty one where nothing was found."""
    return msgspec.json.format(msgspec.json.encode(report.findings), indent=2).decode() + "\n"
