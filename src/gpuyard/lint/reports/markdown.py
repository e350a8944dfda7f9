"""Markdown for a comment on a pull request or a job summary: a table per file, totals on top."""

from gpuyard.lint.reports.report import Report, by_file, spot, totals
from gpuyard.lint.rule import Finding

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>#|~"})


def render(report: Report) -> str:
    """Return a document that begins with a heading."""
    parts = ["# gpuyard lint", "", f"{_plain(totals(report))}."]
    for file, findings in by_file(report.findings):
        parts += [
            "",
            f"## {_plain(file)}",
            "",
            "| line | severity | rule | object | finding | what to do |",
            "|---:|---|---|---|---|---|",
            *(_row(one) for one in findings),
        ]
    return "\n".join(parts) + "\n"


def _row(finding: Finding) -> str:
    cells = (
        spot(finding),
        finding.severity,
        finding.rule,
        _plain(finding.object),
        _plain(finding.message),
        _plain(finding.remedy),
    )
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Return `text` so that nothing in it is taken for markup or ends the row."""
    return " ".join(text.split()).translate(_SPECIAL)
