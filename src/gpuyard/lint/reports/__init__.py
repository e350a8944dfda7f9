"""The forms of a report, by the name that ``-o`` takes; each is a function from report to text."""

from collections.abc import Callable

from gpuyard.lint.reports import github, json, junit, markdown, sarif, table
from gpuyard.lint.reports.report import Report

FORMS: dict[str, Callable[[Report], str]] = {
    "table": table.render,
    "json": json.render,
    "sarif": sarif.render,
    "github": github.render,
    "junit": junit.render,
    "markdown": markdown.render,
}

__all__ = ["FORMS", "Report"]
