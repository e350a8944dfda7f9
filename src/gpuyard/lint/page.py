"""What there is to say about a rule: for a terminal, and as a page of the documentation.

Both are made of the rule's own fields, so that they cannot say something else than it does.
"""

import textwrap
from collections.abc import Iterable

from gpuyard.lint.rule import Rule

_NEEDS = {
    "documents": "the manifests alone",
    "cluster": "objects of a cluster (--bundle)",
    "node": "the configuration of kubelets",
}


def explanation(rule: Rule, *, columns: int) -> str:
    """Return what ``gpuyard explain`` prints of one rule."""
    parts = [
        f"{rule.id}  {rule.severity}",
        _filled(f"{rule.title}.", columns),
        _filled(rule.why, columns),
        _filled(f"What to do: {rule.remedy}.", columns),
        _filled(f"Looks at: {looks_at(rule)}.{_fix(rule)}", columns),
        _filled(f"Source: {rule.source}", columns),
    ]
    if rule.failing:
        parts += ["Wrong:", _indented(rule.failing), "Right:", _indented(rule.passing)]
    return "\n\n".join(parts) + "\n"


def chapter(rule: Rule) -> str:
    """Return what the reference says of one rule, as a chapter in Markdown."""
    lines = [
        f"## {rule.id}",
        "",
        f"**{rule.title}.** Severity {rule.severity}; looks at {looks_at(rule)}.{_fix(rule)}",
        "",
        rule.why,
        "",
        f"What to do: {rule.remedy}.",
        "",
    ]
    if rule.failing:
        lines += ["Wrong:", "", "```yaml", rule.failing.rstrip("\n"), "```", ""]
        lines += ["Right:", "", "```yaml", rule.passing.rstrip("\n"), "```", ""]
    return "\n".join([*lines, f"Source: {rule.source}", ""])


def reference(rules: Iterable[Rule]) -> str:
    """Return the page of all rules: a table, then a chapter for each."""
    listed = sorted(rules, key=lambda rule: rule.id)
    rows = [
        f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {rule.title}"
        f"{' (`--fix`)' if rule.has_fix else ''} |"
        for rule in listed
    ]
    head = [
        "# Rules",
        "",
        "Made by `docs/rules.py` from the rules themselves; `gpuyard explain RULE` says the same.",
        "The comment `# <- here` marks the line that a finding names.",
        "",
        "| rule | severity | what it asks for |",
        "|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join([*head, *(chapter(rule) for rule in listed)])


def looks_at(rule: Rule) -> str:
    """Return what has to be given for the rule to say anything."""
    if not rule.reads:
        return _NEEDS[rule.needs]
    return f"{_NEEDS[rule.needs]}: {', '.join(rule.reads)}"


def _fix(rule: Rule) -> str:
    return " gpuyard lint --fix can mend it." if rule.has_fix else ""


def _filled(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, break_on_hyphens=False, break_long_words=False)


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip("\n"), "    ")
