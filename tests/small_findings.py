"""Findings of short texts, for the tables of each family of rules."""

import textwrap

from gpuyard.dialects.documents import read
from gpuyard.lint import examine


def findings(text, *only, background="", **world):
    """Return (rule, line, message) of the rules whose ids begin with one of `only`."""
    documents, problems = read(textwrap.dedent(text), "a.yaml")
    beside = read(textwrap.dedent(background), "cluster.yaml").documents
    outcome = examine(documents, problems, background=beside, **world)
    return [
        (one.rule, one.line, one.message)
        for one in outcome.findings
        if not only or one.rule.startswith(only)
    ]


def rules(text, *only, **more):
    """Return the rules alone, each as often as it found something."""
    return [rule for rule, _, _ in findings(text, *only, **more)]
