"""JUnit XML: each file is a suite, each finding a failed case, a clean file one case that passed.

What Jenkins, GitLab and Azure read: ``testsuites/testsuite/testcase/failure`` with ``tests`` and
``failures`` counted. Characters that XML 1.0 does not know are replaced.
"""

import re
from html import escape

from gpuyard.lint.reports.report import Report, by_file, spot
from gpuyard.lint.rule import Finding

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_BLANKS = re.compile(r"[\t\n\r]")


def render(report: Report) -> str:
    """Return the XML document."""
    found = dict(by_file(report.findings))
    suites = [_suite(file, found.get(file, [])) for file in sorted({*report.files, *found})]
    cases = sum(max(1, len(found.get(file, []))) for file in {*report.files, *found})
    head = f'<testsuites name="gpuyard lint" tests="{cases}" failures="{len(report.findings)}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>", ""])


def _suite(file: str, findings: list[Finding]) -> str:
    name = _attribute(file)
    cases = [_case(one) for one in findings] or [
        f'    <testcase name="nothing found" classname={name}/>'
    ]
    head = f'  <testsuite name={name} tests="{len(cases)}" failures="{len(findings)}" errors="0">'
    return "\n".join([head, *cases, "  </testsuite>"])


def _case(finding: Finding) -> str:
    at = spot(finding)
    place = f"{finding.file}:{at}" if at else finding.file
    name = _attribute(" ".join(filter(None, (finding.rule, at, finding.object))))
    text = _text(f"{place} {finding.severity} {finding.rule}\n{finding.message}\n{finding.remedy}")
    return (
        f"    <testcase name={name} classname={_attribute(finding.file)}>\n"
        f"      <failure type={_attribute(finding.severity)} "
        f"message={_attribute(finding.message)}>{text}</failure>\n"
        "    </testcase>"
    )


def _attribute(text: str) -> str:
    """Return a quoted attribute; what a parser would turn into a blank is written as a number."""
    return f'"{_BLANKS.sub(_numbered, _text(text))}"'


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _numbered(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"
