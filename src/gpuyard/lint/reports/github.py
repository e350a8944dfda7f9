"""Workflow commands: each finding becomes an annotation on the line of a pull request.

``::error file=train.yaml,line=31,col=9,title=GPU-SHM::message``. Line breaks and ``%`` would end or
change a command, ``:`` and ``,`` would end a property: they are escaped as the runner undoes it.
Source: actions/toolkit, packages/core/src/command.ts; a notice is their word for info.
"""

from gpuyard.lint.reports.report import Report, totals
from gpuyard.lint.rule import Finding

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def render(report: Report) -> str:
    """Return one command per finding, and the totals for whoever reads the log."""
    return "".join(f"{_command(one)}\n" for one in report.findings) + f"{totals(report)}.\n"


def _command(finding: Finding) -> str:
    title = {"title": f"{finding.rule} {finding.object}".strip()}
    place = {"file": finding.file, "line": str(finding.line), "col": str(finding.column), **title}
    if not finding.line:  # an object of a cluster: there is no file to put it beside
        place = title
    properties = ",".join(f"{key}={_property(value)}" for key, value in place.items())
    text = _data(f"{finding.message}; {finding.remedy}")
    return f"::{_COMMANDS[finding.severity]} {properties}::{text}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
