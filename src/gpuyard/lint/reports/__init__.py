"""The forms of a report, by the name that ``-o`` takes.

Each form is a module with a function `render`, from report to text. It is imported when somebody
asks for it: a table needs no hashes, an annotation no XML.
"""

import importlib
from collections.abc import Callable
from typing import Final

from gpuyard.lint.reports.report import Report

__all__ = ["FORMS", "Report", "render"]

FORMS: Final = ("table", "json", "sarif", "github", "junit", "markdown")


def render(form: str, report: Report) -> str:
    """Return `report` in one of `FORMS`; the text ends in a newline."""
    assert form in FORMS, form
    write: Callable[[Report], str] = importlib.import_module(f"{__name__}.{form}").render
    return write(report)
