"""The report for people: grouped by file, one finding per paragraph, never wider than asked.

    train.yaml
      31:9  error    GPU-SHM  Job train: 4 GPUs, but /dev/shm is the default 64 MiB
                              → mount an emptyDir with medium: Memory at /dev/shm

Text and escape codes only: this runs in a terminal, in a pipe and in tests alike. Severity is a
word; its colour only repeats it.
"""

import textwrap

from gpuyard.lint.reports.report import Report, by_file, spot, totals
from gpuyard.lint.rule import Finding

_COLORS = {"error": "31", "warning": "33", "info": "36"}
_TEXT_COLUMNS_MIN = 40  # with less beside the rule's id, the message goes below it
_INDENT = "  "


def render(report: Report) -> str:
    """Return the table, with a line of totals at its end."""
    lines: list[str] = []
    for file, findings in by_file(report.findings):
        lines += [_styled(file, "1", report), *_paragraphs(findings, report), ""]
    lines += [_styled(one, "1", report) for one in _wrapped(f"{totals(report)}.", report.columns)]
    if report.findings:
        lines += _wrapped(f"More: gpuyard explain {report.findings[0].rule}", report.columns)
    return "\n".join(lines) + "\n"


def _paragraphs(findings: list[Finding], report: Report) -> list[str]:
    places = [spot(one) for one in findings]
    widths = (
        max(map(len, places)),
        max(len(one.severity) for one in findings),
        max(len(one.rule) for one in findings),
    )
    lines = []
    for place, finding in zip(places, findings, strict=True):
        cells = (place, finding.severity, finding.rule)
        plain = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True) if width]
        head = _INDENT + "  ".join(plain)
        room = report.columns - len(head) - 2
        text = _message(finding)
        plain[-2] = _styled(plain[-2], _COLORS[finding.severity], report)
        shown_head = _INDENT + "  ".join(plain)
        if room >= _TEXT_COLUMNS_MIN:
            first, *rest = _wrapped(text, room)
            indent = " " * (len(head) + 2)
            lines.append(f"{shown_head}  {first}")
        else:
            indent = _INDENT * 2
            lines.append(shown_head.rstrip())
            rest = _wrapped(text, report.columns - len(indent))
        lines += [indent + one for one in rest]
        remedy = _wrapped(f"→ {finding.remedy}", report.columns - len(indent))
        lines += [indent + one for one in remedy]
    return lines


def _message(finding: Finding) -> str:
    return f"{finding.object}: {finding.message}" if finding.object else finding.message


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(columns, len("→ x")),
        subsequent_indent="  " if text.startswith("→") else "",
        break_on_hyphens=False,
        break_long_words=False,  # a name is never cut, however narrow the terminal
    ) or [""]


def _styled(text: str, code: str, report: Report) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if report.color else text
